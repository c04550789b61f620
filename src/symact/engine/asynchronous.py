"""The schedule that takes results as they arrive: no worker waits for another.

No two runs are the same.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any

from symact.engine.generation import Generation
from symact.engine.schedule import Scheduler, Step
from symact.engine.trial import Trial
from symact.evaluation import Fidelity, Trained
from symact.evaluation.futures import gather
from symact.evaluation.jobs import Tuned
from symact.storage.records import Scored

if TYPE_CHECKING:
    from symact.engine.loop import Search

#: The share of its time that the search should wait for workers. With less, workers wait for it.
IDLE = (0.05, 0.2)


class Asynchronous(Scheduler):
    """Takes results as they arrive."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        #: What to do with the result of each future, in the order in which they began.
        self._pending: dict[Future[Any], functools.partial[None]] = {}

    def watch(self, generation: Generation) -> None:
        self.under_way[generation.number] = generation
        together = gather(generation.training)
        self._pending[together] = functools.partial(self._close, generation.number)

    def step(self, room: int | None) -> Step:
        """Take what was trained meanwhile, and begin as much as keeps the workers busy."""
        started, opened, step = time.monotonic(), self.state.opened, Step(room)
        self._fill(room)
        waiting = time.monotonic()
        with self.state.costs.timed("train"):
            arrived = self._arrived()
        if self.state.opened > opened:
            now = time.monotonic()
            idle = (now - waiting) / max(now - started, 1e-9)
            self.state.pool = adapted_pool(self.state.pool, self.plan.pool, idle)
        for take, result in arrived:
            take(step, result)
        if len(self.state.fidelities) > 1:
            self.promote_due(step, self.state.fidelities)
            self.tune(self.state.take_refined(self.plan.refine_share * step.asked))
        return step

    def _arrived(self) -> list[tuple[functools.partial[None], Any]]:
        """Wait for a future; return the results of all that are done, in the order they began."""
        done = wait(self._pending, return_when=FIRST_COMPLETED).done
        ended = [future for future in self._pending if future in done]
        return [(self._pending.pop(future), future.result()) for future in ended]

    def _fill(self, room: int | None) -> None:
        """Open generations until the workers have enough to do."""
        search = self.search
        while not search.proposer.finished:
            left = self._left(room)
            # Some trials of the generations under way are trained already.
            is_enough = self.training >= self.plan.generation + 2 * search.ladder.workers
            if is_enough or (left is not None and left <= 0):
                return
            if self.under_way and not search.looks_ahead:
                return
            if not search.open(left).training:  # it counts as barren when it is closed
                return

    def _left(self, room: int | None) -> int | None:
        """Return how many more than those under way may be judged."""
        return None if room is None else room - self.training

    def _close(self, number: int, step: Step, trained: list[Trained]) -> None:
        judged = step.counts[self.state.lowest.name]
        left = None if step.room is None else step.room - judged
        current = self.under_way.pop(number).cut(left)
        self.search.close(current, trained[: len(current.training)], step)

    def promote(self, trials: Sequence[Trial], fidelity: Fidelity) -> list[Scored]:
        for trial, future in zip(trials, self.start(trials, fidelity), strict=True):
            self.state.promoted[fidelity.name][trial.id] = trial
            self._pending[future] = functools.partial(self._promoted, trial, fidelity)
        return []

    def _promoted(self, trial: Trial, fidelity: Fidelity, step: Step, trained: Trained) -> None:
        del self.state.promoted[fidelity.name][trial.id]
        step.add(fidelity, self.state.record(fidelity, [trial], [trained]))

    def tune(self, trials: Sequence[Trial]) -> None:
        for trial, future in zip(trials, self.start_tuning(trials), strict=True):
            self.state.tuning[trial.id] = trial
            self._pending[future] = functools.partial(self._tuned, trial)

    def _tuned(self, trial: Trial, step: Step, tuned: Tuned) -> None:
        del self.state.tuning[trial.id]
        left = self._left(step.room)
        room = None if left is None else left - step.counts[self.state.lowest.name]
        self.search.open_variants([trial], [tuned], room)

    def complete(self) -> list[Scored]:
        scores: list[Scored] = []
        while any(self.state.promoted.values()):
            step = Step(None)
            for take, result in self._arrived():
                if take.func == self._promoted:
                    take(step, result)
            self.promote_due(step, self.state.fidelities[1:])
            scores += step.scores
        return scores


def adapted_pool(pool: float, most: int, idle: float) -> float:
    """Return how many proposals to predict for each trial that is trained.

    Fewer where asking holds up the workers, more where the search waits for them.

    Args:
        pool: The present number.
        most: The plan's.
        idle: The share of its time that a step waited for workers.

    >>> adapted_pool(4.0, 48, idle=0.5)
    4.4
    """
    if idle < IDLE[0]:
        return max(1.0, pool / 1.3)
    return min(float(most), pool * 1.1) if idle > IDLE[1] else pool
