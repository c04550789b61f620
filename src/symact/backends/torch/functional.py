"""Expressions as plain torch operations, which every transform and exporter of torch understands.

Values and derivatives follow the rules of :mod:`symact.backends.numba.kernels`, by which functions
are searched and judged, at kinks and at infinities too. The derivative of ``where`` is that of the
branch taken: an infinite slope in the other branch has no effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symact.backends.torch.rules import by_rule
from symact.errors import DtypeError
from symact.expr import Expr, fold
from symact.expr.primitives import CONST, PRIMITIVES, VAR

#: Beyond this argument silu, gelu and gaussian equal their limits in float32 and float64.
_FAR = 1e3
#: Beyond this argument asinh(a) is log(2 a) in float64.
_ASINH_FAR = 1.1e9
#: The largest literal that float32 holds without overflow, rounded down.
_LARGEST_LITERAL = 3e38


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


def _asinh(a: Tensor) -> Tensor:
    # torch's derivative of asinh overflows; far out asinh is a logarithm.
    beyond = torch.log(a.abs().clamp(min=_ASINH_FAR) / _ASINH_FAR)
    return torch.asinh(a.clamp(-_ASINH_FAR, _ASINH_FAR)) + torch.sign(a) * beyond


def _softsign(a: Tensor) -> Tensor:
    inside = a.clamp(-1e30, 1e30)  # an infinity would become NaN
    return inside / (1 + inside.abs())


def _softplus(a: Tensor) -> Tensor:
    # From 40 on log(1 + e**a) is a in float64. torch's default threshold, 20, is too low for it.
    return torch.nn.functional.softplus(a, threshold=40.0)


def _gaussian(a: Tensor) -> Tensor:
    inside = a.clamp(-_FAR, _FAR)
    return torch.exp(-inside * inside)


def _sign(a: Tensor) -> Tensor:
    # torch.sign maps NaN to 0; a candidate's NaN must stay visible.
    return torch.where(a.isnan(), a, torch.sign(a))


def _gelu(a: Tensor) -> Tensor:
    return torch.where(a > _FAR, a, torch.nn.functional.gelu(a.clamp(-_FAR, _FAR)))


def _silu(a: Tensor) -> Tensor:
    return torch.where(a > _FAR, a, torch.nn.functional.silu(a.clamp(-_FAR, _FAR)))


def _where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


#: The function of each primitive of single elements. Without a row here it is that of the rule.
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

Axes = tuple[int, ...] | None


def _mean(a: Tensor, axes: Axes) -> Tensor:
    return a.mean() if axes is None else a.mean(dim=axes, keepdim=True)


def _std(a: Tensor, axes: Axes) -> Tensor:
    if axes is None:
        return a.std(correction=0)
    return a.std(dim=axes, keepdim=True, correction=0)


#: One row for each statistic; ``axes`` are the axes it reduces, None for all of them.
STATISTICS: dict[str, Callable[[Tensor, Axes], Tensor]] = {"mean": _mean, "std": _std}

#: Primitives whose derivative is bounded and a number for every argument, infinities included.
_BOUNDED_SLOPE = frozenset(
    ("add", "sub", "neg", "abs", "tanh", "atan", "asinh", "erf", "sigmoid", "softplus", "softsign")
) | frozenset(("relu", "gelu", "silu", "gaussian", "sign", "min", "max"))


def _needs_mask(branch: Expr) -> bool:
    """Whether the derivative of a branch of ``where`` may be infinite or NaN somewhere."""

    def visit(node: Expr, args: Sequence[bool]) -> bool:
        scales = node.op == "mul" and any(arg.op == CONST for arg in node.args)
        is_bounded = len(node.args) == 0 or scales or node.op in _BOUNDED_SLOPE
        return any(args) or not is_bounded

    return fold(branch, visit)


@dataclass(frozen=True)
class _Context:
    """The tensors that an expression reads, and which elements its result is used at.

    Attributes:
        tensors: The inputs by name.
        like: A tensor of the result's shape, dtype and device.
        axes: The axes that statistics reduce.
        mask: True where the result is used; None for everywhere.
    """

    tensors: Mapping[str, Tensor]
    like: Tensor
    axes: Axes
    mask: Tensor | None = None

    def within(self, mask: Tensor) -> _Context:
        """Return the context of a branch that is taken where ``mask`` is True."""
        both = mask if self.mask is None else self.mask & mask
        return _Context(self.tensors, self.like, self.axes, both)

    def reduced(self) -> _Context:
        """Return the context of a statistic's argument, used if any element it reduces to is."""
        assert self.mask is not None
        if self.axes is None:
            used = self.mask.any()
        else:
            used = self.mask.expand_as(self.like).any(dim=self.axes, keepdim=True)
        return _Context(self.tensors, self.like, self.axes, used)

    def read(self, name: str) -> Tensor:
        """Return an input. No gradient reaches its elements outside the mask."""
        if name not in self.tensors:
            known = ", ".join(self.tensors)
            raise ValueError(f"no tensor is given for '{name}', only for {known}")
        tensor = self.tensors[name]
        if self.mask is None:
            return tensor
        # The backward pass of ``where`` selects: NaN from the untaken branch ends here.
        return torch.where(self.mask, tensor, tensor.detach())

    def literal(self, value: float) -> Tensor:
        if abs(value) > _LARGEST_LITERAL:
            scale = math.copysign(_LARGEST_LITERAL, value)
            return self.literal(scale) * (value / scale)
        if isinstance(self.like, torch.fx.Proxy):
            return self.like.new_full((), value)
        # Made where it is used: a copy from the host may not be captured in a CUDA graph.
        return torch.full((), value, dtype=self.like.dtype, device=self.like.device)


