"""A grammar as a DEAP primitive set, and trees to expressions and back.

Types become Python classes, so that DEAP's own subtyping holds. Expressions are folded from the
prefix list; nothing is compiled from text.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence
from typing import Any

from deap import gp

from symact.cost import flops
from symact.expr import Expr, const, substitute, var
from symact.grammar import HOLES, Constants, Derivation, Grammar, smallest_sentences
from symact.ops import CONST

#: The chance that a growing branch ends early where a leaf fits.
LEAF_CHANCE = 0.15

_X = var()


class Trees:
    """Makes, converts and checks the typed trees of one grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._classes = _classes(grammar)
        self._names = {cls: name for name, cls in self._classes.items()}
        self.pset = gp.PrimitiveSetTyped("main", [], self._classes[grammar.start])
        self._primitives: dict[str, Any] = {}
        self._makers: dict[str, tuple[str | None, Expr]] = {}
        for production in grammar.productions:
            args = [self._classes[arg] for arg in production.args]
            if not args:
                continue
            result = self._classes[production.result]
            self.pset.addPrimitive(production, args, result, name=production.name)
            self._primitives[production.name] = self.pset.mapping[production.name]
            # A primitive applied to its arguments in order needs no substitution.
            self._makers[production.name] = (
                production.template.op if production.simple else None,
                production.template,
            )
        self._leaves: dict[str, Any] = {}
        self._add_leaves()
        leaf_types = [grammar.terminal, *self._constant_types()]
        self._smallest = smallest_sentences(grammar.types, grammar.productions, leaf_types)
        self._options = {name: self._options_of(name) for name in grammar.types}

    def _constant_types(self) -> tuple[str, ...]:
        return ("Const", "PositiveConst") if self.grammar.constants is not None else ()

    def _add_leaves(self) -> None:
        type_ = self.grammar.terminal
        self.pset.addTerminal("x", self._classes[type_], name="x")
        self._leaves["x"] = self.pset.mapping["x"]
        constants = self.grammar.constants
        if constants is None:
            return
        for name in self._constant_types():
            draw = functools.partial(draw_constant, constants, name)
            self.pset.addEphemeralConstant(name, draw, self._classes[name])
            self._leaves[name] = self.pset.mapping[name]

    def _options_of(self, wanted: str) -> list[tuple[Any, float, int, int]]:
        """What makes a value of a type: (node, weight, least depth, least nodes)."""
        grammar, options = self.grammar, []
        for p in grammar.by_type[wanted]:
            if p.args:
                nodes = 1 + sum(self._smallest[arg][0] for arg in p.args)
                depth_ = 1 + max(self._smallest[arg][1] for arg in p.args)
                options.append((self._primitives[p.name], p.weight, depth_, nodes))
        if grammar.is_subtype(grammar.terminal, wanted):
            options.append((self._leaves["x"], 1.0, 1, 1))
        for name in self._constant_types():
            if grammar.is_subtype(name, wanted):
                options.append((self._leaves[name], 1.0, 1, 1))
        return options

    def grow(self, height: int, type_: Any = None) -> list[Any]:
        """Grow a random typed tree of at most ``height``, or of the least height its type has."""
        wanted = self.grammar.start if type_ is None else self._names[type_]
        return self._grow(wanted, height)

    def _grow(self, wanted: str, height: int) -> list[Any]:
        options = self._options[wanted]
        fitting = [o for o in options if o[2] <= height]
        if not fitting:
            least = min(o[2] for o in options)
            fitting = [o for o in options if o[2] == least]
        leaves = [
            o for o in fitting if o[2] == 1 and o[3] == 1 and not isinstance(o[0], gp.Primitive)
        ]
        inner = [o for o in fitting if isinstance(o[0], gp.Primitive)]
        pool = leaves if leaves and (not inner or random.random() < LEAF_CHANCE) else inner
        node = random.choices([o[0] for o in pool], weights=[o[1] for o in pool])[0]
        if not isinstance(node, gp.Primitive):
            return [node() if isinstance(node, type) else node]
        tree = [node]
        for arg in node.args:
            tree += self._grow(self._names[arg], height - 1)
        return tree

    def to_expr(self, tree: Sequence[Any]) -> Expr:
        """Fold a prefix list into an expression."""
        stack: list[Expr] = []
        for node in reversed(tree):
            arity = node.arity
            if arity == 0:
                stack.append(_X if node.name == "x" else const(node.value))
                continue
            args = tuple(stack[: -arity - 1 : -1])
            del stack[-arity:]
            op, template = self._makers[node.name]
            if op is not None:
                stack.append(Expr(op, args))
            else:
                stack.append(substitute(template, dict(zip(HOLES, args, strict=False))))
        return stack[0]

    def from_expr(self, expr: Expr) -> list[Any] | None:
        """Return a tree that makes an expression, None if it is no sentence."""
        derivation = self.grammar.derive(expr)
        return None if derivation is None else self._prefix(derivation)

    def _prefix(self, derivation: Derivation) -> list[Any]:
        if derivation.production is None:
            leaf = self._leaves["x" if derivation.expr.op != CONST else derivation.type]
            if derivation.expr.op != CONST:
                return [leaf]
            return [self._literal(derivation.type, derivation.expr.number)]
        tree = [self._primitives[derivation.production.name]]
        for child in derivation.children:
            tree += self._prefix(child)
        return tree

    def dump(self, tree: Sequence[Any]) -> list[Any]:
        """Write a tree as JSON values: names, and for a literal its type and number."""
        return [
            [self._names[node.ret], node.value]
            if isinstance(type(node), gp.MetaEphemeral)
            else node.name
            for node in tree
        ]

    def load(self, dumped: Sequence[Any]) -> list[Any]:
        """Read what :meth:`dump` wrote."""
        return [
            self._literal(*item)
            if isinstance(item, list)
            else self._primitives.get(item) or self._leaves[item]
            for item in dumped
        ]

    def _literal(self, type_: str, value: float) -> Any:
        leaf = self._leaves[type_]
        literal = leaf.__new__(leaf)  # its constructor would draw a random number
        literal.value = value
        return literal

    def slots(self, tree: Sequence[Any]) -> list[Any]:
        """Return for each node the type that its place asks for, which its own may be below."""
        asked: list[Any] = []
        waiting = [self.pset.ret]
        for node in tree:
            asked.append(waiting.pop())
            if node.arity:
                waiting.extend(reversed(node.args))
        return asked

    def fits(self, expr: Expr) -> bool:
        """Whether an expression keeps the grammar's limits."""
        limits = self.grammar.limits
        return (
            expr.size <= limits.nodes and expr.depth <= limits.depth and flops(expr) <= limits.flops
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
        else:
            value = random.gauss(*spec.parameters)
        value = rounded(abs(value) if kind == "PositiveConst" else value, spec.digits)
        if value != 0 and abs(value) >= 1e-6:
            return value


def rounded(value: float, digits: int) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else 1.0
