"""The base class of the modules of the zoo: dtypes, text, and tracing by ``torch.fx``.

A subclass implements :meth:`KnownModule.compute` for float32, float64 and complex tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from symact.backends.torch import TrainedParameters, bound_of, lower_in_dtype
from symact.errors import ZooError
from symact.expr import Expr, distinct, parameters, show
from symact.expr.primitives import CONST, PARAM, VAR
from symact.zoo.catalogue import Known

#: Primitives that are complex differentiable; an expression of others has no complex meaning.
_ANALYTIC = frozenset(
    {VAR, CONST, PARAM, "add", "sub", "mul", "div", "neg", "square", "cube", "sqrt", "exp", "log"}
    | {"sin", "cos", "tanh", "sigmoid", "silu", "gaussian", "atan", "asinh"}
)


class KnownModule(nn.Module):
    """A function as a module.

    A module computes in float32 or better and returns the type of its input. Integers and bools
    become the default floating type. Complex tensors are refused unless the function has a complex
    meaning.

    Attributes:
        known: The entry of the zoo; None for other functions.
    """

    def __init__(self, known: Known | None = None) -> None:
        super().__init__()
        self.known = known

    @property
    def is_complex(self) -> bool:
        """Whether the function is defined for complex numbers."""
        return False

    @property
    def name(self) -> str:
        """The name in the zoo, or else the name of the class."""
        return type(self).__name__ if self.known is None else self.known.name

    @property
    def formula(self) -> str:
        """The formula, or else a description."""
        return "" if self.known is None else self.known.text

    @property
    def itself(self) -> KnownModule:
        """The module under a name that a graph of ``torch.fx`` can call."""
        return self

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """Apply the function to tensors of float32, float64 or a complex type."""
        raise NotImplementedError

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """Apply the function.

        Args:
            x: Any shape and number type, on any device.
            gate: The second input of a gated function, of the same shape. None to halve ``x``
                along the feature axis. Other functions have no gate.

        Returns:
            A tensor of the type of ``x``; of the default floating type for integers.

        Raises:
            ZooError: Complex numbers, for a function that has no complex meaning; or a gate, for
                one that has none.
        """
        if isinstance(x, fx.Proxy):
            return self._as_leaf(x, gate)
        if gate is None:
            result = self.compute(self._widened(x))
        elif self.known is not None and self.known.kind == "gated":
            result = self.compute(self._widened(x), self._widened(gate))
        else:
            raise ZooError(f"'{self.name}' takes one input and no gate")
        return result if x.is_complex() else result.to(_floating(x))

    def extra_repr(self) -> str:
        return f"{self.name}: {self.formula}" if self.formula else self.name

    def _widened(self, x: Tensor) -> Tensor:
        if x.is_complex():
            if not self.is_complex:
                raise ZooError(
                    f"'{self.name}' has no meaning for complex numbers; apply it to real and "
                    "imaginary parts"
                )
            return x if x.dtype in (torch.complex64, torch.complex128) else x.to(torch.complex64)
        wide = _floating(x)
        return x.to(wide if wide in (torch.float32, torch.float64) else torch.float32)

    def _as_leaf(self, *inputs: Any) -> Any:
        """Record this module in a graph of ``torch.fx`` as one call, like the modules of torch."""
        tracer = inputs[0].tracer
        path = "itself" if tracer.root is self else tracer.path_of_module(self)
        return tracer.create_proxy("call_module", path, inputs, {})


def _floating(x: Tensor) -> torch.dtype:
    return x.dtype if x.is_floating_point() else torch.get_default_dtype()


class Pointwise(KnownModule):
    """An expression of x. Its trained parameters are parameters of the module.

    Args:
        expr: The expression.
        known: The entry of the zoo; None for other functions.
        axes: The axes that a statistic of the whole tensor is taken over; None for all.
        shape: The shape of each parameter.
    """

    def __init__(
        self,
        expr: Expr,
        known: Known | None = None,
        axes: tuple[int, ...] | None = None,
        shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__(known)
        self.expr, self._axes = expr, axes
        if parameters(expr):
            self.trained = TrainedParameters(expr, shape)

    @property
    def is_complex(self) -> bool:
        return is_analytic(self.expr)

    @property
    def formula(self) -> str:
        return show(self.expr)

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        return lower_in_dtype(self.expr, x, self._axes, bound_of(self))

    def extra_repr(self) -> str:
        return self.formula if self.known is None else super().extra_repr()


class Numbers(nn.ParameterList):
    """Trained parameters of one shape, printed in one line."""

    def __init__(self, values: Iterable[float], shape: tuple[int, ...]) -> None:
        super().__init__([nn.Parameter(torch.full(shape, float(value))) for value in values])

    def extra_repr(self) -> str:
        return ", ".join(shown(parameter) for parameter in self)


def shown(parameter: Tensor) -> str:
    """Return the text of a scalar parameter, or the shape of another one."""
    if parameter.dim() or parameter.device.type == "meta":
        return f"tensor of shape {tuple(parameter.shape)}"
    return f"{parameter.item():.6g}"


def is_analytic(expr: Expr) -> bool:
    """Whether every primitive of an expression is complex differentiable."""
    return all(node.op in _ANALYTIC for node in distinct(expr))


def halves(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Split the feature axis into values and gates.

    Raises:
        ZooError: An odd number of features.
    """
    if x.shape[dim] % 2:
        raise ZooError(f"a gated function needs an even number of features, got {x.shape[dim]}")
    first, second = x.chunk(2, dim)
    return first, second
