"""Shorter formulas with the same values: own rules first, then sympy under a time limit."""

from __future__ import annotations

import _weakrefset
import functools
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from symact.backends.sampling import SIMPLIFICATION
from symact.expr import Expr, const, uses_statistics, variables
from symact.expr.canonical import canonical
from symact.expr.cost import flops
from symact.expr.primitives import CONST

#: Returns the values of an expression of some inputs at float64 points, one array for each input.
Evaluate = Callable[..., NDArray[np.float64]]


_RELATIVE = 1e-9
#: Where Python calls back when an object that is weakly referred to goes.
_CALLED_BACK = {weakref.__file__, _weakrefset.__file__}
_ABSOLUTE = 1e-12


class TimeUp(BaseException):
    """Raised by the alarm; no Exception, so that no handler inside sympy swallows it."""


def simplify(expr: Expr, *, seconds: float = 2.0, evaluate: Evaluate | None = None) -> Expr:
    """Return an expression with the same values that costs no more.

    A rewrite is kept only if it has fewer FLOPs, or as many and no more nodes, and if it equals
    the original on points from -1e4 to 1e4 with the same points finite. Results are cached.

    sympy is tried only where it can be stopped: in the main thread of a Unix process, by
    ``SIGALRM``. Elsewhere, and for functions of batch statistics, the own rules do all the work.
    Where time runs out the result depends on the speed of the machine, not on its load.

    Args:
        expr: A function of any variables.
        seconds: Of computing that sympy may take; 0 or less leaves it out.
        evaluate: Computes values as :func:`symact.backends.evaluate` does, the default.
    """
    if evaluate is None:
        from symact.backends import evaluate
    return _simplify(expr, seconds if has_alarm() else 0.0, evaluate)


@functools.lru_cache(maxsize=4096)
def _simplify(expr: Expr, seconds: float, evaluate: Evaluate) -> Expr:
    inputs = variables(expr) or ("x",)
    points = SIMPLIFICATION.points(len(inputs))
    values = None  # computed when the first rewrite is compared

    def agrees(other: Expr) -> bool:
        nonlocal values
        with np.errstate(all="ignore"):
            values = evaluate(expr, *points, inputs=inputs) if values is None else values
            return _agree(evaluate(other, *points, inputs=inputs), values)

    best, normal = expr, canonical(expr)
    if normal != expr and _price(normal) <= _price(expr) and agrees(normal):
        best = normal
    if seconds > 0 and not uses_statistics(expr):
        for found in _by_sympy(best, seconds):
            if _price(found) < _price(best) and agrees(found):
                best = found
    short = _with_short_literals(best)
    if short != best and agrees(short):
        best = short
    return best


@functools.lru_cache(maxsize=16_384)
def _with_short_literals(expr: Expr) -> Expr:
    """Round literals to ten digits: 2.2399999999999998 is what multiplying 1.4 by 1.6 leaves."""
    if expr.op == CONST:
        return const(float(f"{expr.number:.10g}"))
    args = tuple(map(_with_short_literals, expr.args))
    return expr if args == expr.args else Expr(expr.op, args)


def _price(expr: Expr) -> tuple[int, int]:
    return flops(expr), expr.size


def _agree(values: NDArray[np.float64], expected: NDArray[np.float64]) -> bool:
    finite = np.isfinite(expected)
    if not np.array_equal(np.isfinite(values), finite):
        return False
    error = np.abs(values[finite] - expected[finite])
    return bool(np.all(error <= _ABSOLUTE + _RELATIVE * np.abs(expected[finite])))


def _by_sympy(expr: Expr, seconds: float) -> list[Expr]:
    """Return what sympy makes of an expression, all that it finished in time."""
    from sympy.core.cache import clear_cache

    found: list[Expr] = []
    try:
        with time_limit(seconds):
            for form in _sympy_forms(expr):
                found.append(canonical(form))
    except TimeUp:
        clear_cache()  # it may hold what the alarm left half done
    return found


def _sympy_forms(expr: Expr) -> Iterator[Expr]:
    import sympy

    from symact.backends.sympy import from_sympy, to_sympy

    # sympy raises all kinds of errors, RecursionError among them: then it has nothing to offer.
    with suppress(Exception):
        start = to_sympy(expr)
        for step in (sympy.factor_terms, sympy.cancel, sympy.simplify):
            with suppress(Exception):
                yield from_sympy(step(start))


def has_alarm() -> bool:
    """Whether :func:`time_limit` can be used here: in the main thread of a Unix process."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and hasattr(signal, "setitimer") and signal.getsignal(signal.SIGALRM) is not None


def _would_be_lost(frame: FrameType | None) -> bool:
    """Whether what is raised here would only be printed: in a destructor or a weak callback."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename in _CALLED_BACK:
            return True
        frame = frame.f_back
    return False


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TimeUp`` in the block when this thread has computed for some time.

    Its own time counts, not that of the clock: what it finishes shall not depend on what else the
    machine does. The earlier alarm comes back afterwards.
    """
    is_armed = True
    start, computed = time.monotonic(), time.thread_time()

    def ring(signum: int, frame: FrameType | None) -> None:
        is_late = time.thread_time() - computed >= seconds
        if is_armed and is_late and not _would_be_lost(frame):
            raise TimeUp

    handler = signal.signal(signal.SIGALRM, ring)
    # It rings again and again: what is raised inside a destructor is lost.
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
    try:
        yield
    finally:
        is_armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if delay:
            left = max(delay - (time.monotonic() - start), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)
