"""A grammar as a DEAP primitive set, and trees to expressions and back.

Types become Python classes, so that DEAP's own subtyping holds. Expressions are folded from the
prefix list; nothing is compiled from text. A tree keeps what each of its branches makes, so that a
change costs the way from its place up to the root and not the whole tree.
"""

from __future__ import annotations

import functools
import math
import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from deap import gp

from symact.expr import Expr, const, substitute, var
from symact.expr.cost import flops
from symact.expr.primitives import CONST
from symact.grammar import (
    HOLES,
    Constants,
    Derivation,
    Grammar,
    Production,
    smallest_sentences,
)

#: The chance that a growing branch ends early where a leaf fits.
LEAF_CHANCE = 0.15
#: How far from doing nothing a literal is that scales (as a logarithm) or shifts a branch.
WRAP_STEP = 0.5
#: The chance that a literal drawn by its size is negative.
NEGATIVE_CHANCE = 0.5


class Part:
    """What a branch of a tree makes.

    Attributes:
        expr: The expression.
        span: The length of the branch in the prefix list.
        work: Its FLOPs with shared subexpressions counted at each use: never too few.
    """

    __slots__ = ("expr", "span", "work")

    def __init__(self, expr: Expr, span: int, work: int) -> None:
        self.expr = expr
        self.span = span
        self.work = work


class Tree(gp.PrimitiveTree):  # type: ignore[misc]
    """A prefix list with the part that each of its positions makes."""

    def __init__(self, trees: Trees, content: Sequence[Any], parts: list[Part]) -> None:
        list.__init__(self, content)
        self._trees = trees
        self.parts = parts

    def copy(self) -> Tree:
        return Tree(self._trees, self, self.parts.copy())

    def searchSubtree(self, begin: int) -> slice:  # noqa: N802
        """Return where a branch lies; DEAP's name."""
        return slice(begin, begin + self.parts[begin].span)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Put a branch in the place of another, or a node in the place of one of its arity."""
        if isinstance(key, slice):
            self.put(key.start, value, self._trees.parts(value))
            return
        super().__setitem__(key, value)
        self._fold([*self.above(key), key])

    def put(self, place: int, branch: Sequence[Any], parts: Sequence[Part]) -> None:
        """Put a branch and its parts in the place of another branch."""
        above = self.above(place)
        old = self.searchSubtree(place)
        list.__setitem__(self, old, branch)
        self.parts[old] = parts
        self._fold(above)

    def _fold(self, places: list[int]) -> None:
        for place in reversed(places):
            self.parts[place] = self._trees.join(self, self.parts, place)

    def above(self, place: int) -> list[int]:
        """Return the way from the root to a place, which itself is left out."""
        parts, way, i = self.parts, [], 0
        while i < place:
            way.append(i)
            i += 1
            while (end := i + parts[i].span) <= place:
                i = end
        return way

    def asked(self, place: int) -> Any:
        """Return the type that a place asks for, which its node's own may be below."""
        way = self.above(place)
        if not way:
            return self._trees.pset.ret
        i, position = way[-1] + 1, 0
        while i < place:
            i += self.parts[i].span
            position += 1
        return self[way[-1]].args[position]


