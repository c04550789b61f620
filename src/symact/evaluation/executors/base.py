"""The interface and the guarantees of executors.

* **Results** depend only on the job and the draws, not on other jobs, their order or the number of
workers. Executors in other processes round errors to nine significant digits, as run databases do.
* **Failures of a candidate are results.** The result is :class:`~symact.evaluation.jobs.Failed`
after an exception, a timeout or repeated crashes of the worker. An exception in a future means that
the executor has failed. It ends the search.
* **Cancellation.** A job that is cancelled before its start never starts. The result of a running
job is discarded. Threads also stop its training.
* **Closing** cancels all pending jobs and returns within seconds. The executor can be opened again.
It serves one search at a time.
"""

from __future__ import annotations

import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from symact.errors import SymactError
from symact.evaluation.draws import Draws
from symact.evaluation.jobs import Job, JobResult


class Executor(ABC):
    """Runs the jobs of a search.

    A subclass needs :meth:`open`, :meth:`submit` and :meth:`close`.

    Attributes:
        device: Device of the fidelities that use a GPU: ``"cpu"`` or ``"cuda"``. Set by
            :meth:`open`.
        workers: Number of concurrent jobs. A search submits more than twice as many in advance.
    """

    device: str = "cpu"
    workers: int = 1

    @abstractmethod
    def open(self, draws: Draws, device: str | None = None) -> None:
        """Prepare for the jobs of one search.

        Args:
            draws: The tasks and fidelities of the search.
            device: ``"cpu"`` or ``"cuda"``. None for CUDA if available, else the CPU.

        Raises:
            SymactError: The executor is already open, or the device is not available.
        """

    @abstractmethod
    def submit(self, job: Job) -> Future[JobResult]:
        """Start a job."""

    def submit_all(self, jobs: Sequence[Job]) -> list[Future[JobResult]]:
        """Start several jobs. Executors that batch jobs override this method."""
        return [self.submit(job) for job in jobs]

    @abstractmethod
    def close(self) -> None:
        """Cancel all jobs and release the workers."""


class OpenJobs:
    """The pending futures of an executor."""

    def __init__(self) -> None:
        self._futures: set[Future[Any]] = set()
        self._lock = threading.Lock()

    def add(self, futures: Iterable[Future[Any]]) -> None:
        for future in futures:
            with self._lock:
                self._futures.add(future)
            future.add_done_callback(self._remove)

    def cancel(self) -> None:
        """Cancel all pending futures."""
        with self._lock:
            futures = list(self._futures)
        for future in futures:
            future.cancel()

    def _remove(self, future: Future[Any]) -> None:
        with self._lock:
            self._futures.discard(future)


def refuse_second_search(is_open: bool) -> None:
    """Raise an error if an executor is already open.

    Raises:
        SymactError: The executor is open.
    """
    if is_open:
        raise SymactError("this executor is used by another search; make one for each search")


def best_device() -> str:
    """Return ``"cuda"`` if there is a CUDA device, else ``"cpu"``.

    The import of torch takes seconds, so it is imported only if there is a CUDA driver.
    """
    if not (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        return "cpu"
    from symact.evaluation.training.torch_mlp import has_cuda

    return "cuda" if has_cuda() else "cpu"
