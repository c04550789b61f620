"""Tasks: regression problems with points inside the training range and in shells around it."""

from symact.tasks._instance import Instance
from symact.tasks._task import TASKS, Task, describe, task

__all__ = ["TASKS", "Instance", "Task", "describe", "task"]
