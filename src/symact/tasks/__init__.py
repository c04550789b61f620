"""Tasks: regression problems with in-distribution and out-of-distribution points."""

from symact.tasks.instance import Instance
from symact.tasks.real import RealSet, real_sets, real_task
from symact.tasks.registry import GENERALIST, TASKS, Task, describe, task

__all__ = [
    "GENERALIST",
    "TASKS",
    "Instance",
    "RealSet",
    "Task",
    "describe",
    "real_sets",
    "real_task",
    "task",
]
