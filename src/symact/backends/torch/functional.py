"""Expressions as plain torch operations, for all transforms and exporters of torch.

Values and derivatives agree with :mod:`symact.backends.numba.kernels`, including kinks and
infinities. The derivative of ``where`` is that of the selected branch. An infinite slope in the
other branch has no effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symact.backends.torch.rules import by_rule
from symact.errors import DtypeError
from symact.expr import Expr, fold, show
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR

#: Beyond this argument silu, gelu and gaussian equal their limits in float32 and float64.
_FAR = 1e3
#: Beyond this argument asinh(a) is log(2 a) in float64.
_ASINH_FAR = 1.1e9
#: The largest literal that float32 holds without overflow, rounded down.
_LARGEST_LITERAL = 3e38


def is_jit_tracing() -> bool:
    """Whether ``torch.jit.trace`` or the TorchScript exporter is recording operations."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _sinc(a: Tensor) -> Tensor:
    """Compute sin(pi a)/(pi a), with a series near 0 and the limit 0 at infinity."""
    z = math.pi * a
    near = z.abs() < 0.3
    u = torch.where(near, z, 0.0) ** 2
    series = 1 - u * (
        1 / 6 - u * (1 / 120 - u * (1 / 5040 - u * (1 / 362880 - u * (1 / 39916800))))
    )
    infinite = z.isinf()
    far = torch.where(near | infinite, 1.0, z)
    quotient = torch.where(infinite, 0.0, torch.sin(far) / far)
    return torch.where(near, series, quotient)


