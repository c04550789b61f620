"""Modules around any function: smoothed, summed, with another gradient.

A function is a name of the zoo, a formula, an expression or a module. A learnable function keeps
its parameters and is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from symact.errors import ZooError
from symact.expr import Expr, parameters
from symact.zoo.modules.base import KnownModule, Numbers, Pointwise
from symact.zoo.modules.features import TopK
from symact.zoo.modules.gradients import StepGradient, WithGradient, WithSlope, fit_steps
from symact.zoo.modules.registry import activation

Function = str | Expr | nn.Module


def as_module(function: Function, shape: tuple[int, ...] = ()) -> nn.Module:
    """Return a function of one input as a module.

    Args:
        function: A name, a formula, an expression or a module.
        shape: Of its trained parameters, where the function is a name.

    Raises:
        ZooError: No such function, or one that takes two inputs or changes the width.
    """
    if isinstance(function, nn.Module):
        return function
    made = activation(function, shape=shape)
    known = getattr(made, "known", None)
    if known is not None and known.units != (1, 1):
        raise ZooError(f"'{known.name}' ({known.kind}) is no function of one input")
    return made


def fixed_expr(function: Function, what: str) -> Expr:
    """Return the expression of a function without trained parameters.

    Raises:
        ZooError: Another function; ``what`` says what needs a fixed one.
    """
    made = as_module(function)
    if isinstance(made, Pointwise) and not parameters(made.expr):
        return made.expr
    name = made.name if isinstance(made, KnownModule) else type(made).__name__
    why = "trains parameters" if any(True for _ in made.parameters()) else "has none"
    raise ZooError(f"{what} needs a fixed formula, and '{name}' {why}")


def with_gradient(
    forward: Function, gradient: Function | Callable[[Tensor], Tensor]
) -> WithGradient | WithSlope:
    """Return a module that applies one function and back-propagates through another.

    The parameters of a learnable ``forward`` get their true gradients.

    Args:
        forward: What is applied.
        gradient: The function whose derivative is used; or a callable that is the slope itself.

    Raises:
        ZooError: No such function, or a learnable ``gradient``: its parameters would have no
            effect on the value.

    >>> x = torch.tensor([0.5], requires_grad=True)
    >>> y = with_gradient("sign", "tanh")(x)
    >>> y.backward()
    >>> y.item(), round(x.grad.item(), 4)
    (1.0, 0.7864)
    """
    value = as_module(forward)
    if callable(gradient) and not isinstance(gradient, nn.Module):
        return WithSlope(value, gradient)
    surrogate = as_module(gradient)
    if any(True for _ in surrogate.parameters()):
        raise ZooError(
            f"the gradient of '{getattr(surrogate, 'name', type(surrogate).__name__)}' has trained "
            "parameters, which no value depends on; give a formula with numbers"
        )
    return WithGradient(value, surrogate)


def few_bit(
    function: Function, bits: int = 3, reach: float = 10.0, *, weight: str = "uniform"
) -> StepGradient:
    """Return a function whose derivative is the best step function of ``2**bits`` levels.

    The backward pass keeps ``bits`` bits of each element instead of the input; see
    :func:`symact.zoo.modules.gradients.fit_steps`.

    Args:
        function: A fixed function.
        bits: From 1 to 8.
        reach: The fit is on [-reach, reach].
        weight: ``"uniform"``, as the source, or ``"normal"``.

    Raises:
        ZooError: A learnable function, or a number out of range.

    >>> few_bit("GELU", 2).levels.numel()
    4
    """
    expr = fixed_expr(function, "a few-bit gradient")
    return StepGradient(expr, *fit_steps(expr, bits, reach, weight=weight))


def keep_top(function: Function, k: int, dim: int = -1) -> TopK:
    """Return a module that keeps the k largest features of a function's output.

    Args:
        function: Applied first.
        k: From 1.
        dim: The feature axis.
    """
    return TopK(k, as_module(function), dim)


class Series(KnownModule):
    """A sum of shifted, scaled copies of a function (PanGu-pi, 2023, arXiv 2312.17276).

    Args:
        function: The function; the copies share its parameters.
        scales: Initial factors, trained.
        shifts: Initial shifts, trained; as many.
        shape: Of each parameter, those of a function given by its name included.

    Raises:
        ZooError: No such function, or other numbers of scales and shifts.

    >>> [name for name, _ in Series("PReLU").named_parameters()][-1]
    'function.a'
    """

    def __init__(
        self,
        function: Function,
        scales: Sequence[float] = (1.0, 0.1),
        shifts: Sequence[float] = (0.0, 1.0),
        shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        if not scales or len(scales) != len(shifts):
            raise ZooError(f"got {len(scales)} scales for {len(shifts)} shifts")
        self.scales = Numbers(scales, shape)
        self.shifts = Numbers(shifts, shape)
        self.function = as_module(function, shape)

    @property
    def formula(self) -> str:
        return f"sum of {len(self.scales)} terms scale*f(x + shift)"

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        pairs = zip(self.scales, self.shifts, strict=True)
        parts = [scale.to(x.dtype) * self.function(x + shift.to(x.dtype)) for scale, shift in pairs]
        return torch.stack(parts).sum(0)
