"""Train functions at the fidelities of a problem, count them, and choose by the validation draws.

The methods that are no search of symact use it. Their fitness and their choice are those of a
search: penalised errors relative to the reference on the same draw, and the finalist with the
lowest OOD error whose ID error is at most the reference's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

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
        self.ladder = Ladder(problem, seed, Plan())
        self.counts: Counter[str] = Counter()
        self._references: dict[tuple[str, int], NDArray[np.float64]] = {}

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
        draw %= self.ladder.draws.fidelity(name).draws
        trained, reference = self._train(name, exprs, draw)
        problem, families = self.ladder.problem, self.ladder.families(name)
        compared = stats.PairedComparison(reference, families, problem.clip)
        return [
            WORST * problem.clip if isinstance(own, Failed) else _penalised(own, compared)
            for own in trained
        ]

    def finals_end(self, finalists: int) -> float:
        """Train the reference on the validation draws; return when to stop searching.

        Args:
            finalists: Number of functions for which time is kept.
        """
        began = self._clock()
        self._train(self.ladder.final.name, [], 0)
        each = self._clock() - began
        groups = -(-finalists // self.ladder.workers)
        return self.end - min(MARGIN * groups * each, FINALS_SHARE * self.left())

    def choose(self, exprs: Sequence[Expr]) -> Expr:
        """Train functions on the validation draws in order, as many as fit, and return the best.

        At least one function is trained.

        Raises:
            SymactError: None of those that fit can be trained.
        """
        name = self.ladder.final.name
        families, workers = self.ladder.families(name), self.ladder.workers
        found: list[tuple[Expr, stats.Score]] = []
        limit, each = 0.0, 0.0
        for first in range(0, len(exprs), workers):
            began = self._clock()
            if first and began + each > self.end:
                break
            group = exprs[first : first + workers]
            trained, reference = self._train(name, group, 0)
            limit = stats.score(reference, families).id_error + float(np.log10(ID_LIMIT))
            found += [
                (expr, stats.score(own, families))
                for expr, own in zip(group, trained, strict=True)
                if not isinstance(own, Failed)
            ]
            each = self._clock() - began
        if not found:
            raise SymactError("no function trains on the validation draws; give more time")
        allowed = [own for own in found if own[1].id_error <= limit]
        if allowed:
            return min(allowed, key=lambda own: own[1].ood)[0]
        return min(found, key=lambda own: own[1].id_error)[0]

    def close(self) -> None:
        """Release the workers."""
        self.ladder.close()

    def _train(
        self, name: str, exprs: Sequence[Expr], draw: int
    ) -> tuple[list[Trained], NDArray[np.float64]]:
        """Train functions; return their results and the errors of the reference on this draw."""
        problem = self.ladder.problem
        is_new = (name, draw) not in self._references
        first = [problem.baselines[problem.reference]] if is_new else []
        trained = self.ladder.train(name, [*first, *exprs], draw)
        self.counts[name] += len(trained)
        if is_new:
            reference = trained.pop(0)
            if isinstance(reference, Failed):
                raise SymactError(f"{problem.reference} cannot be trained: {reference.reason}")
            self._references[name, draw] = reference
        return trained, self._references[name, draw]


def _penalised(errors: NDArray[np.float64], compared: stats.PairedComparison) -> float:
    ood, inside, _ = compared.above(errors)
    return float(stats.penalise(ood, inside))
