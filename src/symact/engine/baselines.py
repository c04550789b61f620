"""Reference functions that normalise scores across draws.

Draws differ in difficulty. Known functions, the baselines, are trained on each draw, and a score
is the error of a candidate relative to theirs. The error of the reference over all draws is added,
so that scores of different draws compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact.engine.costs import Costs, baselines_of
from symact.evaluation import Fidelity, Ladder, Problem, raise_on_failure
from symact.storage.records import Pair
from symact.storage.repository import Repository
from symact.tasks import scores as stats

Errors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Baselines:
    """The baselines of one fidelity.

    Attributes:
        objective: ``"mean"`` or ``"worst"``: which family's OOD error counts.
        families: The family of each instance.
        draws: For each draw the comparison with the geometric mean of the baselines' errors.
        offset: OOD and ID error of the reference above the baselines, in log10, mean over draws.
        cases: OOD error of each family of the reference above the baselines, in the same way.
        reference: OOD and ID error of the reference, in log10, mean over draws.
    """

    objective: str
    families: tuple[str, ...]
    draws: tuple[stats.PairedComparison, ...]
    offset: Pair
    cases: tuple[float, ...]
    reference: Pair

    @classmethod
    def of(
        cls,
        problem: Problem,
        errors: Sequence[Sequence[Errors]],
        families: tuple[str, ...],
        objective: str = "mean",
    ) -> Baselines:
        """Return baselines from errors ``[draw][baseline]`` in the order of the problem."""
        index = list(problem.baselines).index(problem.reference)
        means = [10.0 ** np.mean(stats.log_errors(np.array(own)), axis=0) for own in errors]
        draws = tuple(stats.PairedComparison(mean, families, problem.clip) for mean in means)
        above = [draw.above(own[index]) for own, draw in zip(errors, draws, strict=True)]
        scores = [stats.score(own[index], families) for own in errors]
        offset = float(np.mean([a[0] for a in above])), float(np.mean([a[1] for a in above]))
        cases = tuple(map(float, np.mean([a[2] for a in above], axis=0)))
        ood = float(np.mean([s.ood for s in scores]))
        reference = ood, float(np.mean([s.id_error for s in scores]))
        return cls(objective, families, draws, offset, cases, reference)

    def above(self, errors: Errors, draw: int) -> tuple[Pair, tuple[float, ...]]:
        """Compare errors with the baselines on the same draw.

        Args:
            errors: Of shape ``[instance, seed, 4]``.
            draw: Any number; draws are taken in turn.

        Returns:
            OOD and ID error above the reference's, and the OOD error of each family above the
            baselines', all in log10. With the objective "worst", the OOD error is that of the
            family with the largest difference to the reference.
        """
        ood, inside, cases = self.draws[draw % len(self.draws)].above(errors)
        ood -= self.offset[0]
        if self.objective == "worst":
            ood = max(own - known for own, known in zip(cases, self.cases, strict=True))
        return (ood, inside - self.offset[1]), cases

    def score(self, above: Pair) -> Pair:
        """Return OOD and ID error, in log10, from the result of :meth:`above`."""
        return self.reference[0] + above[0], self.reference[1] + above[1]


def penalised_score(score: Sequence[float], reference: Sequence[float]) -> float:
    """Return the score that a search minimises: :func:`symact.tasks.scores.penalise`.

    Args:
        score: OOD and ID error, in log10.
        reference: The same of the reference function.

    Returns:
        OOD error plus the excess of the ID error over its limit, in log10.
    """
    ood, inside = score[0] - reference[0], score[1] - reference[1]
    return reference[0] + float(stats.penalise(ood, inside))


def train_baselines(repository: Repository, ladder: Ladder, costs: Costs) -> dict[str, Baselines]:
    """Train the baselines on every draw of every fidelity, unless that is stored.

    Args:
        repository: Of the run.
        ladder: Trains them.
        costs: Gets their costs.

    Returns:
        The baselines of each fidelity, by its name.
    """
    errors = repository.baselines()
    missing = [own for own in ladder.fidelities if own.name not in errors]
    if missing:
        errors |= _train(ladder, missing, costs)
        with repository.transaction():
            repository.put_baselines(errors)
        errors = repository.baselines()  # with the digits that are stored
    found = {
        own.name: Baselines.of(
            ladder.problem, errors[own.name], ladder.families(own.name), ladder.plan.objective
        )
        for own in ladder.fidelities
    }
    _store_references(repository, found)
    return found


def _train(
    ladder: Ladder, fidelities: Sequence[Fidelity], costs: Costs
) -> dict[str, list[list[Errors]]]:
    """Return for each fidelity the errors ``[draw][baseline]``."""
    baselines = ladder.problem.baselines
    exprs = list(baselines.values())
    started = {
        own: [ladder.start(own.name, exprs, draw) for draw in range(own.draws)]
        for own in fidelities
    }
    found = {}
    for fidelity, draws in started.items():
        with costs.timed(baselines_of(fidelity), len(exprs) * len(draws)):
            trained = [[own.result() for own in draw] for draw in draws]
        found[fidelity.name] = [raise_on_failure(own, list(baselines)) for own in trained]
    return found


def _store_references(repository: Repository, baselines: Mapping[str, Baselines]) -> None:
    if repository.references():
        return
    with repository.transaction():
        repository.put_references({name: own.reference for name, own in baselines.items()})
