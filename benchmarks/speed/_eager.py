"""What a user would write instead: networks in eager torch, stacked or one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

Activation = Callable[[torch.Tensor], torch.Tensor]


def stacked(
    networks: int,
    inputs: int,
    width: int,
    points: int,
    steps: int,
    activation: Activation,
    depth: int = 2,
    *,
    residual: bool = False,
) -> Callable[[], None]:
    """Return what trains a stack of networks by batched products and autograd.

    Args:
        networks: Their number.
        inputs: Inputs of a network.
        width: Units of a hidden layer.
        points: Training points.
        steps: Steps of Adam.
        activation: The activation function.
        depth: Hidden layers, or blocks of residual networks.
        residual: Whether the networks have blocks with LayerNorm.
    """
    torch.manual_seed(0)
    x, y = torch.randn(networks, inputs, points), torch.randn(networks, 1, points)
    sizes = layers(inputs, width, depth, residual=residual)

    def forward(weights: list[torch.Tensor], biases: list[torch.Tensor]) -> torch.Tensor:
        h = torch.baddbmm(biases[0], weights[0], x)
        if not residual:
            for weight, bias in zip(weights[1:], biases[1:], strict=True):
                h = torch.baddbmm(bias, weight, activation(h))
            return h
        for place in range(1, 2 * depth, 2):
            centred = h - h.mean(1, keepdim=True)
            normed = centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-5)
            inner = activation(torch.baddbmm(biases[place], weights[place], normed))
            h = h + torch.baddbmm(biases[place + 1], weights[place + 1], inner)
        return torch.baddbmm(biases[-1], weights[-1], h)

    def work() -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        weights = [torch.randn(networks, o, i).div_(i**0.5).requires_grad_() for o, i in sizes]
        biases = [torch.zeros(networks, o, 1, requires_grad=True) for o, _ in sizes]
        optimiser = torch.optim.Adam([*weights, *biases], lr=1e-3, fused=True)
        for _ in range(steps):
            optimiser.zero_grad()
            (forward(weights, biases).sub(y).square().sum() / points).backward()
            optimiser.step()

    return work


def layers(inputs: int, width: int, depth: int, *, residual: bool) -> list[tuple[int, int]]:
    """Return outputs and inputs of the matrices of a network."""
    inner = 2 * depth if residual else depth - 1
    return [(width, inputs), *[(width, width)] * inner, (1, width)]


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


def flops(
    networks: int, inputs: int, width: int, points: int, depth: int = 2, *, residual: bool = False
) -> int:
    """Count the operations of the matrix products of a training step.

    A matrix has three products: forward, and those of both gradients. The inputs of a network have
    no gradient.
    """
    first, *others = layers(inputs, width, depth, residual=residual)
    each = 2 * 2 * first[0] * first[1] + sum(3 * 2 * o * i for o, i in others)
    return networks * points * each
