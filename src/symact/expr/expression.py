"""The immutable expression tree, and functions that build, traverse and rewrite it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from symact.errors import ParseError
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR
from symact.expr.spellings import nearest_primitive

T = TypeVar("T")

#: What a leaf holds: a number, the name of a variable, or the initial value and the index of a
#: trained parameter.
Value = float | str | tuple[float, int] | None
#: The largest index of a trained parameter.
MAX_INDEX = 99


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Expr:
    """An immutable expression tree.

    Attributes:
        op: The name of a primitive, ``"var"``, ``"const"`` or ``"param"``.
        args: The argument expressions, in order.
        value: The number of a constant, the name of a variable, the initial value and the index of
            a trained parameter, or None for a primitive.
        size: The number of nodes of the tree, leaves included.
        depth: The height of the tree. A leaf has depth 1.
        varies: Whether the expression contains a variable.

    Example:
        >>> from symact.expr import parse
        >>> expr = parse("x*tanh(x)")
        >>> expr.op, expr.size, [str(arg) for arg in expr.args]
        ('mul', 4, ['x', 'tanh(x)'])
    """

    op: str
    args: tuple[Expr, ...]
    value: Value
    size: int = field(repr=False)
    depth: int = field(repr=False)
    varies: bool = field(repr=False)
    _hash: int = field(repr=False)

    # The constructor and the comparison are written by hand for speed: the generated ones took a
    # third of the time of evolution.
    def __init__(self, op: str, args: tuple[Expr, ...] = (), value: Value = None) -> None:
        size, depth, varies = 1, 0, op == VAR
        for arg in args:
            size += arg.size
            if arg.depth > depth:
                depth = arg.depth
            varies = varies or arg.varies
        # The setter of a slot takes half the time of object.__setattr__.
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

    def __reduce__(self) -> tuple[type[Expr], tuple[str, tuple[Expr, ...], Value]]:
        # The constructor computes the hash anew: hashes differ between processes.
        return Expr, (self.op, self.args, self.value)

    def __str__(self) -> str:
        from symact.expr.printer import show

        return show(self)

    @property
    def number(self) -> float:
        """The value of a constant."""
        assert isinstance(self.value, float)
        return self.value

    @property
    def parameter(self) -> tuple[float, int]:
        """The initial value and the index of a trained parameter."""
        assert isinstance(self.value, tuple)
        return self.value


_set_op, _set_args, _set_value, _set_size, _set_depth, _set_varies, _set_hash = (
    vars(Expr)[slot].__set__ for slot in ("op", "args", "value", "size", "depth", "varies", "_hash")
)


def const(value: float) -> Expr:
    """Return a literal. -0.0 becomes 0.0.

    Raises:
        ParseError: The value is not finite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ParseError(f"a constant must be finite, got {value}")
    return Expr(CONST, (), number + 0.0)


def var(name: str = "x") -> Expr:
    """Return a variable. ``x`` is the input of an activation function."""
    return Expr(VAR, (), name)


def param(initial: float, index: float = 0) -> Expr:
    """Return a trained parameter, one for each hidden layer of a network.

    Training starts at the initial value and changes the parameter together with the weights. An
    evaluation without training uses the initial value. Equal leaves are one parameter: two
    parameters with equal initial values need different indices.

    Args:
        initial: The initial value.
        index: A whole number from 0 to :data:`MAX_INDEX`.

    Raises:
        ParseError: The initial value is not finite, or the index is wrong.

    Example:
        >>> str(param(0.25)), str(param(0.25, 1))
        ('param(0.25)', 'param(0.25, 1)')
    """
    number = float(initial)
    if not math.isfinite(number):
        raise ParseError(f"the initial value of a parameter must be finite, got {initial}")
    if not (float(index).is_integer() and 0 <= index <= MAX_INDEX):
        raise ParseError(
            f"the index of a parameter must be a whole number from 0 to {MAX_INDEX}, got {index:g}"
        )
    return Expr(PARAM, (), (number + 0.0, int(index)))


def call(name: str, *args: Expr) -> Expr:
    """Return the call of a primitive.

    Raises:
        ParseError: The name is unknown, or the number or the sorts of the arguments are wrong.
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
    return PRIMITIVES[expr.op].sort if expr.args else "Real"


def fold(
    expr: Expr,
    visit: Callable[[Expr, Sequence[T]], T],
    arguments: Callable[[Expr], tuple[Expr, ...]] | None = None,
) -> T:
    """Compute ``visit(node, results of its arguments)`` bottom-up, once per distinct node.

    Equal subexpressions share one result. The traversal is iterative, without a depth limit.

    Args:
        expr: The expression.
        visit: Computes the result of a node.
        arguments: Returns the arguments to visit; None for all arguments.
    """
    done: dict[Expr, T] = {}
    stack = [expr]
    while stack:
        node = stack[-1]
        visited = node.args if arguments is None else arguments(node)
        for arg in visited:
            if arg not in done:
                if arg.args:
                    stack.append(arg)
                    break
                done[arg] = visit(arg, [])
        else:
            done[node] = visit(node, [done[arg] for arg in visited])
            stack.pop()
    return done[expr]


def literals(expr: Expr) -> list[float]:
    """Return the distinct numbers of an expression in the order of :func:`fold`."""
    found: list[float] = []

    def visit(node: Expr, args: Sequence[None]) -> None:
        if node.op == CONST:
            found.append(node.number)

    fold(expr, visit)
    return list(dict.fromkeys(found))


def with_literals(expr: Expr, values: Sequence[float]) -> Expr:
    """Replace the literals of an expression.

    Args:
        expr: The expression.
        values: The new value of each number in :func:`literals`, in that order.
    """
    new = dict(zip(literals(expr), values, strict=True))

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == CONST:
            return const(new[node.number])
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def parameters(expr: Expr) -> tuple[Expr, ...]:
    """Return the distinct trained parameters of an expression, in the order of :func:`distinct`."""
    return tuple(node for node in distinct(expr) if node.op == PARAM)


def with_parameters(expr: Expr, values: Sequence[Expr]) -> Expr:
    """Replace the trained parameters of an expression.

    Args:
        expr: The expression.
        values: The replacement of each parameter in :func:`parameters`, in that order.

    Example:
        >>> from symact.expr import parse
        >>> str(with_parameters(parse("x*sigmoid(param(1)*x)"), [const(1.7)]))
        'x*sigmoid(1.7*x)'
    """
    new = dict(zip(parameters(expr), values, strict=True))
    if not new:
        return expr

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        return new[node] if node.op == PARAM else Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def distinct(expr: Expr) -> list[Expr]:
    """Return each distinct subexpression once, arguments before the calls that use them."""
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
    """Whether an expression contains a batch statistic (``mean`` or ``std``)."""
    return any(node.op in PRIMITIVES and PRIMITIVES[node.op].statistic for node in distinct(expr))


def variables(expr: Expr) -> tuple[str, ...]:
    """Return the distinct names of the variables, sorted."""
    return tuple(sorted(str(node.value) for node in distinct(expr) if node.op == VAR))


def substitute(expr: Expr, bindings: Mapping[str, Expr]) -> Expr:
    """Replace variables by expressions. Variables without a binding stay."""

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == VAR:
            return bindings.get(str(node.value), node)
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)
