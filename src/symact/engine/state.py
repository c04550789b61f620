"""The state of a search between two steps: its trials, what they are ranked by, and counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from symact.engine.baselines import Baselines, penalised_score
from symact.engine.costs import Costs
from symact.engine.promotion import PromotionQueue
from symact.engine.trial import Evaluation, Trial, TrialState
from symact.evaluation import Failed, Fidelity, Plan, Problem, Trained, as_stored
from symact.expr import Expr
from symact.storage.records import Failure, Scored, SearchRecord
from symact.storage.repository import Repository
from symact.tasks import scores as stats

#: The queue of trials whose variants are to be trained.
REFINE = "refine"


class SearchState:
    """Trials and results of a search.

    Args:
        problem: What is searched.
        repository: The run.
        record: Its stored counters; :func:`symact.engine.persistence.restored` adds the trials.
        plan: Its sizes.
        fidelities: That trials climb, the lowest first.
        baselines: Of each fidelity, by its name.
        costs: Of the parts of the work.

    Attributes:
        trials: Those that passed the screen and have an id, by id.
        evaluated: For each fidelity its trials, in the order in which they were recorded.
        best: For each fidelity the lowest penalised score, the id and the trial.
        queues: Trials that wait for a fidelity, or to be refined.
        promoted: For each fidelity the trials that train on it.
        tuning: Trials whose constants are being tuned.
    """

    def __init__(
        self,
        problem: Problem,
        repository: Repository,
        record: SearchRecord,
        plan: Plan,
        fidelities: Sequence[Fidelity],
        baselines: Mapping[str, Baselines],
        costs: Costs,
    ) -> None:
        self.problem, self.repository = problem, repository
        self.plan, self.baselines, self.costs = plan, baselines, costs
        self.fidelities = tuple(fidelities)
        self.lowest, self.highest = fidelities[0], fidelities[-1]
        self.generation, self.judged = record.generation, record.judged
        self.seconds, self.barren = record.seconds, record.barren
        self.opened = record.generation if record.opened is None else record.opened
        if record.opened is None:
            self.opened += len(record.under_way)
        self.pool = float(plan.pool) if record.pool is None else record.pool
        self.passed_over = dict(record.passed_over)
        self.refined = set(record.refined)
        self.next_id, self.screened = 1, 0
        self.failures: list[Failure] = []
        self.trials: dict[int, Trial] = {}
        self.evaluated: dict[str, list[Trial]] = {own.name: [] for own in self.fidelities}
        self.best: dict[str, tuple[float, int, Trial]] = {}
        self.promoted: dict[str, dict[int, Trial]] = {own.name: {} for own in self.fidelities[1:]}
        self.tuning: dict[int, Trial] = {}
        self.queues = {
            name: PromotionQueue(record.due.get(name, 0.0)) for name in (*self.promoted, REFINE)
        }
        self.surrogate = problem.surrogate(plan.surrogate_after)
        self.uses_surrogate = plan.pool > 1 and len(self.fidelities) > 1

    def draw(self, fidelity: Fidelity, trial: Trial) -> int:
        """Return the draw of a trial: a generation shares one, and promoted trials take turns."""
        return trial.generation if fidelity is self.lowest else trial.id

    def number(self, trial: Trial, generation: int) -> None:
        """Give a trial its id."""
        trial.id, trial.generation = self.next_id, generation
        self.next_id += 1
        if trial.passed:
            self.trials[trial.id] = trial
            self.screened += 1
        if trial.failure:
            where = "short form" if trial.passed else "screen"
            self.failures.append(Failure(trial.id, where, trial.failure))

    def record(
        self, fidelity: Fidelity, trials: Sequence[Trial], trained: Sequence[Trained]
    ) -> list[Scored]:
        """Score trials relative to the baselines, and rank them.

        A trial that failed counts as one that diverged on every instance.
        """
        baselines, found = self.baselines[fidelity.name], []
        for trial, own in zip(trials, trained, strict=True):
            errors = self.errors(fidelity, trial, own)
            above, cases = baselines.above(errors, self.draw(fidelity, trial))
            score = baselines.score(above)
            trial.state = TrialState.FAILED if isinstance(own, Failed) else TrialState.EVALUATED
            trial.results += (Evaluation(fidelity.name, *score, cases),)
            self.evaluated[fidelity.name].append(trial)
            self._rank(fidelity, trial, above)
            found.append(Scored(trial.id, fidelity.name, *score, errors))
        return found

    def _rank(self, fidelity: Fidelity, trial: Trial, above: tuple[float, float]) -> None:
        score = self.penalised(trial, fidelity.name)
        place = (score, trial.id, trial)
        self.best[fidelity.name] = min(self.best.get(fidelity.name, place), place)
        is_lowest, is_highest = fidelity is self.lowest, fidelity is self.highest
        if self.uses_surrogate and is_lowest:
            self.surrogate.add(trial.id, trial.expr, above)
        elif self.uses_surrogate and is_highest and trial.result(self.lowest.name):
            self.surrogate.correct(trial.id, above)
        if not is_highest:
            self.queues[self.above(fidelity).name].add(trial, score)
            if is_lowest:
                self.queues[REFINE].add(trial, score)

    def above(self, fidelity: Fidelity) -> Fidelity:
        """Return the next higher fidelity."""
        return self.fidelities[self.fidelities.index(fidelity) + 1]

    def errors(self, fidelity: Fidelity, trial: Trial, trained: Trained) -> NDArray[np.float64]:
        """Return errors as they are stored, so that a resumed search computes the same."""
        if isinstance(trained, Failed):
            self.failures.append(Failure(trial.id, fidelity.name, trained.reason))
            return np.full((len(self.baselines[fidelity.name].families), 1, 4), np.nan)
        return as_stored(trained)

    def penalised(self, trial: Trial, fidelity: str) -> float:
        """Return the penalised score of a trial on a fidelity that it was trained on."""
        result = trial.result(fidelity)
        assert result is not None
        return penalised_score((result.ood, result.id_error), self.baselines[fidelity].reference)

    def weight(self, fidelity: str) -> float:
        """Return how many networks a result has, in those of the lowest fidelity.

        Results of one trial are pooled with these weights. A prediction has the weight 1.
        """
        networks = len(self.baselines[fidelity].families)
        return networks / len(self.baselines[self.lowest.name].families)

    def above_reference(self, trial: Trial, fidelity: str) -> float:
        """Return the OOD error of a trial above the reference's on a fidelity, in log10."""
        result = trial.result(fidelity)
        assert result is not None
        return result.ood - self.baselines[fidelity].reference[0]

    def best_so_far(self) -> tuple[str, Trial] | None:
        """Return the highest fidelity with a result, and the best trial on it."""
        reached = [own.name for own in self.fidelities if own.name in self.best]
        return (reached[-1], self.best[reached[-1]][2]) if reached else None

    def take(self, queue: str, earned: float) -> list[Trial]:
        """Remove the best trials from a queue, as many as are due."""
        predict = self.predicted if self.surrogate.is_ready else None
        return self.queues[queue].take(earned, predict)

    def take_refined(self, earned: float) -> list[Trial]:
        """Remove the best trials whose variants were not trained yet, as many as are due."""
        chosen = self.take(REFINE, earned)
        self.refined.update(trial.id for trial in chosen)
        return chosen

    def predicted(self, trials: Sequence[Trial]) -> NDArray[np.float64]:
        """Return predicted penalised scores of trials above the reference's, in log10."""
        above = self.surrogate.of([trial.id for trial in trials])
        return stats.penalise(above[:, 0], above[:, 1])

    def estimate(self, exprs: Sequence[Expr]) -> list[tuple[float, float, float]]:
        """Return predicted OOD error, ID error and penalised score of functions, in log10."""
        baselines = self.baselines[self.lowest.name]
        found = []
        for ood, inside in self.surrogate.predict(exprs)[0].tolist():
            score = baselines.score((ood, inside))
            found.append((*score, penalised_score(score, baselines.reference)))
        return found

    def store_failures(self) -> None:
        """Store the failures since the last time."""
        self.repository.add_quarantined(self.failures)
        self.failures = []