class Trees:
    """Makes, converts and checks the typed trees of one grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._classes = _classes(grammar)
        self.pset = gp.PrimitiveSetTyped("main", [], self._classes[grammar.start])
        self._primitives: dict[str, Any] = {}
        self._productions: dict[str, tuple[Production, int]] = {}
        for production in grammar.productions:
            args = [self._classes[arg] for arg in production.args]
            if not args:
                continue
            result = self._classes[production.result]
            self.pset.addPrimitive(production, args, result, name=production.name)
            self._primitives[production.name] = self.pset.mapping[production.name]
            self._productions[production.name] = production, flops(production.template)
        self._leaves: dict[str, Any] = {}
        self._add_leaves()
        self._variables = {name: Part(var(name), 1, 0) for name in grammar.terminals}
        leaf_types = [*grammar.terminals.values(), *self._constant_types()]
        smallest = smallest_sentences(grammar.types, grammar.productions, leaf_types)
        self._options = {
            cls: self._options_of(name, smallest) for name, cls in self._classes.items()
        }
        self._pools: dict[tuple[Any, int], tuple[list[Any], list[Any], list[float]]] = {}
        self._wraps: dict[tuple[Any, Any, bool], tuple[list[Any], list[float]]] = {}
        classes = self._classes.values()
        #: For each type all that are below it, itself included.
        self.below = {
            upper: frozenset(lower for lower in classes if issubclass(lower, upper))
            for upper in classes
        }

    def _constant_types(self) -> tuple[str, ...]:
        return ("Const", "PositiveConst") if self.grammar.constants is not None else ()

    def _add_leaves(self) -> None:
        for name, type_ in self.grammar.terminals.items():
            self.pset.addTerminal(name, self._classes[type_], name=name)
            self._leaves[name] = self.pset.mapping[name]
        constants = self.grammar.constants
        if constants is None:
            return
        for name in self._constant_types():
            draw = functools.partial(draw_constant, constants, name)
            self.pset.addEphemeralConstant(name, draw, self._classes[name])
            self._leaves[name] = self.pset.mapping[name]

    def _options_of(
        self, wanted: str, smallest: dict[str, tuple[int, int, int]]
    ) -> list[tuple[Any, float, int]]:
        """What makes a value of a type: (node, weight, least depth)."""
        grammar, options = self.grammar, []
        for p in grammar.by_type[wanted]:
            if p.args:
                least = 1 + max(smallest[arg][1] for arg in p.args)
                options.append((self._primitives[p.name], p.weight, least))
        for name, leaf in self._leaves.items():
            if grammar.is_subtype(grammar.terminals.get(name, name), wanted):
                options.append((leaf, 1.0, 1))
        return options

    def grow(self, height: int, type_: Any = None) -> list[Any]:
        """Grow a random typed tree of at most ``height``, or of the least height its type has."""
        tree: list[Any] = []
        self._grow(self.pset.ret if type_ is None else type_, height, tree)
        return tree

    def _grow(self, wanted: Any, height: int, tree: list[Any]) -> None:
        leaves, inner, shares = self._pool(wanted, height)
        if leaves and (not inner or random.random() < LEAF_CHANCE):
            leaf = random.choice(leaves)
            tree.append(leaf() if isinstance(leaf, type) else leaf)
            return
        node = inner[bisect(shares, random.random() * shares[-1], 0, len(inner) - 1)]
        tree.append(node)
        for arg in node.args:
            self._grow(arg, height - 1, tree)

    def _pool(self, wanted: Any, height: int) -> tuple[list[Any], list[Any], list[float]]:
        """What a place may begin with: leaves, primitives, and the sums of the latter's weights."""
        found = self._pools.get((wanted, height))
        if found is None:
            options = self._options[wanted]
            allowed = max(height, min(least for _, _, least in options))
            leaves = [node for node, _, least in options if least == 1]
            inner = [(node, share) for node, share, least in options if 1 < least <= allowed]
            shares = list(accumulate(share for _, share in inner))
            found = leaves, [node for node, _ in inner], shares
            self._pools[wanted, height] = found
        return found

    def wrapped(
        self, branch: Sequence[Any], asked: Any, *, shifts: bool = True
    ) -> list[Any] | None:
        """Put a primitive and a literal around a branch: scaled, shifted, cut off.

        Args:
            branch: A prefix list.
            asked: The type of its place.
            shifts: Whether sums may do it; around a whole function they do what biases do.

        Returns:
            The new prefix list, None where no primitive of the grammar fits.
        """
        inner, shares = self._around(branch[0].ret, asked, shifts)
        if not inner:
            return None
        node, place = inner[bisect(shares, random.random() * shares[-1], 0, len(inner) - 1)]
        literal = self._leaves[node.args[1 - place].__name__]()
        spec = self.grammar.constants
        assert spec is not None, "there is no primitive of a literal without literals"
        step = random.gauss(0.0, WRAP_STEP)
        near = {"mul": math.exp(step), "add": step, "sub": step}.get(node.name.split()[0])
        if near is not None and spec.distribution != "choice":
            if node.args[1 - place].__name__ == "PositiveConst":
                near = abs(near)
            literal.value = rounded(near, spec.digits) or literal.value
        return [node, literal, *branch] if place else [node, *branch, literal]

    def _around(self, own: Any, asked: Any, shifts: bool) -> tuple[list[Any], list[float]]:
        """Return primitives of a literal and a branch, with its place, and sums of their weights.

        Where several take the branch the narrowest may stand beside wider ones: all are right.
        """
        found = self._wraps.get((own, asked, shifts))
        if found is None:
            literals = {self._classes[name] for name in self._constant_types()}
            fitting = [
                ((node, place), weight)
                for node, weight, _ in self._options[asked]
                if len(getattr(node, "args", ())) == 2
                and (shifts or node.name.split()[0] not in ("add", "sub"))
                for place in range(2)
                if node.args[1 - place] in literals and issubclass(own, node.args[place])
            ]
            found = [fit for fit, _ in fitting], list(accumulate(w for _, w in fitting))
            self._wraps[own, asked, shifts] = found
        return found

    def parts(self, branch: Sequence[Any], exprs: Sequence[Expr] = ()) -> list[Part]:
        """Return what each position of a prefix list makes; ``exprs`` are what is known of it."""
        parts: list[Any] = [None] * len(branch)
        for place in reversed(range(len(branch))):
            parts[place] = self.join(branch, parts, place, exprs[place] if exprs else None)
        return parts

    def join(
        self, tree: Sequence[Any], parts: Sequence[Part], place: int, expr: Expr | None = None
    ) -> Part:
        """Make a part from the parts of its arguments, which stand behind it."""
        node = tree[place]
        recipe = self._productions.get(node.name)
        if recipe is None:
            return self._variables.get(node.name) or Part(expr or const(node.value), 1, 0)
        production, work = recipe
        exprs, span = [], 1
        for _ in node.args:
            part = parts[place + span]
            exprs.append(part.expr)
            span += part.span
            work += part.work
        if production.simple:
            return Part(expr or Expr(production.template.op, tuple(exprs)), span, work)
        if expr is None:
            bindings = dict(zip(HOLES, exprs, strict=False))
            expr = substitute(production.template, bindings)
        return Part(expr, span, work)

    def from_expr(self, expr: Expr) -> Tree | None:
        """Return a tree that makes an expression, None if it is no sentence."""
        derivation = self.grammar.derive(expr)
        if derivation is None:
            return None
        nodes: list[Any] = []
        exprs: list[Expr] = []
        waiting = [derivation]
        while waiting:
            derivation = waiting.pop()
            nodes.append(self._node(derivation))
            exprs.append(derivation.expr)
            waiting.extend(reversed(derivation.children))
        return Tree(self, nodes, self.parts(nodes, exprs))

    def _node(self, derivation: Derivation) -> Any:
        if derivation.production is not None:
            return self._primitives[derivation.production.name]
        if derivation.expr.op != CONST:
            return self._leaves[str(derivation.expr.value)]
        leaf = self._leaves[derivation.type]
        literal = leaf.__new__(leaf)  # its constructor would draw a random number
        literal.value = derivation.expr.number
        return literal

    def fits(self, part: Part) -> bool:
        """Whether an expression keeps the grammar's limits."""
        expr, limits = part.expr, self.grammar.limits
        return (
            expr.size <= limits.nodes
            and expr.depth <= limits.depth
            and (part.work <= limits.flops or flops(expr) <= limits.flops)
        )


