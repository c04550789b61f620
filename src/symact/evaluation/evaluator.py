"""Train and tune candidates with the trainers of one search."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from symact.evaluation.draws import TUNING_TRAINING, Draws
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.jobs import TIMEOUT, TUNING, Job, JobResult, Trained, Tuned
from symact.evaluation.training.mixed_sizes import MixedSizeTrainer, Trainer
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.parts import Stop, run_parts
from symact.expr import Expr

if TYPE_CHECKING:
    from symact.evaluation.training.constants import Tuner


class Evaluator:
    """The trainers of all fidelities of a search, and the tuner of constants.

    Args:
        draws: The tasks to train on.
        device: Where the fidelities train that use a GPU: ``"cpu"`` or ``"cuda"``.
        tuning_timeout: Seconds that tuning may take.
    """

    def __init__(self, draws: Draws, device: str, tuning_timeout: float = TIMEOUT) -> None:
        self.draws, self._device = draws, device
        self._tuning_timeout = tuning_timeout
        self._trainers = {own.name: self._make(own) for own in draws.fidelities}
        self._tuner: Tuner | None = None
        self._pool: ThreadPoolExecutor | None = None

    def submit_all(self, pool: Executor, jobs: Sequence[Job]) -> list[Future[JobResult]]:
        """Start jobs in a pool of threads.

        On a GPU neighbours at the same fidelity and draw are trained as one stack.
        """
        futures: list[Future[Any]] = []
        for (fidelity, draw), group in itertools.groupby(
            jobs, lambda job: (job.fidelity, job.draw)
        ):
            exprs = [job.expr for job in group]
            if fidelity == TUNING:
                futures += [self._start_tuning(pool, expr) for expr in exprs]
            else:
                futures += self._start(pool, fidelity, exprs, draw)
        return futures

    def run(self, jobs: Sequence[Job]) -> list[JobResult]:
        """Do jobs one after another, each within its limit of time, and return their results."""
        self._pool = self._pool or ThreadPoolExecutor(1)
        futures = self.submit_all(self._pool, jobs)
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:  # after an interrupt they still train
                future.cancel()

    def uses_gpu(self, fidelity: str) -> bool:
        """Return whether jobs at a fidelity train on a GPU."""
        is_tuning = fidelity == TUNING
        return not is_tuning and self.draws.fidelity(fidelity).uses_gpu and self._device == "cuda"

    def _start(
        self, pool: Executor, fidelity: str, exprs: Sequence[Expr], draw: int
    ) -> list[Future[Trained]]:
        trainers = self._trainers[self.draws.fidelity(fidelity).name]
        return trainers[draw % len(trainers)].start(pool, exprs)

    def _start_tuning(self, pool: Executor, expr: Expr) -> Future[Tuned]:
        found: list[Expr | None] = []

        def tune(stop: Stop) -> None:
            found.append(self._tune(expr, stop))

        return run_parts(pool, [tune], self._tuning_timeout, lambda: found[0])

    def _tune(self, expr: Expr, stop: Stop) -> Expr | None:
        from symact.evaluation.training.constants import Tuner

        if self._tuner is None:
            self._tuner = Tuner(self.draws.data[TUNING], TUNING_TRAINING, self.draws.entropy)
        return self._tuner.tune(expr, lambda: bool(stop[0]))

    def _make(self, fidelity: Fidelity) -> Sequence[Trainer]:
        """Return the trainer of each draw of a fidelity."""
        device = self._device if fidelity.uses_gpu else "cpu"
        return [
            MixedSizeTrainer(
                self.draws.sets(fidelity.name, draw),
                functools.partial(
                    MLPTrainer,
                    seeds=[0],
                    entropy=self.draws.entropy + fidelity.entropy + draw,
                    device=device,
                    timeout=fidelity.timeout,
                ),
            )
            for draw in range(fidelity.draws)
        ]
