"""Run jobs in the thread that submits them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from symact.evaluation.draws import Draws
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.executors.base import Executor, refuse_second_search
from symact.evaluation.futures import done
from symact.evaluation.jobs import Job, JobResult


class InlineExecutor(Executor):
    """Runs each job on submission and returns a completed future.

    It is intended for debugging. With ``evaluate``, tests and benchmarks can run without training.

    Args:
        evaluate: Function of the draws and a job that returns the result; None for real training.

    >>> import numpy as np
    >>> def zeros(draws, job):
    ...     return np.zeros(draws.error_shape(job.fidelity))
    >>> executor = InlineExecutor(zeros)
    """

    def __init__(self, evaluate: Callable[[Draws, Job], JobResult] | None = None) -> None:
        self._evaluate = evaluate
        self._draws: Draws | None = None
        self._evaluator: Evaluator | None = None

    def open(self, draws: Draws, device: str | None = None) -> None:
        refuse_second_search(self._draws is not None)
        self._draws, self.device = draws, device or "cpu"
        if self._evaluate is None:
            self._evaluator = Evaluator(draws, self.device)

    def submit(self, job: Job) -> Future[JobResult]:
        assert self._draws is not None
        if self._evaluator is not None:
            return done(self._evaluator.run([job])[0])
        assert self._evaluate is not None
        return done(self._evaluate(self._draws, job))

    def close(self) -> None:
        self._draws = self._evaluator = None
