"""One rung: the instances of each family take networks of several sizes in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from symact.expr import Expr
from symact.protocol import Training
from symact.score._networks import Data, pack
from symact.tasks import Instance

Errors = NDArray[np.float64]
#: Waits for the errors [instance, seed, 4] of each candidate.
Finish = Callable[[], list[Errors]]


class Trainer(Protocol):
    """What trains networks of one size."""

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool."""


class Mixed:
    """Judges on instances that are dealt to several trainers.

    Args:
        families: The instances of each family.
        trainings: Instance ``i`` of a family is learned by networks ``i mod len(trainings)``.
        make: Makes the trainer of the instances that share a size.

    Attributes:
        families: The family of each instance, in the order of the errors.
    """

    def __init__(
        self,
        families: Sequence[Sequence[Instance]],
        trainings: Sequence[Training],
        make: Callable[[Data, Training], Trainer],
    ) -> None:
        self._parts: list[Trainer] = []
        self.families: tuple[str, ...] = ()
        for place, training in enumerate(trainings):
            own = [i for family in families for i in family[place :: len(trainings)]]
            if own:
                data = pack(own, training.points)
                self._parts.append(make(data, training))
                self.families += data.families

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool; the result waits for their errors."""
        waiting = [part.start(pool, exprs) for part in self._parts]

        def finish() -> list[Errors]:
            parts = [wait() for wait in waiting]
            return [np.concatenate(own) for own in zip(*parts, strict=True)]

        return finish
