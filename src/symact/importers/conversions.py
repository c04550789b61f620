"""Types of tensors, conversions between them, and constant tensors.

A truncating cast has no primitive and is refused. A row of :mod:`symact.importers.library` names
the parameters of a rule after the first.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from symact.errors import ImportRefusedError
from symact.expr import Expr, fold
from symact.importers.arithmetic import Arithmetic
from symact.importers.values import (
    Array,
    Layer,
    Library,
    Opaque,
    TensorNumber,
    Value,
    described,
    is_comparison,
    is_number,
    refused,
)


@dataclass(frozen=True, slots=True)
class Use:
    """One call of a library function.

    Attributes:
        arithmetic: Creates expressions.
        node: The call.
        path: The dotted path of the function.
        given: Names of the parameters that the call sets.
    """

    arithmetic: Arithmetic
    node: ast.AST
    path: str
    given: frozenset[str]

    def make(self, name: str, *args: Value) -> Expr:
        """Apply a primitive."""
        return self.arithmetic.make(self.node, name, *args)

    def real(self, value: Value) -> Expr:
        """Return a value as a number for each element."""
        return self.arithmetic.real(value, self.node)

    def note(self, text: str) -> None:
        """Add a note on an assumption."""
        self.arithmetic.note(text)

    def refused(self, what: str) -> ImportRefusedError:
        """Return a refusal that contains the name of the function."""
        return refused(self.node, f"'{self.path}' {what}")

    def number(self, value: Value, name: str) -> float:
        """Return an argument as a number, or refuse it."""
        if not is_number(value):
            raise self.refused(f"with '{name}' that is no number")
        return float(value)


Rule = Callable[..., Value]


# Types.
_TYPES = {
    **dict.fromkeys(("float32", "float64", "float", "double", "single", "float_"), "floating"),
    **dict.fromkeys(("floating", "longdouble", "f4", "f8", "d", "f", "FloatTensor"), "floating"),
    "DoubleTensor": "floating",
    **dict.fromkeys(("float16", "bfloat16", "half", "f2", "HalfTensor"), "half"),
    **dict.fromkeys(("int", "int8", "int16", "int32", "int64", "long", "short"), "integer"),
    **dict.fromkeys(("int_", "intp", "i4", "i8", "integer"), "integer"),
    **dict.fromkeys(("bool", "bool_"), "bool"),
}
#: Operations that map integers to integers.
_KEEP_WHOLE = {"add", "sub", "mul", "neg", "abs", "square", "cube", "min", "max", "sign", "relu"}


def type_kind(value: Value) -> str | None:
    """Return the kind of a type: ``"floating"``, ``"half"``, ``"integer"``, ``"bool"`` or None."""
    if isinstance(value, Library | str):
        name = value.path if isinstance(value, Library) else value
        return _TYPES.get(name.rsplit(".", 1)[-1].lstrip("<>="))
    if isinstance(value, Opaque) and value.what == "a dtype":
        if is_comparison(value.of):
            return "bool"
        return "floating" if _is_floating(value.of) else None
    return None


def _is_floating(value: Value) -> bool:
    """Return whether a tensor certainly has a floating-point type if ``x`` has one."""

    def visit(node: Expr, args: Sequence[bool]) -> bool:
        if not node.args:
            return node.op == "var"
        if node.op == "where":
            return any(args[1:])
        return any(args) if node.op in _KEEP_WHOLE else True

    return isinstance(value, Expr) and not is_comparison(value) and fold(value, visit)


def cast(use: Use, value: Value, dtype: Value) -> Value:
    """Convert a value to a type. Truncating conversions are refused."""
    if isinstance(value, Array):
        return Array(tuple(cast(use, item, dtype) for item in value.items))
    if dtype is None:
        return value
    kind = type_kind(dtype)
    if kind == "half":
        use.note("rounding to half precision is left out")
    if kind in ("floating", "half"):
        return use.real(value) if is_comparison(value) else _checked(use, value)
    if kind == "integer" and is_comparison(value):
        return use.real(value)
    if kind == "bool" and isinstance(value, Expr) and is_comparison(value):
        return value
    if kind == "integer" and is_number(value):
        return TensorNumber(math.trunc(value))
    what = "an integer or truth value truncates" if kind else "this type is not understood"
    raise use.refused(f"of {described(value)}: a cast to {what}")


def _checked(use: Use, value: Value) -> Value:
    return value if is_number(value) else tensor_only(use, value)


def tensor_only(use: Use, value: Value) -> Expr:
    """Return a tensor; refuse all other values."""
    if not isinstance(value, Expr):
        raise use.refused(f"of {described(value)}")
    return value


def to(use: Use, args: Sequence[Value], keywords: Sequence[tuple[str, Value]]) -> Value:
    """Convert a tensor to a type or device, as ``Tensor.to`` does."""
    value, *others = args
    for name, other in keywords:
        if name in ("dtype", "other", "device"):
            others.append(other)
        elif name not in ("non_blocking", "copy", "memory_format"):
            raise use.refused(f"has no argument '{name}'")
    for other in others:
        if isinstance(other, Expr):
            value = like_other(use, value, other)
        elif not _is_place(other):
            value = cast(use, value, other)
    return value


def _is_place(value: Value) -> bool:
    """Return whether a value is a device."""
    if isinstance(value, str):
        return value.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta")
    is_device = isinstance(value, Opaque) and value.what == "a device"
    return is_device or value is None or isinstance(value, bool)


def like_other(use: Use, value: Value, other: Value) -> Value:
    """Convert a tensor to the type of another one."""
    return cast(use, value, Opaque("a dtype", other))


def python_float(use: Use, x: Value) -> Value:
    """Return ``float(x)``."""
    if isinstance(x, bool | int | float):
        return use.arithmetic.number(use.node, float(x))
    return use.real(x) if isinstance(x, Expr) else tensor_only(use, x)


def python_int(use: Use, x: Value) -> int:
    """Return ``int(x)`` of a number. Tensors are refused."""
    if not isinstance(x, bool | int | float):
        raise use.refused(f"of {described(x)}: no primitive rounds")
    return use.arithmetic.number(use.node, math.trunc(x))


def python_bool(use: Use, x: Value) -> bool:
    """Return ``bool(x)`` of a constant."""
    return use.arithmetic.truth(x, use.node, "'bool'")


# Tensors of constants.
def tensor(use: Use, data: Value, dtype: Value = None) -> Value:
    """Return a tensor of constants, or a tensor unchanged."""
    if is_number(data):
        return TensorNumber(cast(use, data, dtype))
    if isinstance(data, tuple):
        if not data or not all(map(is_number, data)):
            raise use.refused("of values other than numbers")
        return Array(tuple(cast(use, TensorNumber(item), dtype) for item in data))
    if isinstance(data, Expr | Array):
        return cast(use, data, dtype)
    raise use.refused(f"of {described(data)}")


def parameter(use: Use, data: Value) -> Value:
    """Return the initial value of a trained parameter."""
    if isinstance(data, Array) and len(data.items) == 1:
        data = data.items[0]
    if not is_number(data):
        raise use.refused(f"of {described(data)}: only one number is understood")
    use.note(f"a trained parameter has its initial value, {float(data):.6g}")
    return TensorNumber(data)


def variable(use: Use, initial_value: Value, dtype: Value) -> Value:
    """Return the initial value of a TensorFlow variable."""
    return parameter(use, tensor(use, initial_value, dtype))


def prelu_layer(use: Use, num_parameters: Value, init: Value) -> Layer:
    """Return ``nn.PReLU`` with its initial slope."""
    if num_parameters != 1:
        raise use.refused("with several slopes: a function over features")
    slope = parameter(use, use.number(init, "init"))
    return Layer("torch.nn.functional.prelu", {"weight": slope})


def filled(use: Use, shape: Value, value: Value, dtype: Value = None) -> Value:
    """Return a tensor of one element with the given value."""
    if not _is_one_element(shape):
        raise use.refused("of several elements: a function over features")
    if not is_number(value):
        raise use.refused(f"of {described(value)}")
    return TensorNumber(cast(use, value, dtype))


def _is_one_element(shape: Value) -> bool:
    if isinstance(shape, Opaque):
        return shape.what == "a shape"  # the shape of x: all elements have the same value
    if isinstance(shape, tuple):
        return all(map(_is_one_element, shape))
    return isinstance(shape, int) and shape == 1


def zeros(use: Use, shape: Value, dtype: Value) -> Value:
    """Return a tensor of zeros."""
    return filled(use, shape, 0, dtype)


def ones(use: Use, shape: Value, dtype: Value) -> Value:
    """Return a tensor of ones."""
    return filled(use, shape, 1, dtype)


def like(use: Use, prototype: Value, value: Value, dtype: Value) -> Value:
    """Return a tensor of one value with the type of another tensor."""
    if dtype is None and not _is_floating(prototype):
        raise use.refused(f"like {described(prototype)}, which may hold whole numbers")
    if isinstance(value, Expr):
        return copy(use, cast(use, value, "float64"))
    if not isinstance(value, bool | int | float):
        raise use.refused(f"filled with {described(value)}")
    return TensorNumber(cast(use, TensorNumber(value), dtype))


def zeros_like(use: Use, prototype: Value, dtype: Value) -> Value:
    """Return zeros with the type of another tensor."""
    return _constant_like(use, prototype, 0.0, dtype)


def ones_like(use: Use, prototype: Value, dtype: Value) -> Value:
    """Return ones with the type of another tensor."""
    return _constant_like(use, prototype, 1.0, dtype)


def _constant_like(use: Use, prototype: Value, value: float, dtype: Value) -> Value:
    is_number_like = is_number(prototype) or isinstance(prototype, Expr)
    if not is_number_like or (dtype is None and is_comparison(prototype)):
        raise use.refused(f"like {described(prototype)}")
    return TensorNumber(cast(use, value, dtype))


def copy(use: Use, value: Value) -> Value:
    """Return a copy of a tensor."""
    if is_number(value):
        return TensorNumber(value)
    own = tensor_only(use, value)
    return Expr(own.op, own.args, own.value)


def item(use: Use, value: Value) -> float:
    """Return the number in a tensor of one element."""
    return use.number(value, "input")


def detach(use: Use, value: Value) -> Value:
    """Return a constant tensor. A tensor that depends on x is refused, as it has a gradient."""
    if is_number(value):
        return value
    raise use.refused(f"of {described(value)}: a stopped gradient has no primitive")


#: Rules of this module by name.
CONVERSIONS: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(cast, to, like_other, python_float, python_int, python_bool, tensor, parameter),
        *(variable, prelu_layer, filled, zeros, ones, like, zeros_like, ones_like, copy, item),
        detach,
    )
}
