"""Run jobs in separate processes. A crash loses only the candidate that caused it."""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from symact.evaluation.draws import Draws
from symact.evaluation.executors.base import Executor, OpenJobs, best_device, refuse_second_search
from symact.evaluation.executors.messages import request_of, result_of
from symact.evaluation.futures import then
from symact.evaluation.jobs import Failed, Job, JobResult

#: Number of crashes of a worker after which a candidate has failed. The first crashes may have
#: other causes.
ATTEMPTS = 5
#: Extra time in seconds for the first job of a new worker, which starts and compiles.
START_TIMEOUT = 120.0
_COMMAND = "from symact.evaluation.executors.worker import run_worker; run_worker()"


class ProcessExecutor(Executor):
    """Runs jobs in worker processes. Workers that end or exceed the time limit are replaced.

    A worker starts as a clean interpreter. It reads jobs and writes results as lines of JSON.

    Args:
        workers: Number of processes; None for the number of cores.
        command: Command that starts a worker; None for
            :func:`~symact.evaluation.executors.worker.run_worker`.
        attempts: Number of crashes of a worker after which a candidate has failed.
        start_timeout: Extra time in seconds for the first job of a new worker.

    >>> ProcessExecutor(2).pids
    []
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        command: Sequence[str] | None = None,
        attempts: int = ATTEMPTS,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self.workers = workers or os.cpu_count() or 1
        # -P: do not import modules from the current directory, which may be a run.
        self._command = command or (sys.executable, "-P", "-c", _COMMAND)
        self._attempts, self._start_timeout = attempts, start_timeout
        self._pool: ThreadPoolExecutor | None = None
        self._draws: Draws | None = None
        self._first = ""
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._running: set[_Worker] = set()
        self._lock = threading.Lock()
        self._jobs = OpenJobs()

    @property
    def pids(self) -> list[int]:
        """Process IDs of the active and the idle workers."""
        return [worker.pid for worker in list(self._running)]

    def open(self, draws: Draws, device: str | None = None) -> None:
        refuse_second_search(self._pool is not None)
        self.device = device or best_device()
        content = base64.b64encode(draws.dump()).decode("ascii")
        self._first = json.dumps({"draws": content, "device": self.device}) + "\n"
        self._draws = draws
        self._pool = ThreadPoolExecutor(self.workers)

    def submit(self, job: Job) -> Future[JobResult]:
        assert self._pool is not None and self._draws is not None
        timeout = self._draws.timeout(job.fidelity)
        future = then(self._pool.submit(self._run, job, timeout), _result)
        self._jobs.add([future])
        return future

    def close(self) -> None:
        if self._pool is None:
            return
        self._jobs.cancel()
        with self._lock:  # from here on no worker starts
            pool, self._pool = self._pool, None
            workers = list(self._running)
        for worker in workers:
            worker.close()
        pool.shutdown(cancel_futures=True)
        self._running.clear()
        self._idle = queue.SimpleQueue()

    def _run(self, job: Job, timeout: float) -> JobResult:
        """Run a job in a worker. If the worker ends, repeat the job in another one."""
        request, how = request_of(job), ""
        for _ in range(self._attempts):
            worker = self._take()
            if worker is None:
                return Failed("the executor was closed")
            answer = worker.ask(request, timeout)
            if worker.is_well:
                self._idle.put(worker)
            else:
                self._discard(worker)
            if answer is not None:
                return result_of(answer, job)
            if worker.is_late:
                return Failed(f"took longer than {timeout:g} s")
            how = worker.how_it_ended()
        return Failed(f"ended its process {self._attempts} times ({how})")

    def _take(self) -> _Worker | None:
        """Return an idle worker or a new one; None after closing."""
        with self._lock:
            if self._pool is None:
                return None
            with suppress(queue.Empty):
                return self._idle.get_nowait()
            worker = _Worker(self._command, self._first, self._start_timeout)
            self._running.add(worker)
            return worker

    def _discard(self, worker: _Worker) -> None:
        worker.close()
        self._running.discard(worker)


def _result(result: JobResult) -> JobResult:
    return result


class _Worker:
    """One worker process."""

    def __init__(self, command: Sequence[str], first: str, start_timeout: float) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.is_late, self._has_answered = False, False
        #: The line to send before the first request; "" afterwards.
        self._first = first
        self._start_timeout = start_timeout

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_well(self) -> bool:
        """Whether the worker answered the last request and was not stopped."""
        return self._has_answered and not self.is_late

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any] | None:
        """Return the answer to a request; None if the process ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._has_answered = False
        alarm = threading.Timer(timeout + (self._start_timeout if self._first else 0), self._stop)
        alarm.start()
        try:
            self._process.stdin.write(f"{self._first}{json.dumps(request)}\n")
            self._first = ""
            line = self._process.stdout.readline()
        except (OSError, ValueError):  # the process has ended, or its pipes were closed
            line = ""
        finally:
            alarm.cancel()
            alarm.join()  # the timer may have fired already
        if not line.endswith("\n"):
            return None
        self._has_answered = True
        answer: dict[str, Any] = json.loads(line)
        return answer

    def how_it_ended(self) -> str:
        status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def _stop(self) -> None:
        self.is_late = True
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # the process may not have read everything
                    pipe.close()
