"""Train functions of any kind: pointwise functions with numba on the CPU, all others with torch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING

from symact.evaluation.function import Function
from symact.evaluation.jobs import TIMEOUT, Trained
from symact.evaluation.training.initialisation import initialiser
from symact.evaluation.training.networks import Data
from symact.expr import Expr, uses_statistics
from symact.tasks.protocol import Training

if TYPE_CHECKING:
    from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
    from symact.evaluation.training.torch_mlp import TorchMLPTrainer


class MLPTrainer:
    """Trains one network for each instance and seed with the trainer that fits the function.

    Both trainers do the same computation. Compiled loops release the global interpreter lock. A
    trainer is imported when it is first needed, because the import takes seconds.

    Args:
        data: The instances of one draw.
        training: Architecture of the networks, plain or residual, and length of the training.
        seeds: Training seeds. Each instance is trained once with each seed.
        entropy: Seed of the initial weights, different for each fidelity and split.
        device: ``"cuda"`` or ``"cpu"``. On CUDA torch trains all functions.
        parts: Number of pieces of work for each pointwise function on the CPU.
        timeout: Time limit of each function on the CPU, in seconds.

    Raises:
        SymactError: The initialisation is unknown.
    """

    def __init__(
        self,
        data: Data,
        training: Training,
        seeds: Sequence[int],
        entropy: int,
        *,
        device: str = "cpu",
        parts: int = 1,
        timeout: float = TIMEOUT,
    ) -> None:
        initialiser(training.initialisation)
        self._arguments = (data, training, seeds, entropy)
        self._device, self._parts, self._timeout = device, parts, timeout

    @functools.cached_property
    def _numba(self) -> NumbaMLPTrainer:
        from symact.evaluation.training.numba_mlp import NumbaMLPTrainer

        return NumbaMLPTrainer(*self._arguments)

    @functools.cached_property
    def _torch(self) -> TorchMLPTrainer:
        from symact.evaluation.training.torch_mlp import TorchMLPTrainer

        return TorchMLPTrainer(*self._arguments, self._device)

    def start(
        self,
        pool: Executor,
        functions: Sequence[Function],
        *,
        learning_rate: float | None = None,
    ) -> list[Future[Trained]]:
        """Start to train functions; each future has errors [instance, seed, part].

        Args:
            pool: A pool of threads.
            functions: Expressions or modules.
            learning_rate: Maximum learning rate; None for the rate of the training.
        """
        if self._device != "cpu":
            return self._torch.start(pool, functions, self._timeout, learning_rate=learning_rate)
        return [own for function in functions for own in self._start(pool, function, learning_rate)]

    def _start(
        self, pool: Executor, function: Function, learning_rate: float | None
    ) -> list[Future[Trained]]:
        if isinstance(function, Expr) and not uses_statistics(function):
            return self._numba.start(
                pool, [function], self._parts, self._timeout, learning_rate=learning_rate
            )
        return self._torch.start(pool, [function], self._timeout, learning_rate=learning_rate)
