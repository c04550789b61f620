"""One rung: the instances of each family take networks of several sizes in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from symact.evaluation.jobs import Failed, Finish, Trained
from symact.evaluation.training.networks import Data, pack
from symact.expr import Expr
from symact.tasks import Instance
from symact.tasks import scores as stats
from symact.tasks.protocol import RATE_DOUBT, Training


class Trainer(Protocol):
    """What trains networks of one size."""

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool."""


class Part(NamedTuple):
    """The instances that share a size of network, that size, and the learning rates to try."""

    data: Data
    training: Training
    rates: tuple[float, ...]


def dealt(
    families: Sequence[Sequence[Instance]],
    trainings: Sequence[Training],
    rates: tuple[float, ...] = (),
) -> tuple[Part, ...]:
    """Deal instances: number ``i`` of a family is learned by networks ``i mod len(trainings)``.

    Args:
        families: The instances of each family.
        trainings: The sizes of networks.
        rates: Learning rates to try; none for the one of the training.
    """
    parts = []
    for place, training in enumerate(trainings):
        own = [i for family in families for i in family[place :: len(trainings)]]
        if own:
            data = pack(own, training.points)
            parts.append(Part(data, training, rates or (training.learning_rate,)))
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
        self._trainers = [
            [make(part.data, replace(part.training, learning_rate=rate)) for rate in part.rates]
            for part in parts
        ]
        self._parts = parts
        self.families = tuple(family for part in parts for family in part.data.families)

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool; the result waits for their errors.

        One that networks of one size fail to train has failed.
        """
        waiting = [[trainer.start(pool, exprs) for trainer in rates] for rates in self._trainers]

        def finish() -> list[Trained]:
            parts = [
                [expected(own, part.data.families) for own in zip(*tried, strict=True)]
                for part, tried in zip(
                    self._parts, [[wait() for wait in rates] for rates in waiting], strict=True
                )
            ]
            return [_joined(own) for own in zip(*parts, strict=True)]

        return finish


def expected(tried: Sequence[Trained], families: Sequence[str]) -> Trained:
    """Return the errors to be expected of the learning rate that a judge would choose.

    A judge takes the rate with the lowest error in distribution on other instances. So each rate
    counts by a share that falls with its error here: ``exp(-error/RATE_DOUBT)``, errors in log10.

    Args:
        tried: The errors [instance, seed, 4] with each rate; or why it failed.
        families: The family of each instance.

    Returns:
        Geometric means over rates, [instance, seed, 4]; or the first failure.
    """
    known = [own for own in tried if not isinstance(own, Failed)]
    if len(known) < len(tried):
        return next(own for own in tried if isinstance(own, Failed))
    if len(known) == 1:
        return known[0]
    inside = np.array([stats.score(own, families).id_error for own in known])
    shares = np.exp((inside.min() - inside) / RATE_DOUBT)
    logs = np.tensordot(shares / shares.sum(), [stats.log_errors(own) for own in known], 1)
    return np.asarray(10.0**logs)


def _joined(parts: Sequence[Trained]) -> Trained:
    errors = []
    for part in parts:
        if isinstance(part, Failed):
            return part
        errors.append(part)
    return np.concatenate(errors)
