"""Work under way, taken as it ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable
from typing import Any


class Arrivals:
    """Waits for many things at once; each has a key.

    What they wait in are threads, one each: those who train have ways of waiting of their own, with
    limits of time.
    """

    def __init__(self) -> None:
        self._waiting: set[Hashable] = set()
        self._ended: queue.SimpleQueue[tuple[Hashable, Any, BaseException | None]]
        self._ended = queue.SimpleQueue()

    def watch(self, key: Hashable, wait: Callable[[], Any]) -> None:
        """Begin to wait for something.

        Args:
            key: What it is known by; nothing else under way may have the same.
            wait: Returns the result when it is there.
        """
        self._waiting.add(key)
        threading.Thread(target=self._wait, args=(key, wait), daemon=True).start()

    def take(self) -> list[tuple[Any, Any]]:
        """Return keys and results of all that has ended, at least one if anything is under way.

        Raises:
            BaseException: Whatever waiting for one of them raised.
        """
        found: list[tuple[Any, Any]] = []
        while self._waiting and not (found and self._ended.empty()):
            key, result, error = self._ended.get()
            self._waiting.remove(key)
            if error is not None:
                raise error
            found.append((key, result))
        return found

    def _wait(self, key: Hashable, wait: Callable[[], Any]) -> None:
        try:
            self._ended.put((key, wait(), None))
        except BaseException as error:  # it belongs to who asked
            self._ended.put((key, None, error))
