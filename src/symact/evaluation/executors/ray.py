"""Run jobs on a Ray cluster. Machines may join and leave the cluster.

Requires the extra ``symact[cluster]``. The draws are sent once, as the bytes of an ``.npz`` file.
Formulas and errors are sent as text.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import ray

from symact.errors import SymactError
from symact.evaluation.draws import Draws
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.executors.base import Executor, refuse_second_search
from symact.evaluation.executors.messages import (
    answer_of,
    answer_request,
    job_of,
    request_of,
    result_of,
)
from symact.evaluation.executors.processes import ATTEMPTS, START_TIMEOUT
from symact.evaluation.futures import settle
from symact.evaluation.jobs import TUNING, Failed, Job, JobResult
from symact.evaluation.training.networks import GPU_NETWORKS

#: Target duration of a task in seconds. The overhead of a task is less than 1% of it.
LEAST_SECONDS = 0.25

#: Errors that report the loss of a worker or its machine. A candidate may be the cause.
_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
)

#: Function of ``(draws, key, device, requests)`` that returns its duration in seconds and the
#: answers as JSON.
Task = Callable[[bytes, str, str, list[dict[str, Any]]], tuple[float, str]]


class _Batch:
    """Jobs at one fidelity and draw in one task, and their futures."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = list(jobs)
        self.futures: list[Future[JobResult]] = [Future() for _ in jobs]

    @property
    def fidelity(self) -> str:
        return self.jobs[0].fidelity

    def alone(self) -> list[_Batch]:
        """Return a batch for each job, with the same futures."""
        batches = []
        for job, future in zip(self.jobs, self.futures, strict=True):
            batches.append(_Batch([job]))
            batches[-1].futures = [future]
        return batches


