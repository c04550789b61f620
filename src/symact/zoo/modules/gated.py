"""Functions of a value and a gate."""

from __future__ import annotations

import torch
from torch import Tensor

from symact.zoo.catalogue import Known
from symact.zoo.modules.base import KnownModule, halves


class SmoothAnd(KnownModule):
    """mAND: the root of the product where both inputs are positive, else 0.

    Args:
        known: The entry.
        dim: The feature axis, which is halved where there is one tensor.
    """

    def __init__(self, known: Known, dim: int) -> None:
        super().__init__(known)
        self._dim = dim

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        x, g = halves(x, self._dim) if gate is None else (x, gate)
        both = (x > 0) & (g > 0)
        # The root of 0 has an infinite slope; where() would multiply it by 0.
        product = torch.where(both, x * g, torch.ones_like(x))
        return torch.where(both, product.sqrt(), torch.zeros_like(x))
