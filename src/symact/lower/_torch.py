"""The torch lowering: a table of tensor functions, a fold, and a module to drop into a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from symact.expr import Expr, fold, show
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


class Activation(torch.nn.Module):
    """A found function as a module; its text is :attr:`formula`."""

    def __init__(self, expr: Expr) -> None:
        super().__init__()
        self.expr = expr
        self.formula = show(expr)

    def forward(self, x: Tensor) -> Tensor:
        """Apply elementwise (batch statistics, if any, are over the whole tensor)."""
        return lower(self.expr, x)

    def extra_repr(self) -> str:
        return self.formula
