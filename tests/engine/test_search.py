"""The loop of a search, with executors that train nothing."""

from __future__ import annotations

import hashlib
import sys
from contextlib import closing
from dataclasses import asdict, replace

import numpy as np
import pytest

from symact.cli.progress import status
from symact.cli.show import print_run
from symact.engine import Progress, resume, search
from symact.engine.budget import Budget
from symact.engine.finalists import evaluate_finalists
from symact.engine.loop import Search
from symact.engine.result import Found, Result, load, result_of
from symact.engine.timetable import Timetable
from symact.errors import SymactError
from symact.evaluation import ActivationProblem, InlineExecutor, Ladder, Plan
from symact.evaluation.jobs import TUNING
from symact.expr import Expr, call, parse, show, var
from symact.grammar import Grammar
from symact.proposers import AbstractProposer, Proposal, make_proposer
from symact.proposers.evolution import Evolution
from symact.storage.records import RunConfig
from symact.storage.repository import in_memory, open_run
from symact.tasks import task

PLAN = Plan(
    mini_networks=2,
    mini_draws=2,
    full_networks=1,
    full_draws=2,
    full_share=0.25,
    refine_share=0.05,
    generation=8,
    pool=1,
    finalists=2,
    selection_networks=1,
)


def errors(draws, job):
    """Errors of the formula's hash."""
    if job.fidelity == TUNING:
        return None
    text = f"{job.fidelity} {job.draw} {show(job.expr)}"
    mark = hashlib.blake2b(text.encode(), digest_size=8).digest()
    shape = draws.error_shape(job.fidelity)
    return 10.0 ** np.random.default_rng(list(mark)).uniform(-1, 0.5, shape)


def run(out=None, **changes):
    arguments = {"grammar": "pointwise", "task": "polynomial", "budget": 24, "seed": 3}
    executor = InlineExecutor(errors)
    return search(**{**arguments, "plan": PLAN, "out": out, "executor": executor, **changes})


# Fidelities.
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_a_fidelity_is_added_by_one_object(mode):
    """Trials climb three fidelities; each takes its share of the one below."""
    plan = replace(PLAN, mode=mode, refine_share=0.0)
    problem = ActivationProblem(task("polynomial"))
    mini, full = problem.fidelities(plan)
    middle = replace(full, name="middle", share=0.5, entropy=251)
    fidelities = (mini, middle, replace(full, share=0.5))
    executor = InlineExecutor(errors)
    ladder = Ladder(problem, 3, plan, executor=executor, fidelities=fidelities)
    grammar = Grammar.load("pointwise")
    proposer = make_proposer("random", grammar, seed=3, evolution=Evolution(), seeds=())
    config = RunConfig(
        protocol="1.0", grammar="pointwise", task="polynomial", budget="48", seed=3,
        proposer="random", plan=asdict(plan), evolution={}, versions={},
    )  # fmt: skip
    reports: list[Progress] = []
    table = Timetable(Budget(candidates=48))
    with closing(ladder), closing(in_memory(config)) as stored:
        own = Search(stored, grammar, ladder, proposer, reports.append, table)
        while own.state.judged < 48:
            own.step(48 - own.state.judged)
        own.complete()
        evaluate_finalists(own.state, ladder, table)
        own.progress("done", 1.0)
        scores = {name: {s.candidate for s in stored.scores(name)} for name in stored.fidelities()}
        result = result_of(stored)
    assert {name: len(own) for name, own in scores.items()} == {
        "mini": 48,
        "middle": 24,
        "full": 12,
    }
    assert scores["full"] < scores["middle"] < scores["mini"]
    assert reports[-1].fidelity == "full"
    assert reports[-1].counts == result.counts
    assert list(result.fidelity_spearman) == ["mini-middle", "middle-full", "full-selection"]
    assert {found.id for found in result.front} <= scores["full"]


# Modes.
@pytest.mark.parametrize(("given", "mode"), [("asked", "synchronous"), ("arrival", "asynchronous")])
def test_earlier_names_of_modes_are_understood(given, mode):
    assert Plan(order=given) == Plan(mode=given) == Plan(mode=mode)
    assert replace(Plan(order=given), finalists=3).mode == mode


# Malformed candidates.
def nested(depth):
    expr = var()
    for _ in range(depth):
        expr = call("sin", expr)
    return expr


class Unprintable:
    """No expression, and it cannot even be shown."""

    def __repr__(self):
        return "surrogates \udcff and a null \0"


