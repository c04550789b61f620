"""Train different networks, one for each instance."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.futures import gather, then
from symact.evaluation.jobs import Errors, Failed, Trained
from symact.evaluation.training.networks import Data, pack
from symact.expr import Expr
from symact.tasks import Instance
from symact.tasks import scores as stats
from symact.tasks.protocol import RATE_DOUBT, Training


class Trainer(Protocol):
    """Trains networks of one kind."""

    def start(self, pool: Executor, exprs: Sequence[Expr], /) -> list[Future[Trained]]:
        """Start to train candidates in a pool of threads."""


class TrainingSet(NamedTuple):
    """The instances of one network, with its training and the learning rates to try."""

    data: Data
    training: Training
    rates: tuple[float, ...]


def shuffled_networks(
    families: Sequence[Sequence[Instance]], trainings: Sequence[Training], entropy: Sequence[int]
) -> dict[int, Data]:
    """Assign the trainings in turn to the instances of all families, in a shuffled order.

    The order is shuffled again after all trainings were assigned.

    Args:
        families: The instances of each family.
        trainings: The trainings.
        entropy: Seeds of the order.

    Returns:
        The instances of each training that has some, by its index.
    """
    rng = np.random.Generator(np.random.PCG64(list(entropy)))
    assigned: dict[int, list[Instance]] = {}
    order: list[int] = []
    for instance in (instance for own in families for instance in own):
        order = order or rng.permutation(len(trainings)).tolist()
        assigned.setdefault(order.pop(0), []).append(instance)
    return {index: pack(assigned[index], trainings[index].points) for index in sorted(assigned)}


def by_name(families: Sequence[str]) -> NDArray[np.intp]:
    """Return the order that sorts instances by the names of their families."""
    return np.argsort(np.array(families), kind="stable")


class MixedSizeTrainer:
    """Trains on several training sets, each with its own network.

    Args:
        sets: The training sets.
        make: Function that returns the trainer of a training set.

    Attributes:
        families: Family of each instance, in the order of the errors: sorted by name, so that the
            draws of a fidelity have equal orders.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        make: Callable[[Data, Training], Trainer],
    ) -> None:
        self._trainers = [
            [make(own.data, replace(own.training, learning_rate=rate)) for rate in own.rates]
            for own in sets
        ]
        self._sets = sets
        families = [family for own in sets for family in own.data.families]
        self._order = by_name(families)
        self.families = tuple(families[index] for index in self._order)

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> list[Future[Trained]]:
        """Start to train candidates; each future has errors [instance, seed, 4].

        A candidate has failed if the training of one set has failed.
        """
        if not exprs:
            return []
        by_set = [
            self._start_set(own.data.families, trainers, pool, exprs)
            for own, trainers in zip(self._sets, self._trainers, strict=True)
        ]
        return [then(gather(own), self._joined) for own in zip(*by_set, strict=True)]

    def _joined(self, parts: Sequence[Trained]) -> Trained:
        """Return the errors of all training sets, or the first failure."""
        errors: list[Errors] = []
        for part in parts:
            if isinstance(part, Failed):
                return part
            errors.append(part)
        return np.concatenate(errors)[self._order]

    def _start_set(
        self,
        families: Sequence[str],
        trainers: Sequence[Trainer],
        pool: Executor,
        exprs: Sequence[Expr],
    ) -> list[Future[Trained]]:
        by_rate = [trainer.start(pool, exprs) for trainer in trainers]
        combine = functools.partial(expected_errors, families=families)
        return [then(gather(own), combine) for own in zip(*by_rate, strict=True)]


def expected_errors(tried: Sequence[Trained], families: Sequence[str]) -> Trained:
    """Return the expected errors at the learning rate that the protocol would choose.

    The protocol chooses the rate with the lowest ID error on other instances. Here each rate has
    the weight ``exp(-error/RATE_DOUBT)``, with its ID error in log10.

    Args:
        tried: Errors [instance, seed, 4] at each rate, or failures.
        families: Family of each instance.

    Returns:
        Weighted geometric means over the rates, [instance, seed, 4], or the first failure.
    """
    known: list[Errors] = []
    for own in tried:
        if isinstance(own, Failed):
            return own
        known.append(own)
    if len(known) == 1:
        return known[0]
    inside = np.array([stats.score(own, families).id_error for own in known])
    shares = np.exp((inside.min() - inside) / RATE_DOUBT)
    logs = np.tensordot(shares / shares.sum(), [stats.log_errors(own) for own in known], 1)
    return np.asarray(10.0**logs)
