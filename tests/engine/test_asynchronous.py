"""Results taken as they arrive: no worker waits for another, nothing is lost or judged twice."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from small_runs import SIX, SMALL, TINY, go_on, run

from symact import zoo
from symact.engine import search
from symact.engine.asynchronous import adapted_pool
from symact.engine.result import load
from symact.errors import SymactError
from symact.evaluation import Executor, Plan
from symact.evaluation.jobs import TUNING
from symact.expr import show
from symact.storage.repository import open_run
from symact.tasks import protocol

ARRIVAL = replace(TINY, mode="asynchronous")
BASELINES = [zoo.find(name).expr for name in protocol.BASELINES]


class Slow(Executor):
    """Any number of workers that take their time and return errors of the formula's hash."""

    def __init__(self, seconds=lambda fidelity, formula: 0.0):
        self.seconds = seconds
        self.workers = 2

    def open(self, draws, device=None):
        self.draws = draws
        self.pool = ThreadPoolExecutor(64)

    def submit(self, job):
        return self.pool.submit(self.work, job)

    def work(self, job):
        if job.fidelity == TUNING:
            return None
        formula = show(job.expr)
        time.sleep(self.seconds(job.fidelity, formula))
        return errors(formula, job.draw, self.draws.error_shape(job.fidelity))

    def close(self):
        self.pool.shutdown(wait=False, cancel_futures=True)


def errors(formula, draw, shape):
    mark = hashlib.blake2b(f"{draw} {formula}".encode(), digest_size=8).digest()
    return 10.0 ** np.random.default_rng(list(mark)).uniform(-1, 0.5, shape)


@pytest.fixture
def workers():
    return Slow()


def stored(folder):
    with closing(open_run(folder)) as store:
        return store.candidates(), {name: store.scores(name) for name in ("mini", "full")}


def test_scores_are_those_of_the_same_functions_in_the_order_of_asking(tmp_path):
    """For real: what is trained on a draw does not depend on when it is taken."""
    result = run(tmp_path / "run", plan=ARRIVAL, budget=16)
    assert result.finished
    assert result.counts["mini"] == 16
    assert result.front
    candidates, scores = stored(tmp_path / "run")
    born = {c.id: (c.formula, c.generation) for c in candidates}
    again = run(tmp_path / "asked", budget=16)  # it begins with the same seeds on the same draws
    assert again.finished
    others, expected = stored(tmp_path / "asked")
    same = {(c.formula, c.generation): c.id for c in others}
    known = {s.candidate: s.errors for s in expected["mini"]}
    compared = 0
    for scored in scores["mini"]:
        if born[scored.candidate] in same:
            other = same[born[scored.candidate]]
            np.testing.assert_array_equal(scored.errors, known[other])
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("budget", [1, 9, 40, 65])
def test_a_candidate_budget_is_met_exactly(budget, workers, tmp_path):
    workers.seconds = lambda fidelity, formula: 0.02 * (len(formula) % 5)
    result = run(tmp_path / "run", plan=ARRIVAL, budget=budget, executor=workers)
    assert result.finished
    assert result.counts["mini"] == budget
    candidates, scores = stored(tmp_path / "run")
    assert [c.id for c in candidates] == list(range(1, len(candidates) + 1))
    passed = [c.id for c in candidates if c.outcome == "passed"]
    assert sorted(s.candidate for s in scores["mini"]) == passed
    marks = [c.fingerprint for c in candidates if c.outcome == "passed"]
    assert len(marks) == len(set(marks))  # nothing was trained twice


def test_what_takes_long_holds_up_nobody(workers, tmp_path):
    """The first full training ends when all else is done; in order, all would have waited."""
    held: list[str] = []
    done = threading.Event()
    work = workers.work

    def slow(job):
        # The baselines are trained first; they belong to no candidate.
        if job.fidelity == "full" and job.expr not in BASELINES and not held:
            held.append(show(job.expr))
            done.wait(60)
        return work(job)

    workers.work = slow
    said: list[tuple[int, int]] = []

    def report(progress):
        said.append((progress.counts["mini"], progress.counts["full"]))
        if progress.counts["mini"] >= 60:
            done.set()

    result = run(tmp_path / "run", plan=ARRIVAL, budget=60, on_progress=report, executor=workers)
    assert result.finished
    assert len(held) == 1
    # Others were fully trained meanwhile, and it was waited for in the end.
    assert max(full for mini, full in said if mini < 60) >= 2
    trained = result.to_frame().dropna(subset="full_ood")
    assert held[0] in set(trained["formula"])


