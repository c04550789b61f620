"""What a user would write instead: networks in eager torch, stacked or one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

Activation = Callable[[torch.Tensor], torch.Tensor]


def stacked(
    networks: int, inputs: int, width: int, points: int, steps: int, activation: Activation
) -> Callable[[], None]:
    """Return what trains a stack of two-layer networks by batched products and autograd."""
    torch.manual_seed(0)
    x, y = torch.randn(networks, inputs, points), torch.randn(networks, 1, points)
    sizes = [(width, inputs), (width, width), (1, width)]

    def work() -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        weights = [torch.randn(networks, o, i).div_(i**0.5).requires_grad_() for o, i in sizes]
        biases = [torch.zeros(networks, o, 1, requires_grad=True) for o, _ in sizes]
        optimiser = torch.optim.Adam([*weights, *biases], lr=1e-3, fused=True)
        for _ in range(steps):
            optimiser.zero_grad()
            h = activation(torch.baddbmm(biases[0], weights[0], x))
            h = activation(torch.baddbmm(biases[1], weights[1], h))
            residual = torch.baddbmm(biases[2], weights[2], h) - y
            (residual.square().sum() / points).backward()
            optimiser.step()

    return work


class _Function(torch.nn.Module):
    def __init__(self, function: Activation) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def single(
    inputs: int, width: int, points: int, steps: int, activation: Activation, threads: int
) -> Callable[[], None]:
    """Return what trains one network as a tutorial does."""
    torch.manual_seed(0)
    x, y = torch.randn(points, inputs), torch.randn(points, 1)

    def work() -> None:
        torch.set_num_threads(threads)
        model = torch.nn.Sequential(
            torch.nn.Linear(inputs, width),
            _Function(activation),
            torch.nn.Linear(width, width),
            _Function(activation),
            torch.nn.Linear(width, 1),
        )
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(steps):
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimiser.step()

    return work


def products(networks: int, inputs: int, width: int, points: int) -> Callable[[], None]:
    """Return the matrix products of one training step and nothing else, on one thread."""
    sizes = [(width, inputs), (width, width), (1, width)]
    weights = [torch.randn(networks, o, i) for o, i in sizes]
    values = [torch.randn(networks, i, points) for _, i in sizes]
    sums = [torch.randn(networks, o, points) for o, _ in sizes]
    gradients = [torch.empty_like(w) for w in weights]
    pulled = [torch.empty_like(v) for v in values]

    def work() -> None:
        torch.set_num_threads(1)
        for depth, own in enumerate(weights):
            torch.bmm(own, values[depth], out=sums[depth])
            torch.bmm(sums[depth], values[depth].transpose(1, 2), out=gradients[depth])
            if depth:
                torch.bmm(own.transpose(1, 2), sums[depth], out=pulled[depth])

    return work


def flops(networks: int, inputs: int, width: int, points: int) -> int:
    """Count the operations of :func:`products`."""
    first, middle, last = 2 * inputs * width, 2 * width * width, 2 * width
    return networks * points * (2 * first + 3 * middle + 3 * last)
