"""Functions to evaluate: an expression, or a module with its own parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symact.expr import Expr

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Trainable:
    """A function that is not a formula.

    It may have trained parameters, several inputs, random values or its own gradient.

    Attributes:
        name: Name of the function.
        build: Function of ``(networks, seed)`` that returns a module. The module takes
            pre-activations [network, unit, point]. Its parameters have the shape [network, 1, 1].
            Each hidden layer has its own module.
        inputs: Number of pre-activations of a unit. A module with two inputs takes [network, 2
            unit, point].
        outputs: Number of output values of a unit.
    """

    name: str
    build: Callable[[int, int], torch.nn.Module]
    inputs: int = 1
    outputs: int = 1


#: A function that can be evaluated.
Function = Expr | Trainable
