"""Fused forward and backward passes of an expression on the CPU.

Each pass is one compiled loop over the tensor. Only the input is saved for the backward pass. The
kernels do not support tracing, export, function transforms, tensor subclasses and second
derivatives. :func:`can_fuse` detects these cases; plain torch operations are then used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils import _python_dispatch

from symact.backends.numba.fused import STEP, apply_fused
from symact.backends.torch.functional import lower
from symact.expr import Expr

#: The dtypes that the kernels support. Other dtypes are converted to float32.
_READ_DIRECTLY = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
}


def can_fuse(x: Tensor) -> bool:
    """Whether the fused kernels support this tensor in the current context."""
    # torch has no public functions for most of these checks. ``is_grads_batched`` creates legacy
    # batched tensors.
    return (
        type(x) in (Tensor, torch.nn.Parameter)
        and x.is_cpu
        and x.layout is torch.strided
        and not x.is_neg()
        and not torch._C._are_functorch_transforms_active()
        and not _python_dispatch.is_in_torch_dispatch_mode()
        and not torch._C._functorch.is_legacy_batchedtensor(x)
        and (forward_ad._current_level < 0 or not _has_tangent(x))
    )


def _has_tangent(x: Tensor) -> bool:
    dual = forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]
    return dual.tangent is not None


def apply(expr: Expr, x: Tensor) -> Tensor:
    """Apply an expression of one variable to a floating tensor that :func:`can_fuse`."""
    if x.requires_grad and torch.is_grad_enabled():
        return _apply(x, expr)  # type: ignore[no-any-return, no-untyped-call]
    return _pass(expr, x, None)


class _Fused(torch.autograd.Function):
    """The two passes as a function that autograd differentiates."""

    # ``setup_context`` is not used: with it, torch inspects signatures at each call, which takes as
    # long as the computation on a small tensor. Function transforms would need it, but they use
    # plain operations.
    @staticmethod
    def forward(ctx: Any, x: Tensor, expr: Expr) -> Tensor:
        ctx.expr = expr
        ctx.save_for_backward(x)
        return _pass(expr, x, None)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None]:
        (x,) = ctx.saved_tensors
        # The input was checked in the forward pass.
        if torch.is_grad_enabled() or not can_fuse(gradient):
            return _plain_gradient(ctx.expr, x, gradient), None
        return _pass(ctx.expr, x, gradient), None


#: ``_Fused.apply`` without its tests for function transforms, which :func:`can_fuse` makes.
_apply = super(torch.autograd.Function, _Fused).apply


def _plain_gradient(expr: Expr, x: Tensor, gradient: Tensor) -> Tensor | None:
    """Return the gradient by plain operations, which can be differentiated again."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        value = lower(expr, x)
    if not value.requires_grad:  # a constant
        return None
    grads = torch.autograd.grad(value, x, gradient, create_graph=again, allow_unused=True)
    return grads[0]


def _pass(expr: Expr, x: Tensor, gradient: Tensor | None) -> Tensor:
    source = _readable(x)
    factor = source if gradient is None else _readable(gradient)
    if x.numel() < STEP:
        source, factor = _padded(source), _padded(factor)
    out = torch.empty_like(source)
    apply_fused(
        expr,
        _READ_DIRECTLY[source.dtype],
        source.data_ptr(),
        None if gradient is None else factor.data_ptr(),
        out.data_ptr(),
        source.numel(),
        torch.get_num_threads(),
    )
    if out.numel() > x.numel():
        out = out[: x.numel()].clone().reshape(x.shape)
    return out if out.dtype == x.dtype else out.to(x.dtype)


def _padded(x: Tensor) -> Tensor:
    """Return a flat copy that has the smallest size of the kernels."""
    return torch.nn.functional.pad(x.reshape(-1), (0, STEP - x.numel()))


def _readable(x: Tensor) -> Tensor:
    """Return a contiguous tensor of a dtype that the kernels support."""
    return (x if x.dtype in _READ_DIRECTLY else x.to(torch.float32)).contiguous()
