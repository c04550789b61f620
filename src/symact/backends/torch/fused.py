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

from symact.backends.numba.fused import apply_fused
from symact.backends.torch.functional import lower
from symact.expr import Expr

#: The dtypes that the kernels support. Other dtypes are converted to float32.
_READ_DIRECTLY = (torch.float32, torch.float64, torch.bfloat16)


def can_fuse(*tensors: Tensor) -> bool:
    """Whether the fused kernels support these tensors in the current context."""
    # torch has no public functions for these two checks.
    if torch._C._are_functorch_transforms_active() or _python_dispatch.is_in_torch_dispatch_mode():
        return False
    return all(map(_is_plain, tensors))


def _is_plain(x: Tensor) -> bool:
    if type(x) not in (Tensor, torch.nn.Parameter):
        return False
    # torch has no public function for this check. ``is_grads_batched`` creates such tensors.
    if torch._C._functorch.is_legacy_batchedtensor(x):
        return False
    is_dense = x.device.type == "cpu" and x.layout == torch.strided and not x.is_neg()
    dual = forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]
    return is_dense and dual.tangent is None


class Fused(torch.autograd.Function):
    """Applies an expression of one variable to a floating tensor that :func:`can_fuse`."""

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
        if torch.is_grad_enabled() or not can_fuse(x, gradient):
            return _plain_gradient(ctx.expr, x, gradient), None
        return _pass(ctx.expr, x, gradient), None


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
    wide = x.dtype if x.dtype in _READ_DIRECTLY else torch.float32
    source = x.detach().to(wide).contiguous()
    out = torch.empty_like(source)
    factor = None if gradient is None else _flat(gradient.detach().to(wide).contiguous())
    apply_fused(expr, _flat(source), factor, _flat(out), torch.get_num_threads())
    return out.to(x.dtype)


def _flat(tensor: Tensor) -> Any:
    """View a contiguous tensor as a flat array. bfloat16 is viewed as int16."""
    flat = tensor.reshape(-1)
    return (flat.view(torch.int16) if flat.dtype == torch.bfloat16 else flat).numpy()
