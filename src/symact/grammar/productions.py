"""Typed grammars: which expressions a search may propose. Data, in TOML, checked on load.

A grammar names productions. Most are primitives, which bring every signature of theirs that the
grammar can feed; the rest are rules with a template, for structured spaces such as the core units
of the Swish search. Constants have types of their own that are no numbers' subtypes, so that they
enter only where a signature asks for one and ``sin(0.3)`` is never proposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from symact.errors import GrammarError, choices
from symact.expr import Expr, distinct, show, var
from symact.expr.primitives import CONST, PRIMITIVES, VAR, is_subtype

HOLES = ("a", "b", "c")

#: Derivations a grammar remembers before it forgets them all.
_MOST_REMEMBERED = 100_000
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Production:
    """One way to make a value of type ``result`` from values of types ``args``.

    Attributes:
        name: Unique in its grammar.
        template: An expression whose variables a, b, c stand for the arguments.
        args: The types of a, b, c, as many as there are.
        result: The type it produces.
        weight: Its share when a production is drawn at random.
        simple: Whether it applies one primitive to its arguments in order.
    """

    name: str
    template: Expr
    args: tuple[str, ...]
    result: str
    weight: float
    simple: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        holes = tuple(var(hole) for hole in HOLES[: len(self.args)])
        object.__setattr__(self, "simple", bool(holes) and self.template.args == holes)


@dataclass(frozen=True, slots=True)
class Constants:
    """How numeric literals are drawn.

    Attributes:
        distribution: ``normal``, ``uniform``, ``log-uniform`` or ``choice``.
        parameters: Mean and deviation; low and high; the smallest and the largest size, of either
            sign; or the values to choose from.
        digits: Significant digits that a literal is rounded to.
    """

    distribution: str = "normal"
    parameters: tuple[float, ...] = (0.0, 1.0)
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What no candidate exceeds: nodes of the tree, its depth, FLOPs of one evaluation."""

    nodes: int = 24
    depth: int = 9
    flops: int = 150


class Derivation(NamedTuple):
    """How a grammar makes an expression: a production with derivations of its arguments, or a leaf.

    Attributes:
        expr: What is derived.
        production: None for a leaf.
        children: One for each argument type of the production.
        type: The type of a leaf or the result of the production.
    """

    expr: Expr
    production: Production | None
    children: tuple[Derivation, ...]
    type: str