class _ExportedAsinh(torch.autograd.Function):
    """asinh for the TorchScript exporter of ONNX, which has no rule for ``aten::asinh``."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        return torch.asinh(a)

    @staticmethod
    def symbolic(graph: Any, a: Any) -> Any:
        return graph.op("Asinh", a)


def _asinh(a: Tensor) -> Tensor:
    if is_jit_tracing() and torch.onnx.is_in_onnx_export():
        return _ExportedAsinh.apply(a)  # type: ignore[no-any-return, no-untyped-call]
    # The derivative of torch.asinh overflows for large arguments, where asinh is a logarithm.
    beyond = torch.log(a.abs().clamp(min=_ASINH_FAR) / _ASINH_FAR)
    return torch.asinh(a.clamp(-_ASINH_FAR, _ASINH_FAR)) + torch.sign(a) * beyond


def _softsign(a: Tensor) -> Tensor:
    inside = a.clamp(-1e30, 1e30)  # an infinity would become NaN
    return inside / (1 + inside.abs())


def _softplus(a: Tensor) -> Tensor:
    # In float64, log(1 + e**a) equals a from 40 on. The default threshold of torch is 20.
    return torch.nn.functional.softplus(a, threshold=40.0)


def _gaussian(a: Tensor) -> Tensor:
    inside = a.clamp(-_FAR, _FAR)
    return torch.exp(-inside * inside)


def _sign(a: Tensor) -> Tensor:
    # torch.sign maps NaN to 0, but NaN must be preserved.
    return torch.where(a.isnan(), a, torch.sign(a))


def _gelu(a: Tensor) -> Tensor:
    return torch.where(a > _FAR, a, torch.nn.functional.gelu(a.clamp(-_FAR, _FAR)))


def _silu(a: Tensor) -> Tensor:
    return torch.where(a > _FAR, a, torch.nn.functional.silu(a.clamp(-_FAR, _FAR)))


def _where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


#: The torch function of each elementwise primitive. Missing rows are derived from the rules.
TORCH: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "abs": torch.abs,
    "square": torch.square,
    "cube": lambda a: a * a * a,
    "sqrt": torch.sqrt,
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "sinc": _sinc,
    "tanh": torch.tanh,
    "atan": torch.atan,
    "asinh": _asinh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "softplus": _softplus,
    "softsign": _softsign,
    "relu": torch.relu,
    "gelu": _gelu,
    "silu": _silu,
    "gaussian": _gaussian,
    "sign": _sign,
    "min": torch.minimum,
    "max": torch.maximum,
    "where": _where,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
}

TORCH |= {
    name: by_rule(row)
    for name, row in PRIMITIVES.items()
    if name not in TORCH and not row.statistic
}

#: The functions for complex tensors, which have no order.
_COMPLEX = TORCH | {
    "silu": lambda a: a * torch.sigmoid(a),
    "gaussian": lambda a: torch.exp(-a * a),
    "asinh": torch.asinh,
}

Axes = tuple[int, ...] | None


def _mean(a: Tensor, axes: Axes) -> Tensor:
    return a.mean() if axes is None else a.mean(dim=axes, keepdim=True)


def _std(a: Tensor, axes: Axes) -> Tensor:
    if axes is None:
        return a.std(correction=0)
    return a.std(dim=axes, keepdim=True, correction=0)


#: The torch function of each batch statistic. It reduces ``axes``; None reduces all axes.
STATISTICS: dict[str, Callable[[Tensor, Axes], Tensor]] = {"mean": _mean, "std": _std}

#: Primitives with a bounded derivative for every argument, including infinities.
_BOUNDED_SLOPE = frozenset(
    ("add", "sub", "neg", "abs", "tanh", "atan", "asinh", "erf", "sigmoid", "softplus", "softsign")
) | frozenset(("relu", "gelu", "silu", "gaussian", "sign", "min", "max"))


def _needs_mask(branch: Expr) -> bool:
    """Whether the derivative of a branch of ``where`` may be infinite or NaN."""

    def visit(node: Expr, args: Sequence[bool]) -> bool:
        scales = node.op == "mul" and any(arg.op == CONST for arg in node.args)
        is_bounded = len(node.args) == 0 or scales or node.op in _BOUNDED_SLOPE
        return any(args) or not is_bounded

    return fold(branch, visit)


@dataclass(frozen=True)
class _Context:
    """The inputs of an expression, and the elements at which its result is used.

    Attributes:
        tensors: The inputs by name, and values of trained parameters by text.
        like: A tensor with the shape, dtype and device of the result.
        axes: The axes that statistics reduce.
        mask: True for elements at which the result is used; None for all elements.
    """

    tensors: Mapping[str, Tensor]
    like: Tensor
    axes: Axes
    mask: Tensor | None = None

    def within(self, mask: Tensor) -> _Context:
        """Return the context of a branch that is selected where ``mask`` is True."""
        both = mask if self.mask is None else self.mask & mask
        return _Context(self.tensors, self.like, self.axes, both)

    def reduced(self) -> _Context:
        """Return the context of the argument of a statistic.

        An element is used if any result of its reduction is used.
        """
        assert self.mask is not None
        if self.axes is None:
            used = self.mask.any()
        else:
            used = self.mask.expand_as(self.like).any(dim=self.axes, keepdim=True)
        return _Context(self.tensors, self.like, self.axes, used)

    def read(self, name: str) -> Tensor:
        """Return an input. Elements outside the mask get no gradient."""
        if name not in self.tensors:
            known = ", ".join(self.tensors)
            raise ValueError(f"no tensor for the variable '{name}'; known: {known}")
        tensor = self.tensors[name]
        if self.mask is None:
            return tensor
        # The backward pass of ``where`` stops NaN from the other branch.
        return torch.where(self.mask, tensor, tensor.detach())

    def parameter(self, node: Expr) -> Tensor:
        """Return the value of a trained parameter: a tensor, or else the initial value."""
        text = show(node)
        if text not in self.tensors:
            return self.literal(node.parameter[0])
        return self.read(text).to(self.like.dtype)

    def literal(self, value: float) -> Tensor:
        if abs(value) > _LARGEST_LITERAL:
            scale = math.copysign(_LARGEST_LITERAL, value)
            return self.literal(scale) * (value / scale)
        if isinstance(self.like, torch.fx.Proxy):
            return self.like.new_full((), value)
        # Created on the device: a CUDA graph cannot capture a copy from the host.
        return torch.full((), value, dtype=self.like.dtype, device=self.like.device)


def _apply(expr: Expr, context: _Context) -> Tensor:
    """Evaluate an expression, with one operation for each distinct subexpression."""

    def arguments(node: Expr) -> tuple[Expr, ...]:
        if node.op == "where":
            return node.args[:1]
        if node.op in STATISTICS and context.mask is not None:
            return ()
        return node.args

    def visit(node: Expr, args: Sequence[Tensor]) -> Tensor:
        if node.op == VAR:
            return context.read(str(node.value))
        if node.op == CONST:
            return context.literal(node.number)
        if node.op == PARAM:
            return context.parameter(node)
        if node.op in STATISTICS:
            arg = args[0] if args else _apply(node.args[0], context.reduced())
            if context.axes is not None:
                arg = arg.expand_as(context.like)
            return STATISTICS[node.op](arg, context.axes)
        if node.op == "where":
            return _choose(args[0], node.args[1], node.args[2], context)
        return table[node.op](*args)

    is_proxy = isinstance(context.like, torch.fx.Proxy)
    table = _COMPLEX if not is_proxy and context.like.is_complex() else TORCH
    return fold(expr, visit, arguments)


def _choose(condition: Tensor, yes: Expr, no: Expr, context: _Context) -> Tensor:
    """Evaluate ``where`` without a gradient through the other branch."""
    values = []
    # A trace recorded without gradients may be trained later.
    differentiable = torch.is_grad_enabled() or is_jit_tracing()
    for branch, is_first in ((yes, True), (no, False)):
        inner = context
        # Forward-mode derivatives need no mask, because ``where`` also selects tangents.
        if differentiable and _needs_mask(branch):
            inner = context.within(condition if is_first else ~condition)
        values.append(_apply(branch, inner))
    return TORCH["where"](condition, *values)


def widen(x: Tensor) -> Tensor:
    """Convert a tensor to the dtype of the computation.

    Args:
        x: A real tensor. float32 and float64 stay. Shorter floating dtypes become float32. Integers
            and bools become the default floating dtype, but at least float32.

    Raises:
        DtypeError: The tensor is complex.
    """
    if x.dtype == torch.float32 or x.dtype == torch.float64:
        return x
    if x.is_complex():
        raise DtypeError(f"expected a real tensor, got {x.dtype}; pass x.real or x.abs()")
    if x.is_floating_point() or torch.get_default_dtype() != torch.float64:
        return x.to(torch.float32)
    return x.to(torch.float64)


def narrow(value: Tensor, x: Tensor) -> Tensor:
    """Convert a result to the shape and dtype of the input, the default dtype for integers."""
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    # A constant or a statistic of the whole tensor has one element. A trace must not compare
    # shapes, because it may run with other shapes.
    # An output that is the input itself makes an invalid ONNX model.
    has_shape = not is_jit_tracing() and value is not x and value.shape == x.shape
    return (value if has_shape else value.expand_as(x)).to(dtype)


# torch.fx records these as calls, because they depend on the dtype of the input.
torch.fx.wrap("widen")
torch.fx.wrap("narrow")


def lower(
    expr: Expr,
    x: Tensor,
    axes: Axes = None,
    bound: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Apply an expression to a tensor. The computation is in float32 or float64.

    Args:
        expr: An expression of the variable x and of the variables in ``bound``.
        x: A real tensor of any shape.
        axes: The axes that batch statistics reduce; None for all axes.
        bound: Tensors for other variables by name, and for trained parameters by their text, such
            as ``"param(1)"``. They broadcast to the shape of x. Other parameters have their initial
            values.

    Returns:
        A tensor with the shape, dtype and device of x. The dtype is the default one for integers.

    Raises:
        DtypeError: A tensor is complex.
        ValueError: A variable has no tensor.

    Example:
        >>> import torch
        >>> from symact import parse
        >>> lower(parse("where(x > 0, x, 0.1*x)"), torch.tensor([-10.0, 2.0]))
        tensor([-1.,  2.])
    """
    wide = widen(x)
    tensors = {"x": wide}
    for name, tensor in (bound or {}).items():
        tensors[name] = widen(tensor)
    return narrow(_apply(expr, _Context(tensors, wide, axes)), x)


