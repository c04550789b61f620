"""The immutable expression tree, and functions that build, traverse and rewrite it.

A traversal is a ``fold``, which visits every distinct node once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from symact.errors import ParseError
from symact.expr.primitives import CONST, PRIMITIVES, VAR
from symact.expr.spellings import nearest_primitive

T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Expr:
    """An immutable expression tree.

    Attributes:
        op: A primitive's name, ``"var"`` or ``"const"``.
        args: The argument expressions, in order.
        value: The number of a constant, the name of a variable, None for a primitive.
        size: Nodes, leaves included, shared ones counted at each use.
        depth: The height of the tree; a leaf has depth 1.
        varies: Whether it contains a variable.
    """

    op: str
    args: tuple[Expr, ...]
    value: float | str | None
    size: int = field(repr=False)
    depth: int = field(repr=False)
    varies: bool = field(repr=False)
    _hash: int = field(repr=False)

    # Evolution makes and compares expressions by the hundred thousand. What a generated constructor
    # and a generated comparison cost was a third of its time.
    def __init__(
        self, op: str, args: tuple[Expr, ...] = (), value: float | str | None = None
    ) -> None:
        size, depth, varies = 1, 0, op == VAR
        for arg in args:
            size += arg.size
            if arg.depth > depth:
                depth = arg.depth
            varies = varies or arg.varies
        # A slot's own setter takes half the time of object.__setattr__.
        _set_op(self, op)
        _set_args(self, args)
        _set_value(self, value)
        _set_size(self, size)
        _set_depth(self, depth + 1)
        _set_varies(self, varies)
        _set_hash(self, hash((op, args, value)))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Expr):
            return NotImplemented
        return (
            self._hash == other._hash
            and self.op == other.op
            and self.value == other.value
            and self.args == other.args
        )

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Expr], tuple[str, tuple[Expr, ...], float | str | None]]:
        # Through the constructor: a stored hash is wrong in another process.
        return Expr, (self.op, self.args, self.value)

    def __str__(self) -> str:
        from symact.expr.printer import show

        return show(self)

    @property
    def number(self) -> float:
        """The value of a constant."""
        assert isinstance(self.value, float)
        return self.value


_set_op, _set_args, _set_value, _set_size, _set_depth, _set_varies, _set_hash = (
    vars(Expr)[slot].__set__ for slot in ("op", "args", "value", "size", "depth", "varies", "_hash")
)


def const(value: float) -> Expr:
    """Return a literal; its value must be finite, and -0.0 becomes 0.0."""
    number = float(value)
    if not math.isfinite(number):
        raise ParseError(f"a constant must be finite, got {value}")
    return Expr(CONST, (), number + 0.0)


def var(name: str = "x") -> Expr:
    """Return a variable; ``x`` is the input of an activation function."""
    return Expr(VAR, (), name)


def call(name: str, *args: Expr) -> Expr:
    """Apply a primitive, checking its name, its arity and the sorts of its arguments.

    Raises:
        ParseError: No such primitive, or arguments that do not fit it.
    """
    primitive = PRIMITIVES.get(name)
    if primitive is None:
        raise ParseError(f"unknown function '{name}'; {nearest_primitive(name)}")
    if len(args) != primitive.arity:
        raise ParseError(f"'{name}' takes {primitive.arity} argument(s), got {len(args)}")
    for position, (arg, sort) in enumerate(zip(args, primitive.argument_sorts, strict=True), 1):
        if sort_of(arg) != sort:
            expected = "a comparison" if sort == "Bool" else "a number"
            raise ParseError(f"argument {position} of '{name}' must be {expected}")
    return Expr(name, args)


def sort_of(expr: Expr) -> str:
    """Return ``"Bool"`` for a comparison, else ``"Real"``."""
    return "Real" if expr.op in (VAR, CONST) else PRIMITIVES[expr.op].sort


def fold(
    expr: Expr,
    visit: Callable[[Expr, Sequence[T]], T],
    arguments: Callable[[Expr], tuple[Expr, ...]] | None = None,
) -> T:
    """Compute ``visit(node, results of its arguments)`` bottom-up, once per distinct node.

    Equal subexpressions share one result, so a fold does common-subexpression elimination by
    itself. It is iterative: depth is no limit.

    Args:
        expr: The expression.
        visit: Computes the result of a node.
        arguments: Returns the arguments whose results ``visit`` takes; None for all of them.
    """
    done: dict[Expr, T] = {}
    stack = [expr]
    while stack:
        node = stack[-1]
        own = node.args if arguments is None else arguments(node)
        for arg in own:
            if arg not in done:
                if arg.args:
                    stack.append(arg)
                    break
                done[arg] = visit(arg, [])
        else:
            done[node] = visit(node, [done[arg] for arg in own])
            stack.pop()
    return done[expr]


def literals(expr: Expr) -> list[float]:
    """Return the different numbers of an expression in the order of :func:`fold`."""
    found: list[float] = []

    def visit(node: Expr, args: Sequence[None]) -> None:
        if node.op == CONST:
            found.append(node.number)

    fold(expr, visit)
    return list(dict.fromkeys(found))


def with_literals(expr: Expr, values: Sequence[float]) -> Expr:
    """Return an expression with other numbers for its different literals, in their order."""
    new = dict(zip(literals(expr), values, strict=True))

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == CONST:
            return const(new[node.number])
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def distinct(expr: Expr) -> list[Expr]:
    """Return each distinct subexpression once, arguments before what uses them."""
    nodes: dict[Expr, None] = {}
    stack = [expr]
    while stack:
        node = stack[-1]
        for arg in node.args:
            if arg not in nodes:
                if arg.args:
                    stack.append(arg)
                    break
                nodes[arg] = None
        else:
            nodes[node] = None
            stack.pop()
    return list(nodes)


def uses_statistics(expr: Expr) -> bool:
    """Whether the value at one element depends on the other elements of the tensor."""
    return any(node.op in PRIMITIVES and PRIMITIVES[node.op].statistic for node in distinct(expr))


def variables(expr: Expr) -> tuple[str, ...]:
    """Return the names of the variables, each once, sorted."""
    return tuple(sorted(str(node.value) for node in distinct(expr) if node.op == VAR))


def substitute(expr: Expr, bindings: Mapping[str, Expr]) -> Expr:
    """Replace variables by expressions; names without a binding stay."""

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == VAR:
            return bindings.get(str(node.value), node)
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)
