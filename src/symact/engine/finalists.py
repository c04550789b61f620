"""Select the finalists of a search, and evaluate them on the validation draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from symact.engine.baselines import penalised_score
from symact.engine.schedule import start_draws
from symact.engine.state import SearchState
from symact.engine.timetable import SEMIFINALISTS, Timetable
from symact.engine.trial import Trial
from symact.evaluation import (
    Failed,
    Ladder,
    Trained,
    as_stored,
    drop_near_duplicates,
    failure,
    raise_on_failure,
)
from symact.evaluation.pareto import non_dominated
from symact.expr import Expr, show
from symact.storage.records import Failure, Pair, Reference, Scored, Selected
from symact.storage.repository import Repository
from symact.tasks import scores as stats
from symact.tasks.protocol import VERSION

#: Seconds of computing that sympy may spend on a finalist.
SIMPLIFY_SECONDS = 2.0


def train_reference(state: SearchState, ladder: Ladder) -> None:
    """Train the reference on the validation draws, unless its result is stored."""
    if state.repository.reference() is None:
        _judge(state, ladder, [])


def evaluate_finalists(state: SearchState, ladder: Ladder, timetable: Timetable) -> None:
    """Evaluate the finalists on the validation draws, unless their results are stored.

    Each result is stored at once, so an interruption loses at most one. With a budget of time, the
    finalists that do not fit are left out. At least one is evaluated.
    """
    repository = state.repository
    finalists = select_finalists(state, ladder, timetable)
    ids = tuple(trial.id for trial in finalists)
    selected = repository.selected()
    if not ids or (selected is not None and selected.ids == ids):
        return
    known = {scored.candidate for scored in repository.scores(ladder.final.name)}
    new = [trial for trial in finalists if trial.id not in known]
    least = 1 if len(new) == len(finalists) else 0
    for group in timetable.finals(new, ladder.workers, least):
        _judge(state, ladder, group)
        known.update(trial.id for trial in group)
    reference = repository.reference()
    assert reference is not None
    with repository.transaction():
        repository.put_selected(Selected(tuple(own for own in ids if own in known), reference))


def _judge(state: SearchState, ladder: Ladder, trials: Sequence[Trial]) -> None:
    """Judge trials on the validation draws, and the reference if its result is not stored."""
    repository, problem, name = state.repository, state.problem, ladder.final.name
    is_first = repository.reference() is None
    with state.costs.timed(name, len(trials) + is_first):
        exprs = _simplified(state, trials)
        first = [problem.baselines[problem.reference]] if is_first else []
        futures = ladder.start(name, [*first, *(exprs[trial.id] for trial in trials)])
        if is_first:
            _store_reference(repository, ladder, futures.pop(0).result())
        for trial, future in zip(trials, futures, strict=True):
            _store_score(repository, ladder, trial, future.result())


def select_finalists(state: SearchState, ladder: Ladder, timetable: Timetable) -> list[Trial]:
    """Return the trials to evaluate on the validation draws: the best and the front near them.

    The error of one training is partly chance. Therefore the best by the mean of measurement and
    prediction are first trained on all draws of the highest fidelity. Near-duplicates train once.
    Those for which no time is left come last.
    """
    fidelity, most = state.highest.name, state.plan.finalists
    scores = _ranking(state)
    ranked = sorted(state.evaluated[fidelity], key=lambda trial: (scores[trial.id], trial.id))
    kept = drop_near_duplicates(
        (trial.expr for trial in ranked), SEMIFINALISTS * most, state.problem.features
    )
    tried = [ranked[index] for index in kept]
    repeated = _repeated(state, ladder, tried, timetable)
    base = state.baselines[fidelity].reference
    measured = [trial for trial in tried if trial.id in repeated]
    top = sorted(measured, key=lambda t: (penalised_score(repeated[t.id], base), t.id))
    points = [(*repeated[trial.id], float(trial.flops)) for trial in top]
    front = [t for t, is_kept in zip(top, non_dominated(points), strict=True) if is_kept]
    chosen = {trial.id: trial for trial in (*top[: (most + 1) // 2], *front, *top, *tried)}
    return list(chosen.values())[:most]


def _ranking(state: SearchState) -> dict[int, float]:
    """Return penalised scores above the reference's: measurement and prediction, pooled."""
    trials = state.evaluated[state.highest.name]
    base, weight = (
        state.baselines[state.highest.name].reference[0],
        state.weight(state.highest.name),
    )
    scores = {trial.id: state.penalised(trial, state.highest.name) - base for trial in trials}
    if state.surrogate.is_ready and trials:
        known = [trial for trial in trials if trial.result(state.lowest.name)]
        for trial, predicted in zip(known, state.predicted(known), strict=True):
            scores[trial.id] = (weight * scores[trial.id] + float(predicted)) / (weight + 1)
    return scores


