"""Train many networks as one stack of batched matrices in preallocated buffers.

Arrays have the shape ``[network, unit, point]``. Networks share no parameters, so a diverging
network does not affect others. The backward pass is explicit. It uses the stored values and slopes
of the activations. Each layer needs one product, one multiplication and two gradients. A step
allocates no memory, so CUDA can capture it as a graph.

An interpreter evaluates pointwise functions and their derivatives in one pass, with numba on the
CPU and Triton on CUDA. Functions of batch statistics have no pointwise derivative. They use the
torch backend and autograd, as do modules with their own parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from symact.backends.numba import tape
from symact.backends.torch import lower
from symact.evaluation.function import Function, Trainable
from symact.evaluation.training.numba_layers import adam
from symact.expr import Expr

#: Number of steps between two checks whether all networks of a stack have diverged.
CHECKED_EVERY = 50


@dataclass(frozen=True)
class Span:
    """The networks of one candidate in a stack."""

    expr: Function
    first: int
    last: int


def _expr(span: Span) -> Expr:
    assert isinstance(span.expr, Expr)
    return span.expr


def lowered(spans: Sequence[Span], z: Tensor) -> Tensor:
    """Apply each expression to its networks of z [network, unit, point], for autograd.

    Batch statistics of a network are over its own units and points.
    """
    parts = [lower(_expr(span), z[span.first : span.last], axes=(-2, -1)) for span in spans]
    return torch.cat(parts)


class _Fused:
    """The activations of all hidden layers, by the numba interpreter."""

    def __init__(
        self, spans: Sequence[Span], networks: int, width: int, points: int, depth: int
    ) -> None:
        # Each network begins with a new row, so candidates share no row.
        each = -(-width * points // tape.BLOCK)
        self._spans = tape.Spans(
            [(_expr(span), span.first * each, span.last * each) for span in spans],
            (2 * depth + 2) * networks * each,
            np.dtype(np.float32),
        )
        shape, strides = (networks, width, points), (each * tape.BLOCK, points, 1)
        space = torch.from_numpy(self._spans.w)

        def tensor() -> tuple[int, Tensor]:
            row = self._spans.tensor(networks * each)
            return row, space.as_strided(shape, strides, row * tape.BLOCK)

        self._z, self.z = tensor()
        #: Two buffers for alternating gradients. The backward pass does not need z.
        self.room = (self.z, tensor()[1])
        self._values = [tensor() for _ in range(depth)]
        self._slopes = [tensor() for _ in range(depth)]

    def forward(self, layer: int, *, train: bool) -> Tensor:
        """Apply each candidate to its networks in ``z``."""
        row, value = self._values[layer]
        self._spans.apply(self._z, row, self._slopes[layer][0] if train else None)
        return value

    def backward(self, layer: int, gradient: Tensor) -> Tensor:
        """Multiply the gradient of a layer's values by the slopes, in place."""
        return gradient.mul_(self._slopes[layer][1])


class _Interpreted:
    """The activations of all hidden layers on CUDA, by the Triton interpreter."""

    def __init__(
        self,
        spans: Sequence[Span],
        networks: int,
        width: int,
        points: int,
        depth: int,
        device: torch.device,
    ) -> None:
        from symact.backends import triton

        self._apply = triton.apply
        programs = [(tape.to_tape(_expr(span)), span.first, span.last) for span in spans]
        self._programs = triton.Programs(programs, device)
        self.z = torch.empty(networks, width, points, device=device)
        self.room = (self.z, torch.empty_like(self.z))
        self._values = [torch.empty_like(self.z) for _ in range(depth)]
        self._slopes = [torch.empty_like(self.z) for _ in range(depth)]

    def forward(self, layer: int, *, train: bool) -> Tensor:
        slope = self._slopes[layer] if train else None
        self._apply(self._programs, self.z, self._values[layer], slope)
        return self._values[layer]

    def backward(self, layer: int, gradient: Tensor) -> Tensor:
        return gradient.mul_(self._slopes[layer])


