"""Networks that plain autograd trains in float64: the reference of all trainers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from symact.evaluation.training.networks import Data, initial_weights, learning_rates
from symact.tasks.protocol import Training


def forward(x: Tensor, layers: list[tuple[Tensor, Tensor]], training: Training, apply) -> Tensor:
    """Return the outputs [point, output] for inputs [point, input]; the reference."""
    linear = torch.nn.functional.linear
    first, *hidden, last = layers
    if training.residual:
        h = linear(x, *first)
        for block in range(training.depth):
            u = torch.nn.functional.layer_norm(h, h.shape[-1:])
            inner, outer = hidden[2 * block : 2 * block + 2]
            h = h + linear(apply(linear(u, *inner), block), *outer)
        return linear(h, *last)
    h = apply(linear(x, *first), 0)
    for index, layer in enumerate(hidden):
        h = apply(linear(h, *layer), 1 + index)
    return linear(h, *last)


def reference(
    data: Data, training: Training, instance: int, seed: int, apply, extra: list[Tensor]
) -> np.ndarray:
    """Return the errors [part] of one network that plain autograd trains in float64.

    ``apply`` is a function of pre-activations and the index of a layer or block, with the
    parameters ``extra``.
    """
    drawn = initial_weights(data, training, [seed], 5)
    inputs = data.inputs[instance]
    layers = [
        (torch.tensor(w[instance, 0]).double(), torch.tensor(b[instance, 0]).double())
        for w, b in drawn
    ]
    layers[0] = (layers[0][0][:, :inputs].clone(), layers[0][1])
    parameters = [t.requires_grad_() for t in (*(t for pair in layers for t in pair), *extra)]
    optimiser = torch.optim.Adam(parameters)

    def loss(x: np.ndarray, y: np.ndarray) -> Tensor:
        given, wanted = torch.tensor(x[:inputs].T).double(), torch.tensor(y.T).double()
        return (forward(given, layers, training, apply) - wanted).square().mean()

    for rate in learning_rates(training):
        optimiser.param_groups[0]["lr"] = float(rate)
        optimiser.zero_grad()
        loss(data.x[instance], data.y[instance]).backward()
        optimiser.step()
    judged = zip(data.x_judged[instance], data.y_judged[instance], strict=True)
    return np.array([loss(x, y).item() for x, y in judged]) / data.variance[instance]
