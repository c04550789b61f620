"""Train many residual networks as one stack with torch and autograd.

Arrays have the shape ``[network, unit, point]``. Networks share no parameters, so a diverging
network does not affect others. The path is for functions of batch statistics, for modules with
their own parameters, and for CUDA. Pointwise functions train faster on the CPU with
:mod:`symact.evaluation.training.numba_residual`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from symact.evaluation.function import Trainable
from symact.evaluation.training.stack import CHECKED_EVERY, Span, lowered


class ResidualStack:
    """A stack of residual networks of the same size.

    Args:
        spans: The candidates, in the order of their networks. A module must be the only one.
        weights: Weights [network, out, in] and biases [network, out, 1] of each layer, float32: the
            layer of the inputs, two for each block, the layer of the outputs.
        device: Device to train on.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        weights: Sequence[tuple[Tensor, Tensor]],
        device: torch.device,
    ) -> None:
        tensors = [tensor for pair in weights for tensor in pair]
        self._shapes = [tensor.shape for tensor in tensors]
        self._sizes = [tensor.numel() for tensor in tensors]
        # One flat vector, so the optimiser needs one call.
        self._flat = nn.Parameter(torch.cat([t.reshape(-1) for t in tensors]).to(device))
        self._functions = _functions(spans, len(weights[0][0]), len(weights) // 2 - 1, device)

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        rates: NDArray[np.float64],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train by full-batch Adam; arguments as :meth:`.stack.Stack.fit`."""
        own = {p: None for function in self._functions for p in function.parameters()}
        optimiser = torch.optim.Adam([self._flat, *own])
        for function in self._functions:
            function.train()
        losses = torch.zeros(1)
        for step, rate in enumerate(rates):
            if stop() or (step % CHECKED_EVERY == 1 and not losses.isfinite().any()):
                return
            optimiser.zero_grad()
            losses = (self._forward(x) - y).square().mean(dim=(1, 2))
            losses.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.step()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Return outputs [network, output, point] for inputs x [network, input, point]."""
        for function in self._functions:
            function.eval()
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        parts = [
            part.view(shape)
            for part, shape in zip(torch.split(self._flat, self._sizes), self._shapes, strict=True)
        ]
        first, *hidden, last = zip(parts[::2], parts[1::2], strict=True)
        h = _affine(first, x)
        for function, inner, outer in zip(self._functions, hidden[::2], hidden[1::2], strict=True):
            h = h + _affine(outer, function(_affine(inner, _normalised(h))))
        return _affine(last, h)


def _affine(layer: tuple[Tensor, Tensor], h: Tensor) -> Tensor:
    weights, biases = layer
    return torch.baddbmm(biases, weights, h)


def _normalised(h: Tensor) -> Tensor:
    """Return the layer normalisation over the units of h [network, unit, point]."""
    turned = h.transpose(1, 2)
    return nn.functional.layer_norm(turned, turned.shape[-1:]).transpose(1, 2)


class _Lowered(nn.Module):
    """The expressions of a stack, each applied to its networks."""

    def __init__(self, spans: Sequence[Span]) -> None:
        super().__init__()
        self._spans = spans

    def forward(self, z: Tensor) -> Tensor:
        return lowered(self._spans, z)


def _functions(
    spans: Sequence[Span], networks: int, blocks: int, device: torch.device
) -> list[nn.Module]:
    """Return the function of each block."""
    function = spans[0].expr
    if isinstance(function, Trainable):
        assert len(spans) == 1, "a module must be the only function of its stack"
        return [function.build(networks, block).to(device) for block in range(blocks)]
    return [_Lowered(spans)] * blocks
