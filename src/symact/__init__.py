"""Search activation functions that generalise out of distribution, by typed genetic programming.

A search of five minutes::

    import symact

    result = symact.search("pointwise", budget="5m", seed=0)
    activation = result.best.to_torch()

Everything here is loaded when it is first used, so that ``import symact`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from symact import _deprecated

if TYPE_CHECKING:
    from symact.atlas import compare, leaderboard, recommend
    from symact.backends.source import to_source
    from symact.engine import resume, search
    from symact.engine.budget import Budget
    from symact.engine.result import Result, load
    from symact.engine.settings import SearchConfig
    from symact.errors import SymactError
    from symact.evaluation import Fidelity, Plan, Problem
    from symact.expr import Expr, parse, show
    from symact.grammar import Grammar
    from symact.proposers import Evolution
    from symact.tasks import Task, task
    from symact.zoo.modules import activation

try:
    __version__ = version("symact")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "Budget": "symact.engine.budget",
    "Expr": "symact.expr",
    "Grammar": "symact.grammar",
    "Result": "symact.engine.result",
    "Evolution": "symact.proposers",
    "Fidelity": "symact.evaluation",
    "Plan": "symact.evaluation",
    "Problem": "symact.evaluation",
    "SearchConfig": "symact.engine.settings",
    "SymactError": "symact.errors",
    "Task": "symact.tasks",
    "activation": "symact.zoo.modules",
    "compare": "symact.atlas",
    "leaderboard": "symact.atlas",
    "recommend": "symact.atlas",
    "load": "symact.engine.result",
    "parse": "symact.expr",
    "resume": "symact.engine",
    "search": "symact.engine",
    "show": "symact.expr",
    "to_source": "symact.backends.source",
    "task": "symact.tasks",
}

__all__ = [
    "Budget",
    "Evolution",
    "Expr",
    "Fidelity",
    "Grammar",
    "Plan",
    "Problem",
    "Result",
    "SearchConfig",
    "SymactError",
    "Task",
    "activation",
    "compare",
    "leaderboard",
    "load",
    "parse",
    "recommend",
    "resume",
    "search",
    "show",
    "task",
    "to_source",
]


_deprecated.install(__name__)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _deprecated.MOVED:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'symact' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
