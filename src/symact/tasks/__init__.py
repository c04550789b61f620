"""Tasks: regression problems with in-distribution and out-of-distribution points."""

from symact.tasks.instance import Instance
from symact.tasks.registry import TASKS, Task, describe, task

__all__ = ["TASKS", "Instance", "Task", "describe", "task"]
