"""Exhaustive enumeration of the smallest sentences of a grammar, without duplicate functions.

Sentences are built bottom-up, by size. Of all expressions with the same type and the same values,
only the first is kept and used as an argument. No function is lost: a subexpression can always be
replaced by one of the same type and values that is not larger. Every function is therefore found at
its smallest size. This is bottom-up enumeration modulo observational equivalence (Albarghouthi,
Gulwani and Kincaid 2013, Recursive Program Synthesis), applied to each type.

The limits of a grammar on depth and FLOPs are not applied. With them, functions could be lost,
because the smallest expression need not be the shallowest or the cheapest.

Two functions are *equal* if their values agree to about seven digits at the points of the screen.
Functions that differ only elsewhere count as one. If rounding errors reach the seventh digit, one
function may count twice. Functions of batch statistics are also compared on a second sample,
because the first sample is symmetric with mean 0.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symact.errors import GrammarError
from symact.expr import Expr, parameters, show, substitute, uses_statistics
from symact.expr.primitives import VAR
from symact.grammar import Grammar, Group, Language, SentenceCount, union
from symact.grammar.enumeration.kept import MOST_STORED, Level, Made, Seen, empty, runs
from symact.grammar.enumeration.values import Maker, key, keys, points_of

#: The default limit of distinct expressions. Each one takes 50 bytes, and 1.1 KB more if its values
#: stay in memory.
LIMIT = 500_000
#: The default number of candidates that are evaluated in one call.
CHUNK = 2048

#: A callback after each chunk, with the current size and the numbers of expressions and sentences.
OnSize = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Sentence:
    """The first sentence of a function.

    Attributes:
        expr: The sentence.
        size: The number of nodes.
        place: The rank among the distinct functions, from 1.
    """

    expr: Expr
    size: int
    place: int


@dataclass(frozen=True, slots=True)
class SizeCount:
    """The numbers of sentences and functions of one size.

    Attributes:
        size: The number of nodes.
        sentences: The exact number of sentences; None if the grammar has rules that cannot be
            counted.
        distinct: The number of functions whose smallest sentence has this size.
        complete: Whether all these functions were found.
    """

    size: int
    sentences: int | None
    distinct: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a function in an enumeration.

    Attributes:
        expr: The expression to be found.
        is_sentence: Whether the expression itself is a sentence.
        size: The number of nodes of the smallest sentence with these values. If none was found, the
            number of nodes of the expression, an upper bound. None if the expression is not a
            sentence either.
        is_exact: Whether ``size`` is exact.
        first: The first sentence with these values; None if it was not enumerated.
        place: The rank of ``first`` among the distinct functions; None if it was not enumerated.
        smaller: The exact number of sentences with fewer than ``size`` nodes; None if unknown.
        of_size: The exact number of sentences with ``size`` nodes; None if unknown.
        number: The rank of the expression among all sentences; see
            :meth:`symact.grammar.SentenceCount.place`. None if it has no rank.
        estimate: An estimate of ``place`` if that is None. It multiplies ``number``, or the middle
            of the size, by the share of new functions among sentences. The share is extrapolated
            geometrically from the last two complete sizes. None if that is not possible.
    """

    expr: Expr
    is_sentence: bool
    size: int | None
    is_exact: bool
    first: Expr | None
    place: int | None
    smaller: int | None
    of_size: int | None
    number: int | None
    estimate: float | None


def _check_fixed(grammar: Grammar) -> None:
    templates = [production.template for production in grammar.productions]
    if grammar.trained is not None or any(map(parameters, templates)):
        raise GrammarError(
            f"grammar '{grammar.name}' has trained parameters; an enumeration compares values"
        )


