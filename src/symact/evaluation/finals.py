"""Evaluate finalists by a protocol, in the pool that trains candidates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, cast

import numpy as np

from symact.evaluation.futures import chain, gather, split, then
from symact.evaluation.jobs import Errors, Failed, Trained
from symact.evaluation.judge import chosen_rates
from symact.evaluation.training.networks import ENTROPY, Data
from symact.expr import Expr
from symact.tasks.protocol import QUICK_FORM, SELECTION_FORM, TUNED_FORM, EvaluationProtocol

if TYPE_CHECKING:
    from symact.evaluation.training.torch_mlp import TorchMLPTrainer

#: The protocols that finalists can be evaluated by.
FINALS = {form.name: form for form in (SELECTION_FORM, TUNED_FORM, QUICK_FORM)}

#: The learning rate of each network size.
Rates = tuple[float, ...]


class ProtocolTrainer:
    """Evaluates functions on the validation draws by a protocol, with one training seed.

    Args:
        evaluation: The draws to evaluate on.
        tuning: The draws for the choice of learning rates; None if there is only one rate.
        protocol: Network sizes, learning rates and steps.
        device: ``"cuda"`` or ``"cpu"``.
        timeout: Seconds for one training.
    """

    def __init__(
        self,
        evaluation: Data,
        tuning: Data | None,
        protocol: EvaluationProtocol,
        device: str,
        timeout: float,
    ) -> None:
        self._data = {"selection": evaluation} | ({} if tuning is None else {"tuning": tuning})
        self._protocol, self._device, self._timeout = protocol, device, timeout
        self._trainers: dict[tuple[str, int], TorchMLPTrainer] = {}

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> list[Future[Trained]]:
        """Start to evaluate functions; each future has errors [instance, size, 1, 4].

        On a GPU all functions are trained together, on the CPU each alone.
        """
        if self._device != "cpu":
            return split(self._start(pool, exprs), len(exprs))
        return [then(self._start(pool, [expr]), lambda found: found[0]) for expr in exprs]

    def _start(self, pool: Executor, exprs: Sequence[Expr]) -> Future[list[Trained]]:
        protocol, sizes = self._protocol, range(len(self._protocol.sizes))
        if "tuning" not in self._data:
            return self._evaluate(pool, exprs, [protocol.rates * len(sizes)] * len(exprs))
        tuned = [
            gather(self._train("tuning", size, rate, pool, exprs))
            for size in sizes
            for rate in protocol.rates
        ]
        return chain(gather(tuned), lambda found: self._evaluate_tuned(pool, exprs, found))

    def _evaluate_tuned(
        self, pool: Executor, exprs: Sequence[Expr], tuned: Sequence[Sequence[Trained]]
    ) -> Future[list[Trained]]:
        """Start to evaluate functions at their best learning rates.

        Args:
            pool: A pool of threads.
            exprs: The functions.
            tuned: Results [size and rate][function] on the tuning draws.
        """
        failed = [_failure([own[index] for own in tuned]) for index in range(len(exprs))]
        well = [index for index, own in enumerate(failed) if own is None]
        rates = [self._best_rates([cast(Errors, own[index]) for own in tuned]) for index in well]

        def merge(evaluated: list[Trained]) -> list[Trained]:
            found = dict(zip(well, evaluated, strict=True))
            return [own or found[index] for index, own in enumerate(failed)]

        return then(self._evaluate(pool, [exprs[index] for index in well], rates), merge)

    def _best_rates(self, tuned: Sequence[Errors]) -> Rates:
        count = len(self._protocol.rates)
        by_size = [tuned[first : first + count] for first in range(0, len(tuned), count)]
        return chosen_rates(self._protocol, by_size, self._data["tuning"].families)

    def _evaluate(
        self, pool: Executor, exprs: Sequence[Expr], rates: Sequence[Rates]
    ) -> Future[list[Trained]]:
        """Start to evaluate functions, each at the learning rate of each size."""
        trained: list[list[Future[Trained]]] = [[] for _ in exprs]
        for size in range(len(self._protocol.sizes)):
            for rate in sorted({own[size] for own in rates}):
                indices = [index for index, own in enumerate(rates) if own[size] == rate]
                chosen = [exprs[index] for index in indices]
                futures = self._train("selection", size, rate, pool, chosen)
                for index, future in zip(indices, futures, strict=True):
                    trained[index].append(future)
        return gather([then(gather(own), _stacked) for own in trained])

    def _train(
        self, use: str, size: int, rate: float, pool: Executor, exprs: Sequence[Expr]
    ) -> list[Future[Trained]]:
        from symact.evaluation.training.torch_mlp import TorchMLPTrainer

        if (use, size) not in self._trainers:
            training = self._protocol.training(size, rate)
            self._trainers[use, size] = TorchMLPTrainer(
                self._data[use], training, [0], ENTROPY[use], self._device
            )
        trainer = self._trainers[use, size]
        return trainer.start(pool, exprs, self._timeout, learning_rate=rate)


def _failure(parts: Sequence[Trained]) -> Failed | None:
    return next((part for part in parts if isinstance(part, Failed)), None)


def _stacked(parts: Sequence[Trained]) -> Trained:
    """Return errors [instance, size, 1, 4] from those of each size, or the first failure."""
    errors: list[Errors] = []
    for part in parts:
        if isinstance(part, Failed):
            return part
        errors.append(part)
    return np.stack(errors, axis=1)