def _apply(expr: Expr, context: _Context) -> Tensor:
    """Apply an expression to the tensors of a context, one operation for each distinct node."""

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
        if node.op in STATISTICS:
            own = args[0] if args else _apply(node.args[0], context.reduced())
            if context.axes is not None:
                own = own.expand_as(context.like)
            return STATISTICS[node.op](own, context.axes)
        if node.op == "where":
            return _choose(args[0], node.args[1], node.args[2], context)
        return TORCH[node.op](*args)

    return fold(expr, visit, arguments)


def is_jit_tracing() -> bool:
    """Whether ``torch.jit.trace`` or the TorchScript exporter records operations."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _choose(condition: Tensor, yes: Expr, no: Expr, context: _Context) -> Tensor:
    """Apply ``where``, so that no gradient passes through the branch that is not taken."""
    values = []
    # A trace may be recorded without gradients and trained later.
    differentiable = torch.is_grad_enabled() or is_jit_tracing()
    for branch, is_taken in ((yes, True), (no, False)):
        own = context
        # Forward-mode derivatives need no mask: ``where`` selects tangents as it selects values.
        if differentiable and _needs_mask(branch):
            own = context.within(condition if is_taken else ~condition)
        values.append(_apply(branch, own))
    return TORCH["where"](condition, *values)


def widen(x: Tensor) -> Tensor:
    """Return a tensor in the type that expressions are computed in.

    Args:
        x: float32 and float64 stay; shorter floating types become float32; integers and bools
            become the default floating type, float32 at least.

    Raises:
        DtypeError: The tensor is complex.
    """
    if x.dtype == torch.float32 or x.dtype == torch.float64:
        return x
    if x.is_complex():
        raise DtypeError(f"an activation takes real numbers, not {x.dtype}; pass x.real or x.abs()")
    if x.is_floating_point() or torch.get_default_dtype() != torch.float64:
        return x.to(torch.float32)
    return x.to(torch.float64)


def narrow(value: Tensor, x: Tensor) -> Tensor:
    """Return a result in the shape of the input and its type, the default one for integers."""
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    # A constant and a statistic of the whole tensor have one element. A trace must not compare
    # shapes: it is run with others.
    has_shape = not is_jit_tracing() and value.shape == x.shape
    return (value if has_shape else value.expand_as(x)).to(dtype)


# torch.fx records these as calls: what they do depends on the type that a model is run with.
torch.fx.wrap("widen")
torch.fx.wrap("narrow")


def lower(
    expr: Expr,
    x: Tensor,
    axes: Axes = None,
    bound: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Apply an expression to a tensor, in float32 at least.

    Args:
        expr: An expression of the variable x and of those in ``bound``.
        x: A real tensor of any shape.
        axes: The axes that batch statistics reduce; None for all of them.
        bound: Tensors for other variables, such as parameters; they broadcast to x's shape.

    Returns:
        A tensor of x's shape, dtype and device; of the default dtype where x holds integers.

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


def lower_inputs(expr: Expr, inputs: Sequence[str], tensors: Sequence[Tensor]) -> Tensor:
    """Apply an expression of several variables to tensors that broadcast against each other.

    Args:
        expr: An expression of the variables ``inputs``.
        inputs: Their names.
        tensors: A real tensor for each; batch statistics are over all points.

    Returns:
        A tensor of the common shape and dtype.

    Raises:
        DtypeError: A tensor is complex.
    """
    common = tensors[0].dtype
    for tensor in tensors[1:]:
        common = torch.promote_types(common, tensor.dtype)
    typed = (tensor.to(common) for tensor in tensors)
    whole = torch.broadcast_tensors(*typed)  # type: ignore[no-untyped-call]
    wide = [widen(tensor) for tensor in whole]
    context = _Context(dict(zip(inputs, wide, strict=True)), wide[0], None)
    return narrow(_apply(expr, context), whole[0])
