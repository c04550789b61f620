"""Python operators on the values of a program."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, TypeVar

from symact.errors import ParseError
from symact.expr import Expr, call, const, sort_of
from symact.importers.values import (
    Array,
    Equal,
    TensorNumber,
    TooLargeError,
    Value,
    described,
    is_comparison,
    is_number,
    is_plain,
    kind_of,
    refused,
)

N = TypeVar("N", int, float)

#: Maximum number of nodes of an expression, and the largest exponent expanded to products.
MAX_NODES, MAX_POWER = 2_000, 32
#: Maximum number of bits of an integer.
MAX_BITS = 1_000

_OPERATORS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_COMPARISONS = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_FLIPPED = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}
#: Primitives that keep the type of truth values in NumPy, where True + True is True.
_KEEP_TRUTH = {"add", "sub", "mul", "min", "max", "neg", "abs", "square", "cube"}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_CONSTANT_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


class Arithmetic:
    """Applies operators and primitives, and collects notes on assumptions."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    # Conversions.
    def real(self, value: Value, node: ast.AST | None) -> Expr:
        """Return a value as an expression with a number for each element."""
        if isinstance(value, Array) and len(value.items) == 1:
            value = value.items[0]
        if isinstance(value, Expr):
            if sort_of(value) == "Real":
                return value
            return call("where", value, const(1.0), const(0.0))
        if isinstance(value, bool | int | float):
            return const(self.number(node, float(value)))
        raise refused(node, f"{described(value)} where a tensor is expected")

    def condition(self, value: Value, node: ast.AST | None) -> Expr:
        """Return a value as an expression with a comparison for each element."""
        if isinstance(value, Expr) and sort_of(value) == "Bool":
            return value
        what = "a number" if isinstance(value, Expr) else described(value)
        raise refused(node, f"{what} where a comparison is expected")

    def number(self, node: ast.AST | None, value: N) -> N:
        """Return a number; refuse numbers that are too large or not finite."""
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise refused(node, "a number that is too large")
        if isinstance(value, float) and not math.isfinite(value):
            raise refused(node, "a number that is not finite")
        return value

    def truth(self, value: Value, node: ast.AST, what: str) -> bool:
        """Return whether a constant is true.

        Args:
            value: The value.
            node: The syntax that uses the value.
            what: Start of the message of a refusal, such as ``"if"`` in ``"if on a tensor"``.
        """
        if isinstance(value, Expr | Equal):
            raise refused(node, f"{what} on a tensor; use where(condition, a, b)")
        if not (is_plain(value) or isinstance(value, TensorNumber | tuple)):
            raise refused(node, f"{what} on {described(value)}")
        return bool(value)

    # Primitives.
    def make(self, node: ast.AST | None, name: str, *args: Value) -> Expr:
        """Apply a primitive to values."""
        compared = args[1:] if name == "where" else args if name in _KEEP_TRUTH else ()
        if compared and all(map(is_comparison, compared)):
            raise refused(node, f"'{name}' of comparisons; turn them into numbers first")
        exprs = [
            self.condition(a, node) if name == "where" and i == 0 else self.real(a, node)
            for i, a in enumerate(args)
        ]
        try:
            made = call(name, *exprs)
        except ParseError as error:
            raise refused(node, str(error)) from None
        if made.size > MAX_NODES:
            raise TooLargeError(str(refused(node, f"an expression of more than {MAX_NODES} nodes")))
        return made

    # Operators.
    def binary(self, node: ast.AST | None, op: ast.operator, left: Value, right: Value) -> Value:
        """Apply an operator to two values."""
        left, right = _one_element(left), _one_element(right)
        if not isinstance(left, Expr) and not isinstance(right, Expr):
            return self._arithmetic(node, op, left, right)
        if isinstance(op, ast.Pow):
            return self.power(node, left, right)
        if isinstance(op, ast.BitAnd):
            return self.both(node, left, right)
        if isinstance(op, ast.BitOr):
            return self.either(node, left, right)
        if isinstance(op, ast.Mult) and is_comparison(left) and is_comparison(right):
            return self.both(node, left, right)
        name = _OPERATORS.get(type(op))
        if name is None:
            raise refused(node, f"operator {kind_of(op)} on a tensor")
        return self.make(node, name, left, right)

    def both(self, node: ast.AST | None, left: Value, right: Value) -> Expr:
        """Return ``left & right`` as a comparison of nested choices with 0.5."""
        a, b = self.condition(left, node), self.condition(right, node)
        inner = self.make(node, "where", b, 1.0, 0.0)
        return call("gt", self.make(node, "where", a, inner, 0.0), const(0.5))

    def either(self, node: ast.AST | None, left: Value, right: Value) -> Expr:
        """Return ``left | right`` as a comparison of nested choices with 0.5."""
        a, b = self.condition(left, node), self.condition(right, node)
        inner = self.make(node, "where", b, 1.0, 0.0)
        return call("gt", self.make(node, "where", a, 1.0, inner), const(0.5))

    def neither(self, node: ast.AST | None, value: Value) -> Expr:
        """Return ``~value``."""
        test = self.condition(value, node)
        return call(_FLIPPED[test.op], *test.args)

    def unary(self, node: ast.UnaryOp, value: Value) -> Value:
        """Apply a sign, ``not`` or ``~``."""
        value = _one_element(value)
        if isinstance(node.op, ast.Not):
            return not self.truth(value, node, "'not'")
        if isinstance(node.op, ast.Invert) and isinstance(value, Expr):
            return self.neither(node, value)
        if isinstance(value, Expr) and not is_comparison(value):
            return value if isinstance(node.op, ast.UAdd) else self.make(node, "neg", value)
        if isinstance(value, bool | int | float) and not isinstance(node.op, ast.Invert):
            signed = -value if isinstance(node.op, ast.USub) else +value
            return TensorNumber(signed) if isinstance(value, TensorNumber) else signed
        raise refused(node, f"{kind_of(node.op)} of {described(value)}")

    def compare(self, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> Value:
        """Compare two values."""
        left, right = _one_element(left), _one_element(right)
        if isinstance(op, ast.Is | ast.IsNot) and right is None and not _is_constant(left):
            return isinstance(op, ast.IsNot)
        if isinstance(op, ast.In | ast.NotIn):
            return self._membership(node, op, left, right)
        if not isinstance(left, Expr) and not isinstance(right, Expr):
            return self._compare_constants(node, op, left, right)
        name = _COMPARISONS.get(type(op))
        if name is not None:
            return self.make(node, name, left, right)
        if isinstance(op, ast.Eq | ast.NotEq):
            return self.equal(node, left, right, isinstance(op, ast.NotEq))
        raise refused(node, f"comparison {kind_of(op)} of a tensor; use <, <=, > or >=")

    def equal(self, node: ast.AST | None, left: Value, right: Value, negated: bool) -> Value:
        """Return ``left == right`` or ``left != right``."""
        if not isinstance(left, Expr) and not isinstance(right, Expr):
            return (left != right) if negated else (left == right)
        tensor, other = (left, right) if isinstance(left, Expr) else (right, left)
        if is_comparison(tensor) or not isinstance(other, Expr | int | float):
            raise refused(node, f"{described(tensor)} == {described(other)}")
        return Equal(tensor, other, negated)

    def _membership(self, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> bool:
        if not is_plain(left) or not isinstance(right, tuple) or not all(map(is_plain, right)):
            raise refused(node, f"comparison {kind_of(op)}")
        return (left in right) == isinstance(op, ast.In)

    def _compare_constants(self, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> bool:
        operation = _CONSTANT_COMPARISONS.get(type(op))
        if operation is None or not _is_constant(left) or not _is_constant(right):
            raise refused(node, f"comparison {kind_of(op)} of {described(left)}")
        if isinstance(op, ast.Is | ast.IsNot) and not (_singleton(left) or _singleton(right)):
            raise refused(node, f"comparison {kind_of(op)} of {described(left)}")
        try:
            return bool(operation(left, right))
        except TypeError:
            raise refused(node, "a comparison of different kinds") from None

    def _arithmetic(
        self, node: ast.AST | None, op: ast.operator, left: Value, right: Value
    ) -> Value:
        if isinstance(op, ast.Add) and isinstance(left, tuple) and isinstance(right, tuple):
            return left + right
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise refused(node, f"{kind_of(op)} of {described(left)} and {described(right)}")
        is_tensor = isinstance(left, TensorNumber) or isinstance(right, TensorNumber)
        left, right = _python_number(left), _python_number(right)
        is_large = isinstance(left, int) and abs(left) > 10**6 and abs(right) > 64
        if isinstance(op, ast.Pow) and (abs(right) > 1000 or is_large):
            raise refused(node, "a power that is too large")
        if type(op) not in _ARITHMETIC:
            raise refused(node, f"operator {kind_of(op)}")
        try:
            value = _ARITHMETIC[type(op)](left, right)
        except (ArithmeticError, ValueError):
            raise refused(node, f"{kind_of(op)} of {left:.6g} and {right:.6g}") from None
        if isinstance(value, complex):
            raise refused(node, "a complex number")
        checked = self.number(node, value)
        return TensorNumber(checked) if is_tensor else checked

    # Powers.
    def power(self, node: ast.AST | None, base: Value, exponent: Value) -> Value:
        """Return ``base**exponent``.

        Integer and half-integer exponents become products and square roots. Other exponents use exp
        and log.
        """
        base, exponent = _one_element(base), _one_element(exponent)
        if isinstance(exponent, bool):
            exponent = int(exponent)
        if not isinstance(base, Expr) and not isinstance(exponent, Expr):
            return self._arithmetic(node, ast.Pow(), base, exponent)
        if is_number(exponent):
            return self._constant_power(node, self.real(base, node), float(exponent))
        if is_number(base):
            if base <= 0:
                raise refused(node, f"{base:.6g} to a power that is a tensor")
            return self.make(node, "exp", self.make(node, "mul", exponent, math.log(base)))
        self.note("a general power was written as exp(b*log(a)), which needs a > 0")
        logarithm = self.make(node, "log", base)
        return self.make(node, "exp", self.make(node, "mul", exponent, logarithm))

    def _constant_power(self, node: ast.AST | None, base: Expr, exponent: float) -> Expr:
        size = abs(exponent)
        if size <= MAX_POWER and (2 * size).is_integer():
            whole = self._whole_power(node, base, int(size))
            root = None if size.is_integer() else self.make(node, "sqrt", base)
            made = self.make(node, "mul", whole, root) if whole and root else whole or root
            made = const(1.0) if made is None else made
        else:
            made = self._large_power(node, base, size)
        return self.make(node, "div", 1.0, made) if exponent < 0 else made

    def _large_power(self, node: ast.AST | None, base: Expr, exponent: float) -> Expr:
        is_whole = exponent.is_integer()
        inner = self.make(node, "abs", base) if is_whole else base
        scaled = self.make(node, "mul", exponent, self.make(node, "log", inner))
        made = self.make(node, "exp", scaled)
        is_odd = is_whole and exponent % 2 == 1
        return self.make(node, "mul", self.make(node, "sign", base), made) if is_odd else made

    def _whole_power(self, node: ast.AST | None, base: Expr, exponent: int) -> Expr | None:
        if exponent == 0:
            return None
        if exponent == 1:
            return base
        if exponent == 3:
            return self.make(node, "cube", base)
        half = self._whole_power(node, base, exponent // 2)
        square = self.make(node, "square", half)
        return self.make(node, "mul", square, base) if exponent % 2 else square


def _one_element(value: Value) -> Value:
    """Return the element of an array with one element."""
    return value.items[0] if isinstance(value, Array) and len(value.items) == 1 else value


def _is_constant(value: Value) -> bool:
    return is_plain(value) or isinstance(value, TensorNumber)


def _singleton(value: Value) -> bool:
    return value is None or isinstance(value, bool)


def _python_number(value: int | float) -> int | float:
    """Return a truth value or a tensor of one element as a number."""
    if isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, TensorNumber) else value