def _classes(grammar: Grammar) -> dict[str, type]:
    """Make a Python class of each type; supertypes stand before what is below them.

    Bases are ordered as their types are, latest first, and none is a base of another: then Python
    finds a method resolution order whatever the order in the file.
    """
    made: dict[str, type] = {}
    order = {name: position for position, name in enumerate(grammar.types)}
    for name, parents in grammar.types.items():
        bases = [
            made[parent]
            for parent in sorted(set(parents), key=order.__getitem__, reverse=True)
            if not any(p != parent and grammar.is_subtype(p, parent) for p in parents)
        ]
        made[name] = type(name, tuple(bases) or (object,), {})
    return made


def draw_constant(spec: Constants, kind: str) -> float:
    """Draw a literal other than 0, positive for ``PositiveConst``; rounded, for short formulas."""
    while True:
        if spec.distribution == "choice":
            value = random.choice(spec.parameters)
        elif spec.distribution == "uniform":
            value = random.uniform(*spec.parameters)
        elif spec.distribution == "log-uniform":
            value = math.exp(random.uniform(*map(math.log, spec.parameters)))
            value = -value if random.random() < NEGATIVE_CHANCE else value
        else:
            value = random.gauss(*spec.parameters)
        value = rounded(abs(value) if kind == "PositiveConst" else value, spec.digits)
        if value != 0 and abs(value) >= 1e-6:
            return value


def rounded(value: float, digits: int) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else 1.0
