"""Typed trees of a grammar on DEAP's primitive sets, and their conversion from and to expressions.

The types of a grammar become Python classes, so DEAP's subtyping applies. Expressions are folded
from the prefix list; no text is compiled. A tree stores the expression of each branch. A change
therefore recomputes the path from its position to the root only.
"""

from __future__ import annotations

import functools
import math
import random
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from deap import gp

from symact.expr import Expr, const, param, substitute, var
from symact.expr.cost import flops
from symact.expr.primitives import CONST, PARAM
from symact.grammar import (
    HOLES,
    TRAINED_TYPE,
    Constants,
    Derivation,
    Grammar,
    Production,
    Trained,
    smallest_sentences,
)

#: Probability that a growing branch ends at a position that allows a leaf.
LEAF_CHANCE = 0.15
#: Standard deviation of the literal around a branch: of the logarithm of a factor, or of a shift.
WRAP_STEP = 0.5
#: Probability that a literal with a log-uniform magnitude is negative.
NEGATIVE_CHANCE = 0.5
#: Smallest magnitude of a drawn literal.
_LEAST_LITERAL = 1e-6
#: The name of a trained parameter among the leaves. No type has it: types are identifiers.
_TRAINED = "trained parameter"


class Part:
    """The content of one branch of a tree.

    Attributes:
        expr: The expression of the branch.
        span: Length of the branch in the prefix list of nodes.
        work: An upper bound of its FLOPs: shared subexpressions count at each use.
    """

    __slots__ = ("expr", "span", "work")

    def __init__(self, expr: Expr, span: int, work: int) -> None:
        self.expr = expr
        self.span = span
        self.work = work


