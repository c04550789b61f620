"""What can be judged: an expression, or a module with parameters of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symact.expr import Expr

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Trainable:
    """A function that is more than a formula: trained itself, gated, random, its own gradient.

    Attributes:
        name: What it is called.
        build: ``(networks, seed)`` to a module of pre-activations [network, unit, point] whose
            parameters have the shape [network, 1, 1]; one is made for each hidden layer.
        inputs: Pre-activations that a unit takes. A module of two takes [network, 2 unit, point].
        outputs: Values that a unit gives.
    """

    name: str
    build: Callable[[int, int], torch.nn.Module]
    inputs: int = 1
    outputs: int = 1


#: What can be judged.
Function = Expr | Trainable
