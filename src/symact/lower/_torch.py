"""The torch lowering: a table of tensor functions, a fold, and a module to drop into a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from symact.expr import Expr, fold, show, uses_statistics
from symact.lower._stream import stream
from symact.ops import CONST, VAR


def _sinc(a: Tensor) -> Tensor:
    """sin(pi a)/(pi a) with a series near 0: torch.sinc's own second derivative is NaN there."""
    z = math.pi * a
    near = z.abs() < 0.3
    u = torch.where(near, z, 0.0) ** 2
    series = 1 - u * (
        1 / 6 - u * (1 / 120 - u * (1 / 5040 - u * (1 / 362880 - u * (1 / 39916800))))
    )
    far = torch.where(near, torch.ones_like(z), z)
    quotient = torch.where(far.isinf(), torch.zeros_like(far), torch.sin(far) / far)
    return torch.where(near, series, quotient)


def _asinh(a: Tensor) -> Tensor:
    return torch.asinh(a)


def _softsign(a: Tensor) -> Tensor:
    return torch.nn.functional.softsign(a)


def _softplus(a: Tensor) -> Tensor:
    return torch.logaddexp(a, torch.zeros_like(a))


def _gaussian(a: Tensor) -> Tensor:
    return torch.exp(-a * a)


def _sign(a: Tensor) -> Tensor:
    # torch.sign maps NaN to 0; a candidate's NaN must stay visible.
    return torch.where(a.isnan(), a, torch.sign(a))


def _where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


#: One row for each primitive; ``mean`` and ``std`` have theirs in :func:`lower`.
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
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
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

STATISTICS: dict[str, Callable[[Tensor, tuple[int, ...]], Tensor]] = {
    "mean": lambda a, axes: a.mean(dim=axes, keepdim=True),
    "std": lambda a, axes: a.std(dim=axes, keepdim=True, correction=0),
}


def lower(expr: Expr, x: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
    """Apply an expression to a tensor.

    Args:
        expr: An expression of the variable x.
        x: A floating tensor of any shape.
        axes: The axes that batch statistics reduce; None for all of them.

    Returns:
        A tensor of x's shape, dtype and device.
    """
    reduced = tuple(range(x.dim())) if axes is None else axes

    def visit(node: Expr, args: Sequence[Tensor]) -> Tensor:
        if node.op == VAR:
            return x
        if node.op == CONST:
            return torch.tensor(node.number, dtype=x.dtype, device=x.device)
        if node.op in STATISTICS:
            return STATISTICS[node.op](args[0], reduced)
        return TORCH[node.op](*args)

    return fold(expr, visit).expand_as(x)


def in_single(expr: Expr, x: Tensor) -> Tensor:
    """Apply an expression in float32 at least and return x's dtype.

    A compiler fuses the casts; computing in half precision would round every step.
    """
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    return lower(expr, wide).to(x.dtype)


class _Streamed(torch.autograd.Function):
    """On the CPU: one pass forward and one backward, which keep nothing but the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, expr: Expr) -> Tensor:
        own = x.contiguous()
        ctx.save_for_backward(own)
        ctx.expr = expr
        return _streamed(expr, own, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return _streamed(ctx.expr, x, gradient.contiguous()), None


def _streamed(expr: Expr, x: Tensor, gradient: Tensor | None) -> Tensor:
    out = torch.empty_like(x)
    own = None if gradient is None else _bits(gradient)
    stream(expr, _bits(x), own, _bits(out), torch.get_num_threads())
    return out


def _bits(tensor: Tensor) -> Any:
    """View a contiguous tensor as a flat array; bfloat16, which NumPy lacks, by its bits."""
    flat = tensor.detach().reshape(-1)
    return (flat.view(torch.int16) if flat.dtype == torch.bfloat16 else flat).numpy()


#: What the streaming kernels read as it is; other types go through float32.
_STREAMED = (torch.float32, torch.float64, torch.bfloat16)


class Activation(torch.nn.Module):
    """A found function as a module; its text is :attr:`formula`.

    Args:
        expr: A function of x.
        compile: Whether to run it as one fused kernel forward and one backward, which keep only
            the input for the backward pass. On the CPU symact's own kernels do that, without a
            compiler; on other devices ``torch.compile`` does, at the first call. They
            differentiate once. Functions of batch statistics are not fused.
    """

    def __init__(self, expr: Expr, compile: bool = False) -> None:
        super().__init__()
        self.expr = expr
        self.formula = show(expr)
        self.fused = compile and not uses_statistics(expr)
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Apply elementwise (batch statistics, if any, are over the whole tensor)."""
        if not self.fused:
            return lower(self.expr, x)
        if x.device.type != "cpu":
            if self._compiled is None:
                self._compiled = torch.compile(partial(in_single, self.expr), dynamic=True)
            return self._compiled(x)
        own = x if x.dtype in _STREAMED else x.float()
        result: Tensor = _Streamed.apply(own, self.expr)  # type: ignore[no-untyped-call]
        return result.to(x.dtype)

    def __getstate__(self) -> dict[str, Any]:
        # What torch.compile returned belongs to this process; it is made anew where needed.
        return {**self.__dict__, "_compiled": None}

    def extra_repr(self) -> str:
        return self.formula
