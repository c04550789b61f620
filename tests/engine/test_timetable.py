"""Budgets of time: what the whole run takes, by a clock that only trainings move."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import asdict, replace

import numpy as np
import pytest
from small_runs import BRIEF, TINY, go_on, run

from symact.engine import Progress
from symact.engine.budget import Budget
from symact.engine.loop import Search
from symact.engine.result import load, result_of
from symact.engine.run import conduct
from symact.engine.timetable import SHORT_SETTINGS, FinalCosts, Timetable, plan_for
from symact.evaluation import ActivationProblem, InlineExecutor, Ladder, Plan
from symact.expr import show
from symact.grammar import Grammar
from symact.proposers import Evolution, make_proposer
from symact.storage.records import RunConfig
from symact.storage.repository import in_memory, open_run
from symact.tasks import task

COSTS = FinalCosts(semifinalist=1.5, finalist=3.0, most=10)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Trainings:
    """Errors of the formula's hash; each training takes its seconds on a clock."""

    def __init__(self, clock, **seconds):
        self.clock, self.seconds, self.trained = clock, seconds, []

    def __call__(self, draws, job):
        self.clock.now += self.seconds.get(job.fidelity, 0.0)
        self.trained.append(job.fidelity)
        text = f"{job.fidelity} {job.draw} {show(job.expr)}"
        mark = hashlib.blake2b(text.encode(), digest_size=8).digest()
        shape = draws.error_shape(job.fidelity)
        return 10.0 ** np.random.default_rng(list(mark)).uniform(-1, 0.5, shape)


def searched(seconds, reserve=0.0, plan=None, **costs):
    """Return the time that a run takes, the result and the messages."""
    clock = Clock()
    plan = plan or replace(TINY, tune=False, finalists=4, pool=1)
    trainings = Trainings(clock, **costs)
    ladder = Ladder(
        ActivationProblem(task("polynomial")), 3, plan, executor=InlineExecutor(trainings)
    )
    grammar = Grammar.load("pointwise")
    proposer = make_proposer("random", grammar, seed=3, evolution=Evolution(), seeds=())
    config = RunConfig(
        protocol="1.0", grammar="pointwise", task="polynomial", budget=f"{seconds}s", seed=3,
        proposer="random", plan=asdict(plan), evolution={}, versions={},
    )  # fmt: skip
    reports: list[Progress] = []
    table = Timetable(Budget(seconds=seconds), reserve=reserve, clock=clock)
    with closing(ladder), closing(in_memory(config)) as stored:
        conduct(Search(stored, grammar, ladder, proposer, reports.append, table))
        result = result_of(stored)
        judged = [scored.candidate for scored in stored.scores("selection")]
        selected = stored.selected()
    assert selected is not None
    assert sorted(selected.ids) == sorted(judged)
    assert result.front
    return clock.now - 1000.0, judged, [own.message for own in reports if own.message]


# Plans.
@pytest.mark.parametrize(
    ("seconds", "reserve", "line"),
    [
        (300, 0, "5 min: 3 min 48 s search, 1 min 12 s finalists"),
        (300, 20, "5 min: 3 min 28 s search, 1 min 12 s finalists, 20 s comparison"),
        (60, 20, "1 min: 34 s search, 17 s finalists, 9 s comparison"),
        (7200, 20, "2 h: 1 h 58 min search, 1 min 12 s finalists, 20 s comparison"),
    ],
)
def test_the_plan_is_told_in_one_line_and_adds_up(seconds, reserve, line):
    table = Timetable(Budget(seconds=seconds), reserve=reserve, clock=Clock())
    table.plan(COSTS)
    assert table.line == line


def test_a_session_plans_what_earlier_sessions_left():
    table = Timetable(Budget(seconds=300), before=200.0, clock=Clock())
    table.plan(COSTS)
    assert table.line == "1 min 40 s: 1 min 7 s search, 33 s finalists"
    assert table.spent == 200.0


def test_a_run_that_has_spent_its_time_plans_none():
    table = Timetable(Budget(seconds=60), before=180.0, clock=Clock())
    table.plan(COSTS)
    assert table.line == "0 s: 0 s search"
    assert table.searched(99) == 1.0


def test_a_search_is_over_when_the_finals_have_to_begin():
    clock = Clock()
    table = Timetable(Budget(seconds=300), clock=clock)
    table.plan(COSTS)
    done = []
    for now in (0, 76, 190, 228, 300):
        clock.now = 1000.0 + now
        done.append(table.searched(99))
    # Half a step as long as the last one is added.
    assert done == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_a_budget_of_candidates_knows_no_time():
    clock = Clock()
    table = Timetable(Budget(candidates=10), clock=clock)
    clock.now += 1e9
    assert table.searched(5) == 0.5
    assert table.finalists is None
    assert list(table.semifinals([1, 2, 3], 1)) == [[1, 2, 3]]
    assert list(table.finals([1, 2, 3], 1, least=1)) == [[1, 2, 3]]


@pytest.mark.parametrize(("seconds", "least", "judged"), [(3.5, 1, 3), (0.0, 1, 1), (0.0, 0, 0)])
def test_finalists_are_judged_while_there_is_time_the_first_in_any_case(seconds, least, judged):
    clock = Clock()
    table = Timetable(Budget(seconds=seconds), clock=clock)
    found = []
    for group in table.finals(list("abcdef"), 1, least):
        found += group
        clock.now += 1.0
    assert found == list("abcdef")[:judged]


def test_only_short_budgets_shrink_the_plan_and_only_its_defaults():
    assert plan_for(Budget(candidates=500), Plan()) == Plan()
    assert plan_for(Budget(seconds=300), Plan()) == Plan()
    assert plan_for(Budget(candidates=8), Plan()) == Plan(start="seeds")
    assert plan_for(Budget(seconds=60), Plan()) == Plan(**SHORT_SETTINGS)
    assert plan_for(Budget(seconds=60), Plan(full_draws=2)) == Plan(
        **SHORT_SETTINGS | {"full_draws": 2}
    )


# Whole runs.
@pytest.mark.parametrize(("seconds", "finalists"), [(60, 1), (300, 3), (600, 3)])
@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_a_run_takes_its_budget_with_baselines_and_finals(seconds, finalists, slower):
    costs = {"mini": 0.5 * slower, "full": 1.0 * slower, "selection": 4.0 * slower}
    taken, judged, messages = searched(seconds, **costs)
    assert 0.9 * seconds <= taken <= 1.1 * seconds
    assert len(judged) >= finalists
    assert messages[-1].startswith(f"{seconds // 60} min: ")


def test_the_reserve_is_left():
    taken, _, messages = searched(100, reserve=10, mini=0.2, full=1.0, selection=2.0)
    assert 81 <= taken <= 99
    assert messages[-1].endswith(", 10 s comparison")


def test_finalists_that_do_not_fit_are_not_among_the_selected():
    taken, judged, _ = searched(60, mini=0.2, full=1.0, selection=12.0)
    assert 1 <= len(judged) < 4
    assert taken <= 66


def test_one_finalist_is_judged_whatever_the_time():
    _, judged, _ = searched(1, mini=1.0, full=5.0, selection=50.0)
    assert len(judged) == 1


def test_a_real_run_of_no_time_has_a_finalist(tmp_path):
    result = run(tmp_path / "run", budget="0.1s", plan=TINY)
    assert result.finished
    assert result.fidelity == "selection"
    assert result.best in result.front
    assert result.seconds > 0.1


# Sessions.
class Recording(InlineExecutor):
    """Trains for real, and records the fidelities of the jobs."""

    def __init__(self):
        super().__init__()
        self.trained = set()

    def submit(self, job):
        self.trained.add(job.fidelity)
        return super().submit(job)


def test_a_finished_run_of_a_time_returns_at_once(tmp_path):
    first = run(tmp_path / "run", budget="0.1s", plan=BRIEF)
    executor = Recording()
    again = go_on(tmp_path / "run", executor=executor)
    assert executor.trained <= {"mini"}  # what was under way at the end
    assert again.counts == first.counts
    assert again.finished
    assert again.front == first.front
    assert again.seconds == first.seconds


def test_a_longer_time_continues_a_finished_run(tmp_path):
    first = run(tmp_path / "run", budget="0.1s", plan=BRIEF)
    total = first.seconds + 2
    longer = go_on(tmp_path / "run", budget=f"{total}s")
    assert longer.finished
    assert longer.counts["mini"] > first.counts["mini"]
    assert longer.seconds > first.seconds


def test_the_time_before_an_interruption_counts(tmp_path):
    def interrupt(progress: Progress) -> None:
        if progress.counts["mini"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", budget="60s", plan=BRIEF, on_progress=interrupt)
    part = load(tmp_path / "run")
    assert not part.finished
    with closing(open_run(tmp_path / "run")) as stored:
        record = stored.search()
        assert record is not None
        parts = sum(seconds for _, seconds in record.costs.values())
    assert part.seconds >= parts > 0
    messages: list[str] = []
    ended = go_on(
        tmp_path / "run",
        budget=f"{part.seconds + 1}s",
        on_progress=lambda progress: messages.append(progress.message),
    )
    assert ended.finished
    assert any(own.startswith("1 s: ") for own in messages)
    assert ended.seconds >= part.seconds + 0.5
