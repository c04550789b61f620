"""What every executor promises.

* **Results** depend on the job and the draws alone: not on other jobs, the order or the number of
  workers. Executors in other processes round errors to nine significant digits, as run databases
  do.
* **Failures of a candidate are results.** An exception, the fidelity's timeout, or a worker process
  that a candidate ends repeatedly gives :class:`~symact.evaluation.jobs.Failed`. An exception in a
  future means that the executor itself cannot work, and ends the search.
* **Cancellation.** A job that was cancelled before it began never begins. The result of a running
  job is dropped; threads also stop its training.
* **Closing** cancels all jobs that are not done and returns within seconds. The executor can be
  opened again afterwards. It serves one search at a time.
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
    """Does the jobs of a search.

    A subclass needs :meth:`open`, :meth:`submit` and :meth:`close`.

    Attributes:
        device: Where the fidelities train that use a GPU: ``"cpu"`` or ``"cuda"``. Set by
            :meth:`open`.
        workers: How many jobs run at a time. A search keeps more than twice as many under way.
    """

    device: str = "cpu"
    workers: int = 1

    @abstractmethod
    def open(self, draws: Draws, device: str | None = None) -> None:
        """Prepare to do the jobs of one search.

        Args:
            draws: The tasks and fidelities of the search.
            device: ``"cpu"``, ``"cuda"``, or None for the best there is.

        Raises:
            SymactError: The executor is open, or the device is not there.
        """

    @abstractmethod
    def submit(self, job: Job) -> Future[JobResult]:
        """Start a job."""

    def submit_all(self, jobs: Sequence[Job]) -> list[Future[JobResult]]:
        """Start several jobs; executors that batch their work override this."""
        return [self.submit(job) for job in jobs]

    @abstractmethod
    def close(self) -> None:
        """Cancel all jobs and release the workers."""


class OpenJobs:
    """The futures of an executor that are not done."""

    def __init__(self) -> None:
        self._futures: set[Future[Any]] = set()
        self._lock = threading.Lock()

    def add(self, futures: Iterable[Future[Any]]) -> None:
        for future in futures:
            with self._lock:
                self._futures.add(future)
            future.add_done_callback(self._remove)

    def cancel(self) -> None:
        """Cancel all of them."""
        with self._lock:
            futures = list(self._futures)
        for future in futures:
            future.cancel()

    def _remove(self, future: Future[Any]) -> None:
        with self._lock:
            self._futures.discard(future)


def refuse_second_search(is_open: bool) -> None:
    """Refuse to open an executor that is open.

    Raises:
        SymactError: It is.
    """
    if is_open:
        raise SymactError("this executor is used by another search; make one for each search")


def best_device() -> str:
    """Return ``"cuda"`` if there is a device, else ``"cpu"``.

    torch, which takes seconds to import, is asked only if there is a driver.
    """
    if not (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        return "cpu"
    from symact.evaluation.training.torch_mlp import has_cuda

    return "cuda" if has_cuda() else "cpu"
