"""Tasks: regression problems with points inside the training range and in shells around it."""

from symact.tasks.instance import Instance
from symact.tasks.registry import TASKS, Task, describe, task

__all__ = ["TASKS", "Instance", "Task", "describe", "task"]