class Tree(gp.PrimitiveTree):  # type: ignore[misc]
    """A prefix list with the :class:`Part` of each position."""

    def __init__(self, trees: Trees, content: Sequence[Any], parts: list[Part]) -> None:
        list.__init__(self, content)
        self._trees = trees
        self.parts = parts

    def copy(self) -> Tree:
        return Tree(self._trees, self, self.parts.copy())

    def searchSubtree(self, begin: int) -> slice:  # noqa: N802
        """Return the slice of the branch at a position. DEAP defines the name."""
        return slice(begin, begin + self.parts[begin].span)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Replace a branch (a slice), or a node by a node of equal arity (an index)."""
        if isinstance(key, slice):
            self.put(key.start, value, self._trees.parts(value))
            return
        super().__setitem__(key, value)
        self._fold([*self.above(key), key])

    def put(self, index: int, branch: Sequence[Any], parts: Sequence[Part]) -> None:
        """Replace the branch at a position by another branch with its parts."""
        above = self.above(index)
        old = self.searchSubtree(index)
        list.__setitem__(self, old, branch)
        self.parts[old] = parts
        self._fold(above)

    def _fold(self, indices: list[int]) -> None:
        for index in reversed(indices):
            self.parts[index] = self._trees.join(self, self.parts, index)

    def above(self, index: int) -> list[int]:
        """Return the positions from the root to the parent of a position."""
        parts, path, i = self.parts, [], 0
        while i < index:
            path.append(i)
            i += 1
            while (end := i + parts[i].span) <= index:
                i = end
        return path

    def asked(self, index: int) -> Any:
        """Return the type that the parent requires at a position; the node may have a subtype."""
        path = self.above(index)
        if not path:
            return self._trees.pset.ret
        i, argument = path[-1] + 1, 0
        while i < index:
            i += self.parts[i].span
            argument += 1
        return self[path[-1]].args[argument]


class Trees:
    """Make, convert and check the typed trees of one grammar.

    Args:
        grammar: The grammar.
        rng: Source of all random numbers: of the trees that grow here, and of DEAP's ephemeral
            constants.
    """

    def __init__(self, grammar: Grammar, rng: random.Random) -> None:
        self.grammar = grammar
        self.rng = rng
        self._classes = _classes(grammar)
        self.pset = gp.PrimitiveSetTyped("main", [], self._classes[grammar.start])
        self._primitives: dict[str, Any] = {}
        self._productions: dict[str, tuple[Production, int]] = {}
        self._leaves: dict[str, Any] = {}
        self._add_primitives()
        self._add_leaves()
        self._variables = {name: Part(var(name), 1, 0) for name in grammar.terminals}
        leaf_types = [*grammar.terminals.values(), *self._constant_types()]
        leaf_types += [TRAINED_TYPE] if grammar.trained is not None else []
        smallest = smallest_sentences(grammar.types, grammar.productions, leaf_types)
        self._options = {
            cls: self._options_of(name, smallest) for name, cls in self._classes.items()
        }
        self._pools: dict[tuple[Any, int], tuple[list[Any], list[Any], list[float]]] = {}
        self._wraps: dict[tuple[Any, Any, bool], tuple[list[Any], list[float]]] = {}
        classes = self._classes.values()
        #: All subtypes of each type, the type itself included.
        self.below = {
            upper: frozenset(lower for lower in classes if issubclass(lower, upper))
            for upper in classes
        }

    def _add_primitives(self) -> None:
        for production in self.grammar.productions:
            args = [self._classes[arg] for arg in production.args]
            if not args:
                continue
            result = self._classes[production.result]
            self.pset.addPrimitive(production, args, result, name=production.name)
            self._primitives[production.name] = self.pset.mapping[production.name]
            self._productions[production.name] = production, flops(production.template)

    def _constant_types(self) -> tuple[str, ...]:
        return ("Const", "PositiveConst") if self.grammar.constants is not None else ()

    def _add_leaves(self) -> None:
        for name, type_ in self.grammar.terminals.items():
            self.pset.addTerminal(name, self._classes[type_], name=name)
            self._leaves[name] = self.pset.mapping[name]
        constants, trained = self.grammar.constants, self.grammar.trained
        if constants is not None:
            for name in self._constant_types():
                draw = functools.partial(draw_constant, constants, name, self.rng)
                self._add_drawn_leaf(name, name, draw)
        if trained is not None:
            start = functools.partial(draw_parameter, trained, self.rng)
            self._add_drawn_leaf(_TRAINED, TRAINED_TYPE, start)

    def _add_drawn_leaf(self, name: str, type_: str, draw: Callable[[], Any]) -> None:
        self.pset.addEphemeralConstant(name, draw, self._classes[type_])
        self._leaves[name] = self.pset.mapping[name]

    def spec(self, leaf: Any) -> Constants:
        """Return the distribution of a literal, or of the initial value of a trained parameter."""
        grammar = self.grammar
        spec = grammar.trained if isinstance(leaf.value, tuple) else grammar.constants
        assert spec is not None, "the grammar draws no such leaf"
        return spec

    def _options_of(
        self, wanted: str, smallest: dict[str, tuple[int, int, int]]
    ) -> list[tuple[Any, float, int]]:
        """Return the nodes that make a type: (node, weight, least depth)."""
        grammar, options = self.grammar, []
        for p in grammar.by_type[wanted]:
            if p.args:
                least = 1 + max(smallest[arg][1] for arg in p.args)
                options.append((self._primitives[p.name], p.weight, least))
        types = {_TRAINED: TRAINED_TYPE, **grammar.terminals}
        for name, leaf in self._leaves.items():
            if grammar.is_subtype(types.get(name, name), wanted):
                options.append((leaf, 1.0, 1))
        return options

    def grow(self, height: int, type_: Any = None) -> list[Any]:
        """Return the prefix list of a random typed tree.

        Args:
            height: The largest height. A type may need more; then its least height is the limit.
            type_: The type of the root; None for the start type.
        """
        tree: list[Any] = []
        self._grow(self.pset.ret if type_ is None else type_, height, tree)
        return tree

    def _grow(self, wanted: Any, height: int, tree: list[Any]) -> None:
        leaves, inner, shares = self._pool(wanted, height)
        if leaves and (not inner or self.rng.random() < LEAF_CHANCE):
            leaf = self.rng.choice(leaves)
            tree.append(leaf() if isinstance(leaf, type) else leaf)
            return
        node = self._weighted(inner, shares)
        tree.append(node)
        for arg in node.args:
            self._grow(arg, height - 1, tree)

    def _weighted(self, options: Sequence[Any], shares: Sequence[float]) -> Any:
        """Draw an option; ``shares`` are the cumulative sums of the weights."""
        return options[bisect(shares, self.rng.random() * shares[-1], 0, len(options) - 1)]

    def _pool(self, wanted: Any, height: int) -> tuple[list[Any], list[Any], list[float]]:
        """Return the possible roots: leaves, primitives, and the primitives' cumulative weights."""
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
        """Put a random primitive and a literal around a branch: scale, shift or cut it off.

        Args:
            branch: A prefix list.
            asked: The type required at the branch's position.
            shifts: Whether sums are allowed. Around a whole function a sum is
                redundant with the biases of the next layer.

        Returns:
            The new prefix list; None if no primitive of the grammar fits.
        """
        inner, shares = self._around(branch[0].ret, asked, shifts)
        if not inner:
            return None
        node, argument = self._weighted(inner, shares)
        literal = self._near_neutral(node, node.args[1 - argument].__name__)
        return [node, literal, *branch] if argument else [node, *branch, literal]

    def _near_neutral(self, node: Any, type_: str) -> Any:
        """Return a literal for a primitive: near 1 for products, near 0 for sums, else any.

        A trained parameter is as likely as a literal, where the grammar has both.
        """
        kinds = [type_] if self.grammar.constants is not None else []
        kinds += [_TRAINED] if self.grammar.trained is not None and type_ == TRAINED_TYPE else []
        literal = self._leaves[kinds[0] if len(kinds) == 1 else self.rng.choice(kinds)]()
        spec = self.spec(literal)
        step = self.rng.gauss(0.0, WRAP_STEP)
        near = {"mul": math.exp(step), "add": step, "sub": step}.get(node.name.split()[0])
        if near is not None and spec.distribution != "choice":
            if type_ == "PositiveConst":
                near = abs(near)
            set_number(literal, rounded(near, spec.digits))
        return literal

    def _around(self, own: Any, asked: Any, shifts: bool) -> tuple[list[Any], list[float]]:
        """Return the primitives of a literal and a branch, and their cumulative weights.

        Each entry is (primitive, argument of the branch). All primitives that accept the branch
        count, also if one of them has a narrower argument type than another.
        """
        found = self._wraps.get((own, asked, shifts))
        if found is None:
            literals = {self._classes[name] for name in self._constant_types()}
            if self.grammar.trained is not None:
                literals.add(self._classes[TRAINED_TYPE])
            fitting = [
                ((node, argument), weight)
                for node, weight, _ in self._options[asked]
                if len(getattr(node, "args", ())) == 2
                and (shifts or node.name.split()[0] not in ("add", "sub"))
                for argument in range(2)
                if node.args[1 - argument] in literals and issubclass(own, node.args[argument])
            ]
            found = [fit for fit, _ in fitting], list(accumulate(w for _, w in fitting))
            self._wraps[own, asked, shifts] = found
        return found

    def parts(self, branch: Sequence[Any], exprs: Sequence[Expr] = ()) -> list[Part]:
        """Return the part of each position of a prefix list.

        Args:
            branch: The prefix list.
            exprs: The expressions of all positions, if known.
        """
        parts: list[Any] = [None] * len(branch)
        for index in reversed(range(len(branch))):
            parts[index] = self.join(branch, parts, index, exprs[index] if exprs else None)
        return parts

    def join(
        self, tree: Sequence[Any], parts: Sequence[Part], index: int, expr: Expr | None = None
    ) -> Part:
        """Return the part of a position, made of the parts of its arguments."""
        node = tree[index]
        recipe = self._productions.get(node.name)
        if recipe is None:
            return self._variables.get(node.name) or Part(expr or _leaf(node.value), 1, 0)
        production, work = recipe
        exprs, span = [], 1
        for _ in node.args:
            part = parts[index + span]
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
        """Return a tree of an expression; None if the grammar cannot derive it."""
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
        if derivation.expr.op not in (CONST, PARAM):
            return self._leaves[str(derivation.expr.value)]
        leaf = self._leaves[_TRAINED if derivation.expr.op == PARAM else derivation.type]
        literal = leaf.__new__(leaf)  # its constructor would draw a random number
        literal.value = derivation.expr.value
        return literal

    def fits(self, part: Part) -> bool:
        """Return whether an expression is within the grammar's limits."""
        expr, limits = part.expr, self.grammar.limits
        return (
            expr.size <= limits.nodes
            and expr.depth <= limits.depth
            and (part.work <= limits.flops or flops(expr) <= limits.flops)
        )


