"""The language of a grammar over a finite set of literals, for enumeration and counting.

Each type is one bit. The *mask* of an expression is the set of all types that it can be derived as.
With a depth limit there is one bit for each type and level. An expression of one level can also be
used at every higher level.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from symact.errors import GrammarError
from symact.expr import Expr, const, distinct, show, var
from symact.expr.primitives import PRIMITIVES, VAR
from symact.grammar.productions import (
    HOLES,
    Constants,
    Grammar,
    Production,
    hole_counts,
    match,
)

#: The literals of an enumeration if the grammar draws literals from a range.
DEFAULT_CONSTANTS = (0.1, 0.5, 1.0, 2.0, -1.0)

#: Masks are kept in 64-bit integers.
_MOST_BITS = 62


@dataclass(frozen=True, slots=True)
class Group:
    """All productions with one template.

    Attributes:
        template: An expression with one hole (a, b, c) for each argument.
        uses: The number of occurrences of each hole.
        own: The number of nodes of the template without its holes.
        signatures: The bits of the arguments and the mask of the result, for each typing.
        commutative: Whether the two arguments may be swapped without changing value or type.
    """

    template: Expr
    uses: tuple[int, ...]
    own: int
    signatures: tuple[tuple[tuple[int, ...], int], ...]
    commutative: bool

    @property
    def holes(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return HOLES[: len(self.uses)]

    @property
    def simple(self) -> bool:
        """Whether the template is one primitive applied to the arguments in order."""
        return self.template.args == tuple(map(var, self.holes))

    def asked(self, position: int) -> int:
        """Return the bits of all types that the argument at a position may have."""
        return union(bits[position] for bits, _ in self.signatures)

    def splits(self, size: int) -> Iterator[tuple[int, ...]]:
        """Yield the argument sizes that give an expression of ``size`` nodes, in order."""
        yield from _splits(self.uses, size - self.own)


def _splits(uses: Sequence[int], left: int) -> Iterator[tuple[int, ...]]:
    first, rest = uses[0], uses[1:]
    if not rest:
        if left >= first and left % first == 0:
            yield (left // first,)
        return
    for size in range(1, (left - sum(rest)) // first + 1):
        for others in _splits(rest, left - first * size):
            yield (size, *others)


def union(masks: Iterable[int]) -> int:
    """Return the bitwise or of some masks."""
    found = 0
    for mask in masks:
        found |= mask
    return found


class Language:
    """The sentences of a grammar over some literals, up to a nesting depth.

    Args:
        grammar: The grammar. Its limits on depth and FLOPs are not applied.
        constants: The literals; None for :func:`default_constants`.
        depth: The largest number of nested productions; None for no limit.

    Raises:
        GrammarError: The grammar has no literals but some are given, a literal is not finite, or
            the depth is out of range.
    """

    def __init__(
        self,
        grammar: Grammar,
        constants: Iterable[float] | None = None,
        depth: int | None = None,
    ) -> None:
        self.grammar = grammar
        self.depth = depth
        self.constants = _checked(grammar, constants)
        demanded = dict.fromkeys([grammar.start, *(a for p in grammar.productions for a in p.args)])
        levels = 1 if depth is None else depth + 1
        most = _MOST_BITS // len(demanded) - 1
        if depth is not None and not 1 <= depth <= most:
            raise GrammarError(
                f"grammar '{grammar.name}': the depth of an enumeration must be from 1 to {most}, "
                f"got {depth}"
            )
        self._bits = {
            (wanted, level): 1 << (level * len(demanded) + i)
            for level in range(levels)
            for i, wanted in enumerate(demanded)
        }
        self._levels = levels
        #: The bit of a sentence: the start type on the highest level.
        self.start = self._bits[grammar.start, levels - 1]
        groups: dict[Expr, list[Production]] = {}
        for production in grammar.productions:
            groups.setdefault(production.template, []).append(production)
        renames = [p for own in groups.values() for p in own if p.template.op == VAR]
        self._renames = [s for p in renames if p.args for s in self._signatures(p)]
        #: The groups in the order of the grammar, without rules that only rename an argument.
        self.groups = tuple(
            self._group(template, own) for template, own in groups.items() if template.op != VAR
        )
        #: The leaves with their masks: first the terminals, then the literals.
        self.leaves = tuple(
            (leaf, mask)
            for leaf, mask in [
                *((var(x), self.close(self._mask(t, 0))) for x, t in grammar.terminals.items()),
                *((const(c), self.close(self._mask(_type_of(c), 0))) for c in self.constants),
            ]
            if mask
        )

    def _mask(self, type_: str, level: int) -> int:
        """Return the bits of the types and levels at which a value may be used."""
        grammar = self.grammar
        return sum(
            bit
            for (wanted, above), bit in self._bits.items()
            if above >= level and grammar.is_subtype(type_, wanted)
        )

    def _signatures(self, production: Production) -> list[tuple[tuple[int, ...], int]]:
        made = [(0, 0)] if self._levels == 1 else [(k - 1, k) for k in range(1, self._levels)]
        return [
            (
                tuple(self._bits[arg, below] for arg in production.args),
                self._mask(production.result, level),
            )
            for below, level in made
        ]

    def _group(self, template: Expr, productions: Sequence[Production]) -> Group:
        arity = len(productions[0].args)
        counts = hole_counts(template)
        uses = tuple(counts[hole] for hole in HOLES[:arity])
        signatures = tuple(
            dict.fromkeys(
                (args, self.close(mask))
                for p in productions
                for args, mask in self._signatures(p)
                if mask
            )
        )
        row = PRIMITIVES.get(template.op)
        swapped = {(args[::-1], mask) for args, mask in signatures}
        return Group(
            template=template,
            uses=uses,
            own=template.size - sum(uses),
            signatures=signatures,
            commutative=row is not None
            and row.commutative
            and template.args == tuple(map(var, HOLES[:arity]))
            and swapped == set(signatures),
        )

    def mask(self, expr: Expr) -> int:
        """Return the bits of all types that derive an expression, 0 if there are none."""
        leaves = dict(self.leaves)
        masks: dict[Expr, int] = {}
        for node in distinct(expr):
            made = leaves.get(node, 0)
            for group in self.groups:
                bindings = match(group.template, node, {}) if node.args else None
                if bindings is not None:
                    states = [masks[bindings[hole]] for hole in group.holes]
                    for bits, result in group.signatures:
                        if all(state & bit for state, bit in zip(states, bits, strict=True)):
                            made |= result
            masks[node] = made
        return masks[expr]

    def close(self, mask: int) -> int:
        """Add the types that renaming rules derive from the types of a mask."""
        grown = True
        while grown:
            before = mask
            for (bit,), result in self._renames:
                if mask & bit:
                    mask |= result
            grown = mask != before
        return mask


def default_constants(constants: Constants | None) -> tuple[float, ...]:
    """Return the literals of an enumeration.

    Args:
        constants: The distribution of literals in the grammar; None if it has no literals.

    Returns:
        For ``choice``, the nonzero values of the list. For other distributions, the
        :data:`DEFAULT_CONSTANTS` in the range. The range of ``log-uniform`` limits absolute values.
        The range of ``normal`` is three standard deviations around the mean.
    """
    if constants is None:
        return ()
    if constants.distribution == "choice":
        return tuple(dict.fromkeys(value for value in constants.parameters if value))
    low, high = constants.parameters
    if constants.distribution == "normal":
        low, high = low - 3 * high, low + 3 * high
    if constants.distribution == "log-uniform":
        return tuple(value for value in DEFAULT_CONSTANTS if low <= abs(value) <= high)
    return tuple(value for value in DEFAULT_CONSTANTS if low <= value <= high)


def _checked(grammar: Grammar, constants: Iterable[float] | None) -> tuple[float, ...]:
    if constants is None:
        return default_constants(grammar.constants)
    values = tuple(dict.fromkeys(float(value) + 0.0 for value in constants))
    if values and grammar.constants is None:
        raise GrammarError(
            f"grammar '{grammar.name}' does not allow literals, got {show(const(values[0]))}"
        )
    for value in values:
        if not math.isfinite(value):
            raise GrammarError(f"a literal must be a finite number, got {value}")
    return values


def _type_of(value: float) -> str:
    return "PositiveConst" if value > 0 else "Const"
