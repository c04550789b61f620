"""Tasks: regression problems with in-distribution and out-of-distribution points."""

from symact.tasks.instance import Instance
from symact.tasks.real import RealSet, real_sets, real_task
from symact.tasks.registry import GENERALIST, OOD_SUITE, TASKS, Task, describe, task

__all__ = [
    "GENERALIST",
    "OOD_SUITE",
    "TASKS",
    "Instance",
    "RealSet",
    "Task",
    "describe",
    "real_sets",
    "real_task",
    "task",
]