def _classes(grammar: Grammar) -> dict[str, type]:
    """Return a Python class for each type; supertypes come before their subtypes.

    The bases of a class are in the reverse order of the types, and no base is a subclass of another
    base. Python then finds a method resolution order for any order of the types in the file.
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


def draw_constant(spec: Constants, kind: str, rng: random.Random) -> float:
    """Draw a literal other than 0, rounded to the digits of the grammar.

    Args:
        spec: The distribution of literals.
        kind: ``"Const"``, or ``"PositiveConst"`` for a positive literal.
        rng: Source of the random numbers.
    """
    while True:
        value = _draw(spec, rng)
        value = rounded(abs(value) if kind == "PositiveConst" else value, spec.digits)
        if value != 0 and abs(value) >= _LEAST_LITERAL:
            return value


def draw_parameter(spec: Trained, rng: random.Random) -> tuple[float, int]:
    """Draw the initial value and the index of a trained parameter.

    Args:
        spec: The distribution of initial values.
        rng: Source of the random numbers.
    """
    initial = draw_constant(spec, TRAINED_TYPE, rng)
    return initial, rng.randrange(spec.indices) if spec.indices > 1 else 0


def number_of(leaf: Any) -> float:
    """Return the number of a literal, or the initial value of a trained parameter."""
    value = leaf.value
    return float(value[0] if isinstance(value, tuple) else value)


def set_number(leaf: Any, number: float) -> None:
    """Set the number of a literal, or the initial value of a trained parameter. Ignore 0."""
    if number:
        leaf.value = (number, leaf.value[1]) if isinstance(leaf.value, tuple) else number


def _leaf(value: float | tuple[float, int]) -> Expr:
    return param(*value) if isinstance(value, tuple) else const(value)


def _draw(spec: Constants, rng: random.Random) -> float:
    if spec.distribution == "choice":
        return rng.choice(spec.parameters)
    if spec.distribution == "uniform":
        low, high = spec.parameters
        return rng.uniform(low, high)
    if spec.distribution == "log-uniform":
        value = math.exp(rng.uniform(*map(math.log, spec.parameters)))
        return -value if rng.random() < NEGATIVE_CHANCE else value
    mean, deviation = spec.parameters
    return rng.gauss(mean, deviation)


def rounded(value: float, digits: int) -> float:
    """Round to significant digits; 1 for a value that is not finite.

    Example:
        >>> rounded(0.012345, 2)
        0.012
    """
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else 1.0
