"""The last rung: full training of many candidates as one stacked model in torch.

Every network is a slice of batched matrices ``[candidate x instance x seed, unit, point]``. They
share no parameter and the loss is a sum, so one that diverges cannot touch its neighbours. The
same code runs on ``cuda`` where there is one and on the CPU otherwise. On the CPU pointwise
activations run through the numba interpreter, which computes value and derivative in one pass and
leaves a single product to the backward pass; on a GPU, and for functions of batch statistics, the
torch lowering and autograd do the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from symact.expr import Expr
from symact.lower import _tape
from symact.lower._torch import lower
from symact.protocol import Training
from symact.score._networks import Data, initial_weights, learning_rates

#: Networks of a stack on the CPU, which one thread trains: enough to fill the batched products,
#: few enough that a layer's activations stay near the core.
CPU_NETWORKS = 12
#: On a GPU larger stacks pay; 24 networks of the full protocol take about 20 MB.
GPU_NETWORKS = 1536


@dataclass(frozen=True)
class _Span:
    """The networks of one candidate in a stack."""

    expr: Expr
    first: int
    last: int


class _Fused(torch.autograd.Function):
    """All candidates' activations of one layer: value and derivative in one pass."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, spans: Sequence[_Span]) -> Tensor:
        value = torch.empty_like(z)
        slope = torch.empty_like(z) if ctx.needs_input_grad[0] else None
        for span in spans:
            own = slice(span.first, span.last)
            _tape.apply_into(
                span.expr,
                z[own].numpy(),
                value[own].numpy(),
                None if slope is None else slope[own].numpy(),
            )
        if slope is not None:
            ctx.save_for_backward(slope)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None


def _activation(spans: Sequence[_Span], device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return what applies each candidate to its own part of a stack [network, unit, point]."""
    fused = device.type == "cpu" and not any(_tape.to_tape(s.expr).statistics for s in spans)
    if fused:

        def through_tape(z: Tensor) -> Tensor:
            result: Tensor = _Fused.apply(z, spans)  # type: ignore[no-untyped-call]
            return result

        return through_tape

    def through_torch(z: Tensor) -> Tensor:
        # A network's statistics are over its own units and points.
        parts = [lower(s.expr, z[s.first : s.last], axes=(-2, -1)) for s in spans]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return through_torch


def has_cuda() -> bool:
    """Whether torch can train on a GPU here."""
    return bool(torch.cuda.is_available())


class FullTrainer:
    """Judges candidates by training one network for every instance and seed.

    Args:
        data: Instances of one draw.
        training: Size and length; any depth.
        seeds: Training seeds; every instance is trained once with each.
        entropy: Separates initial weights of one rung and split from another's.
        device: ``"cuda"``, ``"cpu"`` or None for the best there is.
    """

    def __init__(
        self,
        data: Data,
        training: Training,
        seeds: Sequence[int],
        entropy: int,
        device: str | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if has_cuda() else "cpu"))
        self.training = training
        self.data = data
        self.seeds = tuple(seeds)
        self.rates = learning_rates(training)
        self.weights = [
            (torch.from_numpy(w), torch.from_numpy(b))
            for w, b in initial_weights(data, training, seeds, entropy)
        ]

    def judge(self, exprs: Sequence[Expr]) -> NDArray[np.float64]:
        """Train and judge; returns errors [candidate, instance, seed, 4], NaN where diverged.

        Candidates are stacked and the stack is cut by networks, so that memory stays bounded. On
        the CPU each core trains its own cut with one thread: no step waits for another core.
        """
        count, seeds = len(self.data.families), len(self.seeds)
        each = count * seeds
        is_cpu = self.device.type == "cpu"
        limit = CPU_NETWORKS if is_cpu else GPU_NETWORKS
        errors = np.full((len(exprs) * each, 4), np.nan)
        # Functions of batch statistics are stacked apart: they cannot take the fused kernels.
        apart = np.repeat([_tape.to_tape(expr).statistics for expr in exprs], each)
        cuts = [
            cut
            for group in (np.flatnonzero(~apart), np.flatnonzero(apart))
            for cut in np.split(group, np.arange(limit, len(group), limit))
            if len(cut)
        ]
        stop = threading.Event()
        threads = torch.get_num_threads()
        workers = threads if is_cpu else 1
        torch.set_num_threads(1 if is_cpu else threads)
        pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        try:
            trained = pool.map(lambda cut: self._train_stack(exprs, cut, each, stop), cuts)
            for cut, found in zip(cuts, trained, strict=True):
                errors[cut] = found
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
        shaped: NDArray[np.float64] = errors.reshape(len(exprs), count, seeds, 4)
        return shaped / self.data.variance[None, :, None, :]

    def _train_stack(
        self,
        exprs: Sequence[Expr],
        networks: NDArray[np.int64],
        each: int,
        stop: threading.Event,
    ) -> NDArray[np.float64]:
        candidates = networks // each
        spans = [
            _Span(exprs[c], *map(int, np.searchsorted(candidates, [c, c + 1])))
            for c in np.unique(candidates)
        ]
        activation = _activation(spans, self.device)
        instance = torch.from_numpy((networks % each) // len(self.seeds))
        seed = torch.from_numpy(networks % len(self.seeds))
        layers = [
            (
                w[instance, seed].to(self.device).requires_grad_(),
                b[instance, seed].unsqueeze(-1).to(self.device).requires_grad_(),
            )
            for w, b in self.weights
        ]
        x = torch.from_numpy(self.data.x)[instance].to(self.device)
        y = torch.from_numpy(self.data.y)[instance].to(self.device)
        self._fit(layers, activation, x, y, stop)
        return self._errors(layers, activation, instance)

    def _fit(
        self,
        layers: Sequence[tuple[Tensor, Tensor]],
        activation: Callable[[Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        stop: threading.Event,
    ) -> None:
        parameters = [tensor for layer in layers for tensor in layer]
        optimiser = torch.optim.Adam(parameters, lr=self.training.learning_rate, fused=True)
        mean = 1.0 / (y.shape[1] * y.shape[2])
        for rate in self.rates:
            if stop.is_set():
                return
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.zero_grad()
            loss = (_forward(layers, activation, x) - y).square().sum() * mean
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    @torch.no_grad()
    def _errors(
        self,
        layers: Sequence[tuple[Tensor, Tensor]],
        activation: Callable[[Tensor], Tensor],
        instance: Tensor,
    ) -> NDArray[np.float64]:
        columns = []
        for part in range(4):
            x = torch.from_numpy(self.data.x_judged)[instance, part].contiguous().to(self.device)
            y = torch.from_numpy(self.data.y_judged)[instance, part].to(self.device)
            residual = (_forward(layers, activation, x) - y).double()
            columns.append(residual.square().mean(dim=(-2, -1)))
        errors: NDArray[np.float64] = torch.stack(columns, dim=-1).cpu().numpy()
        return errors


def _forward(
    layers: Sequence[tuple[Tensor, Tensor]], activation: Callable[[Tensor], Tensor], h: Tensor
) -> Tensor:
    """Apply the stacked networks: h [network, input, point] to [network, output, point]."""
    for weights, biases in layers[:-1]:
        h = activation(torch.baddbmm(biases, weights, h))
    weights, biases = layers[-1]
    return torch.baddbmm(biases, weights, h)
