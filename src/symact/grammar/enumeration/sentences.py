"""The smallest sentences of a grammar, exhaustively, each function once.

Sentences are made from the leaves up, by size. Of all expressions that have the same type and the
same values only the first is kept and used in larger ones. That loses no function: in whatever
derivation, a part may be replaced by a part of the same type and the same values that is no larger,
so every function still comes at its smallest size. (The argument is that of bottom-up enumeration
modulo observational equivalence: Albarghouthi, Gulwani, Kincaid 2013, Recursive Program Synthesis;
here for each type.) A grammar's limits on depth and FLOPs are not applied, because they would break
it: the smallest expression of some values need not be the shallowest or the cheapest.

*Equal* means: to about seven digits on the points where candidates are screened, the values of a
screen's fingerprint. Functions that differ only elsewhere, or less, are taken for one, also where
something larger would tell them apart. Where rounding errors reach the seventh digit one function
may be counted twice. What reads batch statistics is compared
on a second tensor too, because the first is symmetric and has mean 0.
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
from symact.expr import Expr, substitute, uses_statistics
from symact.expr.primitives import VAR
from symact.grammar import Grammar, Group, Language, SentenceCount, union
from symact.grammar.enumeration.kept import Level, Made, Seen, empty, runs
from symact.grammar.enumeration.values import Maker, key, keys, points_of

#: Distinct expressions that an enumeration keeps unless it is told otherwise, 50 bytes each, and
#: 1.1 KB more where their values stay in memory.
LIMIT = 500_000
#: Candidates that are evaluated in one call.
CHUNK = 2048

#: What is called after each chunk: the size in work, expressions kept and sentences found so far.
OnSize = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that no smaller or earlier one equals.

    Attributes:
        expr: The sentence.
        size: Its nodes.
        place: Counted from 1 over the distinct functions, smallest sentences first.
    """

    expr: Expr
    size: int
    place: int


@dataclass(frozen=True, slots=True)
class SizeCount:
    """What there is of one size.

    Attributes:
        size: Nodes.
        sentences: How many sentences have this size, exactly; None where the grammar has rules
            that cannot be counted.
        distinct: Functions whose smallest sentence has this size.
        complete: Whether all of them were found.
    """

    size: int
    sentences: int | None
    distinct: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Where a function stands.

    Attributes:
        expr: What was looked for.
        is_sentence: Whether it is one as it is written.
        size: Nodes of the smallest sentence with its values. Where none was found: the nodes of
            what was looked for, which is the exact answer if all smaller sizes are complete, else
            the most it can be. None if it is no sentence and none was found.
        is_exact: Whether ``size`` is exact.
        first: The first sentence with its values, None if it lies beyond what was enumerated.
        place: Of ``first`` among the distinct functions, None likewise.
        smaller: How many sentences have fewer than ``size`` nodes, exactly; None if not counted.
        of_size: How many have exactly ``size``.
        number: Which sentence it is as written, counted from 1 in the order of
            :meth:`symact.grammar.SentenceCount.place`; None if it is none or has no such number.
        estimate: Where ``place`` is None, an estimate of it: ``number`` (or the middle of its size)
            times the share of sentences that are new functions, continued geometrically from the
            last two complete sizes. None if that is not known.
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


