"""Refinement: variants of good trials are proposals too, tuned, rounded and pruned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symact.engine.state import SearchState
from symact.engine.trial import Trial
from symact.evaluation import Failed, failure
from symact.evaluation.jobs import Tuned
from symact.expr import Expr
from symact.grammar import Grammar
from symact.proposers import Proposal
from symact.proposers.local_search import variants
from symact.storage.records import Failure


def proposed_variants(
    state: SearchState, grammar: Grammar, trials: Sequence[Trial], tuned: Sequence[Tuned]
) -> list[Proposal]:
    """Return variants of trials, each with the tag of its trial.

    Args:
        state: Notes the trials that could not be tuned or varied.
        grammar: What may be proposed.
        trials: Which.
        tuned: For each the expression with tuned constants, if there is one.
    """
    found: list[Proposal] = []
    for trial, constants in zip(trials, tuned, strict=True):
        if isinstance(constants, Failed):
            state.failures.append(Failure(trial.id, "tuning", constants.reason))
            constants = None
        found += _of(state, grammar, trial, constants)
    return found


def _of(
    state: SearchState, grammar: Grammar, trial: Trial, constants: Expr | None
) -> list[Proposal]:
    try:
        made = variants(trial.expr, constants, grammar, prune=state.plan.prune)
    except Exception as error:  # a candidate may not end a search
        state.failures.append(Failure(trial.id, "variants", failure(error).reason))
        return []
    return [replace(own, tag=trial.tag) for own in made]  # they stay on the island of the trial
