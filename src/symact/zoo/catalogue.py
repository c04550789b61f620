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
        formula: Its text in the expression language, parameters inlined; None where it is no
            function of one variable, or not known.
        source: Who published it, and where.
        year: When; None for folklore.
        seed: Whether the papers this project starts from name it.
        confidence: How sure formula and parameter values are.
        learnable: The parameters that are trained where the source uses it.
        parameters: Every parameter of the source with the value inlined in the formula.
        statistics: Whether it reads the whole tensor rather than one element.
        note: What else a user should know, "" for nothing.
        definition: What it does, in words, where there is no formula.
        parametric: The formula with its parameters as variables, and ``g`` for a gate's input, for
            functions that are more than constants inlined; None otherwise.
        kind: ``"pointwise"``, ``"learnable"``, ``"statistics"`` (of the whole tensor), ``"gated"``
            (two inputs), ``"stochastic"``, ``"own gradient"``, ``"features"`` (mixes them),
            ``"layer"`` (has weights over features), ``"matrix"``, ``"stateful"``, or
            ``"unknown"``: its formula is in no text that we have, and none is made up.
    """

    name: str
    aliases: tuple[str, ...]
    formula: str | None
    source: str
    year: int | None
    seed: bool
    confidence: str
    learnable: tuple[str, ...]
    parameters: Mapping[str, float] = field(hash=False)
    statistics: bool
    note: str = ""
    definition: str = ""
    parametric: str | None = None
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.kind:
            plain = "learnable" if self.learnable else "pointwise"
            object.__setattr__(self, "kind", "statistics" if self.statistics else plain)

    @cached_property
    def expr(self) -> Expr:
        """The formula, parsed.

        Raises:
            ZooError: It has none.
        """
        if self.formula is None:
            what = self.definition or "its formula is not known"
            raise ZooError(f"'{self.name}' has no formula in x ({self.kind}): {what}")
        return parse(self.formula)

    @property
    def is_activation(self) -> bool:
        """Whether it can stand between two layers: its formula is known, and it has no weights."""
        return self.kind not in ("layer", "matrix", "stateful", "unknown")

    @property
    def units(self) -> tuple[int, int]:
        """How many pre-activations a unit takes and how many values it gives."""
        return 2 if self.kind == "gated" else 1, 2 if self.name == "CReLU" else 1

    @property
    def text(self) -> str:
        """What people read: the formula, or what it does."""
        return self.formula or self.definition or "not known"


@cache
def catalogue() -> tuple[Known, ...]:
    """Return every entry, in the order of the file, those without a formula among them."""
    text = resources.files("symact.zoo").joinpath("zoo.json").read_text(encoding="utf-8")
    return tuple(
        Known(**{**row, "aliases": tuple(row["aliases"]), "learnable": tuple(row["learnable"])})
        for row in json.loads(text)
    )


@cache
def known() -> tuple[Known, ...]:
    """Return every function of one variable whose formula is known."""
    return tuple(entry for entry in catalogue() if entry.formula is not None)


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
        spelled = [text for item in catalogue() for text in (item.name, *item.aliases)]
        raise ZooError(f"the zoo has no function '{name}'; {choices(name, spelled)}")
    return entry


def has(name: str) -> bool:
    """Whether :func:`find` knows a name."""
    return _folded(name) in _by_folded_name()


#: Marks that names and paths have beside letters and digits.
_NAMING = str.maketrans("", "", " -_./\\")


@cache
def _by_folded_name() -> dict[str, Known]:
    return {_folded(text): entry for entry in catalogue() for text in (entry.name, *entry.aliases)}


def function(text: str) -> tuple[str, Expr]:
    """Read a name of the zoo or a formula; return what to call it and the expression.

    Raises:
        ZooError: A word that is neither.
        ParseError: A formula that does not parse.
    """
    try:
        entry = find(text)
    except ZooError as unknown:
        try:
            return text, parse(text)
        except ParseError as error:
            # A word is meant as a name; anything with structure as a formula.
            if text.translate(_NAMING).isalnum():
                raise unknown from None
            raise ParseError(f"{error} ({unknown})") from None
    return entry.name, entry.expr


def _folded(name: str) -> str:
    return name.casefold().translate(str.maketrans("", "", " -_"))
