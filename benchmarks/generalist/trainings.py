"""Train functions at the fidelities of a problem, count them, and choose by the validation draws.

The methods that are no search of symact use it. Their fitness and their choice are those of a
search: penalised errors relative to the reference on the same draw, and the finalist with the
lowest OOD error whose ID error is at most the reference's. The errors of finalists are pooled over
the validation draws and all draws of full training.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from symact.engine.budget import Budget
from symact.engine.timetable import plan_for
from symact.errors import SymactError
from symact.evaluation import Failed, Ladder, Plan, Problem, Trained
from symact.expr import Expr
from symact.tasks import scores as stats
from symact.tasks.protocol import ID_LIMIT

#: The largest share of the time that is kept for the validation draws, and the time over their
#: measured cost, as in a search.
FINALS_SHARE, MARGIN = 1 / 3, 1.2
#: Scores of trained functions are at most some 2.1 times the clip.
WORST = 3.0


class Trainings:
    """Trains functions for one run of a method.

    Args:
        problem: Has the fidelities and the reference.
        seconds: Time of the run.
        seed: Seed of the search draws.
        clock: Returns seconds.

    Attributes:
        ladder: Trains them, with one worker for each core.
        counts: Number of functions that were trained at each fidelity.
        started: Reading of the clock at the start.
        end: Reading of the clock at which the run ends.
    """

    def __init__(
        self,
        problem: Problem,
        seconds: float,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.started = clock()
        self.end = self.started + seconds
        # A short run has the plan of a short search.
        self.ladder = Ladder(problem, seed, plan_for(Budget(seconds=seconds), Plan()))
        self.counts: Counter[str] = Counter()
        self._known: dict[tuple[str, int, Expr], Trained] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.started

    def left(self, end: float | None = None) -> float:
        """Return the seconds until the end, or until another reading of the clock."""
        return (self.end if end is None else end) - self._clock()

    def above(self, name: str, exprs: Sequence[Expr], draw: int = 0) -> list[float]:
        """Train functions at a fidelity, and return the score that a search minimises.

        Args:
            name: Name of the fidelity.
            exprs: The functions.
            draw: Number of the draw; draws are taken in turn.

        Returns:
            For each function its penalised error relative to the reference, in log10. That of a
            function that cannot be trained is :data:`WORST` times the clip of the problem.
        """
        compared = self._compared(name, exprs, draw)
        worst = WORST * self.ladder.problem.clip
        return [worst if own is None else float(stats.penalise(*own)) for own in compared]

    def finals_end(self, finalists: int, like: Sequence[Expr] = ()) -> float:
        """Return when to stop searching, by the measured costs of finalists.

        Args:
            finalists: Number of functions for which time is kept.
            like: Functions that cost as much as finalists, one for each worker. If there is none,
                the reference measures the cost. It is trained in any case.
        """
        each = self._seconds_of([])
        if like:
            each = self._seconds_of(like)
        groups = -(-finalists // self.ladder.workers)
        return self.end - min(MARGIN * groups * each, FINALS_SHARE * self.left())

    def choose(self, exprs: Sequence[Expr]) -> Expr:
        """Train finalists in order, as many as fit, and return the best.

        At least one function is trained.

        Raises:
            SymactError: None of those that fit can be trained.
        """
        found: dict[Expr, tuple[float, float]] = {}
        workers, each = self.ladder.workers, 0.0
        for first in range(0, len(exprs), workers):
            began = self._clock()
            if first and began + each > self.end:
                break
            found |= self._pooled(exprs[first : first + workers])
            each = self._clock() - began
        if not found:
            raise SymactError("no function trains on the validation draws; give more time")
        allowed = [own for own in found if found[own][1] <= np.log10(ID_LIMIT)]
        if allowed:
            return min(allowed, key=lambda own: found[own][0])
        return min(found, key=lambda own: found[own][1])

    def close(self) -> None:
        """Release the workers."""
        self.ladder.close()

    def _seconds_of(self, exprs: Sequence[Expr]) -> float:
        began = self._clock()
        self._pooled(exprs)
        return self._clock() - began

    def _pooled(self, exprs: Sequence[Expr]) -> dict[Expr, tuple[float, float]]:
        """Return OOD and ID error above the reference's, in log10, without functions that fail.

        They are means of two values: that of the validation draws, and that of all draws of the
        highest fidelity.
        """
        final, highest = self.ladder.final.name, self.ladder.fidelities[-1]
        validated = self._compared(final, exprs, 0, clip=np.inf)
        trained = [self._compared(highest.name, exprs, draw) for draw in range(highest.draws)]
        found = {}
        for place, expr in enumerate(exprs):
            first, others = validated[place], [own[place] for own in trained]
            searched = [own for own in others if own is not None]
            if first is not None and len(searched) == len(others):
                ood, inside = np.mean([first, np.mean(searched, axis=0)], axis=0)
                found[expr] = float(ood), float(inside)
        return found

    def _compared(
        self, name: str, exprs: Sequence[Expr], draw: int, *, clip: float | None = None
    ) -> list[tuple[float, float] | None]:
        """Return OOD and ID error above the reference's on a draw; None after a failure."""
        problem = self.ladder.problem
        known = problem.baselines[problem.reference]
        reference, *trained = self._errors(name, [known, *exprs], draw)
        if isinstance(reference, Failed):
            raise SymactError(f"{problem.reference} cannot be trained: {reference.reason}")
        families = self.ladder.families(name)
        paired = stats.PairedComparison(reference, families, problem.clip if clip is None else clip)
        return [None if isinstance(own, Failed) else paired.above(own)[:2] for own in trained]

    def _errors(self, name: str, exprs: Sequence[Expr], draw: int) -> list[Trained]:
        """Return the errors of functions on a draw; train those that are not known."""
        draw %= self.ladder.draws.fidelity(name).draws
        new = [own for own in dict.fromkeys(exprs) if (name, draw, own) not in self._known]
        trained = self.ladder.train(name, new, draw)
        self.counts[name] += len(new)
        self._known |= {(name, draw, own): e for own, e in zip(new, trained, strict=True)}
        return [self._known[name, draw, own] for own in exprs]
