"""Executors by name, for the command line."""

from __future__ import annotations

import importlib.util

from symact.errors import SymactError, choices
from symact.evaluation.executors.base import Executor
from symact.evaluation.executors.processes import ProcessExecutor
from symact.evaluation.executors.threads import ThreadExecutor

#: The kind of executor that trains on a cluster.
RAY = "ray"
#: Executors by name, with a description. All give the same results.
EXECUTORS = {
    "threads": "threads of this process",
    "processes": "separate processes: a crash loses only one candidate",
    RAY: "a Ray cluster: 'ray' for one on this machine, 'ray:ADDRESS' for another",
}


def is_ray(executor: str) -> bool:
    """Whether a name of an executor means a Ray cluster.

    >>> is_ray("ray:auto"), is_ray("threads")
    (True, False)
    """
    return executor.partition(":")[0] == RAY


def check_executor(executor: str | Executor, workers: int | None = None) -> None:
    """Check that an executor is known and installed.

    Args:
        executor: An executor or its name.
        workers: Number of workers; None for the default.

    Raises:
        SymactError: The executor is unknown or not installed, or ``workers`` is given with an
            executor object.
    """
    if not isinstance(executor, str):
        if workers is not None:
            raise SymactError("threads: an executor object sets its own number of workers")
        return
    kind = executor.partition(":")[0]
    if kind not in EXECUTORS or (":" in executor and not is_ray(executor)):
        raise SymactError(f"unknown executor '{executor}'; {choices(kind, EXECUTORS)}")
    if is_ray(executor) and importlib.util.find_spec("ray") is None:
        raise SymactError("executor 'ray': Ray is not installed; pip install 'symact[cluster]'")


def make_executor(executor: str | Executor, workers: int | None = None) -> Executor:
    """Return the executor of a name. An executor object is returned unchanged.

    Raises:
        SymactError: See :func:`check_executor`.

    >>> make_executor("threads", 2).workers
    2
    """
    check_executor(executor, workers)
    if not isinstance(executor, str):
        return executor
    kind, _, address = executor.partition(":")
    if is_ray(executor):
        from symact.evaluation.executors.ray import RayExecutor

        return RayExecutor(workers, address=address)
    return ProcessExecutor(workers) if kind == "processes" else ThreadExecutor(workers)
