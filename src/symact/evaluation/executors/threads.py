"""Run jobs in threads of this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from symact.evaluation.draws import Draws
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.executors.base import Executor, OpenJobs, best_device, refuse_second_search
from symact.evaluation.jobs import TIMEOUT, Job, JobResult


class ThreadExecutor(Executor):
    """Runs jobs in threads. Compiled loops and torch release the global interpreter lock.

    Args:
        workers: Number of threads; None for the number of cores.
        tuning_timeout: Time limit of tuning the constants of a candidate, in seconds.

    >>> ThreadExecutor(4).workers
    4
    """

    def __init__(self, workers: int | None = None, *, tuning_timeout: float = TIMEOUT) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._tuning_timeout = tuning_timeout
        self._pool: ThreadPoolExecutor | None = None
        self._evaluator: Evaluator | None = None
        self._jobs = OpenJobs()

    def open(self, draws: Draws, device: str | None = None) -> None:
        refuse_second_search(self._pool is not None)
        self.device = device or best_device()
        self._evaluator = Evaluator(draws, self.device, self._tuning_timeout)
        self._pool = ThreadPoolExecutor(self.workers)

    def submit(self, job: Job) -> Future[JobResult]:
        return self.submit_all([job])[0]

    def submit_all(self, jobs: Sequence[Job]) -> list[Future[JobResult]]:
        assert self._evaluator is not None and self._pool is not None
        futures = self._evaluator.submit_all(self._pool, jobs)
        self._jobs.add(futures)
        return futures

    def close(self) -> None:
        if self._pool is None:
            return
        self._jobs.cancel()
        self._pool.shutdown(cancel_futures=True)
        self._pool = self._evaluator = None
