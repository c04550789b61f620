"""Training in a pool of threads, candidate by candidate: what goes wrong with one costs only it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact.errors import SymactError

Errors = NDArray[np.float64]

#: Seconds that the training of a candidate on a rung may take, a hundred times what is usual: it
#: ends what would hold up a search, and decides nothing between candidates.
LIMIT = 600.0
#: On which rungs a candidate may take longer, and how many times: a worker does all of it.
_LONGER = {"selection": 6.0}


@dataclass(frozen=True, slots=True)
class Failed:
    """What became of a candidate that could not be trained.

    Attributes:
        reason: A line for people.
    """

    reason: str


#: What training says of a candidate: errors [instance, seed, 4], NaN where it diverged.
Trained = Errors | Failed
#: Waits for what training says of each candidate.
Finish = Callable[[], list[Trained]]


class Once:
    """Waits once for what several may ask for, each in a thread of its own.

    Args:
        finish: What is waited for.
    """

    def __init__(self, finish: Finish) -> None:
        self._finish, self._lock = finish, threading.Lock()
        self._found: list[Trained] | None = None

    def __call__(self) -> list[Trained]:
        with self._lock:
            if self._found is None:
                self._found = self._finish()
            return self._found


def limit_on(rung: str, limit: float = LIMIT) -> float:
    """Return the seconds that a worker may take for a candidate on a rung."""
    return limit * _LONGER.get(rung, 1.0)


def whole(found: Sequence[Trained], names: Sequence[str]) -> list[Errors]:
    """Return the errors of functions that have to be trained, whatever it takes.

    Raises:
        SymactError: One of them failed.
    """
    errors = []
    for own, name in zip(found, names, strict=True):
        if isinstance(own, Failed):
            raise SymactError(f"'{name}' could not be trained here: {own.reason}")
        errors.append(own)
    return errors


def failure(error: BaseException) -> Failed:
    """Return what is kept of an exception."""
    said = " ".join(str(error).split())
    return Failed(f"{type(error).__name__}: {said}"[:200] if said else type(error).__name__)


class Job:
    """The training of one candidate, in parts that a pool works on.

    Args:
        pool: Of threads.
        parts: Each takes ``stop``, an int8 array of one element, and ends soon once that is not 0.
        limit: Seconds that all of it may take from the moment the first part begins.
    """

    def __init__(
        self,
        pool: Executor,
        parts: Sequence[Callable[[NDArray[np.int8]], None]],
        limit: float | None = None,
    ) -> None:
        self._limit = LIMIT if limit is None else limit
        self._stop = np.zeros(1, dtype=np.int8)
        self._began: float | None = None
        self._failed: Failed | None = None
        self._waiting = [pool.submit(self._work, part) for part in parts]

    def _work(self, part: Callable[[NDArray[np.int8]], None]) -> None:
        self._began = self._began or time.monotonic()
        if self._stop[0]:
            return
        try:
            part(self._stop)
        except Exception as error:  # of any kind: a candidate may not end a search
            self._end(failure(error))

    def _end(self, failed: Failed) -> None:
        self._failed = self._failed or failed
        self._stop[0] = 1

    def cancel(self) -> None:
        """End soon: nobody wants the result any more."""
        self._stop[0] = 1

    def wait(self) -> Failed | None:
        """Wait for all parts; return why it failed, None where it did not."""
        for future in self._waiting:
            while not future.done():
                left = self._limit
                if self._began is not None:
                    left -= time.monotonic() - self._began
                    if left <= 0 and not self._stop[0]:
                        self._end(Failed(f"took longer than {self._limit:g} s"))
                try:
                    future.result(timeout=left if left > 0 else None)
                except TimeoutError:
                    continue
            future.result()
        return self._failed
