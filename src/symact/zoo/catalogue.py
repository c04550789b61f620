"""The catalogue of known activation functions.

The file ``zoo.json`` in this folder is the only source of names, formulas and constants.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources

from symact.errors import ParseError, ZooError, choices
from symact.expr import Expr, const, param, parse, show, substitute

#: The largest exponent, and the largest value of a size.
_MAX_POWER, _MAX_SIZE = 64, 1024


@dataclass(frozen=True)
class Known:
    """A known activation function.

    Attributes:
        name: The common name.
        aliases: Other names.
        formula: The formula in the expression language, with constants as numbers. None if it is
            unknown or not a function of one variable.
        source: The publication.
        year: The year of publication; None for folklore.
        seed: Whether the papers that this project builds on name the function.
        confidence: The confidence in formula and constants.
        learnable: The names of the trained parameters.
        parameters: The value of each constant.
        statistics: Whether the function uses batch statistics.
        note: Other facts; "" for none.
        definition: A definition in words, for an entry without a formula.
        parametric: The formula with constants as variables. ``g`` is the input of a gate.
            ``**NAME`` is a power with an integer constant as its exponent. None if there is no such
            formula.
        kind: The kind of function, one of ``"pointwise"``, ``"learnable"``, ``"statistics"``
            (batch statistics), ``"gated"`` (two inputs), ``"stochastic"``, ``"own gradient"``,
            ``"features"`` (combines features), ``"layer"`` (needs more than its input),
            ``"matrix"``, ``"stateful"`` and ``"unknown"`` (the formula is unknown).
        sizes: Integers that determine the number of parameters, with their defaults.
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
    sizes: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.kind:
            plain = "learnable" if self.learnable else "pointwise"
            object.__setattr__(self, "kind", "statistics" if self.statistics else plain)

    @cached_property
    def expr(self) -> Expr:
        """The formula, parsed.

        Raises:
            ZooError: The entry has no formula.
        """
        if self.formula is None:
            reason = self.definition or "its formula is not known"
            raise ZooError(f"'{self.name}' has no formula in x ({self.kind}): {reason}")
        return parse(self.formula)

    @cached_property
    def trained(self) -> Expr | None:
        """The formula with its learnable constants as trained parameters, one set for each layer.

        It trains as the module of the entry whose parameters are scalars. None for a function
        without learnable constants or without such a formula, and for other :attr:`sizes`.

        Example:
            >>> str(find("AGLU").trained)
            'x*exp(-softplus(log(max(param(1), 0.0001)) - param(1, 1)*x)/max(param(1), 0.0001))'
        """
        if self.kind != "learnable" or self.parametric is None or not self.learnable:
            return None
        if self.sizes != find(self.name).sizes:
            return None
        leaves = {name: const(value) for name, value in self.parameters.items()}
        starts = [self.parameters[name] for name in self.learnable]
        for place, (name, start) in enumerate(zip(self.learnable, starts, strict=True)):
            leaves[name] = param(start, starts[:place].count(start))
        return substitute(parse(self.parametric, ("x", *leaves)), leaves)

    @property
    def is_activation(self) -> bool:
        """Whether the function can be used between two layers with only its input."""
        return self.kind not in ("layer", "matrix", "stateful", "unknown")

    @property
    def units(self) -> tuple[int, int]:
        """The numbers of inputs and outputs of one unit."""
        return 2 if self.kind == "gated" else 1, 2 if self.name == "CReLU" else 1

    @property
    def text(self) -> str:
        """The formula, or else the definition in words."""
        return self.formula or self.definition or "not known"

    def with_constants(self, **constants: float) -> Known:
        """Return the same function with other constants.

        Args:
            **constants: Values by name; see :attr:`parameters` and :attr:`sizes`.

        Raises:
            ZooError: A name is unknown, or a value is invalid.

        Example:
            >>> find("LeakyReLU").with_constants(a=0.2).formula
            'where(x > 0, x, 0.2*x)'
        """
        if not constants:
            return self
        for name, value in constants.items():
            self._check_constant(name, value)
        sizes = {name: int(constants.get(name, size)) for name, size in self.sizes.items()}
        given = {name: value for name, value in constants.items() if name in self.parameters}
        parameters = {**self.parameters, **given}
        formula = self.formula
        if formula is not None and given:
            formula = self.written_with(parameters)
        return replace(self, parameters=parameters, sizes=sizes, formula=formula)

    def written_with(self, values: Mapping[str, float]) -> str:
        """Return the parametric formula with the given values of its constants."""
        assert self.parametric is not None
        text = self.parametric
        for name in set(re.findall(r"\*\*([A-Za-z]\w*)", text)):
            text = _with_power(text, name, int(values[name]))
        expr = parse(text, ("x", "g", *values))
        return show(substitute(expr, {name: const(value) for name, value in values.items()}))

    def _check_constant(self, name: str, value: object) -> None:
        known = [*self.parameters, *self.sizes]
        if name not in known:
            hint = choices(name, known) if known else "it has none"
            raise ZooError(f"'{self.name}' has no constant '{name}'; {hint}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ZooError(f"constant '{name}' of '{self.name}' must be a number, got {value!r}")
        if not math.isfinite(value):
            raise ZooError(f"constant '{name}' of '{self.name}' must be finite, got {value}")
        is_power = f"**{name}" in (self.parametric or "")
        limit = _MAX_POWER if is_power else _MAX_SIZE if name in self.sizes else None
        if limit is not None and not (value == int(value) and 1 <= value <= limit):
            raise ZooError(
                f"constant '{name}' of '{self.name}' must be a whole number from 1 to {limit}, "
                f"got {value}"
            )


def _with_power(text: str, name: str, exponent: int) -> str:
    """Replace ``CALL(...)**NAME`` by an integer power."""
    pattern = rf"(\w+\([^()]*\))\*\*{name}\b"
    return re.sub(pattern, lambda match: _power(match[1], exponent), text)


def _power(text: str, exponent: int) -> str:
    """Write an integer power by squares and products."""
    if exponent == 1:
        return text
    half = _power(text, exponent // 2)
    square = f"({half})**2"
    return f"({square}*{text})" if exponent % 2 else square


@cache
def catalogue() -> tuple[Known, ...]:
    """Return all entries in the order of the file, including those without a formula."""
    text = resources.files("symact.zoo").joinpath("zoo.json").read_text(encoding="utf-8")
    return tuple(
        Known(**{**row, "aliases": tuple(row["aliases"]), "learnable": tuple(row["learnable"])})
        for row in json.loads(text)
    )


@cache
def known() -> tuple[Known, ...]:
    """Return all functions of one variable with a known formula."""
    return tuple(entry for entry in catalogue() if entry.formula is not None)


def names() -> tuple[str, ...]:
    """Return the names of :func:`known` functions, without aliases."""
    return tuple(entry.name for entry in known())


def find(name: str) -> Known:
    """Return the function with a name or alias.

    Args:
        name: The name. Case, spaces, hyphens and underscores are ignored.

    Raises:
        ZooError: The name is unknown.

    Example:
        >>> find("swish").name
        'SiLU'
    """
    entry = _by_folded_name().get(_folded(name))
    if entry is None:
        spelled = [text for item in catalogue() for text in (item.name, *item.aliases)]
        raise ZooError(f"the zoo has no function '{name}'; {choices(name, spelled, 'symact zoo')}")
    return entry


def has(name: str) -> bool:
    """Whether :func:`find` knows a name."""
    return _folded(name) in _by_folded_name()


#: Deletes the characters that names and paths may have besides letters and digits.
_NAMING = str.maketrans("", "", " -_./\\")


@cache
def _by_folded_name() -> dict[str, Known]:
    return {_folded(text): entry for entry in catalogue() for text in (entry.name, *entry.aliases)}


def function(text: str) -> tuple[str, Expr]:
    """Return the name and the expression of a function, given its name or a formula.

    The name of a formula is its text.

    Raises:
        ZooError: The text is a single word, but not a known name.
        ParseError: The formula does not parse.

    Example:
        >>> name, expr = function("swish")
        >>> name, str(expr)
        ('SiLU', 'silu(x)')
    """
    try:
        entry = find(text)
    except ZooError as unknown:
        return text, formula(text, unknown)
    return entry.name, entry.expr


def formula(text: str, unknown: ZooError) -> Expr:
    """Parse a formula.

    Args:
        text: The formula.
        unknown: The error of an earlier search of the zoo for the text.

    Raises:
        ZooError: The text is a single word. The exception is ``unknown``.
        ParseError: The formula does not parse.
    """
    try:
        return parse(text)
    except ParseError as error:
        # A single word is treated as a name.
        if text.translate(_NAMING).isalnum():
            raise unknown from None
        is_near = "did you mean" in str(unknown) and "did you mean" not in str(error)
        raise ParseError(f"{error} ({unknown})" if is_near else str(error)) from None


def _folded(name: str) -> str:
    return name.casefold().translate(str.maketrans("", "", " -_"))
