"""Exact numbers of the sentences of a grammar by size, and the rank of a sentence.

Sentences are counted without enumerating them. An expression with several derivations counts once.
Therefore the states of a deterministic bottom-up tree automaton are counted (Comon et al., Tree
Automata Techniques and Applications, ch. 1). A state is the set of types that derive a tree, stored
as a bit mask. Each inner node of a rule's template adds one bit.

A tree automaton cannot express a rule that uses an argument twice. The instances of such a rule are
counted separately and moved to their actual state.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from symact.errors import GrammarError
from symact.expr import Expr, distinct
from symact.expr.primitives import VAR
from symact.grammar.derivation import Group, Language, union
from symact.grammar.productions import HOLES

#: The number of trees in each state (mask).
_Counts = Mapping[int, int]


class SentenceCount:
    """Counts the sentences of a language.

    Args:
        language: The language to count.

    Raises:
        GrammarError: Two rules that use an argument twice overlap: an instance of one may be part
            of the template of the other. No grammar of this package has such rules.

    Example:
        >>> from symact.grammar import Grammar
        >>> count = SentenceCount(Language(Grammar.load("pointwise")))
        >>> count.sentences(1)
        1
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        self._parts: dict[tuple[Expr, tuple[int, ...]], int] = {}
        self._rules: dict[str, list[tuple[tuple[int, ...], int]]] = {}
        self._leaf_parts: dict[Expr, int] = {}
        self._next = 1 << (max(self._all_bits()).bit_length() + 1)
        self._twice = [group for group in language.groups if max(group.uses) > 1]
        for group in language.groups:
            self._rules.setdefault(group.template.op, [])
            if group not in self._twice:
                for bits, mask in group.signatures:
                    self._add(group.template, dict(zip(group.holes, bits, strict=True)), mask)
        self._check_overlaps()
        self._relevant = {op: _relevant(rules) for op, rules in self._rules.items()}
        self._steps: dict[tuple[str, tuple[int, ...]], int] = {}
        leaves = dict(language.leaves)
        for leaf, mask in self._leaf_parts.items():
            leaves[leaf] = leaves.get(leaf, 0) | mask
        self._leaves = leaves
        #: For each size from 0: the trees by state, and by state and root primitive.
        self._by_root: list[dict[str, dict[int, int]]] = [{}, {}]
        self._trees: list[dict[int, int]] = [{}, {}]
        for mask in leaves.values():
            _add(self._trees[1], mask, 1)

    def _all_bits(self) -> Iterator[int]:
        yield self._language.start
        for group in self._language.groups:
            for bits, mask in group.signatures:
                yield from bits
                yield mask
        yield from (mask for _, mask in self._language.leaves)

    def sentences(self, size: int) -> int:
        """Return the number of sentences with exactly ``size`` nodes."""
        start = self._language.start
        return sum(n for mask, n in self._of(size).items() if mask & start)

    def place(self, sentence: Expr) -> int | None:
        """Return the rank of a sentence, from 1.

        Sentences are ordered by these keys: the size, the root primitive in the order of the
        grammar, the sizes of the arguments from the left, and the arguments themselves. Leaves are
        in the order of ``Language.leaves``.

        Returns:
            The rank, or None if the expression is not a sentence. Also None if a rule of the
            grammar has a template of several primitives: such grammars have no order.
        """
        groups = self._language.groups
        simple = all(group.simple for group in groups)
        if not simple or not self._language.mask(sentence) & self._language.start:
            return None
        before = sum(self.sentences(size) for size in range(1, sentence.size))
        start = self._language.start
        return before + 1 + sum(n for mask, n in self._less(sentence).items() if mask & start)

    # The automaton.

    def _part(self, node: Expr, holes: Mapping[str, int]) -> int:
        """Return the bit of the trees that match a part of a template."""
        if node.op == VAR and node.value in holes:
            return holes[str(node.value)]
        used = tuple(holes[h] for h in HOLES if any(n.value == h for n in distinct(node)))
        bit = self._parts.get((node, used))
        if bit is None:
            bit = self._parts[node, used] = self._next
            self._next <<= 1
            if node.args:
                self._add(node, holes, bit)
            else:
                self._leaf_parts[node] = self._leaf_parts.get(node, 0) | bit
        return bit

    def _add(self, node: Expr, holes: Mapping[str, int], mask: int) -> None:
        needs = tuple(self._part(arg, holes) for arg in node.args)
        self._rules.setdefault(node.op, []).append((needs, mask))

    def _step(self, op: str, states: tuple[int, ...]) -> int:
        """Return the state of a tree, given the states of its arguments. 0 means no type."""
        known = self._steps.get((op, states))
        if known is None:
            known = 0
            for needs, mask in self._rules.get(op, ()):
                if all(state & need for state, need in zip(states, needs, strict=True)):
                    known |= mask
            known = self._steps[op, states] = self._language.close(known)
        return known

    # Counting.

    def _of(self, size: int) -> dict[int, int]:
        while len(self._trees) <= size:
            self._grow(len(self._trees))
        return self._trees[size]

    def _grow(self, size: int) -> None:
        roots: dict[str, dict[int, int]] = {}
        for op, relevant in self._relevant.items():
            found = roots[op] = {}
            for sizes in _compositions(size - 1, len(relevant)):
                self._combine(found, op, [self._trees[s] for s in sizes])
        trees: dict[int, int] = {}
        for found in roots.values():
            for mask, count in found.items():
                _add(trees, mask, count)
        self._by_root.append(roots)
        self._trees.append(trees)
        for group in self._twice:
            self._move(group, size)

    def _combine(self, into: dict[int, int], op: str, arguments: Sequence[_Counts]) -> None:
        """Add the trees with root ``op``, given the counts of its arguments by state."""
        seen = []
        for counts, bits in zip(arguments, self._relevant[op], strict=True):
            merged: dict[int, int] = {}
            for mask, count in counts.items():
                if mask & bits:
                    _add(merged, mask & bits, count)
            seen.append(merged)
        for choice in itertools.product(*(counts.items() for counts in seen)):
            state = self._step(op, tuple(mask for mask, _ in choice))
            if state:
                _add(into, state, math.prod(count for _, count in choice))

    def _move(self, group: Group, size: int) -> None:
        """Move the instances of a rule that uses an argument twice to their actual state."""
        trees = self._trees[size]
        moved: list[tuple[int, int, int]] = []
        for sizes in group.splits(size):
            for choice in itertools.product(*(self._trees[s].items() for s in sizes)):
                states = tuple(mask for mask, _ in choice)
                made = 0
                for bits, mask in group.signatures:
                    if all(state & bit for state, bit in zip(states, bits, strict=True)):
                        made |= mask
                if made:
                    old = self._state_of(
                        group.template, dict(zip(group.holes, states, strict=True))
                    )
                    count = math.prod(count for _, count in choice)
                    moved.append((old, self._language.close(old | made), count))
        for old, new, count in moved:
            if old:
                _add(trees, old, -count)
            _add(trees, new, count)

    def _state_of(self, template: Expr, states: Mapping[str, int]) -> int:
        found: dict[Expr, int] = {}
        for node in distinct(template):
            if node.op == VAR and node.value in states:
                found[node] = states[str(node.value)]
            elif node.args:
                found[node] = self._step(node.op, tuple(found[arg] for arg in node.args))
            else:
                found[node] = self._leaves.get(node, 0)
        return found[template]

    def _less(self, tree: Expr) -> dict[int, int]:
        """Return the number, by state, of trees of the same size that precede a tree."""
        less: dict[int, int] = {}
        if not tree.args:
            leaves = self._leaves.items()
            for _, mask in itertools.takewhile(lambda item: item[0] != tree, leaves):
                _add(less, mask, 1)
            return less
        self._of(tree.size)
        roots = self._by_root[tree.size]
        for op in itertools.takewhile(lambda op: op != tree.op, roots):
            for mask, count in roots[op].items():
                _add(less, mask, count)
        arg_sizes = tuple(arg.size for arg in tree.args)
        for sizes in _compositions(tree.size - 1, len(arg_sizes)):
            if sizes < arg_sizes:
                self._combine(less, tree.op, [self._trees[s] for s in sizes])
        for i, arg in enumerate(tree.args):
            same = [{self._language.mask(other): 1} for other in tree.args[:i]]
            free = [self._trees[s] for s in arg_sizes[i + 1 :]]
            self._combine(less, tree.op, [*same, self._less(arg), *free])
        return less

    # Rules that use an argument twice.

    def _check_overlaps(self) -> None:
        """Raise for rules with overlapping instances, which :meth:`_move` would count twice."""
        for one, other in itertools.product(self._twice, self._twice):
            for part in distinct(other.template):
                if not part.args or (part == other.template and one is other):
                    continue
                for (outer, _), (inner, _) in itertools.product(other.signatures, one.signatures):
                    holes = dict(zip(other.holes, outer, strict=True))
                    fillers = dict(zip(one.holes, inner, strict=True))
                    if self._unify(part, holes, one.template, fillers, frozenset()):
                        raise GrammarError(
                            f"grammar '{self._language.grammar.name}': its sentences cannot be "
                            f"counted: '{one.template}' may be part of '{other.template}'"
                        )

    def _unify(
        self,
        a: Expr,
        a_holes: Mapping[str, int],
        b: Expr,
        b_holes: Mapping[str, int],
        seen: frozenset[tuple[int, Expr]],
    ) -> bool:
        """Whether some tree may match both templates; True if undecided."""
        a_is_hole = a.op == VAR and a.value in a_holes
        b_is_hole = b.op == VAR and b.value in b_holes
        if a_is_hole and b_is_hole:
            one, other = a_holes[str(a.value)], b_holes[str(b.value)]
            return not self._roots(one).isdisjoint(self._roots(other))
        if b_is_hole:
            return self._unify(b, b_holes, a, a_holes, seen)
        if a_is_hole:
            bit = a_holes[str(a.value)]
            if not b.args:
                return bool(self._leaf_mask(b) & bit)
            if (bit, b) in seen:
                return False
            seen |= {(bit, b)}
            return any(
                mask & bit
                and self._unify(
                    group.template, dict(zip(group.holes, bits, strict=True)), b, b_holes, seen
                )
                for group in self._language.groups
                for bits, mask in group.signatures
            )
        if (a.op, a.value, len(a.args)) != (b.op, b.value, len(b.args)):
            return False
        return all(
            self._unify(x, a_holes, y, b_holes, seen) for x, y in zip(a.args, b.args, strict=True)
        )

    def _roots(self, bit: int) -> set[Expr | str]:
        """Return the leaves and primitives at the root of expressions of a type."""
        leaves = {leaf for leaf, mask in self._language.leaves if mask & bit}
        return leaves | {
            group.template.op
            for group in self._language.groups
            if any(mask & bit for _, mask in group.signatures)
        }

    def _leaf_mask(self, leaf: Expr) -> int:
        return next((mask for known, mask in self._language.leaves if known == leaf), 0)


def _add(counts: dict[int, int], mask: int, count: int) -> None:
    counts[mask] = counts.get(mask, 0) + count


def _relevant(rules: Sequence[tuple[tuple[int, ...], int]]) -> tuple[int, ...]:
    """Return the union of the required bits for each argument of a primitive."""
    columns = zip(*(needs for needs, _ in rules), strict=True)
    return tuple(union(column) for column in columns)


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to write a number as a sum of positive parts, in lexicographic order."""
    if parts == 0:
        return
    if parts == 1:
        if total >= 1:
            yield (total,)
        return
    for first in range(1, total - parts + 2):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