class Enumeration:
    """The sentences of a grammar in order: by size, then by the order in which they are made.

    Within a size that order is: the leaves (x, then the literals), then by the place in the grammar
    of what makes the sentence, then by the sizes of its arguments from the left, then by the places
    of the arguments themselves. It depends on nothing but the arguments.

    Args:
        grammar: What is enumerated.
        constants: The literals; None for :func:`symact.grammar.default_constants`.
        depth: How many productions may be nested, None for any number. With 2 the grammar ``swish``
            makes single core units.
        limit: Distinct expressions to keep, parts of sentences included.

    Raises:
        GrammarError: As for :class:`symact.grammar.Language`.
    """

    def __init__(
        self,
        grammar: Grammar,
        *,
        constants: Iterable[float] | None = None,
        depth: int | None = None,
        limit: int = LIMIT,
    ) -> None:
        self.grammar = grammar
        self.language = Language(grammar, constants, depth)
        self.limit = limit
        groups = self.language.groups
        #: Whether its sentences may read batch statistics.
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
        #: Sizes up to this one are complete.
        self.complete_size = 0
        #: Whether there is no larger sentence.
        self.exhausted = False
        self._open = Made(0)
        self._steps = self._run()

    # What was found.

    @property
    def constants(self) -> tuple[float, ...]:
        """The literals in use."""
        return self.language.constants

    @property
    def kept(self) -> int:
        """How many distinct expressions were found, parts of sentences included."""
        return self._kept

    @property
    def is_cut(self) -> bool:
        """Whether the limit was reached, so that the size after ``complete_size`` is partial."""
        return self._kept >= self.limit

    def __len__(self) -> int:
        """How many distinct sentences were found."""
        return len(self._sentences)

    def sentence(self, place: int) -> Sentence:
        """Return the sentence at a place, counted from 1."""
        number = self._sentences[place - 1]
        expr = self._expr(number)
        return Sentence(expr, expr.size, place)

    def __iter__(self) -> Iterator[Sentence]:
        for place in range(1, len(self) + 1):
            yield self.sentence(place)

    def counts(self) -> tuple[SizeCount, ...]:
        """Return what there is of each size, from 1 to the largest that was reached."""
        counter = self._counter()
        return tuple(
            SizeCount(
                size=size,
                sentences=None if counter is None else counter.sentences(size),
                distinct=own,
                complete=size <= self.complete_size,
            )
            for size, own in enumerate(self._distinct)
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

    def find(self, expr: Expr) -> Found:
        """Say where a function stands, or would stand.

        Args:
            expr: An expression of the terminals; it need not be a sentence.
        """
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
        return Found(
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
        """Go on until all of some size, or so many sentences, are found, or the limit is reached.

        Args:
            nodes: The size to complete; None for no bound on it.
            sentences: How many sentences to have; None for no bound on them.
            on_progress: Called after each chunk.
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
        # For each argument of each group the largest size that fits it so far.
        largest = [[0] * len(maker.group.uses) for maker in self._makers]
        bound = 1
        for size in itertools.count(1):
            if size > bound:
                self.exhausted = True
                yield
                return
            made = self._open = Made(self._kept)
            self._distinct.append(0)
            if size == 1:
                self._keep_leaves(made)
                yield
            for number, maker in enumerate(self._makers):
                for sizes in maker.group.splits(size):
                    if any(own > top for own, top in zip(sizes, largest[number], strict=True)):
                        continue
                    for arguments, masks in self._candidates(maker.group, sizes):
                        values = maker(*map(self._values, arguments))
                        self._keep(made, size, number, arguments, masks, values)
                        yield
            level = made.level()
            self._levels.append(level)
            self._open = Made(self._kept)
            self.complete_size = size
            reached = union(np.unique(level.mask).tolist())
            for maker, most in zip(self._makers, largest, strict=True):
                group = maker.group
                for position in range(len(most)):
                    if reached & group.asked(position):
                        most[position] = size
                if all(most):
                    uses = zip(group.uses, most, strict=True)
                    bound = max(bound, group.own + sum(use * own for use, own in uses))
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
        """Yield the numbers of arguments and the masks of what they make, chunk by chunk."""
        levels = [self._levels[size] for size in sizes]
        fitting, states = [], []
        for position, level in enumerate(levels):
            own = level.mask & group.asked(position)
            kept = np.flatnonzero(own)
            fitting.append((kept + level.first).astype(np.int32))
            states.append(np.unique(own[kept], return_inverse=True))
        shape = tuple(map(len, fitting))
        if not all(shape):
            return
        table = _results(group, [masks for masks, _ in states])
        codes = [code for _, code in states]
        for start in range(0, math.prod(shape), CHUNK):
            flat = np.arange(start, min(start + CHUNK, math.prod(shape)))
            places = np.unravel_index(flat, shape)
            masks = table[tuple(code[place] for code, place in zip(codes, places, strict=True))]
            wanted = masks != 0
            arguments = [own[place] for own, place in zip(fitting, places, strict=True)]
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
        """Keep what is new for some type, up to the limit."""
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
            # Arguments of one call are of one size, as what made these expressions was called.
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
    """Return the mask of what a group makes of arguments with each combination of masks."""
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
    """Enumerate the smallest sentences of a grammar, each function once.

    Args:
        grammar: A packaged name, a TOML file, or a Grammar.
        nodes: The largest size; None for no bound, which is only refused where nothing else
            bounds it.
        depth: How many productions may be nested; None for any number.
        limit: Distinct expressions to keep, parts of sentences included. Where it is reached the
            size in work is partial: see :attr:`Enumeration.complete_size`.
        constants: The literals; None for :func:`symact.grammar.default_constants`.
        on_progress: Called with the size in work, the expressions kept and the sentences found.

    Raises:
        GrammarError: No such grammar, or an argument that does not fit it.
    """
    chosen = grammar if isinstance(grammar, Grammar) else Grammar.load(grammar)
    for name, value in (("nodes", nodes), ("limit", limit)):
        if value is not None and value < 1:
            raise GrammarError(f"grammar '{chosen.name}': {name} must be at least 1, got {value}")
    found = Enumeration(chosen, constants=constants, depth=depth, limit=limit)
    found.extend(nodes=nodes, on_progress=on_progress)
    return found
