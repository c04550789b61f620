"""torch functions of primitives, derived from their rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from symact.expr.primitives import Primitive
from symact.expr.rules import ARGUMENTS, FUNCTIONS, Rule, interpret

#: The functions of the rule language for torch.
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in FUNCTIONS if hasattr(torch, name)},
    "bell": lambda u: torch.exp(-u * u),
    "normal_pdf": lambda u: torch.exp(-0.5 * u * u) / math.sqrt(2 * math.pi),
    "normal_sf": lambda u: torch.special.erfc(u * math.sqrt(0.5)) / 2,
    "select": torch.where,
}


def _compute(rule: Rule, args: tuple[Tensor, ...], output: str) -> Tensor:
    values = dict(zip(ARGUMENTS, args, strict=False))
    found = torch.as_tensor(interpret(rule, _FUNCTIONS, values, output), device=args[0].device)
    return found.to(args[0].dtype)


class _ByRule(torch.autograd.Function):
    """The value of a rule, with the partial derivatives of the rule as its gradient.

    Automatic differentiation of the steps would be wrong at their kinks. Sigmoid is smooth, but its
    rule uses ``abs(a)``.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(rule: Rule, *args: Tensor) -> Tensor:
        return _compute(rule, args, "value")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        args, partials = ctx.saved_tensors, ctx.rule.partials
        return None, *(gradient * _compute(ctx.rule, args, partial) for partial in partials)


def by_rule(primitive: Primitive) -> Callable[..., Tensor]:
    """Return an elementwise primitive as a function of tensors of one dtype.

    The gradient uses the partial derivatives of the rule, as in the other backends. It can be
    differentiated again.
    """

    def apply(*args: Tensor) -> Tensor:
        full = torch.broadcast_tensors(*args)  # type: ignore[no-untyped-call]
        value: Tensor = _ByRule.apply(primitive.rule, *full)  # type: ignore[no-untyped-call]
        return value

    return apply
