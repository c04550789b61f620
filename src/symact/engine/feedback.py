"""The results that a proposer receives after a step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symact.engine.schedule import Step
from symact.engine.state import SearchState
from symact.engine.trial import Trial
from symact.proposers import EvaluatedProposal


def feedback(state: SearchState, step: Step) -> list[EvaluatedProposal]:
    """Return the results of all closed trials, and new results of promoted ones."""
    closed = {trial.id for trial in step.closed}
    judged = [state.trials[scored.candidate] for scored in step.scores]
    predicted: dict[int, float] = {}
    if state.surrogate.is_ready and judged:
        scores = map(float, state.predicted(judged))
        predicted = dict(zip((trial.id for trial in judged), scores, strict=True))
    again = [trial for trial in judged if trial.id not in closed]
    return [_result(state, trial, predicted) for trial in (*step.closed, *again)]


def _result(state: SearchState, trial: Trial, predicted: Mapping[int, float]) -> EvaluatedProposal:
    expr = trial.expr if trial.proposal is None else trial.proposal.expr
    if not trial.results:
        return EvaluatedProposal(expr, None, trial.outcome, tag=trial.tag)
    lowest, base = trial.results[0], state.baselines
    # Measurements and prediction estimate one quantity; their mean is nearer to it.
    above = [
        state.penalised(trial, own.fidelity) - base[own.fidelity].reference[0]
        for own in trial.results
    ]
    weights = [state.weight(own.fidelity) for own in trial.results]
    if trial.id in predicted:
        above.append(predicted[trial.id])
        weights.append(1.0)
    pooled = float(np.add.reduce(np.multiply(above, weights)) / np.add.reduce(weights))
    error = base[lowest.fidelity].reference[0] + pooled
    objectives = (lowest.ood, lowest.id_error, float(trial.flops))
    return EvaluatedProposal(
        expr, objectives, trial.outcome, error, trial.results[-1].cases, trial.tag
    )
