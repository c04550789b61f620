"""Runs the garbage collector less often while a search runs.

A search makes hundreds of thousands of expressions and hardly any cycles. Collections of all of
them, and of the objects of torch and scikit-learn, took a fifth of the driver's time
(docs/scaling.md). The thresholds belong to the process: searches in several threads share one
change, and the last of them puts the thresholds back.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: How many times as rarely the second and the third generation of objects are collected.
_RARER = (2, 5)

_Thresholds = tuple[int, int, int]


class _Shared:
    """The thresholds before and during the searches of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._searches = 0
        self._before: _Thresholds = gc.get_threshold()
        self._during: _Thresholds = self._before

    def enter(self) -> None:
        with self._lock:
            if not self._searches:
                self._before = gc.get_threshold()
                youngest, second, third = self._before
                self._during = youngest, _RARER[0] * second, _RARER[1] * third
                gc.set_threshold(*self._during)
            self._searches += 1

    def leave(self) -> None:
        with self._lock:
            self._searches -= 1
            # Keep thresholds that other code has set meanwhile.
            if not self._searches and gc.get_threshold() == self._during:
                gc.set_threshold(*self._before)


_shared = _Shared()


@contextmanager
def infrequent_collection() -> Iterator[None]:
    """Collect less often inside; several searches at a time count as one."""
    _shared.enter()
    try:
        yield
    finally:
        _shared.leave()
