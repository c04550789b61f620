"""Train multilayer perceptrons with torch, with many candidates in one stack.

On the CPU each core trains its own stacks. On a GPU larger stacks are faster. See
:mod:`symact.evaluation.training.stack` and, for residual networks,
:mod:`symact.evaluation.training.residual_stack`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from symact.backends.numba import tape
from symact.backends.torch import TrainedParameters, lower
from symact.evaluation.function import Function, Trainable
from symact.evaluation.futures import split
from symact.evaluation.jobs import TIMEOUT, Trained, failure
from symact.evaluation.training.initialisation import initialiser
from symact.evaluation.training.networks import GPU_NETWORKS, Data, initial_weights, learning_rates
from symact.evaluation.training.parts import Stop, run_parts
from symact.evaluation.training.residual_stack import ResidualStack
from symact.evaluation.training.stack import Span, Stack
from symact.expr import Expr, parameters, show
from symact.tasks.protocol import Training

#: Number of networks in a stack on the CPU. One thread trains a stack. More networks make batched
#: products efficient; fewer keep the activations of a layer in the cache.
CPU_NETWORKS, LEAST_NETWORKS = 12, 4
#: Lock for the GPU: no other thread may use the device while a step is captured.
_ON_GPU = threading.Lock()


def has_cuda() -> bool:
    """Return whether torch can train on a GPU of this machine."""
    return bool(torch.cuda.is_available())


def gpu_name() -> str | None:
    """Return the name of the GPU; None if there is no GPU."""
    return torch.cuda.get_device_name() if has_cuda() else None


#: Number of active blocks of :func:`single_torch_thread`, and torch's thread count before them.
_single_lock = threading.Lock()
_single_count = 0
_threads_before = 1


@contextlib.contextmanager
def single_torch_thread() -> Iterator[None]:
    """Let torch use one thread in a ``with`` block, and restore the thread count afterwards.

    torch has a count for each thread and a default for new threads. Overlapping blocks restore the
    values from before the first block.
    """
    global _single_count, _threads_before
    with _single_lock:
        if not _single_count:
            _threads_before = torch.get_num_threads()
        _single_count += 1
        before = _threads_before
    torch.set_num_threads(1)
    try:
        yield
    finally:
        with _single_lock:
            _single_count -= 1
        torch.set_num_threads(before)


class TorchMLPTrainer:
    """Trains one network for each instance and seed with torch, on the CPU or a GPU.

    :class:`.MLPTrainer` documents the arguments. A device of None means CUDA if available, else the
    CPU.
    """

    def __init__(
        self,
        data: Data,
        training: Training,
        seeds: Sequence[int],
        entropy: int,
        device: str | None = None,
    ) -> None:
        initialiser(training.initialisation)  # refuse an unknown one before work is started
        self.device = torch.device(device or ("cuda" if has_cuda() else "cpu"))
        self.training = training
        self.data = data
        self.seeds = tuple(seeds)
        self.entropy = entropy
        self._weights: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}

    def judge(
        self, exprs: Sequence[Function], *, learning_rate: float | None = None
    ) -> NDArray[np.float64]:
        """Train and return errors [candidate, instance, seed, part]; NaN for diverged networks.

        The networks of all candidates are divided into stacks of limited size, to bound memory. On
        the CPU each core trains its own stacks with one thread.

        Args:
            exprs: The candidates.
            learning_rate: Maximum learning rate; None for the rate of the training.
        """
        exprs = [with_modules(expr) for expr in exprs]
        rates = learning_rates(self.training, learning_rate)
        (count, parts), seeds = self.data.variance.shape, len(self.seeds)
        each = count * seeds
        is_cpu = self.device.type == "cpu"
        limit = CPU_NETWORKS if is_cpu else GPU_NETWORKS
        # Not torch.get_num_threads(): another thread may have set it to 1.
        workers = (os.cpu_count() or 1) if is_cpu else 1
        if is_cpu:  # smaller stacks use all cores if there are few networks; results do not change
            limit = min(limit, max(LEAST_NETWORKS, -(-len(exprs) * each // workers)))
        errors = np.full((len(exprs) * each, parts), np.nan)
        # Functions of batch statistics have separate stacks without fused kernels. Each module has
        # its own stack.
        kinds = [
            index if isinstance(expr, Trainable) else -1 - tape.to_tape(expr).statistics
            for index, expr in enumerate(exprs)
        ]
        kind_of_network = np.repeat(kinds, each)
        for shape in {_shape(expr) for expr in exprs}:
            self._draw(shape)
        cuts = [
            cut
            for kind in sorted(set(kinds))
            for group in (np.flatnonzero(kind_of_network == kind),)
            for cut in np.split(group, np.arange(limit, len(group), limit))
            if len(cut)
        ]
        stop = threading.Event()
        with single_torch_thread() if is_cpu else contextlib.nullcontext():
            pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
            try:
                trained = pool.map(
                    lambda cut: self._train_stack(exprs, cut, each, rates, stop.is_set), cuts
                )
                for cut, found in zip(cuts, trained, strict=True):
                    errors[cut] = found
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
        shaped: NDArray[np.float64] = errors.reshape(len(exprs), count, seeds, parts)
        return shaped / self.data.variance[None, :, None, :]

    def start(
        self,
        pool: Executor,
        exprs: Sequence[Function],
        timeout: float = TIMEOUT,
        *,
        learning_rate: float | None = None,
    ) -> list[Future[Trained]]:
        """Start to train candidates; each future has errors [instance, seed, part].

        On the CPU each candidate has its own stacks. Its errors depend neither on other candidates
        nor on the number of threads. On a GPU all candidates are one piece of work. After a failure
        on a GPU, such as a lack of memory, each candidate is trained alone.

        Args:
            pool: A pool of threads.
            exprs: The candidates.
            timeout: Time limit of each candidate on the CPU, in seconds.
            learning_rate: Maximum learning rate; None for the rate of the training.
        """
        exprs = [with_modules(expr) for expr in exprs]
        if self.device.type != "cpu":
            together = pool.submit(self._one_by_one, exprs, learning_rate)
            return split(together, len(exprs))
        for shape in {_shape(expr) for expr in exprs}:
            self._draw(shape)
        rates = learning_rates(self.training, learning_rate)
        return [self._start(pool, expr, rates, timeout) for expr in exprs]

    def _start(
        self, pool: Executor, expr: Function, rates: NDArray[np.float64], timeout: float
    ) -> Future[Trained]:
        """Start to train a candidate on the CPU."""
        (count, parts), seeds = self.data.variance.shape, len(self.seeds)
        networks = count * seeds
        cuts = np.array_split(np.arange(networks), -(-networks // CPU_NETWORKS))
        errors = np.full((networks, parts), np.nan)

        def train(cut: NDArray[np.int64], stop: Stop) -> None:
            with single_torch_thread():  # other threads train other candidates
                errors[cut] = self._train_stack([expr], cut, networks, rates, lambda: bool(stop[0]))

        return run_parts(
            pool,
            [functools.partial(train, cut) for cut in cuts],
            timeout,
            lambda: errors.reshape(count, seeds, parts) / self.data.variance[:, None, :],
        )

    def _one_by_one(self, exprs: Sequence[Function], learning_rate: float | None) -> list[Trained]:
        """Train all candidates together, or each alone after a failure."""
        try:
            return list(self.judge(exprs, learning_rate=learning_rate))
        except Exception as error:
            if len(exprs) == 1:
                return [failure(error)]
            return [found for expr in exprs for found in self._one_by_one([expr], learning_rate)]

    def _draw(self, shape: tuple[int, int]) -> None:
        if shape not in self._weights:
            drawn = initial_weights(self.data, self.training, self.seeds, self.entropy, *shape)
            self._weights[shape] = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in drawn]

    def initial(
        self, spans: Sequence[Span], instance: Tensor, seed: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the initial parameters of a stack. Subclasses may override it.

        Args:
            spans: The candidates of the stack.
            instance: Instance of each network, int64 [network].
            seed: Seed of each network, int64 [network].

        Returns:
            Weights [network, out, in] and biases [network, out, 1] of each layer.
        """
        return [
            (w[instance, seed], b[instance, seed].unsqueeze(-1))
            for w, b in self._weights[_shape(spans[0].expr)]
        ]

    def _stack(
        self, spans: Sequence[Span], weights: Sequence[tuple[Tensor, Tensor]], points: int
    ) -> Stack | ResidualStack:
        if self.training.residual:
            return ResidualStack(spans, weights, self.device)
        return Stack(spans, weights, points, self.device)

    def _train_stack(
        self,
        exprs: Sequence[Function],
        networks: NDArray[np.int64],
        each: int,
        rates: NDArray[np.float64],
        is_stopped: Callable[[], bool],
    ) -> NDArray[np.float64]:
        candidates = networks // each
        spans = [
            Span(exprs[c], *map(int, np.searchsorted(candidates, [c, c + 1])))
            for c in np.unique(candidates)
        ]
        instance = torch.from_numpy((networks % each) // len(self.seeds))
        seed = torch.from_numpy(networks % len(self.seeds))
        weights = self.initial(spans, instance, seed)
        with contextlib.nullcontext() if self.device.type == "cpu" else _ON_GPU:
            x = torch.from_numpy(self.data.x)[instance].to(self.device)
            y = torch.from_numpy(self.data.y)[instance].to(self.device)
            stack = self._stack(spans, weights, x.shape[2])
            stack.fit(x, y, rates, is_stopped)
            columns = []
            for part in range(self.data.x_judged.shape[1]):
                x = (
                    torch.from_numpy(self.data.x_judged)[instance, part]
                    .contiguous()
                    .to(self.device)
                )
                y = torch.from_numpy(self.data.y_judged)[instance, part].to(self.device)
                residual = (stack.predict(x) - y).double()
                columns.append(residual.square().mean(dim=(-2, -1)))
            errors: NDArray[np.float64] = torch.stack(columns, dim=-1).cpu().numpy()
        return errors


class _WithParameters(nn.Module):
    """An expression with its trained parameters, one of each for each network."""

    def __init__(self, expr: Expr, networks: int) -> None:
        super().__init__()
        self._expr, self.trained = expr, TrainedParameters(expr, (networks, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        return lower(self._expr, z, axes=(-2, -1), bound=self.trained.bound())


def with_modules(function: Function) -> Function:
    """Return an expression with trained parameters as modules, any other function unchanged."""
    if isinstance(function, Trainable) or not parameters(function):
        return function
    return Trainable(show(function), lambda networks, layer: _WithParameters(function, networks))


def _shape(function: Function) -> tuple[int, int]:
    """Return the numbers of pre-activations and of output values of a unit."""
    return (function.inputs, function.outputs) if isinstance(function, Trainable) else (1, 1)
