"""Initial weights that go with a function."""

from __future__ import annotations

import math

import torch
from torch import nn


def siren_init(layer: nn.Linear, *, first: bool, w0: float = 30.0) -> None:
    """Draw the weights of a layer before ``sin(w0 x)`` (V. Sitzmann et al., 2020, section 3.2).

    Args:
        layer: Its weights are replaced in place, uniformly within 1/fan-in for the first layer and
            sqrt(6/fan-in)/w0 for the others.
        first: Whether the layer reads the network's input.
        w0: The frequency of the sine.
    """
    bound = 1 / layer.in_features if first else math.sqrt(6 / layer.in_features) / w0
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound)