class RayExecutor(Executor):
    """Runs jobs as Ray tasks of one core. On CUDA, fidelities that use a GPU take one GPU.

    Args:
        workers: Number of logical cores of a new cluster on this machine; None for all cores.
        address: Address of a running cluster. ``""`` and ``"auto"`` select the cluster on this
            machine. If there is none, a new cluster is started; it ends with the search.
        task: Function that the workers run; None for :func:`run_batch`.
        least_seconds: Minimum duration of a task. Fast candidates are combined to reach it.

    Raises:
        SymactError: On :meth:`open`, there is no such cluster, or it has no GPU for ``"cuda"``.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str = "",
        task: Task | None = None,
        least_seconds: float = LEAST_SECONDS,
    ) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._address, self._task = address, task or run_batch
        self._least_seconds = least_seconds
        self._draws: Draws | None = None
        self._is_own = False
        #: Recent duration of a candidate at each fidelity, in seconds.
        self._seconds: dict[str, float] = {}
        self._sent: dict[_Batch, Any] = {}
        self._lock = threading.Lock()

    def open(self, draws: Draws, device: str | None = None) -> None:
        refuse_second_search(self._draws is not None)
        self._is_own = connect(self._address, self.workers)
        # Ray leaves it without types.
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
        has_gpu = resources.get("GPU", 0) > 0
        self.device = device or ("cuda" if has_gpu else "cpu")
        if self.device == "cuda" and not has_gpu:
            if self._is_own:
                ray.shutdown()
            raise SymactError("device 'cuda': the Ray cluster has no GPU; use cpu")
        content = draws.dump()
        self._draws, self._stored = draws, ray.put(content)
        self._key = hashlib.sha256(content).hexdigest()
        self._remote = ray.remote(self._task)
        # Results are received in a separate thread, because Ray's threads must not send tasks.
        self._receiver = ThreadPoolExecutor(1)

    def submit(self, job: Job) -> Future[JobResult]:
        return self.submit_all([job])[0]

    def submit_all(self, jobs: Sequence[Job]) -> list[Future[JobResult]]:
        futures = []
        for (fidelity, _), group in itertools.groupby(jobs, lambda job: (job.fidelity, job.draw)):
            own, size = list(group), self.batch_size(fidelity)
            for first in range(0, len(own), size):
                batch = _Batch(own[first : first + size])
                futures += batch.futures
                self._send(batch)
        return futures

    def close(self) -> None:
        if self._draws is None:
            return
        with self._lock:
            sent, self._sent = self._sent, {}
        for batch, reference in sent.items():
            ray.cancel(reference)
            _cancel(batch)
        self._receiver.shutdown(wait=False, cancel_futures=True)
        if self._is_own:
            ray.shutdown()
        self._draws = None

    def batch_size(self, fidelity: str) -> int:
        """Return the number of candidates of a task."""
        if self._uses_gpu(fidelity):
            assert self._draws is not None
            return max(1, GPU_NETWORKS // len(self._draws.families(fidelity)))
        seconds = self._seconds.get(fidelity, self._least_seconds)
        return max(1, math.ceil(self._least_seconds / max(seconds, 1e-6)))

    def _uses_gpu(self, fidelity: str) -> bool:
        if fidelity == TUNING or self.device != "cuda" or self._draws is None:
            return False
        return self._draws.fidelity(fidelity).uses_gpu

    def _send(self, batch: _Batch) -> None:
        gpus = {"num_gpus": 1} if self._uses_gpu(batch.fidelity) else {}
        # Ray replaces a dead worker and repeats its task.
        task = self._remote.options(num_cpus=1, max_retries=ATTEMPTS - 1, **gpus)
        requests = [request_of(job) for job in batch.jobs]
        reference = task.remote(self._stored, self._key, self.device, requests)
        with self._lock:
            self._sent[batch] = reference
        reference.future().add_done_callback(lambda _: self._receive_later(batch, reference))

    def _receive_later(self, batch: _Batch, reference: Any) -> None:
        try:
            self._receiver.submit(self._receive, batch, reference)
        except RuntimeError:  # the executor was closed, which cancelled the batch
            return

    def _receive(self, batch: _Batch, reference: Any) -> None:
        """Complete the futures of a batch, or send its jobs again."""
        with self._lock:
            if self._sent.pop(batch, None) is None:
                return
        try:
            seconds, text = ray.get(reference)
        except _LOST as error:
            self._retry(batch, error)
        except ray.exceptions.TaskCancelledError:
            _cancel(batch)
        except BaseException as error:
            _fail(batch, error)
        else:
            self._seconds[batch.fidelity] = seconds / len(batch.jobs)
            answers = json.loads(text)
            for future, answer, job in zip(batch.futures, answers, batch.jobs, strict=True):
                settle(future, functools.partial(result_of, answer, job))

    def _retry(self, batch: _Batch, error: Exception) -> None:
        """Send each job of a batch alone, because one of them may have ended the worker."""
        if len(batch.jobs) > 1:
            for own in batch.alone():
                self._send(own)
            return
        reason = f"ended its worker {ATTEMPTS} times ({type(error).__name__})"
        settle(batch.futures[0], lambda: Failed(reason))


def _cancel(batch: _Batch) -> None:
    for future in batch.futures:
        future.cancel()
        future.set_running_or_notify_cancel()


def _fail(batch: _Batch, error: BaseException) -> None:
    """Let the futures of a batch raise an error of the worker."""
    if isinstance(error, ray.exceptions.RayTaskError):
        message = " ".join(str(error.cause).split())[:200]
        error = SymactError(
            f"a Ray worker failed: {type(error.cause).__name__}: {message}; "
            "install the packages of this process on all workers"
        )

    def fail() -> JobResult:
        raise error

    for future in batch.futures:
        settle(future, fail)


def connect(address: str, count: int) -> bool:
    """Connect to a cluster, or start one. Return whether this call made the connection.

    Args:
        address: Address of the cluster. ``""`` and ``"auto"`` select one on this machine, or a new
            one.
        count: Number of logical cores of a new cluster.

    Raises:
        SymactError: There is no cluster at the address.
    """
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    try:
        if address not in ("", "auto"):
            ray.init(address, logging_level=logging.WARNING, log_to_driver=False)
            return True
        try:
            ray.init("auto", logging_level=logging.WARNING, log_to_driver=False)
        except ConnectionError:
            # Otherwise Ray would retry for ever if memory runs out.
            own = {**quiet, "_system_config": {"task_oom_retries": ATTEMPTS - 1}}
            ray.init("local", num_cpus=count, logging_level=logging.WARNING, **own)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        message = " ".join(str(error).split())[:200]
        raise SymactError(f"no Ray cluster at '{address or 'auto'}': {message}") from None
    return True


#: In a worker: the evaluator of the current search.
_evaluators: dict[tuple[str, str], Evaluator] = {}


def run_batch(
    draws: bytes, key: str, device: str, requests: list[dict[str, Any]]
) -> tuple[float, str]:
    """Run jobs in a worker.

    Args:
        draws: The draws as bytes, from :meth:`Draws.dump`.
        key: Identifier of the draws.
        device: Device of the fidelities that use a GPU.
        requests: Jobs at one fidelity and draw.

    Returns:
        The duration in seconds, and the answers as JSON.
    """
    if (key, device) not in _evaluators:
        _evaluators.clear()
        _evaluators[key, device] = Evaluator(Draws.load(draws), device)
    evaluator = _evaluators[key, device]
    began = time.monotonic()
    # Training stops at its time limit. Work that does not stop ends with its worker.
    timeout = evaluator.draws.timeout(requests[0]["fidelity"])
    alarm = threading.Timer(2 * timeout * len(requests) + START_TIMEOUT, os._exit, (1,))
    alarm.daemon = True
    alarm.start()
    try:
        answers = _answers(evaluator, requests)
    finally:
        alarm.cancel()
    return time.monotonic() - began, json.dumps(answers)


def _answers(evaluator: Evaluator, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if evaluator.uses_gpu(requests[0]["fidelity"]):  # one stack of networks
        results = evaluator.run([job_of(request) for request in requests])
        return [answer_of(result) for result in results]
    return [answer_request(evaluator, request) for request in requests]
