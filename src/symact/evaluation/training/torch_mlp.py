"""Train multilayer perceptrons with torch, many candidates in one stack.

On the CPU each core trains stacks of its own; on a GPU larger stacks pay. See
:mod:`symact.evaluation.training.stack` for what a stack does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from symact.backends.numba import tape
from symact.evaluation.function import Function, Trainable
from symact.evaluation.futures import split
from symact.evaluation.jobs import TIMEOUT, Trained, failure
from symact.evaluation.training.networks import GPU_NETWORKS, Data, initial_weights, learning_rates
from symact.evaluation.training.parts import Stop, run_parts
from symact.evaluation.training.stack import Span, Stack
from symact.tasks.protocol import Training

#: Networks of a stack on the CPU, which one thread trains: enough to fill the batched products,
#: few enough that a layer's activations stay near the core.
CPU_NETWORKS, LEAST_NETWORKS = 12, 4
#: One stack at a time on a GPU: while a step is captured no other thread may use the device.
_ON_GPU = threading.Lock()


def has_cuda() -> bool:
    """Whether torch can train on a GPU here."""
    return bool(torch.cuda.is_available())


def gpu_name() -> str | None:
    """Return what torch calls the GPU, None where there is none."""
    return torch.cuda.get_device_name() if has_cuda() else None


#: How many blocks of :func:`single_torch_thread` are open, and torch's thread count before them.
_single_lock = threading.Lock()
_single_count = 0
_threads_before = 1


@contextlib.contextmanager
def single_torch_thread() -> Iterator[None]:
    """Let torch use one thread in the block, and as many as before after it.

    torch keeps a count for each thread and a default for new threads. Several blocks at a time
    restore what was there before the first.
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
    """Trains one network for every instance and seed with torch, on the CPU or a GPU.

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
        self.entropy = entropy
        self._weights: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}

    def judge(
        self, exprs: Sequence[Function], *, learning_rate: float | None = None
    ) -> NDArray[np.float64]:
        """Train and judge; returns errors [candidate, instance, seed, 4], NaN where diverged.

        Candidates are stacked and the stack is cut by networks, so that memory stays bounded. On
        the CPU each core trains its own cut with one thread: no step waits for another core.

        Args:
            exprs: The candidates.
            learning_rate: Its maximum; None for the one of the training.
        """
        rates = self._rates(learning_rate)
        count, seeds = len(self.data.families), len(self.seeds)
        each = count * seeds
        is_cpu = self.device.type == "cpu"
        limit = CPU_NETWORKS if is_cpu else GPU_NETWORKS
        # Not torch's own number: another thread may have set it to one for its own stack.
        workers = (os.cpu_count() or 1) if is_cpu else 1
        if is_cpu:  # no core shall wait where there are few networks; results do not depend on it
            limit = min(limit, max(LEAST_NETWORKS, -(-len(exprs) * each // workers)))
        errors = np.full((len(exprs) * each, 4), np.nan)
        # Functions of batch statistics have their own stacks: they cannot take the fused kernels. A
        # module has a stack of its own.
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
        shaped: NDArray[np.float64] = errors.reshape(len(exprs), count, seeds, 4)
        return shaped / self.data.variance[None, :, None, :]

    def start(
        self,
        pool: Executor,
        exprs: Sequence[Function],
        timeout: float = TIMEOUT,
        *,
        learning_rate: float | None = None,
    ) -> list[Future[Trained]]:
        """Start to train candidates; each future has errors [instance, seed, 4].

        On the CPU a candidate has stacks of its own, so its errors depend neither on its
        neighbours nor on the number of threads. On a GPU all candidates are one piece of work.
        After a failure there, such as too little memory, each is trained alone.

        Args:
            pool: A pool of threads.
            exprs: The candidates.
            timeout: Seconds for each on the CPU.
            learning_rate: As in :meth:`judge`.
        """
        if self.device.type != "cpu":
            together = pool.submit(self._one_by_one, exprs, learning_rate)
            return split(together, len(exprs))
        for shape in {_shape(expr) for expr in exprs}:
            self._draw(shape)
        rates = self._rates(learning_rate)
        return [self._start(pool, expr, rates, timeout) for expr in exprs]

    def _start(
        self, pool: Executor, expr: Function, rates: NDArray[np.float64], timeout: float
    ) -> Future[Trained]:
        """Start to train a candidate on the CPU."""
        count, seeds = len(self.data.families), len(self.seeds)
        networks = count * seeds
        cuts = np.array_split(np.arange(networks), -(-networks // CPU_NETWORKS))
        errors = np.full((networks, 4), np.nan)

        def train(cut: NDArray[np.int64], stop: Stop) -> None:
            with single_torch_thread():  # other threads train other candidates
                errors[cut] = self._train_stack([expr], cut, networks, rates, lambda: bool(stop[0]))

        return run_parts(
            pool,
            [functools.partial(train, cut) for cut in cuts],
            timeout,
            lambda: errors.reshape(count, seeds, 4) / self.data.variance[:, None, :],
        )

    def _one_by_one(self, exprs: Sequence[Function], learning_rate: float | None) -> list[Trained]:
        """Judge all together, or where that fails each alone."""
        try:
            return list(self.judge(exprs, learning_rate=learning_rate))
        except Exception as error:
            if len(exprs) == 1:
                return [failure(error)]
            return [found for expr in exprs for found in self._one_by_one([expr], learning_rate)]

    def _rates(self, learning_rate: float | None) -> NDArray[np.float64]:
        """Return the learning rate of each step."""
        rate = self.training.learning_rate if learning_rate is None else learning_rate
        return learning_rates(replace(self.training, learning_rate=rate))

    def _draw(self, shape: tuple[int, int]) -> None:
        if shape not in self._weights:
            drawn = initial_weights(self.data, self.training, self.seeds, self.entropy, *shape)
            self._weights[shape] = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in drawn]

    def initial(
        self, spans: Sequence[Span], instance: Tensor, seed: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Return what a stack starts from; what tries another initialisation overrides this.

        Args:
            spans: The candidates of the stack.
            instance: Of each network, int64 [network].
            seed: Of each network, int64 [network].

        Returns:
            For each layer weights [network, out, in] and biases [network, out, 1].
        """
        return [
            (w[instance, seed], b[instance, seed].unsqueeze(-1))
            for w, b in self._weights[_shape(spans[0].expr)]
        ]

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
            stack = Stack(spans, weights, x.shape[2], self.device)
            stack.fit(x, y, rates, is_stopped)
            columns = []
            for part in range(4):
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


def _shape(function: Function) -> tuple[int, int]:
    """Return how many pre-activations a unit takes and how many values it gives."""
    return (function.inputs, function.outputs) if isinstance(function, Trainable) else (1, 1)
