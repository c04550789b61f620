"""The garbage collector looks at a search's memory less often.

A search makes expressions by the hundred thousand, keeps most of them for a while and makes hardly
any cycle; going through them all, and through what torch and scikit-learn have loaded, again and
again was a fifth of the driver's time (docs/scaling.md).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: How many times as rarely the second and the third generation of objects are gone through.
_RARER = (2, 5)

_lock = threading.Lock()
_searches = 0
_before = gc.get_threshold()


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let the collector work less often in the block; several searches at a time count as one."""
    global _searches, _before
    with _lock:
        if not _searches:
            _before = gc.get_threshold()
            youngest, second, third = _before
            gc.set_threshold(youngest, _RARER[0] * second, _RARER[1] * third)
        _searches += 1
    try:
        yield
    finally:
        with _lock:
            _searches -= 1
            if not _searches:
                gc.set_threshold(*_before)