@pytest.mark.parametrize("trained", [2, 8, 16])
def test_an_interrupted_run_goes_on_with_what_was_under_way(trained, workers, tmp_path):
    workers.seconds = lambda fidelity, formula: (
        0.1 if fidelity == "full" else 0.05 * (len(formula) % 4)
    )

    def interrupt(progress):
        # A count of reports would depend on the load: several results may come in one.
        if progress.phase == "search" and progress.counts["mini"] >= trained:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", plan=ARRIVAL, on_progress=interrupt, executor=workers)
    before = load(tmp_path / "run").to_frame()
    with closing(open_run(tmp_path / "run")) as store:
        state = store.search()
    assert state.under_way or state.promoted["full"]
    result = go_on(tmp_path / "run", executor=workers)
    assert result.finished
    assert result.counts["mini"] == 30
    after = result.to_frame()
    columns = ["formula", "outcome", "mini_ood"]
    assert after[: len(before)][columns].equals(before[columns])
    full = before["full_ood"].dropna()
    assert after.loc[full.index, "full_ood"].equals(full)
    promoted = after.dropna(subset="full_ood")["id"]
    assert set(state.promoted["full"]) <= set(promoted)
    opened = [trial for own in state.under_way for trial in own.trials]
    assert {t.formula for t in opened if t.outcome == "passed"} <= set(after["formula"])


def test_a_smaller_budget_is_not_exceeded_by_what_was_under_way(workers, tmp_path):

    def interrupt(progress):
        if progress.phase == "search" and progress.counts["mini"] >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", plan=ARRIVAL, on_progress=interrupt, executor=workers)
    so_far = load(tmp_path / "run").counts["mini"]
    assert go_on(tmp_path / "run", budget=so_far + 3, executor=workers).counts["mini"] == so_far + 3
    assert (
        go_on(tmp_path / "run", budget=so_far + 20, executor=workers).counts["mini"] == so_far + 20
    )


def test_a_grammar_with_few_sentences_ends_the_search(workers, tmp_path):
    result = run(tmp_path / "run", grammar=SIX, budget=1000, plan=ARRIVAL, executor=workers)
    assert result.counts["mini"] == 6
    assert result.finished


@pytest.mark.parametrize("lookahead", [True, False])
def test_other_proposers_and_a_run_without_a_ladder_work_too(lookahead, workers, tmp_path):
    plan = replace(ARRIVAL, ladder=False, lookahead=lookahead, finalists=1)
    result = run(tmp_path / "run", proposer="random", budget=20, plan=plan, executor=workers)
    assert result.counts["full"] == 20
    assert result.finished


def test_a_worker_that_cannot_work_ends_the_search_and_the_run_goes_on_later(workers, tmp_path):
    work = workers.work

    def broken(job):
        if job.fidelity == "full":
            raise ConnectionError("the cluster has gone")
        return work(job)

    workers.work = broken
    with pytest.raises(ConnectionError, match="has gone"):
        run(tmp_path / "run", plan=ARRIVAL, executor=workers)
    workers.work = work
    assert go_on(tmp_path / "run", executor=workers).counts["mini"] == 30


def test_the_mode_is_one_of_two():
    with pytest.raises(SymactError, match=r"plan, mode: unknown 'asinchronous'; did you mean"):
        Plan(mode="asinchronous")


def test_six_functions_are_each_trained_once_however_they_arrive(workers, tmp_path):
    rng = np.random.default_rng(0)
    workers.seconds = lambda fidelity, formula: rng.uniform(0, 0.03)
    plan = replace(ARRIVAL, generation=1)
    arguments = {"seed": 0, "plan": plan, "evolution": SMALL, "out": tmp_path / "run"}
    search(SIX, "polynomial", budget=100, executor=workers, **arguments)
    passed = [c.formula for c in stored(tmp_path / "run")[0] if c.outcome == "passed"]
    assert len(passed) == len(set(passed)) == 6


def test_where_asking_holds_up_workers_the_surrogate_chooses_among_fewer_proposals(
    workers, tmp_path
):
    plan = replace(ARRIVAL, pool=4, finalists=1)
    run(
        tmp_path / "run", plan=plan, budget=160, executor=workers
    )  # its workers take no time at all
    with closing(open_run(tmp_path / "run")) as store:
        assert 1 <= store.search().pool < plan.pool


def test_proposals_become_more_again_where_the_search_waits_for_workers():
    pool = 4.0
    for idle, expected in [(0.1, 4.0), (0.0, 4 / 1.3), (0.9, 4.4 / 1.3), *[(0.9, None)] * 9]:
        pool = adapted_pool(pool, 5, idle)
        assert expected is None or pool == pytest.approx(expected)
    assert pool == 5
    assert adapted_pool(1.1, 5, 0.0) == 1
