"""The torch lowering: a table of tensor functions, a fold, and a module to drop into a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from symact.backends.torch_fused import stream
from symact.backends.torch_rules import by_rule
from symact.expr import Expr, fold, show, uses_statistics
from symact.expr.primitives import CONST, PRIMITIVES, VAR


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
TORCH |= {
    name: by_rule(row)
    for name, row in PRIMITIVES.items()
    if name not in TORCH and not row.statistic
}

STATISTICS: dict[str, Callable[[Tensor, tuple[int, ...]], Tensor]] = {
    "mean": lambda a, axes: a.mean(dim=axes, keepdim=True),
    "std": lambda a, axes: a.std(dim=axes, keepdim=True, correction=0),
}


def lower(
    expr: Expr,
    x: Tensor,
    axes: tuple[int, ...] | None = None,
    bound: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Apply an expression to a tensor.

    Args:
        expr: An expression of the variable x.
        x: A floating tensor of any shape.
        axes: The axes that batch statistics reduce; None for all of them.
        bound: Tensors for other variables, such as parameters; they broadcast with x.

    Returns:
        A tensor of x's shape, dtype and device.

    Raises:
        ValueError: The expression has a variable without a tensor.
    """
    reduced = tuple(range(x.dim())) if axes is None else axes

    tensors = {"x": x, **(bound or {})}

    def visit(node: Expr, args: Sequence[Tensor]) -> Tensor:
        if node.op == VAR:
            if node.value not in tensors:
                names = ", ".join(tensors)
                raise ValueError(f"no tensor is given for '{node.value}', only for {names}")
            return tensors[str(node.value)]
        if node.op == CONST:
            # Made where it is used: a copy from the host may not be captured in a CUDA graph.
            return torch.full((), node.number, dtype=x.dtype, device=x.device)
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
    def forward(x: Tensor, expr: Expr) -> Tensor:
        return _streamed(expr, x, None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Expr], output: Tensor) -> None:
        x, ctx.expr = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return _StreamedProduct.apply(x, gradient, ctx.expr), None  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, None], x: Tensor, expr: Expr) -> Any:
        return _Streamed.apply(x, expr), in_dims[0]  # type: ignore[no-untyped-call]


class _StreamedProduct(torch.autograd.Function):
    """The backward pass as a function of its own, which transforms of functions ask for."""

    @staticmethod
    def forward(x: Tensor, gradient: Tensor, expr: Expr) -> Tensor:
        return _streamed(expr, x, gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Expr], output: Tensor) -> None:
        """Keep nothing: there is no second derivative."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        raise RuntimeError(
            "a compiled activation differentiates once; to_torch() without compile=True does more"
        )


def _streamed(expr: Expr, x: Tensor, gradient: Tensor | None) -> Tensor:
    # What the kernels do not read as it is, float16, is widened for the time of a pass.
    wide = x.dtype if x.dtype in _STREAMED else torch.float32
    own = x.to(wide).contiguous()
    out = torch.empty_like(own)
    factor = None if gradient is None else _bits(gradient.to(wide).contiguous())
    stream(expr, _bits(own), factor, _bits(out), torch.get_num_threads())
    return out.to(x.dtype)


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
        if torch.compiler.is_compiling():
            # The whole model is being compiled, and that compiler fuses better than a part can.
            return in_single(self.expr, x)
        if x.device.type != "cpu":
            if self._compiled is None:
                self._compiled = torch.compile(partial(in_single, self.expr), dynamic=True)
            return self._compiled(x)
        own = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        result: Tensor = _Streamed.apply(own, self.expr)  # type: ignore[no-untyped-call]
        return result

    def __getstate__(self) -> dict[str, Any]:
        # What torch.compile returned belongs to this process; it is made anew where needed.
        return {**self.__dict__, "_compiled": None}

    def extra_repr(self) -> str:
        return self.formula