def lower_in_dtype(
    expr: Expr, x: Tensor, axes: Axes = None, bound: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Apply an expression to a tensor and compute in the dtype of the tensor.

    Args:
        expr: An expression of the variable x and of the variables in ``bound``. For a complex
            tensor, all its primitives must be complex differentiable.
        x: A float32, float64 or complex tensor of any shape.
        axes: The axes that batch statistics reduce; None for all axes.
        bound: Tensors for other variables, such as parameters. They broadcast to the shape of x.

    Returns:
        A tensor with the shape, dtype and device of x.
    """
    return _apply(expr, _Context({"x": x, **(bound or {})}, x, axes)).expand_as(x)


def lower_inputs(
    expr: Expr,
    inputs: Sequence[str],
    tensors: Sequence[Tensor],
    bound: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Apply an expression of several variables to tensors.

    Args:
        expr: An expression of the variables ``inputs``.
        inputs: The names of the variables.
        tensors: One real tensor for each variable. The tensors must broadcast. Batch statistics are
            over all points.
        bound: Values of trained parameters by their text. Others have their initial values.

    Returns:
        A tensor of the broadcast shape and the common dtype.

    Raises:
        DtypeError: A tensor is complex.
    """
    common = tensors[0].dtype
    for tensor in tensors[1:]:
        common = torch.promote_types(common, tensor.dtype)
    typed = (tensor.to(common) for tensor in tensors)
    full = torch.broadcast_tensors(*typed)  # type: ignore[no-untyped-call]
    wide = [widen(tensor) for tensor in full]
    context = _Context({**dict(zip(inputs, wide, strict=True)), **(bound or {})}, wide[0], None)
    return narrow(_apply(expr, context), full[0])
