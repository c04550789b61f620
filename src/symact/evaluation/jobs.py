"""The values that a search and its executors exchange: jobs and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact.errors import SymactError
from symact.expr import Expr

Errors = NDArray[np.float64]

#: Seconds that one job may take by default, a hundred times the usual. The limit ends what would
#: hold up a search; it decides nothing between candidates.
TIMEOUT = 600.0
#: The fidelity of jobs that tune the constants of a function.
TUNING = "tuning"


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate to train or to tune.

    Attributes:
        fidelity: Name of a fidelity of the search, or :data:`TUNING`.
        expr: The candidate.
        draw: Number of the draw of tasks, any integer of at least 0: a fidelity takes its draws in
            turn.
    """

    fidelity: str
    expr: Expr
    draw: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The result of a candidate that could not be trained.

    Attributes:
        reason: One line.
    """

    reason: str


#: The result of a training: errors [instance, seed, 4] or [instance, size, seed, 4], NaN where a
#: network diverged.
Trained = Errors | Failed
#: The result of tuning: the function with tuned constants, None if there is nothing to tune.
Tuned = Expr | Failed | None
#: The result of any job.
JobResult = Errors | Failed | Expr | None


def raise_on_failure(results: Sequence[Trained], names: Sequence[str]) -> list[Errors]:
    """Return the errors of functions that a search cannot do without.

    Raises:
        SymactError: One of them failed.
    """
    errors = []
    for result, name in zip(results, names, strict=True):
        if isinstance(result, Failed):
            raise SymactError(f"'{name}' could not be trained here: {result.reason}")
        errors.append(result)
    return errors


def failure(error: BaseException) -> Failed:
    """Return an exception as a result: its type and the start of its message.

    >>> failure(ValueError("too hot"))
    Failed(reason='ValueError: too hot')
    """
    message = " ".join(str(error).split())
    return Failed(f"{type(error).__name__}: {message}"[:200] if message else type(error).__name__)
