"""How finalists are judged: nearly as the protocol does, by whoever trains candidates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, cast

import numpy as np

from symact.evaluation.jobs import Errors, Failed, Finish, Trained
from symact.evaluation.judge import chosen_rates
from symact.evaluation.training.networks import ENTROPY, Data
from symact.expr import Expr
from symact.tasks.protocol import QUICK_FORM, SELECTION_FORM, TUNED_FORM, Form

if TYPE_CHECKING:
    from symact.evaluation.training.torch_mlp import FullTrainer

#: How finalists can be judged.
FINALS = {form.name: form for form in (SELECTION_FORM, TUNED_FORM, QUICK_FORM)}


class Finals:
    """Judges functions on the selection draws, with one training seed.

    Args:
        judged: The selection draws.
        tuning: What learning rates are chosen on; None for a form with one rate.
        form: The form they are judged in.
        device: ``"cuda"`` or ``"cpu"``.
    """

    def __init__(self, judged: Data, tuning: Data | None, form: Form, device: str) -> None:
        self._data = {"selection": judged} | ({} if tuning is None else {"tuning": tuning})
        self._form, self._device = form, device
        self._trainers: dict[tuple[str, int], FullTrainer] = {}

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        """Put candidates into a pool; the result waits for their errors [instance, size, 1, 4]."""
        form, sizes = self._form, range(len(self._form.sizes))
        if "tuning" not in self._data:
            return self._judge(pool, exprs, [form.rates * len(sizes)] * len(exprs))
        tuned = [
            [self._train("tuning", size, rate, pool, exprs) for rate in form.rates]
            for size in sizes
        ]

        def finish() -> list[Trained]:
            waited = [[wait() for wait in row] for row in tuned]
            found: list[Trained] = [
                _failed([own[place] for row in waited for own in row]) or np.empty(0)
                for place in range(len(exprs))
            ]
            well = [place for place, own in enumerate(found) if not isinstance(own, Failed)]
            families = self._data["tuning"].families
            rates = [
                chosen_rates(
                    form, [[cast(Errors, own[place]) for own in row] for row in waited], families
                )
                for place in well
            ]
            judged = self._judge(pool, [exprs[place] for place in well], rates)()
            for place, own in zip(well, judged, strict=True):
                found[place] = own
            return found

        return finish

    def _judge(
        self, pool: Executor, exprs: Sequence[Expr], rates: Sequence[tuple[float, ...]]
    ) -> Finish:
        """Put candidates into a pool, each with the learning rate of each size."""
        waiting: list[tuple[int, list[int], Finish]] = []
        for size in range(len(self._form.sizes)):
            for rate in sorted({own[size] for own in rates}):
                places = [place for place, own in enumerate(rates) if own[size] == rate]
                own = [exprs[place] for place in places]
                waiting.append((size, places, self._train("selection", size, rate, pool, own)))

        def finish() -> list[Trained]:
            parts: list[dict[int, Trained]] = [{} for _ in exprs]
            for size, places, wait in waiting:
                for place, own in zip(places, wait(), strict=True):
                    parts[place][size] = own
            return [_joined([own[size] for size in sorted(own)]) for own in parts]

        return finish

    def _train(
        self, use: str, size: int, rate: float, pool: Executor, exprs: Sequence[Expr]
    ) -> Finish:
        from symact.evaluation.training.torch_mlp import FullTrainer

        if (use, size) not in self._trainers:
            training = self._form.training(size, rate)
            self._trainers[use, size] = FullTrainer(
                self._data[use], training, [0], ENTROPY[use], self._device
            )
        return self._trainers[use, size].start(pool, exprs, learning_rate=rate)


def _failed(parts: Sequence[Trained]) -> Failed | None:
    return next((part for part in parts if isinstance(part, Failed)), None)


def _joined(parts: Sequence[Trained]) -> Trained:
    """Return errors [instance, size, 1, 4] of those of each size, or what failed first."""
    return _failed(parts) or np.stack([p for p in parts if not isinstance(p, Failed)], axis=1)