def _repeated(
    state: SearchState, ladder: Ladder, trials: Sequence[Trial], timetable: Timetable
) -> dict[int, Pair]:
    """Train trials on all draws, as many as fit the time; return all known mean errors."""
    known = state.repository.repeated()
    new = [trial for trial in trials if trial.id not in known]
    for group in timetable.semifinals(new, ladder.workers):
        with state.costs.timed("semifinals", len(group)):
            known = _train_on_all_draws(state, ladder, group, known)
    return known


def _train_on_all_draws(
    state: SearchState, ladder: Ladder, new: Sequence[Trial], before: Mapping[int, Pair]
) -> dict[int, Pair]:
    """Return earlier errors and those of new trials.

    They are OOD and ID errors by trial, means over all draws of the highest fidelity.
    """
    fidelity, repository, known = state.highest, state.repository, dict(before)
    # On one of the draws each was trained already.
    stored = {s.candidate: s.errors for s in repository.scores(fidelity.name)}
    own = {trial.id: state.draw(fidelity, trial) % fidelity.draws for trial in new}
    draws = range(fidelity.draws)
    wanted = [(trial, draw) for trial in new for draw in draws if draw != own[trial.id]]
    futures = iter(start_draws(ladder, fidelity, wanted))
    baselines = state.baselines[fidelity.name]
    for trial in new:
        trained = [
            stored[trial.id]
            if draw == own[trial.id]
            else state.errors(fidelity, trial, next(futures).result())
            for draw in draws
        ]
        above = [baselines.above(errors, draw)[0] for draw, errors in enumerate(trained)]
        ood, inside = np.mean(above, axis=0) + np.array(baselines.reference)
        known[trial.id] = (float(ood), float(inside))
        with repository.transaction():
            repository.put_repeated(known)
            state.store_failures()
    return known


def _simplified(state: SearchState, trials: Sequence[Trial]) -> dict[int, Expr]:
    """Return the simplified expressions of finalists, which are stored one by one."""
    repository = state.repository
    known = repository.simplified()
    for trial in trials:
        if trial.id in known:
            continue
        failures: list[Failure] = []
        expr = trial.expr
        try:
            expr = state.problem.simplify(expr, seconds=SIMPLIFY_SECONDS)
        except Exception as error:  # it stays as it is
            failures.append(Failure(trial.id, "short form", failure(error).reason))
        with repository.transaction():
            repository.add_simplified({trial.id: show(expr)})
            repository.add_quarantined(failures)
    stored = repository.simplified()
    return {trial.id: state.problem.parse(stored[trial.id]) for trial in trials}


def _store_reference(repository: Repository, ladder: Ladder, trained: Trained) -> Reference:
    (errors,) = raise_on_failure([trained], [ladder.problem.reference])
    families = ladder.families(ladder.final.name)
    score = stats.score(as_stored(errors), families)
    reference = Reference(families, score.ood, score.id_error, dict(score.families))
    with repository.transaction():
        repository.put_reference(reference)
    return reference


def _store_score(repository: Repository, ladder: Ladder, trial: Trial, trained: Trained) -> None:
    name = ladder.final.name
    failures: list[Failure] = []
    if isinstance(trained, Failed):
        failures.append(Failure(trial.id, name, trained.reason))
        errors = np.full(ladder.error_shape(name), np.nan)
    else:
        errors = as_stored(trained)
    score = stats.score(errors, ladder.families(name))
    with repository.transaction():
        scored = Scored(trial.id, name, score.ood, score.id_error, errors)
        repository.add_scores([scored], VERSION)
        repository.add_quarantined(failures)
