"""Runs a compiled function in several threads.

If the process has loaded OpenMP with the interface of GNU, as torch does on Linux, its threads are
used. They are those of torch's own operations, so no two pools compete for the cores, and they wake
in a few microseconds. Otherwise a pool of Python threads is used.

The functions are called through ctypes, which releases the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from llvmlite import binding

from symact.backends.numba.tape import pool

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
#: ``GOMP_parallel(function, data, threads, flags)``.
_LAUNCHER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


class _OpenMP:
    """The OpenMP library of the process.

    Attributes:
        is_forked: Whether the process was forked. OpenMP would wait for threads that only the
            parent process has.
    """

    def __init__(self) -> None:
        self.is_forked = False
        self._launcher: Any = None

    def launcher(self) -> Any:
        """Return ``GOMP_parallel``, or None."""
        if self.is_forked:
            return None
        if self._launcher is None:
            address = binding.address_of_symbol("GOMP_parallel")
            self._launcher = _LAUNCHER(address) if address else None
        return self._launcher

    def forget(self) -> None:
        self.is_forked = True


_OPENMP = _OpenMP()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPENMP.forget)


class CFunction:
    """A compiled function whose only argument is the address of int64 numbers.

    Any number of threads may run it with one address.

    Args:
        compiled: The function as compiled by ``numba.cfunc``.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled  # its code is freed with it
        self._call = _FUNCTION(compiled.address)

    def run(self, numbers: list[int], threads: int) -> None:
        """Run the function in some threads, and wait for all of them.

        Args:
            numbers: What the address points to. The threads share it.
            threads: The largest number of threads, at least one. OpenMP may start fewer.
        """
        shared = (ctypes.c_int64 * len(numbers))(*numbers)
        if threads == 1:
            self._call(shared)
        elif (launcher := _OPENMP.launcher()) is not None:
            launcher(self._compiled.address, shared, threads, 0)
        else:
            self._run_in_pool(shared, threads)

    def _run_in_pool(self, shared: Any, threads: int) -> None:
        started = [pool(threads).submit(self._call, shared) for _ in range(1, threads)]
        self._call(shared)
        for other in started:
            # A thread that has not started yet has nothing left to do.
            if not other.cancel():
                other.result()
