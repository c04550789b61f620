"""Combine futures of :mod:`concurrent.futures` without a thread that waits.

Every function returns a new future. It can be cancelled until it is done, which cancels the futures
it was made from. If one of those is cancelled or raises, the new future is cancelled or raises too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def done(value: T) -> Future[T]:
    """Return a future that is done.

    >>> done(3).result()
    3
    """
    future: Future[T] = Future()
    future.set_result(value)
    return future


def gather(futures: Sequence[Future[T]]) -> Future[list[T]]:
    """Return the future list of several results, in the order of the arguments.

    >>> gather([done(1), done(2)]).result()
    [1, 2]
    """
    target: Future[list[T]] = Future()
    pending, lock = len(futures), threading.Lock()

    def finish() -> None:
        settle(target, lambda: [future.result() for future in futures])

    def count(_: Future[T]) -> None:
        nonlocal pending
        with lock:
            pending -= 1
            is_last = not pending
        if is_last:
            finish()

    if not futures:
        finish()
    _cancel_with(target, futures)
    for future in futures:
        future.add_done_callback(count)
    return target


def then(future: Future[T], function: Callable[[T], R]) -> Future[R]:
    """Return the future value of a function of a result.

    The function runs in the thread that completes ``future``, so it should be short.

    >>> then(done(3), str).result()
    '3'
    """
    target: Future[R] = Future()
    _cancel_with(target, [future])
    future.add_done_callback(lambda own: settle(target, lambda: function(own.result())))
    return target


def chain(future: Future[T], function: Callable[[T], Future[R]]) -> Future[R]:
    """Return the future result of work that is started with the result of other work.

    >>> chain(done(3), lambda value: done(value + 1)).result()
    4
    """
    target: Future[R] = Future()

    def follow(own: Future[T]) -> None:
        try:
            second = function(own.result())
        except BaseException as error:
            settle(target, _raiser(error))
            return
        _cancel_with(target, [second])
        second.add_done_callback(lambda done: settle(target, done.result))

    _cancel_with(target, [future])
    future.add_done_callback(follow)
    return target


def split(future: Future[list[T]], count: int) -> list[Future[T]]:
    """Return the future elements of a future list of known length.

    The list is cancelled only if all its elements are.

    >>> [element.result() for element in split(done([1, 2]), 2)]
    [1, 2]
    """
    targets: list[Future[T]] = [Future() for _ in range(count)]

    def finish(own: Future[list[T]]) -> None:
        for index, target in enumerate(targets):
            settle(target, lambda index=index: own.result()[index])  # type: ignore[misc]

    def cancel(_: Future[T]) -> None:
        if all(target.cancelled() for target in targets):
            future.cancel()

    for target in targets:
        target.add_done_callback(cancel)
    future.add_done_callback(finish)
    return targets


def settle(target: Future[R], compute: Callable[[], R]) -> None:
    """Complete a pending future by the outcome of a call, unless it was cancelled.

    Every future that code makes itself has to come here once, also after it was cancelled: only
    then :func:`concurrent.futures.wait` sees it.
    """
    try:
        value = compute()
    except CancelledError:
        target.cancel()
        target.set_running_or_notify_cancel()
    except BaseException as error:
        if target.set_running_or_notify_cancel():
            target.set_exception(error)
    else:
        if target.set_running_or_notify_cancel():
            target.set_result(value)


def _cancel_with(target: Future[Any], sources: Iterable[Future[Any]]) -> None:
    """Cancel futures when another one is cancelled."""

    def cancel(own: Future[Any]) -> None:
        if own.cancelled():
            for source in sources:
                source.cancel()

    target.add_done_callback(cancel)


def _raiser(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail
