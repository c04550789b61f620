"""Restores the state of a search from its repository, and stores it after each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symact.engine.baselines import Baselines
from symact.engine.costs import Costs
from symact.engine.generation import Generation
from symact.engine.state import REFINE, SearchState
from symact.engine.trial import Trial, TrialState
from symact.evaluation import Fidelity, Plan, Problem
from symact.proposers import AbstractProposer
from symact.storage.records import PendingGeneration, Scored, SearchRecord
from symact.storage.repository import Repository
from symact.tasks.protocol import VERSION


def restored(
    problem: Problem,
    repository: Repository,
    record: SearchRecord,
    plan: Plan,
    fidelities: Sequence[Fidelity],
    baselines: Mapping[str, Baselines],
    costs: Costs,
) -> SearchState:
    """Return the state of a search as it was after its last step.

    Args:
        problem: What is searched.
        repository: The run.
        record: Its stored counters.
        plan: Its sizes.
        fidelities: That trials climb, the lowest first.
        baselines: Of each fidelity, by its name.
        costs: Of the parts of the work.

    Raises:
        ValueError: The run lacks candidates.
    """
    state = SearchState(problem, repository, record, plan, fidelities, baselines, costs)
    rows = repository.candidates()
    if record.candidates is not None and record.candidates != len(rows):
        raise ValueError(f"{len(rows)} candidates of {record.candidates}")
    state.next_id = len(rows) + 1
    stored = (Trial.stored(problem, row) for row in rows)
    state.trials = {trial.id: trial for trial in stored if trial.passed}
    state.screened = len(state.trials)
    for fidelity in state.fidelities:
        for scored in repository.scores(fidelity.name):
            state.record(fidelity, [state.trials[scored.candidate]], [scored.errors])
    for failure in repository.quarantined():
        if failure.place in state.evaluated:
            state.trials[failure.candidate].state = TrialState.FAILED
    if any(record.fitted):
        state.surrogate.fit(record.fitted)
    for name, queue in state.queues.items():
        under_way = record.promoted.get(name, ())
        done = state.refined if name == REFINE else {t.id for t in state.evaluated[name]}
        queue.leave_out(state.trials[number] for number in {*done, *under_way})
    return state


def store(
    state: SearchState,
    closed: Sequence[Trial],
    scores: Sequence[Scored],
    under_way: Iterable[Generation],
    proposer: AbstractProposer,
    *,
    exhausted: bool,
) -> None:
    """Store new trials, new scores and the state in one transaction.

    Args:
        state: After the step.
        closed: Trials that have got their ids in it.
        scores: New ones.
        under_way: Generations that were opened and not closed.
        proposer: Its state is stored too.
        exhausted: Whether no new candidates are to come.
    """
    pending = [
        PendingGeneration(own.number, [t.pending_row() for t in own.trials], own.is_refined)
        for own in under_way
    ]
    with state.repository.transaction():
        state.repository.add_candidates([trial.candidate() for trial in closed])
        state.repository.add_scores(scores, VERSION)
        state.store_failures()
        state.repository.put_search(_record(state, pending, proposer, exhausted))
    for trial in closed:
        trial.settle()


def _record(
    state: SearchState,
    pending: Sequence[PendingGeneration],
    proposer: AbstractProposer,
    exhausted: bool,
) -> SearchRecord:
    return SearchRecord(
        generation=state.generation,
        candidates=state.next_id - 1,
        scores=sum(map(len, state.evaluated.values())),
        seconds=state.seconds,
        judged=state.judged,
        barren=state.barren,
        exhausted=exhausted,
        due={name: queue.due for name, queue in state.queues.items()},
        refined=sorted(state.refined),
        fitted=state.surrogate.fitted,
        passed_over=state.passed_over,
        opened=state.opened,
        pool=state.pool,
        under_way=pending,
        promoted={name: sorted(own) for name, own in state.promoted.items()},
        tuning=sorted(state.tuning),
        costs=state.costs.by_part,
        proposer=proposer.state(),
    )
