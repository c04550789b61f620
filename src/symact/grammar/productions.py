"""Typed grammars: the sets of expressions that a search may propose.

A grammar is a TOML file, checked on load. It lists productions of two kinds. A primitive adds one
production for each signature whose argument types the grammar can produce. A rule has a template,
for structured spaces such as the core units of the Swish search.

Literals have the types ``Const`` and ``PositiveConst``. These are not subtypes of ``Real``. A
literal therefore occurs only in signatures with such a type, and ``sin(0.3)`` is never proposed.
A trained parameter has the type ``Const``: it occurs wherever a literal of either sign does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from symact.errors import GrammarError, choices
from symact.expr import Expr, distinct, show, var
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR, is_subtype

HOLES = ("a", "b", "c")
#: The type of a trained parameter. It may change its sign in training.
TRAINED_TYPE = "Const"

#: The cache of derivations is cleared when it has more entries.
_MOST_REMEMBERED = 100_000
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Production:
    """One way to make a value of type ``result`` from values of types ``args``.

    Attributes:
        name: A unique name within the grammar.
        template: An expression whose variables a, b, c stand for the arguments.
        args: The types of the arguments, at most three.
        result: The type of the result.
        weight: The relative probability when a production is drawn at random.
        simple: Whether the template is one primitive applied to the arguments in order.
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
    """The distribution of numeric literals.

    Attributes:
        distribution: ``normal``, ``uniform``, ``log-uniform`` or ``choice``.
        parameters: ``normal``: mean and standard deviation. ``uniform``: low and high.
            ``log-uniform``: the smallest and the largest absolute value; the sign is random.
            ``choice``: the values.
        digits: The number of significant digits of a literal.
    """

    distribution: str = "normal"
    parameters: tuple[float, ...] = (0.0, 1.0)
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Trained(Constants):
    """The distribution of the initial values of trained parameters.

    Attributes:
        indices: The number of different parameters with one initial value.
    """

    indices: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest number of nodes, depth and FLOPs per element of a candidate."""

    nodes: int = 24
    depth: int = 9
    flops: int = 150


class Derivation(NamedTuple):
    """A derivation of an expression: a leaf, or a production with derivations of its arguments.

    Attributes:
        expr: The derived expression.
        production: The production at the root; None for a leaf.
        children: The derivation of each argument of the production.
        type: The type of the leaf, or the result type of the production.
    """

    expr: Expr
    production: Production | None
    children: tuple[Derivation, ...]
    type: str


@dataclass(frozen=True, eq=False)
class Grammar:
    """A checked grammar.

    Attributes:
        name: The name in reports.
        description: A description in one sentence.
        text: The TOML text.
        start: The type of a candidate.
        types: The supertypes of each type.
        productions: The productions, in the order of the file.
        terminals: The type of each input variable, in the order of the file.
        constants: The distribution of literals; None for a grammar without literals.
        trained: The distribution of the initial values of trained parameters; None for a grammar
            without such leaves.
        limits: The largest size, depth and cost of a candidate.
        seeds: Names of the zoo, or formulas, that a search starts from.
        max_slope: The screen rejects a candidate with a larger absolute slope within [-8, 8].

    Example:
        >>> from symact import Grammar, parse
        >>> grammar = Grammar.load("pointwise")
        >>> grammar.derive(parse("x*tanh(x)")).production.name
        'mul (Real, Real) -> Real'
    """

    name: str
    description: str
    text: str
    start: str
    types: Mapping[str, tuple[str, ...]]
    productions: tuple[Production, ...]
    terminals: Mapping[str, str]
    constants: Constants | None
    trained: Trained | None
    limits: Limits
    seeds: tuple[str, ...]
    max_slope: float
    _memo: dict[tuple[Expr, str], Derivation | None] = field(default_factory=dict, repr=False)
    _open: set[tuple[Expr, str]] = field(default_factory=set, repr=False)
    _cuts: list[tuple[Expr, str]] = field(default_factory=list, repr=False)

    @staticmethod
    def load(source: str | Path) -> Grammar:
        """Load a packaged grammar by name, or a grammar file.

        Args:
            source: A name from :func:`grammar_names`, or the path of a ``.toml`` file.

        Raises:
            GrammarError: The name is unknown, or the file is unreadable or malformed.

        Example:
            >>> Grammar.load("pointwise").start
            'Real'
        """
        path = Path(source)
        if path.suffix != ".toml":
            names = grammar_names()
            if str(source) not in names:
                raise GrammarError(
                    f"unknown grammar '{source}'; {choices(str(source), names)} "
                    "(the name of a file must end in .toml)"
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
        r"""Read a grammar from TOML text.

        Args:
            text: The content of a grammar file.
            source: The name of the text in error messages.

        Raises:
            GrammarError: The text is malformed. The message names the key and the nearest valid
                choice.

        Example:
            >>> grammar = Grammar.parse("[productions]\nsin = 1\ntanh = 1")
            >>> [production.name for production in grammar.productions]
            ['sin (Real) -> Signed', 'tanh (Real) -> Signed']
        """
        from symact.grammar.reader import Reader

        return Reader(source).read(text)

    def is_subtype(self, lower: str, upper: str) -> bool:
        """Whether every value of type ``lower`` also has type ``upper``."""
        return (lower, upper) in self._subtypes

    @cached_property
    def _subtypes(self) -> frozenset[tuple[str, str]]:
        """All pairs of a type and one of its supertypes, including itself."""
        types = dict(self.types)
        return frozenset((a, b) for a in types for b in types if is_subtype(a, b, types))

    @cached_property
    def by_type(self) -> dict[str, tuple[Production, ...]]:
        """The productions that produce each type."""
        return {
            wanted: tuple(p for p in self.productions if self.is_subtype(p.result, wanted))
            for wanted in self.types
        }

    @cached_property
    def _by_root(self) -> dict[tuple[str, str], list[Production]]:
        """The productions for each wanted type and root operation."""
        found: dict[tuple[str, str], list[Production]] = {}
        for wanted, productions in self.by_type.items():
            for production in productions:
                root = production.template
                made = (VAR, CONST, PARAM, *PRIMITIVES) if _is_hole(root) else (root.op,)
                for op in made:
                    found.setdefault((wanted, op), []).append(production)
        return found

    @cached_property
    def _renames(self) -> bool:
        """Whether a rule only changes the type of its argument."""
        return any(_is_hole(production.template) for production in self.productions)

    def leaf_type(self, expr: Expr, wanted: str) -> str | None:
        """Return the type of a leaf as a value of type ``wanted``, None if it is no subtype."""
        if expr.op == VAR:
            type_ = self.terminals.get(str(expr.value))
            return type_ if type_ is not None and self.is_subtype(type_, wanted) else None
        if expr.op == CONST and self.constants is not None:
            type_ = "PositiveConst" if expr.number > 0 and wanted == "PositiveConst" else "Const"
            return type_ if self.is_subtype(type_, wanted) else None
        if expr.op == PARAM and self.trained is not None:
            return TRAINED_TYPE if self.is_subtype(TRAINED_TYPE, wanted) else None
        return None

    def derive(self, expr: Expr, wanted: str | None = None) -> Derivation | None:
        """Return a derivation of an expression, None if the grammar does not produce it.

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
            self._cuts.append(key)  # a cycle of renaming rules produces nothing new
            return None
        cuts = len(self._cuts)
        self._open.add(key)
        found = self._derive(expr, target)
        self._open.remove(key)
        # A failure inside a cycle is not final: store it only if no cycle was cut.
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
        """Raise if the grammar does not produce an expression.

        Raises:
            GrammarError: The message names the smallest subexpression without a derivation.
        """
        if self.derive(expr) is not None:
            return
        for node in distinct(expr):
            if not any(self.derive(node, wanted) for wanted in self.types):
                raise GrammarError(f"grammar '{self.name}' does not produce '{show(node)}'")
        raise GrammarError(f"grammar '{self.name}' does not produce '{show(expr)}' as {self.start}")


