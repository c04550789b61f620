"""Run the parts of a training in a pool of threads, with a time limit."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.futures import gather, then
from symact.evaluation.jobs import Failed, failure

R = TypeVar("R")

#: A flag, int8 [1]. A part stops soon after the flag becomes 1.
Stop = NDArray[np.int8]


def run_parts(
    pool: Executor,
    parts: Sequence[Callable[[Stop], None]],
    timeout: float,
    result: Callable[[], R],
) -> Future[R | Failed]:
    """Run the parts of the training of one candidate.

    An exception, the timeout or a cancellation of the future stops all parts.

    Args:
        pool: A pool of threads.
        parts: Functions of a flag. They stop soon after the flag becomes 1.
        timeout: Time limit in seconds, from the start of the first part to the end of the last.
        result: Called after the last part if no part failed. It returns the result.
    """
    run = _Run(timeout)
    ended = gather([pool.submit(run.work, part) for part in parts])
    ended.add_done_callback(lambda _: run.end_timer())
    future = then(ended, functools.partial(_outcome, run, result))
    future.add_done_callback(lambda own: run.stop() if own.cancelled() else None)
    return future


def _outcome(run: _Run, result: Callable[[], R], _: object) -> R | Failed:
    return run.failed or result()


class _Run:
    """The shared state of the parts of a training."""

    def __init__(self, timeout: float) -> None:
        self.failed: Failed | None = None
        self._timeout = timeout
        self._flag: Stop = np.zeros(1, dtype=np.int8)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def work(self, part: Callable[[Stop], None]) -> None:
        if self._flag[0]:
            return
        self._start_timer()
        try:
            part(self._flag)
        except Exception as error:  # an exception concerns this candidate only
            self._fail(failure(error))

    def stop(self) -> None:
        self._flag[0] = 1

    def end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start_timer(self) -> None:
        with self._lock:
            if self._timer is None:
                late = Failed(f"took longer than {self._timeout:g} s")
                self._timer = threading.Timer(self._timeout, self._fail, (late,))
                self._timer.daemon = True
                self._timer.start()

    def _fail(self, failed: Failed) -> None:
        with self._lock:
            self.failed = self.failed or failed
        self.stop()
