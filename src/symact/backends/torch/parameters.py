"""The trained parameters of an expression as parameters of a module."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from symact.expr import Expr, parameters, show


class TrainedParameters(nn.ParameterList):
    """One ``nn.Parameter`` for each trained parameter of an expression, in their order.

    Args:
        expr: The expression.
        shape: The shape of each parameter. It must broadcast with the input.

    Example:
        >>> from symact import parse
        >>> TrainedParameters(parse("x*sigmoid(param(1)*x)"))
        TrainedParameters(param(1) = 1)
    """

    def __init__(self, expr: Expr, shape: tuple[int, ...] = ()) -> None:
        trained = parameters(expr)
        super().__init__(
            nn.Parameter(torch.full(shape, own.parameter[0], dtype=torch.float32))
            for own in trained
        )
        self._texts = tuple(map(show, trained))

    def bound(self) -> dict[str, Tensor]:
        """Return the parameters by their text, for :func:`.lower`."""
        return dict(zip(self._texts, self, strict=True))

    def extra_repr(self) -> str:
        return ", ".join(
            text if own.dim() or own.device.type == "meta" else f"{text} = {own.item():.6g}"
            for text, own in self.bound().items()
        )


def bound_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the trained parameters that a module has as ``trained``, by their text."""
    trained = module._modules.get("trained")
    return trained.bound() if isinstance(trained, TrainedParameters) else {}


def shortest(parameter: Tensor) -> float:
    """Return the shortest decimal that equals a scalar parameter in its precision."""
    value: float = parameter.item()
    return value if parameter.dtype == torch.float64 else float(str(np.float32(value)))