class Enumeration:
    """The distinct sentences of a grammar, ordered by size.

    Sentences of one size are ordered by these keys: leaves first (variables, then literals), the
    production in the order of the grammar, the sizes of the arguments from the left, and the ranks
    of the arguments. The order is deterministic.

    Args:
        grammar: The grammar.
        constants: The literals; None for :func:`symact.grammar.default_constants`.
        depth: The largest number of nested productions; None for no limit. With 2, the grammar
            ``swish`` produces single core units.
        limit: The largest number of distinct expressions, including subexpressions.
        chunk: The number of candidates that are evaluated in one call. The result does not depend
            on it.
        most_stored: The largest number of expressions of one size whose values stay in memory. The
            result does not depend on it.

    Raises:
        GrammarError: As for :class:`symact.grammar.Language`, or the grammar has trained
            parameters: their functions do not follow from values.
    """

    def __init__(
        self,
        grammar: Grammar,
        *,
        constants: Iterable[float] | None = None,
        depth: int | None = None,
        limit: int = LIMIT,
        chunk: int = CHUNK,
        most_stored: int = MOST_STORED,
    ) -> None:
        _check_fixed(grammar)
        self.grammar = grammar
        self.language = Language(grammar, constants, depth)
        self.limit, self._chunk, self._most_stored = limit, chunk, most_stored
        groups = self.language.groups
        #: Whether the grammar has batch statistics.
        self.reads_batch = any(uses_statistics(group.template) for group in groups)
        self._inputs = tuple(grammar.terminals)
        points = points_of(len(self._inputs), self.reads_batch)
        self._terminals: dict[str, NDArray[np.float64]]
        self._terminals = dict(zip(self._inputs, points, strict=True))
        self._point_count = points.shape[1]
        self._makers = [Maker(group, self._terminals) for group in groups]
        self._levels: list[Level] = [Level(0, *empty(), None)]
        self._seen = Seen()
        self._kept = 0
        self._sentences = array("q")
        self._keys = array("Q")
        self._distinct: list[int] = [0]
        self._count: SentenceCount | None = None
        self._counted = False
        #: The largest complete size.
        self.complete_size = 0
        #: Whether there is no larger sentence.
        self.exhausted = False
        self._open = Made(0, most_stored)
        self._steps = self._run()

    # What was found.

    @property
    def constants(self) -> tuple[float, ...]:
        """The literals in use."""
        return self.language.constants

    @property
    def kept(self) -> int:
        """The number of distinct expressions that were found, including subexpressions."""
        return self._kept

    @property
    def is_cut(self) -> bool:
        """Whether the limit was reached. The size after ``complete_size`` is then incomplete."""
        return self._kept >= self.limit

    def __len__(self) -> int:
        """The number of distinct sentences that were found."""
        return len(self._sentences)

    def sentence(self, place: int) -> Sentence:
        """Return the sentence of a rank, from 1."""
        number = self._sentences[place - 1]
        expr = self._expr(number)
        return Sentence(expr, expr.size, place)

    def __iter__(self) -> Iterator[Sentence]:
        for place in range(1, len(self) + 1):
            yield self.sentence(place)

    def counts(self) -> tuple[SizeCount, ...]:
        """Return the counts of each size, from 1 to the largest size that was reached."""
        counter = self._counter()
        return tuple(
            SizeCount(
                size=size,
                sentences=None if counter is None else counter.sentences(size),
                distinct=distinct,
                complete=size <= self.complete_size,
            )
            for size, distinct in enumerate(self._distinct)
            if size
        )

    def _counter(self) -> SentenceCount | None:
        if not self._counted:
            self._counted = True
            try:
                self._count = SentenceCount(self.language)
            except GrammarError:
                self._count = None
        return self._count

    def find(self, expr: Expr) -> Placement:
        """Return the size and the rank of a function.

        Args:
            expr: An expression of the terminals. It need not be a sentence.

        Raises:
            GrammarError: The expression has trained parameters.
        """
        if parameters(expr):
            raise GrammarError(f"'{show(expr)}' has trained parameters; an enumeration has none")
        place = self._place(key(expr, self._inputs, self.reads_batch))
        first = None if place is None else self.sentence(place).expr
        counter = self._counter()
        is_sentence = bool(self.language.mask(expr) & self.language.start)
        size = first.size if first is not None else expr.size if is_sentence else None
        is_exact = first is not None or (is_sentence and self.complete_size >= expr.size - 1)
        smaller = of_size = number = None
        if counter is not None and size is not None:
            smaller = sum(counter.sentences(n) for n in range(1, size))
            of_size = counter.sentences(size)
            if is_sentence:
                number = counter.place(expr)
        estimate = None
        if place is None and smaller is not None and of_size is not None and size is not None:
            estimate = self._estimate(size, (number or smaller + of_size // 2) - smaller)
        return Placement(
            expr, is_sentence, size, is_exact, first, place, smaller, of_size, number, estimate
        )

    def _place(self, key: int) -> int | None:
        found = np.flatnonzero(np.frombuffer(self._keys, dtype=np.uint64) == np.uint64(key))
        return int(found[0]) + 1 if len(found) else None

    def _estimate(self, size: int, number: int) -> float | None:
        counter, done = self._counter(), self.complete_size
        counts = self.counts()
        if counter is None or done < 2 or size <= done or not counts[done - 2].sentences:
            return None
        last, before = (counts[done - k].distinct / counter.sentences(done - k + 1) for k in (1, 2))
        if not last or not before:
            return None
        total = float(sum(count.distinct for count in counts[:done]))
        for later in range(done + 1, size + 1):
            share = last * (last / before) ** (later - done)
            total += share * (counter.sentences(later) if later < size else number)
        return total

    # The work.

    def extend(
        self,
        *,
        nodes: int | None = None,
        sentences: int | None = None,
        on_progress: OnSize | None = None,
    ) -> None:
        """Continue the enumeration until a bound or the limit is reached.

        Args:
            nodes: The size to complete; None for no bound.
            sentences: The number of sentences to find; None for no bound.
            on_progress: A callback after each chunk.
        """
        while not (
            self.exhausted
            or self.is_cut
            or (nodes is not None and self.complete_size >= nodes)
            or (sentences is not None and len(self) >= sentences)
        ):
            next(self._steps)
            if on_progress is not None:
                on_progress(len(self._levels), self._kept, len(self))

    def _run(self) -> Iterator[None]:
        """Find all sizes, one chunk of candidates at a time."""
        # The largest size so far that fits each argument of each group.
        largest = [[0] * len(maker.group.uses) for maker in self._makers]
        bound = 1
        for size in itertools.count(1):
            if size > bound:
                self.exhausted = True
                yield
                return
            made = self._open = Made(self._kept, self._most_stored)
            self._distinct.append(0)
            if size == 1:
                self._keep_leaves(made)
                yield
            for number, maker in enumerate(self._makers):
                for sizes in maker.group.splits(size):
                    if any(least > top for least, top in zip(sizes, largest[number], strict=True)):
                        continue
                    for arguments, masks in self._candidates(maker.group, sizes):
                        values = maker(*map(self._values, arguments))
                        self._keep(made, size, number, arguments, masks, values)
                        yield
            level = made.level()
            self._levels.append(level)
            self._open = Made(self._kept, self._most_stored)
            self.complete_size = size
            reached = union(np.unique(level.mask).tolist())
            for maker, most in zip(self._makers, largest, strict=True):
                group = maker.group
                for position in range(len(most)):
                    if reached & group.asked(position):
                        most[position] = size
                if all(most):
                    uses = zip(group.uses, most, strict=True)
                    bound = max(bound, group.own + sum(use * top for use, top in uses))
            yield

    def _keep_leaves(self, made: Made) -> None:
        for number, (leaf, mask) in enumerate(self.language.leaves):
            values = self._values_of(leaf)
            children = [np.array([number], dtype=np.int32)]
            self._keep(made, 1, -1, children, np.array([mask]), values[None].copy())

    def _values_of(self, leaf: Expr) -> NDArray[np.float64]:
        """Return the values of a terminal or a literal, ``[point]``."""
        if leaf.op == VAR:
            return self._terminals[str(leaf.value)]
        return np.full(self._point_count, leaf.number)

    def _candidates(
        self, group: Group, sizes: Sequence[int]
    ) -> Iterator[tuple[list[NDArray[np.int32]], NDArray[np.int64]]]:
        """Yield the numbers of the arguments and the masks of the results, chunk by chunk."""
        levels = [self._levels[size] for size in sizes]
        fitting, states = [], []
        for position, level in enumerate(levels):
            usable = level.mask & group.asked(position)
            kept = np.flatnonzero(usable)
            fitting.append((kept + level.first).astype(np.int32))
            states.append(np.unique(usable[kept], return_inverse=True))
        shape = tuple(map(len, fitting))
        if not all(shape):
            return
        table = _results(group, [masks for masks, _ in states])
        codes = [code for _, code in states]
        for start in range(0, math.prod(shape), self._chunk):
            flat = np.arange(start, min(start + self._chunk, math.prod(shape)))
            indices = np.unravel_index(flat, shape)
            masks = table[tuple(code[index] for code, index in zip(codes, indices, strict=True))]
            wanted = masks != 0
            arguments = [numbers[index] for numbers, index in zip(fitting, indices, strict=True)]
            if group.commutative:
                wanted &= arguments[0] <= arguments[1]  # the other order has the same values
            if wanted.any():
                yield [argument[wanted] for argument in arguments], masks[wanted]

    def _keep(
        self,
        made: Made,
        size: int,
        group: int,
        arguments: Sequence[NDArray[np.int32]],
        masks: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None:
        """Store the expressions that are new for some type, up to the limit."""
        own_keys = keys(values)
        fresh, new = self._seen.add(own_keys, masks, self.limit - self._kept)
        stored = made.stores(len(fresh), self._point_count)
        made.add(group, [own[fresh] for own in arguments], new, values[fresh] if stored else None)
        is_sentence = (new & self.language.start) != 0
        numbers = self._kept + np.flatnonzero(is_sentence)
        self._sentences.frombytes(numbers.astype(np.int64).tobytes())
        self._keys.frombytes(own_keys[fresh][is_sentence].tobytes())
        self._distinct[size] += len(numbers)
        self._kept += len(fresh)

    def _level_of(self, number: int) -> Level:
        if number >= self._open.first:
            return self._open.level()
        return next(level for level in reversed(self._levels) if level.first <= number)

    def _values(self, numbers: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the values of expressions of one size, [expression, point]."""
        level = self._level_of(int(numbers[0]))
        own = numbers - level.first
        if level.values is not None:
            return level.values[own]
        values = np.empty((len(own), self._point_count))
        groups = level.group[own]
        for group in np.unique(groups):
            chosen = np.flatnonzero(groups == group)
            maker = self._makers[group]
            # All values of one argument in one call must have the same size.
            for part in runs(level.children[own[chosen]], self._levels):
                children = level.children[own[chosen[part]]][:, : len(maker.group.uses)]
                values[chosen[part]] = maker(*map(self._values, children.T))
        return values

    def _expr(self, number: int) -> Expr:
        level = self._level_of(number)
        own = number - level.first
        group, children = int(level.group[own]), level.children[own]
        if group < 0:
            return self.language.leaves[int(children[0])][0]
        maker = self._makers[group].group
        args = [self._expr(int(child)) for child in children[: len(maker.uses)]]
        if maker.simple:
            return Expr(maker.template.op, tuple(args))
        return substitute(maker.template, dict(zip(maker.holes, args, strict=True)))


def _results(group: Group, masks: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the mask of the result for each combination of masks of the arguments."""
    table = np.zeros(tuple(map(len, masks)), dtype=np.int64)
    for bits, result in group.signatures:
        fits = [(own & bit) != 0 for own, bit in zip(masks, bits, strict=True)]
        table[np.ix_(*fits)] |= result
    return table


def enumerate_grammar(
    grammar: str | Path | Grammar,
    *,
    nodes: int | None = None,
    depth: int | None = None,
    limit: int = LIMIT,
    constants: Iterable[float] | None = None,
    on_progress: OnSize | None = None,
) -> Enumeration:
    """Enumerate the smallest sentences of a grammar, without duplicate functions.

    Args:
        grammar: The name of a packaged grammar, a TOML file, or a Grammar.
        nodes: The largest size; None for no bound.
        depth: The largest number of nested productions; None for no limit.
        limit: The largest number of distinct expressions, including subexpressions. If it is
            reached, the last size is incomplete; see :attr:`Enumeration.complete_size`.
        constants: The literals; None for :func:`symact.grammar.default_constants`.
        on_progress: A callback after each chunk; see :data:`OnSize`.

    Raises:
        GrammarError: The grammar is unknown or malformed, or an argument is out of range.

    Example:
        >>> found = enumerate_grammar("pointwise", nodes=2, constants=[])
        >>> [str(sentence.expr) for sentence in found][:3]
        ['x', '-x', 'abs(x)']
    """
    chosen = grammar if isinstance(grammar, Grammar) else Grammar.load(grammar)
    for name, value in (("nodes", nodes), ("limit", limit)):
        if value is not None and value < 1:
            raise GrammarError(f"grammar '{chosen.name}': {name} must be at least 1, got {value}")
    found = Enumeration(chosen, constants=constants, depth=depth, limit=limit)
    found.extend(nodes=nodes, on_progress=on_progress)
    return found
