"""Simplification of expressions by algebraic rules and by sympy, with a time limit."""

from __future__ import annotations

import _weakrefset
import functools
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from symact.backends.sampling import SIMPLIFICATION
from symact.expr import (
    Expr,
    const,
    parameters,
    show,
    uses_statistics,
    var,
    variables,
    with_parameters,
)
from symact.expr.canonical import canonical
from symact.expr.cost import flops
from symact.expr.primitives import CONST

#: A function like :func:`symact.backends.evaluate`.
Evaluate = Callable[..., NDArray[np.float64]]

#: Relative and absolute tolerance of equal values.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
#: Files that define callbacks of weak references.
_CALLED_BACK = {weakref.__file__, _weakrefset.__file__}
#: Python function calls per second of sympy, for the limit in threads without an alarm. Measured on
#: one core of a server from 2023.
CALLS_PER_SECOND = 1_500_000
#: Only one thread uses sympy at a time, because its caches are process-wide.
_SYMPY = threading.Lock()


class TimeUp(BaseException):
    """The time limit is over. A BaseException, because sympy catches Exception."""


def simplify(expr: Expr, *, seconds: float = 2.0, evaluate: Evaluate | None = None) -> Expr:
    """Return an equivalent expression that costs no more.

    The result has fewer FLOPs, or the same FLOPs and no more nodes. Its values agree with those of
    the original at points from -1e4 to 1e4, including which values are finite. Results are cached.
    Trained parameters are treated as inputs. Functions of batch statistics are simplified by rules
    only.

    The result depends on the speed of the machine only if the time limit is reached in the main
    thread. Other threads limit the number of function calls instead; see :func:`time_limit`.

    Args:
        expr: A function of any variables.
        seconds: The time limit of sympy in seconds. With 0 or less, only rules are used.
        evaluate: A function like :func:`symact.backends.evaluate`, the default.

    Example:
        >>> from symact import parse
        >>> str(simplify(parse("2*sin(x)*cos(x)")))
        'sin(2*x)'
    """
    if evaluate is None:
        from symact.backends import evaluate
    return _simplify(expr, max(seconds, 0.0), evaluate)


@functools.lru_cache(maxsize=4096)
def _simplify(expr: Expr, seconds: float, evaluate: Evaluate) -> Expr:
    # Forms must agree at all values of the trained parameters.
    trained = {own: var(show(own)) for own in parameters(expr)}
    inputs = (*(variables(expr) or ("x",)), *(show(own) for own in trained))
    points = SIMPLIFICATION.points(len(inputs))
    values = None  # computed when the first rewrite is compared

    def at_points(form: Expr) -> NDArray[np.float64]:
        named = with_parameters(form, [trained[own] for own in parameters(form)])
        return evaluate(named, *points, inputs=inputs)

    def agrees(other: Expr) -> bool:
        nonlocal values
        with np.errstate(all="ignore"):
            values = at_points(expr) if values is None else values
            return _agree(at_points(other), values)

    best, normal = expr, canonical(expr)
    if normal != expr and _price(normal) <= _price(expr) and agrees(normal):
        best = normal
    if seconds > 0 and not uses_statistics(expr):
        for form in _by_sympy(best, seconds):
            if _price(form) < _price(best) and agrees(form):
                best = form
    short = _with_short_literals(best)
    if short != best and agrees(short):
        best = short
    return best


@functools.lru_cache(maxsize=16_384)
def _with_short_literals(expr: Expr) -> Expr:
    """Round literals to ten digits, such as 2.2399999999999998 for 1.4*1.6."""
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
    """Return the forms of an expression that sympy finds within the time limit."""
    from sympy.core.cache import clear_cache

    found: list[Expr] = []
    try:
        with _SYMPY, time_limit(seconds):
            for form in _sympy_forms(expr):
                found.append(canonical(form))
    except TimeUp:
        clear_cache()  # it may hold unfinished objects
    return found


def _sympy_forms(expr: Expr) -> Iterator[Expr]:
    import sympy

    from symact.backends.sympy import from_sympy, to_sympy

    # sympy raises many kinds of errors, such as RecursionError. Ignore the form in that case.
    with suppress(Exception):
        start = to_sympy(expr)
        for step in (sympy.factor_terms, sympy.cancel, sympy.simplify):
            with suppress(Exception):
                yield from_sympy(step(start))


def _would_be_lost(frame: FrameType | None) -> bool:
    """Whether Python would swallow an exception: in a destructor or a weak reference callback."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename in _CALLED_BACK:
            return True
        frame = frame.f_back
    return False


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeUp` inside the block when a time limit is reached.

    In the main thread of a Unix process, ``SIGALRM`` interrupts the block after ``seconds`` of CPU
    time of the thread. The previous handler and timer are restored. In other threads, a trace
    function counts Python function calls: :data:`CALLS_PER_SECOND` for each second. It cannot
    interrupt C code or loops without calls.

    Args:
        seconds: The time limit in seconds.
    """
    limit = _alarm(seconds) if _has_alarm() else _call_limit(round(seconds * CALLS_PER_SECOND))
    with limit:
        yield


def _has_alarm() -> bool:
    """Whether this is the main thread of a Unix process and Python set the signal handler."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and hasattr(signal, "setitimer") and signal.getsignal(signal.SIGALRM) is not None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    is_armed = True
    start, computed = time.monotonic(), time.thread_time()

    def ring(signum: int, frame: FrameType | None) -> None:
        is_late = time.thread_time() - computed >= seconds
        if is_armed and is_late and not _would_be_lost(frame):
            raise TimeUp

    handler = signal.signal(signal.SIGALRM, ring)
    # The timer repeats: an exception inside a destructor would be lost.
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


@contextmanager
def _call_limit(calls: int) -> Iterator[None]:
    """Raise :class:`TimeUp` at the first function call after ``calls`` calls of this thread."""

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls -= 1
        if calls < 0 and not _would_be_lost(frame):
            raise TimeUp

    outer = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(outer)
