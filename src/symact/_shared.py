"""Temporary changes of process-wide settings, safe for overlapping threads."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SharedChange:
    """A context manager that applies a change while at least one thread is inside its block.

    The first thread to enter applies the change. The last thread to leave undoes it. If each thread
    saved and restored the setting, a second thread would save the changed value.

    Args:
        apply: Makes the change and returns a function that undoes it.

    Example:
        >>> log = []
        >>> change = SharedChange(lambda: log.append("on") or (lambda: log.append("off")))
        >>> with change, change:
        ...     print(log)
        ['on']
        >>> log
        ['on', 'off']
    """

    def __init__(self, apply: Callable[[], Callable[[], object]]) -> None:
        self._apply = apply
        self._lock = threading.Lock()
        self._users = 0
        self._undo: Callable[[], object] = lambda: None

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._undo = self._apply()
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._undo()


def _pause_collector() -> Callable[[], object]:
    if not gc.isenabled():
        return lambda: None
    gc.disable()
    return gc.enable


def _limit_blas() -> Callable[[], object]:
    from threadpoolctl import threadpool_limits

    limits = threadpool_limits(1, user_api="blas")
    return lambda: limits.restore_original_limits()


#: Pauses the cyclic garbage collector, for code that allocates many objects without cycles.
paused_collector = SharedChange(_pause_collector)

_single_blas = SharedChange(_limit_blas)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread inside the block.

    Results then do not depend on the number of cores. The BLAS limit holds for the process, the
    OpenMP limit for the calling thread.
    """
    from threadpoolctl import threadpool_limits

    with _single_blas, threadpool_limits(1, user_api="openmp"):
        yield
