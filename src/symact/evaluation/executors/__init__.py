"""Executors run the jobs of a search. :mod:`.base` documents their guarantees."""

from symact.evaluation.executors.base import Executor, best_device
from symact.evaluation.executors.inline import InlineExecutor
from symact.evaluation.executors.named import EXECUTORS, check_executor, make_executor
from symact.evaluation.executors.processes import ProcessExecutor
from symact.evaluation.executors.threads import ThreadExecutor

__all__ = [
    "EXECUTORS",
    "Executor",
    "InlineExecutor",
    "ProcessExecutor",
    "ThreadExecutor",
    "best_device",
    "check_executor",
    "make_executor",
]