class Mischief(AbstractProposer):
    """Proposes what is no expression among functions that are."""

    looks_ahead = True

    def __init__(self):
        self.told, self.said = [], 0

    def ask(self, count):
        bad = [Expr("no such function", (var(),)), None, Unprintable(), var("y"), nested(3000)]
        self.said += 1
        good = [parse(f"sin({self.said}.{digit}*x)") for digit in range(1, 4)]
        return [Proposal(expr, "mischief") for expr in (*bad, *good)]

    def tell(self, results):
        self.told += results

    def state(self):
        return {"said": self.said}

    def restore(self, state):
        self.said = state["said"]


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_a_proposal_that_is_no_expression_costs_itself_only(mode, tmp_path):
    mischief, plan = Mischief(), replace(PLAN, mode=mode, refine_share=1.0)
    result = run(tmp_path / "run", budget=7, plan=plan, proposer=mischief)
    assert result.finished
    assert result.counts["mini"] == 7
    assert result.outcomes["failed"] >= 8
    assert all("\0" not in formula for formula in result.to_frame()["formula"])
    assert {told.outcome for told in mischief.told} >= {"failed", "passed"}


def test_a_run_with_such_proposals_under_way_is_resumed(tmp_path):
    expected = run(budget=9, proposer=Mischief())
    part = interrupted(tmp_path / "run", 2, budget=9, proposer=Mischief())
    with closing(open_run(part.path)) as stored:
        (under_way,) = stored.search().under_way
    assert {trial.outcome for trial in under_way.trials} >= {"failed", "passed"}
    result = resume(part.path, proposer=Mischief(), executor=InlineExecutor(errors))
    assert result.front == expected.front
    assert result.to_frame().equals(expected.to_frame())


# Results of unfinished runs.
def interrupted(folder, moment, **changes):
    calls = 0

    def interrupt(progress):
        nonlocal calls
        calls += progress.phase == "search"
        if calls == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, on_progress=interrupt, **changes)
    return load(folder)


def test_an_unfinished_run_has_the_best_so_far_of_the_highest_fidelity(tmp_path):
    never_full = replace(PLAN, full_share=0.0)
    first = interrupted(tmp_path / "mini", 3, plan=never_full)
    assert (first.fidelity, first.finished) == ("mini", False)
    later = interrupted(tmp_path / "full", 3)
    assert (later.fidelity, later.finished) == ("full", False)
    for result in (first, later):
        frame = result.to_frame().set_index("id")
        assert result.best in result.front
        assert 1 <= len(result.front) <= PLAN.finalists
        for found in result.front:
            assert found.formula == frame.loc[found.id, "formula"]
            assert found.ood == pytest.approx(frame.loc[found.id, f"{result.fidelity}_ood"])
        assert json_keys(result) >= {"fidelity", "front"}
    assert resume(tmp_path / "full", executor=InlineExecutor(errors)).fidelity == "selection"


def json_keys(result):
    return set(result.to_json())


def test_the_best_so_far_is_shown_with_its_fidelity(tmp_path, capsys):
    result = interrupted(tmp_path / "run", 3)
    print_run(result)
    shown = capsys.readouterr().out
    assert "best so far, errors of fidelity 'full'" in shown
    assert f"best: #{result.best.id}  {result.best.formula}" in shown


def test_a_run_without_any_result_says_so(tmp_path):
    result = interrupted(tmp_path / "run", 1)
    assert (result.front, result.fidelity) == ([], "")
    with pytest.raises(SymactError, match="no trained candidate yet"):
        _ = result.best


def test_progress_names_the_reference_where_nothing_is_better():
    reports: list[Progress] = []

    def gelu_wins(draws, job):
        scale = 1.0 if job.expr == parse("gelu(x)") else 10.0
        return None if job.fidelity == TUNING else np.full(draws.error_shape(job.fidelity), scale)

    run(executor=InlineExecutor(gelu_wins), on_progress=reports.append, budget=16)
    late = [report for report in reports if report.best]
    assert late
    assert {(report.best, report.baseline) for report in late} == {("gelu(x)", "GELU")}
    assert status(late[-1]).endswith("best so far: GELU itself")


# The best function.
def found(number, formula, ood):
    return Found(number, formula, ood, 1.0, 10, 5)


def with_front(*front):
    return Result(
        path=None, config={}, counts={}, outcomes={}, fidelity_spearman={}, front=list(front),
        reference=found(0, "gelu(x)", 1.0), finished=True, costs={}, quarantined=[], _rows=[],
    )  # fmt: skip


def test_the_best_is_pointwise_though_a_function_of_batch_statistics_leads_the_front():
    statistics = found(1, "gelu((x - mean(x))/(std(x) + 0.001))", 0.1)
    pointwise = found(2, "silu(x)", 0.5)
    assert with_front(statistics, pointwise).best == pointwise
    # Also where it alone keeps the limit on the ID error.
    bad = replace(pointwise, id_error=100.0)
    assert with_front(statistics, bad).best == bad
    with pytest.raises(SymactError, match="depend on batch statistics"):
        _ = with_front(statistics).best


def test_stored_states_are_read_as_they_were_written(tmp_path):
    interrupted(tmp_path / "run", 2)
    with closing(open_run(tmp_path / "run")) as stored:
        record = stored.search()
        assert record is not None
        assert record.under_way
        with stored.transaction():
            stored.put_search(record)
        assert stored.search() == record


def test_recursion_is_no_limit_for_the_test_of_nested_functions():
    assert nested(3000).depth > sys.getrecursionlimit()
