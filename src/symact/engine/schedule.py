"""The schedule of a search: when trials train, when results are taken, who is promoted.

In mode "synchronous" a step closes one generation with all that it promotes. A run with a budget of
candidates is then the same each time. :mod:`symact.engine.asynchronous` is the other mode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from symact.engine.generation import Generation
from symact.engine.trial import Trial, TrialState
from symact.evaluation import Fidelity, Ladder, Trained
from symact.evaluation.futures import done
from symact.evaluation.jobs import Tuned
from symact.storage.records import Scored

if TYPE_CHECKING:
    from symact.engine.loop import Search


@dataclass(slots=True)
class Step:
    """The results of one step.

    Attributes:
        room: How many candidates may be judged in it; None for any number.
        closed: The trials of the generations that were closed.
        scores: All new scores.
        counts: How many trials were recorded on each fidelity.
        asked: How many of those on the lowest were proposals, and not variants of other trials.
    """

    room: int | None
    closed: list[Trial] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    def add(self, fidelity: Fidelity, scores: Sequence[Scored]) -> None:
        """Add scores on a fidelity."""
        self.scores += scores
        self.counts[fidelity.name] += len(scores)


def start_draws(
    ladder: Ladder, fidelity: Fidelity, wanted: Sequence[tuple[Trial, int]]
) -> list[Future[Trained]]:
    """Start to train trials on a fidelity, each on its draw; those of a draw start together."""
    together: dict[int, list[int]] = {}
    for index, (_, draw) in enumerate(wanted):
        together.setdefault(draw, []).append(index)
    futures: dict[int, Future[Trained]] = {}
    for draw, indices in together.items():
        exprs = [wanted[index][0].expr for index in indices]
        futures.update(zip(indices, ladder.start(fidelity.name, exprs, draw), strict=True))
    return [futures[index] for index in range(len(wanted))]


class Scheduler(ABC):
    """Decides when trials train, and when their results are taken.

    Args:
        search: Whose trials they are.
    """

    def __init__(self, search: Search) -> None:
        self.search, self.state, self.plan = search, search.state, search.plan
        #: Generations that were opened and not closed, by number.
        self.under_way: dict[int, Generation] = {}

    @abstractmethod
    def watch(self, generation: Generation) -> None:
        """Take up a generation whose training has begun."""

    @abstractmethod
    def step(self, room: int | None) -> Step:
        """Take results and promote trials.

        Args:
            room: How many candidates may still be judged; None for any number.
        """

    @abstractmethod
    def promote(self, trials: Sequence[Trial], fidelity: Fidelity) -> list[Scored]:
        """Train trials on a fidelity; return the scores that are known by the end of the call."""

    def tune(self, trials: Sequence[Trial]) -> None:
        """Begin to tune the constants of trials, where a step does not wait for that."""
        if trials:
            raise ValueError(f"{len(trials)} trials are being tuned in a synchronous run")

    def complete(self) -> list[Scored]:
        """Wait for promoted trials; return their scores."""
        return []

    def start(self, trials: Sequence[Trial], fidelity: Fidelity) -> list[Future[Trained]]:
        """Start to train promoted trials, each on its own draw."""
        for trial in trials:
            trial.state = TrialState.PROMOTED
        wanted = [(trial, trial.id % fidelity.draws) for trial in trials]
        return start_draws(self.search.ladder, fidelity, wanted)

    def start_tuning(self, trials: Sequence[Trial]) -> list[Future[Tuned]]:
        """Start to tune the constants of trials; nothing is tuned where the plan says so."""
        if not self.plan.tune:
            return [done(None) for _ in trials]
        return [self.search.ladder.start_tuning(trial.expr) for trial in trials]

    def evaluate(self, trials: Sequence[Trial], fidelity: Fidelity) -> list[Scored]:
        """Train trials on a fidelity and wait for their scores."""
        futures = self.start(trials, fidelity)
        with self.state.costs.timed(fidelity.name, len(trials)):
            trained = [future.result() for future in futures]
        return self.state.record(fidelity, trials, trained)

    def promote_missing(self, finalists: int | None = None) -> list[Scored]:
        """Promote as many trials as there are finalists, if they are fewer; wait for them.

        Args:
            finalists: How many there are; None for the number in the plan.
        """
        state = self.state
        if len(state.fidelities) == 1:
            return []
        below, highest = state.fidelities[-2].name, state.highest
        wanted = min(finalists or self.plan.finalists, len(state.evaluated[below]))
        missing = wanted - len(state.evaluated[highest.name])
        if missing <= 0:
            return []
        chosen = state.take(highest.name, missing - state.queues[highest.name].due)
        return self.evaluate(chosen, highest)

    @property
    def training(self) -> int:
        """How many trials are in the generations under way."""
        return sum(len(generation.training) for generation in self.under_way.values())

    def promote_due(self, step: Step, fidelities: Sequence[Fidelity]) -> None:
        """Promote the shares that results have earned, from each fidelity to the next one.

        Args:
            step: The results.
            fidelities: Those to promote between, the lowest first.
        """
        for below, fidelity in pairwise(fidelities):
            earned = fidelity.share * step.counts[below.name]
            step.add(fidelity, self.promote(self.state.take(fidelity.name, earned), fidelity))


class Synchronous(Scheduler):
    """Takes results in the order of submission."""

    def watch(self, generation: Generation) -> None:
        if not generation.is_refined:  # variants are closed by the step that opens them
            self.under_way[generation.number] = generation

    def step(self, room: int | None) -> Step:
        """Close one generation; open the next one before, where the proposer looks ahead."""
        search, step = self.search, Step(room)
        current = (next(iter(self.under_way.values()), None) or search.open(room)).cut(room)
        del self.under_way[current.number]
        room = None if room is None else room - len(current.training)
        if search.looks_ahead and not search.proposer.finished and (room is None or room > 0):
            ahead = search.open(room)
            room = None if room is None else room - len(ahead.training)
        with self.state.costs.timed(self.state.lowest.name, len(current.training)):
            search.close(current, current.trained(), step)
        if len(self.state.fidelities) > 1:
            with self.state.costs.timed("refine"):
                self._refine(step, room, current.number)
            self.promote_due(step, self.state.fidelities)
        return step

    def _refine(self, step: Step, room: int | None, number: int) -> None:
        """Train variants of the best trials: tuned, rounded and pruned."""
        earned = self.plan.refine_share * step.counts[self.state.lowest.name]
        chosen = self.state.take_refined(earned)
        tuned = [future.result() for future in self.start_tuning(chosen)]
        refined = self.search.open_variants(chosen, tuned, room, number)
        self.search.close(refined, refined.trained(), step)

    def promote(self, trials: Sequence[Trial], fidelity: Fidelity) -> list[Scored]:
        return self.evaluate(trials, fidelity)