@dataclass(frozen=True, eq=False)
class Grammar:
    """A checked grammar.

    Attributes:
        name: What reports call it.
        description: One sentence.
        text: The TOML it was read from.
        start: The type of a whole candidate.
        types: Every type with its supertypes.
        productions: In the order of the file.
        terminals: The type of each input variable, in the order of the file.
        constants: How literals are drawn, None for none.
        limits: Size, depth and cost.
        seeds: Names of the zoo or formulas to start from.
        max_slope: A candidate steeper than this within [-8, 8] is rejected.
    """

    name: str
    description: str
    text: str
    start: str
    types: Mapping[str, tuple[str, ...]]
    productions: tuple[Production, ...]
    terminals: Mapping[str, str]
    constants: Constants | None
    limits: Limits
    seeds: tuple[str, ...]
    max_slope: float
    _memo: dict[tuple[Expr, str], Derivation | None] = field(default_factory=dict, repr=False)
    _open: set[tuple[Expr, str]] = field(default_factory=set, repr=False)
    _cuts: list[tuple[Expr, str]] = field(default_factory=list, repr=False)

    @staticmethod
    def load(source: str | Path) -> Grammar:
        """Read a grammar by packaged name or from a file.

        Raises:
            GrammarError: With file, key and the nearest valid choice.
        """
        path = Path(source)
        if path.suffix != ".toml":
            names = grammar_names()
            if str(source) not in names:
                raise GrammarError(
                    f"unknown grammar '{source}'; {choices(str(source), names)} "
                    "(a file's name ends in .toml)"
                )
            path = _folder() / f"{source}.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise GrammarError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise GrammarError(f"{path}: cannot be read: it is not UTF-8 text") from None
        return Grammar.parse(text, source=path.name)

    @staticmethod
    def parse(text: str, source: str = "<text>") -> Grammar:
        """Read a grammar from TOML text; ``source`` is what messages call it.

        Raises:
            GrammarError: As for :meth:`load`.
        """
        from symact.grammar.reader import Reader

        return Reader(source).read(text)

    def is_subtype(self, lower: str, upper: str) -> bool:
        """Whether every value of type ``lower`` is one of type ``upper``."""
        return (lower, upper) in self._subtypes

    @cached_property
    def _subtypes(self) -> frozenset[tuple[str, str]]:
        """Each type with each of its supertypes, itself included."""
        types = dict(self.types)
        return frozenset((a, b) for a in types for b in types if is_subtype(a, b, types))

    @cached_property
    def by_type(self) -> dict[str, tuple[Production, ...]]:
        """The productions whose result is of each type."""
        return {
            wanted: tuple(p for p in self.productions if self.is_subtype(p.result, wanted))
            for wanted in self.types
        }

    @cached_property
    def _by_root(self) -> dict[tuple[str, str], list[Production]]:
        """The productions of each type that could make an expression with each root."""
        found: dict[tuple[str, str], list[Production]] = {}
        for wanted, productions in self.by_type.items():
            for production in productions:
                root = production.template
                made = (VAR, CONST, *PRIMITIVES) if _is_hole(root) else (root.op,)
                for op in made:
                    found.setdefault((wanted, op), []).append(production)
        return found

    @cached_property
    def _renames(self) -> bool:
        """Whether a rule makes an argument as it is a value of another type."""
        return any(_is_hole(production.template) for production in self.productions)

    def leaf_type(self, expr: Expr, wanted: str) -> str | None:
        """Return the type a leaf has where ``wanted`` is asked for, None if it does not fit."""
        if expr.op == VAR:
            own = self.terminals.get(str(expr.value))
            return own if own is not None and self.is_subtype(own, wanted) else None
        if expr.op == CONST and self.constants is not None:
            own = "PositiveConst" if expr.number > 0 and wanted == "PositiveConst" else "Const"
            return own if self.is_subtype(own, wanted) else None
        return None

    def derive(self, expr: Expr, wanted: str | None = None) -> Derivation | None:
        """Return a derivation of an expression, None if it is no sentence.

        Args:
            expr: Any expression of the terminals.
            wanted: The type to derive; None for the start type.
        """
        target = self.start if wanted is None else wanted
        key = (expr, target)
        known = self._memo.get(key, _UNKNOWN)
        if not isinstance(known, str):
            return known
        if len(self._memo) > _MOST_REMEMBERED:
            self._memo.clear()
        if not self._renames:
            found = self._memo[key] = self._derive(expr, target)
            return found
        if key in self._open:
            self._cuts.append(key)  # a rule that leads back to itself makes nothing
            return None
        cuts = len(self._cuts)
        self._open.add(key)
        found = self._derive(expr, target)
        self._open.remove(key)
        # What failed because something above it was still open may yet succeed by itself.
        if found is not None or len(self._cuts) == cuts or not self._open:
            self._memo[key] = found
        if not self._open:
            self._cuts.clear()
        return found

    def _derive(self, expr: Expr, wanted: str) -> Derivation | None:
        if not expr.args:
            leaf = self.leaf_type(expr, wanted)
            if leaf is not None:
                return Derivation(expr, None, (), leaf)
        for production in self._by_root.get((wanted, expr.op), ()):
            parts = expr.args if production.simple else _arguments(production, expr)
            if parts is None:
                continue
            children = []
            for part, type_ in zip(parts, production.args, strict=True):
                child = self.derive(part, type_)
                if child is None:
                    break
                children.append(child)
            else:
                return Derivation(expr, production, tuple(children), production.result)
        return None

    def check(self, expr: Expr) -> None:
        """Refuse an expression that is no sentence.

        Raises:
            GrammarError: Naming the smallest part that nothing produces.
        """
        if self.derive(expr) is not None:
            return
        for node in distinct(expr):
            if not any(self.derive(node, wanted) for wanted in self.types):
                raise GrammarError(f"grammar '{self.name}' does not produce '{show(node)}'")
        raise GrammarError(f"grammar '{self.name}' does not produce '{show(expr)}' as {self.start}")


def grammar_names() -> tuple[str, ...]:
    """Return the packaged grammars, the default first."""
    names = sorted(file.stem for file in _folder().glob("*.toml"))
    return tuple(sorted(names, key=lambda name: name != "pointwise"))


def _folder() -> Path:
    """The folder of grammars: inside an installed package, at the top of a checkout."""
    here = Path(__file__).resolve()
    packaged = here.parents[1] / "_grammars"
    return packaged if packaged.is_dir() else here.parents[3] / "grammars"


def _is_hole(template: Expr) -> bool:
    return template.op == VAR and template.value in HOLES


def _arguments(production: Production, expr: Expr) -> list[Expr] | None:
    """What a production has to be applied to so that it makes an expression."""
    bindings = match(production.template, expr, {})
    return None if bindings is None else [bindings[hole] for hole in HOLES[: len(production.args)]]


def match(template: Expr, expr: Expr, bindings: dict[str, Expr]) -> dict[str, Expr] | None:
    """Bind the holes of a template so that it equals an expression, None if it cannot."""
    if _is_hole(template):
        hole = str(template.value)
        if bindings.setdefault(hole, expr) != expr:
            return None
        return bindings
    if (template.op, template.value, len(template.args)) != (expr.op, expr.value, len(expr.args)):
        return None
    for part, own in zip(template.args, expr.args, strict=True):
        if match(part, own, bindings) is None:
            return None
    return bindings
