"""One rung: the instances of each family take networks of several sizes in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

import numpy as np

from symact.expr import Expr
from symact.protocol import Training
from symact.score._jobs import Failed, Finish, Trained
from symact.score._networks import Data, pack
from symact.tasks import Instance


class Trainer(Protocol):
    """What trains networks of one size."""

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool."""


class Part(NamedTuple):
    """The instances that share a size of network, and that size."""

    data: Data
    training: Training


def dealt(
    families: Sequence[Sequence[Instance]], trainings: Sequence[Training]
) -> tuple[Part, ...]:
    """Deal instances: number ``i`` of a family is learned by networks ``i mod len(trainings)``."""
    parts = []
    for place, training in enumerate(trainings):
        own = [i for family in families for i in family[place :: len(trainings)]]
        if own:
            parts.append(Part(pack(own, training.points), training))
    return tuple(parts)


class Mixed:
    """Judges on instances that are dealt to several trainers.

    Args:
        parts: What :func:`dealt` made.
        make: Makes the trainer of the instances that share a size.

    Attributes:
        families: The family of each instance, in the order of the errors.
    """

    def __init__(self, parts: Sequence[Part], make: Callable[[Data, Training], Trainer]) -> None:
        self._trainers = [make(part.data, part.training) for part in parts]
        self.families = tuple(family for part in parts for family in part.data.families)

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool; the result waits for their errors.

        One that networks of one size fail to train has failed.
        """
        waiting = [trainer.start(pool, exprs) for trainer in self._trainers]

        def finish() -> list[Trained]:
            parts = [wait() for wait in waiting]
            return [_joined(own) for own in zip(*parts, strict=True)]

        return finish


def _joined(parts: Sequence[Trained]) -> Trained:
    errors = []
    for part in parts:
        if isinstance(part, Failed):
            return part
        errors.append(part)
    return np.concatenate(errors)