class _Differentiated:
    """The activations of all hidden layers by torch and autograd, with batch statistics."""

    def __init__(
        self,
        spans: Sequence[Span],
        networks: int,
        width: int,
        points: int,
        depth: int,
        device: torch.device,
    ) -> None:
        self._all = spans
        self.z = torch.empty(networks, width, points, device=device)
        self.room = (self.z, torch.empty_like(self.z))
        self._pairs: list[tuple[Tensor, Tensor] | None] = [None] * depth

    def forward(self, layer: int, *, train: bool) -> Tensor:
        with torch.enable_grad():
            # A copy, because autograd needs z and the next layer overwrites it.
            z = self.z.clone().requires_grad_(train)
            value = lowered(self._all, z)
        self._pairs[layer] = (z, value) if train else None
        return value.detach()

    def backward(self, layer: int, gradient: Tensor) -> Tensor:
        pair = self._pairs[layer]
        assert pair is not None
        z, value = pair
        if not value.requires_grad:  # constants
            return gradient.zero_()
        (own,) = torch.autograd.grad(value, z, gradient, allow_unused=True)
        return gradient.zero_() if own is None else own


class _Modules:
    """The activations by modules with their own parameters, one for each layer, and autograd."""

    def __init__(
        self,
        function: Trainable,
        networks: int,
        units: int,
        points: int,
        depth: int,
        device: torch.device,
    ) -> None:
        self._layers = [function.build(networks, layer).to(device) for layer in range(depth)]
        #: Layers may share a module. Its gradient is then the sum over these layers.
        self.parameters = list(
            dict.fromkeys(p for module in self._layers for p in module.parameters())
        )
        self._shape = (networks, units * function.outputs // function.inputs)
        self._units, self._device = units, device
        self.resize(points)

    def resize(self, points: int) -> None:
        """Allocate buffers for another number of points. Parameters stay."""
        networks = self._shape[0]
        self.z = torch.empty(networks, self._units, points, device=self._device)
        room = torch.empty(*self._shape, points, device=self._device)
        self.room = (room, torch.empty_like(room))
        self._pairs: list[tuple[Tensor, Tensor] | None] = [None] * len(self._layers)

    def forward(self, layer: int, *, train: bool) -> Tensor:
        with torch.enable_grad():
            z = self.z.clone().requires_grad_(train)
            value = self._layers[layer].train(train)(z)
        self._pairs[layer] = (z, value) if train else None
        return value.detach()  # type: ignore[no-any-return]

    def backward(self, layer: int, gradient: Tensor) -> Tensor:
        pair = self._pairs[layer]
        assert pair is not None
        z, value = pair
        own = list(self._layers[layer].parameters())
        if not value.requires_grad:
            return torch.zeros_like(z)
        found = torch.autograd.grad(value, [z, *own], gradient, allow_unused=True)
        for parameter, slope in zip(own, found[1:], strict=True):
            if slope is not None:
                parameter.grad = slope if parameter.grad is None else parameter.grad + slope
        return torch.zeros_like(z) if found[0] is None else found[0]


class Stack:
    """A stack of networks: the weights and biases of each layer, their gradients and the optimiser.

    Args:
        spans: The candidates, in the order of their networks.
        weights: Weights [network, out, in] and biases [network, out, 1] of each layer, float32.
        points: Number of points of the training set.
        device: Device to train on.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        weights: Sequence[tuple[Tensor, Tensor]],
        points: int,
        device: torch.device,
    ) -> None:
        self._spans, self._device = spans, device
        shapes = [tensor.shape for pair in weights for tensor in pair]
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
        # Parameters and gradients are flat vectors, so the optimiser needs one call.
        flat = torch.cat([tensor.reshape(-1) for pair in weights for tensor in pair]).to(device)
        self._flat = torch.nn.Parameter(flat)
        self._flat.grad = self._slope = torch.zeros_like(flat)

        def views(vector: Tensor) -> list[tuple[Tensor, Tensor]]:
            own = [
                vector[first:last].view(shape)
                for first, last, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
            ]
            return list(zip(own[::2], own[1::2], strict=True))

        self.layers = views(self._flat.data)
        self.gradients = views(self._slope)
        self._activations = self._activate(points)

    def _activate(self, points: int) -> _Fused | _Interpreted | _Differentiated | _Modules:
        networks, width = self.layers[0][0].shape[:2]
        sizes = (networks, width, points, len(self.layers) - 1)
        function = self._spans[0].expr
        if isinstance(function, Trainable):
            assert len(self._spans) == 1, "a module must be the only function of its stack"
            return _Modules(function, *sizes, self._device)
        if any(tape.to_tape(_expr(span)).statistics for span in self._spans):
            return _Differentiated(self._spans, *sizes, self._device)
        if self._device.type == "cpu":
            return _Fused(self._spans, *sizes)
        return _Interpreted(self._spans, *sizes, self._device)

    @torch.no_grad()
    def fit(
        self, x: Tensor, y: Tensor, rates: NDArray[np.float64], stop: Any = lambda: False
    ) -> None:
        """Train by full-batch Adam.

        Args:
            x: Inputs [network, input, point] on the device of the stack.
            y: Targets [network, output, point].
            rates: The learning rate of each step.
            stop: Called before each step. Training ends if it returns True.
        """
        out = torch.empty_like(y)
        if isinstance(self._activations, _Modules):
            self._fit_modules(x, y, out, rates, stop)
            return
        if self._device.type == "cuda":
            self._fit_captured(x, y, out, rates, stop)
            return
        own, gradient = self._flat.detach().numpy(), self._slope.numpy()
        first, second = np.zeros_like(own), np.zeros_like(own)
        for step, rate in enumerate(rates):
            if stop() or (step % CHECKED_EVERY == 1 and not out.isfinite().any()):
                return
            self.differentiate(x, y, out)
            # The same Adam as in mini-training. The one of torch takes three times as long here.
            adam(own, gradient, first, second, step + 1, rate)

    def _fit_modules(
        self, x: Tensor, y: Tensor, out: Tensor, rates: NDArray[np.float64], stop: Any
    ) -> None:
        """Train the weights and the parameters of the functions at the same learning rate."""
        assert isinstance(self._activations, _Modules)
        optimiser = torch.optim.Adam([self._flat, *self._activations.parameters])
        for step, rate in enumerate(rates):
            if stop() or (step % CHECKED_EVERY == 1 and not out.isfinite().any()):
                return
            for parameter in self._activations.parameters:
                parameter.grad = None
            self.differentiate(x, y, out)
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.step()

    def _fit_captured(
        self, x: Tensor, y: Tensor, out: Tensor, rates: NDArray[np.float64], stop: Any
    ) -> None:
        """Train by replaying one step, captured as a CUDA graph."""
        rate = torch.zeros((), device=self._device)
        start = self._flat.detach().clone()
        optimiser = torch.optim.Adam([self._flat], lr=rate, fused=True, capturable=True)
        # A capture must not allocate memory, so warm-up steps allocate it. Their rate of 0 keeps
        # the parameters.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.differentiate(x, y, out)
                optimiser.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.differentiate(x, y, out)
            optimiser.step()
        self._flat.data.copy_(start)
        for state in optimiser.state[self._flat].values():
            state.zero_()
        for step, value in enumerate(rates):
            if step % CHECKED_EVERY == 0 and stop():
                return
            rate.fill_(float(value))
            graph.replay()

    def differentiate(self, x: Tensor, y: Tensor, out: Tensor) -> None:
        """Compute the gradients of the mean squared error of each network."""
        inputs = [x]
        for depth, (weights, biases) in enumerate(self.layers[:-1]):
            torch.baddbmm(biases, weights, inputs[-1], out=self._activations.z)
            inputs.append(self._activations.forward(depth, train=True))
        weights, biases = self.layers[-1]
        torch.baddbmm(biases, weights, inputs[-1], out=out)
        gradient = out.sub_(y).mul_(2.0 / (y.shape[1] * y.shape[2]))
        for depth in range(len(self.layers) - 1, -1, -1):
            own_weights, own_biases = self.gradients[depth]
            torch.bmm(gradient, inputs[depth].transpose(1, 2), out=own_weights)
            torch.sum(gradient, dim=2, keepdim=True, out=own_biases)
            if depth:
                target = self._activations.room[depth % 2]
                torch.bmm(self.layers[depth][0].transpose(1, 2), gradient, out=target)
                gradient = self._activations.backward(depth - 1, target)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Return outputs [network, output, point] for inputs x [network, input, point]."""
        if self._activations.z.shape[2] != x.shape[2]:
            if isinstance(self._activations, _Modules):
                self._activations.resize(x.shape[2])
            else:
                self._activations = self._activate(x.shape[2])
        h = x
        for depth, (weights, biases) in enumerate(self.layers[:-1]):
            torch.baddbmm(biases, weights, h, out=self._activations.z)
            h = self._activations.forward(depth, train=False)
        weights, biases = self.layers[-1]
        return torch.baddbmm(biases, weights, h)
