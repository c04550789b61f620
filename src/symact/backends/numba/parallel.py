"""Runs a compiled function in several threads.

If the process has loaded OpenMP with the interface of GNU, as torch does on Linux, its threads are
used. They are those of torch's own operations, so no two pools compete for the cores, and they wake
in a few microseconds. Otherwise a pool of Python threads is used.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from symact.backends.numba.caching import cached
from symact.backends.numba.intrinsics import call_address
from symact.backends.numba.tape import pool


class _OpenMP:
    """The OpenMP library of the process.

    Attributes:
        is_forked: Whether the process was forked. OpenMP would wait for threads that only the
            parent process has.
    """

    def __init__(self) -> None:
        self.is_forked = False
        self._address = 0

    def address(self) -> int:
        """Return that of ``GOMP_parallel(function, data, threads, flags)``, or 0."""
        if self.is_forked:
            return 0
        if not self._address:
            self._address = binding.address_of_symbol("GOMP_parallel") or 0
        return self._address

    def forget(self) -> None:
        self.is_forked = True


_OPENMP = _OpenMP()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPENMP.forget)


def _launch(openmp: Any, function: Any, data: Any, threads: Any) -> None:
    """Call a function with the address of an array, in this thread or in those of OpenMP."""
    if openmp == 0:
        call_address(function, (data.ctypes.data,))
    else:
        call_address(openmp, (function, data.ctypes.data, threads, 0))


_launched: Any = cached(_launch)


def run_in_threads(function: int, data: NDArray[np.int64], threads: int) -> None:
    """Run the C function at an address in several threads, and wait for all of them.

    Args:
        function: The address of a function with the address of ``data`` as its only argument. It
            must accept any number of threads up to ``threads``, because OpenMP may start fewer.
        data: An array, which the threads share.
        threads: The number of threads, at least one.
    """
    openmp = _OPENMP.address() if threads > 1 else 0
    others = range(0) if openmp else range(1, threads)
    started = [pool(threads).submit(_launched, 0, function, data, 1) for _ in others]
    _launched(openmp, function, data, threads)
    for other in started:
        # A thread that has not started yet has nothing left to do.
        if not other.cancel():
            other.result()
