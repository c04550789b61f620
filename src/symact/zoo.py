"""The zoo: known activation functions, looked up by name.

The functions are data, in ``zoo.json`` beside this file; a formula stands there and nowhere else.
Its parameters are inlined at their default values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources

from symact.errors import ParseError, ZooError, choices
from symact.expr import Expr, parse


@dataclass(frozen=True)
class Known:
    """A known activation function.

    Attributes:
        name: The name users know it by.
        aliases: Other names it is found under.
        formula: Its text in the expression language, parameters inlined.
        source: Who published it, and where.
        year: When; None for folklore.
        seed: Whether the papers this project starts from name it.
        confidence: How sure formula and parameter values are.
        learnable: The parameters that are trained where the source uses it.
        parameters: Every parameter of the source with the value inlined in the formula.
        statistics: Whether it reads the whole tensor rather than one element.
        note: What else a user should know, "" for nothing.
    """

    name: str
    aliases: tuple[str, ...]
    formula: str
    source: str
    year: int | None
    seed: bool
    confidence: str
    learnable: tuple[str, ...]
    parameters: Mapping[str, float] = field(hash=False)
    statistics: bool
    note: str = ""

    @cached_property
    def expr(self) -> Expr:
        """The formula, parsed."""
        return parse(self.formula)


@cache
def known() -> tuple[Known, ...]:
    """Return every known function, in the order of the file."""
    text = resources.files("symact").joinpath("zoo.json").read_text(encoding="utf-8")
    return tuple(
        Known(**{**row, "aliases": tuple(row["aliases"]), "learnable": tuple(row["learnable"])})
        for row in json.loads(text)
    )


def names() -> tuple[str, ...]:
    """Return the name of every known function, without aliases."""
    return tuple(entry.name for entry in known())


def find(name: str) -> Known:
    """Look a function up by its name or an alias.

    Args:
        name: Case, spaces, hyphens and underscores do not matter.

    Raises:
        ZooError: No function has that name.
    """
    entry = _by_folded_name().get(_folded(name))
    if entry is None:
        spelled = [text for item in known() for text in (item.name, *item.aliases)]
        raise ZooError(f"the zoo has no function '{name}'; {choices(name, spelled)}")
    return entry


def has(name: str) -> bool:
    """Whether :func:`find` knows a name."""
    return _folded(name) in _by_folded_name()


#: Marks that names and paths have beside letters and digits.
_NAMING = str.maketrans("", "", " -_./\\")


@cache
def _by_folded_name() -> dict[str, Known]:
    return {_folded(text): entry for entry in known() for text in (entry.name, *entry.aliases)}


def function(text: str) -> tuple[str, Expr]:
    """Read a name of the zoo or a formula; return what to call it and the expression.

    Raises:
        ZooError: A word that is neither.
        ParseError: A formula that does not parse.
    """
    try:
        entry = find(text)
    except ZooError as unknown:
        # A word is meant as a name; anything with structure as a formula.
        if text.translate(_NAMING).isalnum() and text != "x":
            raise
        try:
            return text, parse(text)
        except ParseError as error:
            # A word is meant as a name; anything with structure as a formula.
            if text.replace("-", "").replace("_", "").replace(" ", "").isalnum():
                raise unknown from None
            raise ParseError(f"{error} ({unknown})") from None
    return entry.name, entry.expr


def _folded(name: str) -> str:
    return name.casefold().translate(str.maketrans("", "", " -_"))