def grammar_names() -> tuple[str, ...]:
    """Return the names of the packaged grammars, the default first."""
    names = sorted(file.stem for file in _folder().glob("*.toml"))
    return tuple(sorted(names, key=lambda name: name != "pointwise"))


def _folder() -> Path:
    """Return the folder of grammar files, in the installed package or the checkout."""
    here = Path(__file__).resolve()
    packaged = here.parents[1] / "_grammars"
    return packaged if packaged.is_dir() else here.parents[3] / "grammars"


def _is_hole(template: Expr) -> bool:
    return template.op == VAR and template.value in HOLES


def hole_counts(template: Expr) -> dict[str, int]:
    """Return the number of occurrences of each hole in a template."""
    counts = dict.fromkeys(HOLES, 0)
    stack = [template]
    while stack:
        node = stack.pop()
        if _is_hole(node):
            counts[str(node.value)] += 1
        stack.extend(node.args)
    return counts


def _arguments(production: Production, expr: Expr) -> list[Expr] | None:
    """Return the arguments with which a production makes an expression, None if impossible."""
    bindings = match(production.template, expr, {})
    return None if bindings is None else [bindings[hole] for hole in HOLES[: len(production.args)]]


def match(template: Expr, expr: Expr, bindings: dict[str, Expr]) -> dict[str, Expr] | None:
    """Match a template against an expression.

    Args:
        template: An expression with the holes a, b, c.
        expr: The expression.
        bindings: Known bindings of holes. They are updated.

    Returns:
        The expression for each hole, or None if the template does not match.
    """
    if _is_hole(template):
        hole = str(template.value)
        if bindings.setdefault(hole, expr) != expr:
            return None
        return bindings
    if (template.op, template.value, len(template.args)) != (expr.op, expr.value, len(expr.args)):
        return None
    for part, arg in zip(template.args, expr.args, strict=True):
        if match(part, arg, bindings) is None:
            return None
    return bindings
