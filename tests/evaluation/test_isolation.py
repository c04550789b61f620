"""What goes wrong with a candidate costs only that candidate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import called
from poisoned_worker import DEADLY, ENDLESS, GREEDY
from small_runs import SHORT, SMALL, TINY, ShortTraining

from symact.engine import search
from symact.engine.result import load
from symact.errors import SymactError
from symact.evaluation import (
    ActivationProblem,
    Draws,
    Failed,
    Job,
    Ladder,
    Plan,
    ProcessExecutor,
    ThreadExecutor,
    check_executor,
    raise_on_failure,
)
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.futures import done
from symact.evaluation.training.networks import pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.parts import run_parts
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import Expr, parse, var
from symact.tasks import Task, task
from symact.tasks.protocol import Training

pytestmark = pytest.mark.slow
EXPRS = [parse(text) for text in ("gelu(x)", "x*tanh(2*x)", "sin(x)")]
PLAN = Plan(mini_networks=2, mini_draws=2, full_networks=1, full_draws=2)
FIDELITIES = ActivationProblem(task("polynomial")).fidelities(PLAN)
ENDLESS_TRAINING = Training(width=16, depth=2, steps=10**6, points=64, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data():
    return pack(task("polynomial").draw("search", seed=0, per_family=2), 64)


@pytest.fixture(scope="module")
def draws():
    return Draws.of(task("polynomial"), 1, FIDELITIES)


@pytest.mark.parametrize("trainer", [NumbaMLPTrainer, TorchMLPTrainer])
def test_what_takes_too_long_is_stopped_and_the_next_one_is_trained(trainer, data):
    own = trainer(data, ENDLESS_TRAINING, [0], 7)
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in own.start(pool, EXPRS[:2], timeout=0.3)]
    assert found == [Failed("took longer than 0.3 s")] * 2
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("trainer", [NumbaMLPTrainer, TorchMLPTrainer])
def test_training_that_is_cancelled_stops_and_the_next_one_is_trained(trainer, data):
    own = trainer(data, ENDLESS_TRAINING, [0], 7)
    short = trainer(data, replace(ENDLESS_TRAINING, steps=5), [0], 7)
    with ThreadPoolExecutor(1) as pool:
        (endless,) = own.start(pool, EXPRS[:1])
        time.sleep(0.2)
        assert endless.cancel()
        (found,) = short.start(pool, EXPRS[:1])
        assert found.result(timeout=60).shape == (2, 1, 4)


def test_an_exception_is_kept_as_one_line_and_other_candidates_do_not_notice(data):
    own = NumbaMLPTrainer(data, replace(ENDLESS_TRAINING, steps=20), [0], 7)
    unknown = Expr("no\nsuch", (var("x"),))
    with ThreadPoolExecutor(2) as pool:
        expected = [future.result() for future in own.start(pool, EXPRS)]
        asked = [EXPRS[0], unknown, EXPRS[2]]
        found = [future.result() for future in own.start(pool, asked, parts=2)]
    assert isinstance(found[1], Failed)
    assert "\n" not in found[1].reason
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[2], expected[2])
    with pytest.raises(SymactError, match="'second' could not be trained here: "):
        raise_on_failure(found, ["first", "second", "third"])


def test_a_training_that_is_given_up_does_not_begin_its_other_parts():
    begun = []

    def part(stop):
        begun.append(len(begun))
        while not stop[0]:
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        future = run_parts(pool, [part, part], 0.05, lambda: None)
        assert future.result() == Failed("took longer than 0.05 s")
    assert begun == [0]


class Unreliable(ThreadExecutor):
    """Threads that cannot train every tenth candidate after the first thirty."""

    def __init__(self):
        super().__init__(2)
        self.count = 0

    def submit_all(self, jobs):
        futures = super().submit_all(jobs)
        for index in range(len(jobs)):
            self.count += 1
            if self.count > 30 and self.count % 10 == 0:
                futures[index] = done(Failed("FloatingPointError: too hot"))
        return futures


def test_a_search_goes_on_without_what_fails_and_says_so(tmp_path):
    """Every tenth candidate cannot be trained, every seventh screened, every ninth shortened."""
    counts = {"screen": 0, "short": 0}

    class FailingProblem(ShortTraining):
        def screen(self, expr, **options):
            counts["screen"] += 1
            if counts["screen"] > 20 and counts["screen"] % 7 == 0:
                raise RecursionError
            return super().screen(expr, **options)

        def simplify(self, expr, *, seconds):
            counts["short"] += 1
            if counts["short"] % 9 == 0:
                raise KeyError("no such factor")
            return super().simplify(expr, seconds=seconds)

    result = search(
        "pointwise", FailingProblem(SHORT.task), budget=40, seed=3, plan=TINY,
        evolution=SMALL,
        executor=Unreliable(), out=tmp_path / "a",
    )  # fmt: skip
    assert result.finished
    assert result.counts["mini"] == 40
    reasons = {(entry["place"], entry["reason"]) for entry in result.quarantined}
    assert ("screen", "RecursionError") in reasons
    assert ("mini", "FloatingPointError: too hot") in reasons
    assert ("short form", "KeyError: 'no such factor'") in reasons
    failed = {entry["id"] for entry in result.quarantined if entry["place"] == "mini"}
    frame = result.to_frame().set_index("id")
    assert (frame.loc[sorted(failed), "mini_ood"] >= frame["mini_ood"].max()).all()
    assert not failed & {found.id for found in result.front}
    assert result.outcomes["failed"] > 0
    assert load(tmp_path / "a").quarantined == result.quarantined


# Processes.


def test_processes_and_threads_say_the_same_to_the_last_digit_that_is_stored():
    plan = {"plan": replace(TINY, refine_share=0.2), "evolution": SMALL}
    arguments = {"grammar": "pointwise", "task": SHORT, "budget": 16, "seed": 3, **plan}
    expected = search(**arguments)
    found = search(**arguments, executor="processes", threads=2)
    assert found.to_frame().equals(expected.to_frame())
    assert found.front == expected.front


POISONED = (sys.executable, str(Path(__file__).parents[1] / "support" / "poisoned_worker.py"))


@pytest.fixture
def poisoned():
    hasty = [replace(fidelity, timeout=2.5) for fidelity in FIDELITIES]
    own = ProcessExecutor(2, command=POISONED, attempts=3, start_timeout=30.0)
    own.open(Draws.of(task("polynomial"), 1, hasty), "cpu")
    yield own
    own.close()


def start(executor, fidelity, exprs, draw):
    return executor.submit_all([Job(fidelity, expr, draw) for expr in exprs])


def results(futures):
    return [future.result() for future in futures]


def test_a_candidate_that_ends_its_process_or_hangs_or_fills_memory_costs_only_itself(
    poisoned, draws
):
    texts = ["gelu(x)", DEADLY, "sin(x)", ENDLESS, "tanh(x)", GREEDY, "cos(x)"]
    results(start(poisoned, "mini", EXPRS, 0))  # both have begun
    started = time.monotonic()
    found = results(start(poisoned, "mini", map(parse, texts), 1))
    assert time.monotonic() - started < 120
    assert found[1] == Failed("ended its process 3 times (signal 9)")
    assert found[3] == Failed("took longer than 2.5 s")
    assert isinstance(found[5], Failed)  # for real: the kernel gives a worker no more than so much
    assert "Unable to allocate 8.00 GiB" in found[5].reason
    evaluator = Evaluator(draws, "cpu")
    for index in (0, 2, 4, 6):
        (expected,) = evaluator.run([Job("mini", parse(texts[index]), 1)])
        np.testing.assert_allclose(found[index], expected, rtol=1e-8)
    assert isinstance(poisoned.submit(Job("tuning", parse(DEADLY))).result(), Failed)


def test_a_process_that_somebody_kills_is_replaced_and_nothing_is_lost(draws):
    own = ProcessExecutor(2)
    own.open(draws, "cpu")
    try:
        exprs = [parse(f"tanh({number}*x)") for number in range(1, 13)]
        results(start(own, "mini", exprs[:2], 0))
        before, every = set(own.pids), set(own.pids)
        futures = start(own, "full", exprs, 0)
        for pid in sorted(before):
            os.kill(pid, signal.SIGKILL)
        found = results(futures)
        every |= set(own.pids)
        assert len(every) > len(before)
        assert not before & set(own.pids)
        expected = Evaluator(draws, "cpu").run([Job("full", expr) for expr in exprs])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8)
    finally:
        own.close()
    assert own.pids == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in every)


def test_a_worker_imports_nothing_from_the_current_directory(draws, tmp_path, monkeypatch):
    (tmp_path / "base64.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    own = ProcessExecutor(1)
    own.open(draws, "cpu")
    try:
        found = own.submit(Job("mini", parse("sin(x)"))).result()
    finally:
        own.close()
    assert not isinstance(found, Failed)
    assert [path.name for path in tmp_path.iterdir()] == ["base64.py"]


ORPHANED = """
import sys
from symact.expr import parse
from symact.evaluation import ActivationProblem, Draws, Job, Plan, ProcessExecutor
from symact.tasks import task
own_task = task("polynomial")
plan = Plan(mini_networks=1, mini_draws=1, full_networks=1, full_draws=1)
own = ProcessExecutor(1, command=sys.argv[1:])
own.open(Draws.of(own_task, 0, ActivationProblem(own_task).fidelities(plan)), "cpu")
own.submit(Job("mini", parse("sin(x)"))).result()
print(*own.pids, flush=True)
own.submit(Job("mini", parse("cos(3*x)"))).result()
"""


def test_a_worker_ends_with_the_process_that_asks_whatever_it_is_at():
    command = [sys.executable, "-c", ORPHANED, *POISONED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        pid = int(asking.stdout.readline())
        time.sleep(0.5)  # it has begun with what never ends
        assert is_running(pid)
        asking.kill()
    end = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(pid)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("text", ["thread", "threads:2", "dask", ""])
def test_an_unknown_executor_is_refused_before_anything_is_made(text, tmp_path):
    with pytest.raises(SymactError, match=f"unknown executor '{text}'"):
        search(budget=8, out=tmp_path / "a", executor=text)
    assert not (tmp_path / "a").exists()
    with pytest.raises(SymactError):
        check_executor(text)


def test_draws_travel_as_bytes_without_code(draws):
    again = Draws.load(draws.dump())
    assert again.entropy == draws.entropy
    assert again.fidelities == draws.fidelities
    first, second = Evaluator(draws, "cpu"), Evaluator(again, "cpu")
    jobs = [Job(name, expr, draw) for name in ("mini", "full") for draw in (0, 1) for expr in EXPRS]
    for one, other in zip(first.run(jobs), second.run(jobs), strict=True):
        np.testing.assert_array_equal(one, other)
    tuning = [Job("tuning", parse("silu(1.7*x)"))]
    assert first.run(tuning) == second.run(tuning)


def test_a_ladder_of_processes_needs_no_task_there():
    """A task from arrays is known to this process alone."""
    rng = np.random.default_rng(0)
    inside, outside = rng.uniform(-1, 1, (200, 2)), rng.uniform(1, 2, (200, 2))
    own = Task.from_arrays(inside, inside[:, 0] ** 2, outside, outside[:, 0] ** 2)
    plan = replace(PLAN, mini_networks=1, full_networks=1)
    found = []
    for executor in ("threads", "processes"):
        ladder = Ladder(ActivationProblem(own), 0, plan, threads=1, executor=executor)
        try:
            found.append(ladder.train("mini", EXPRS[:2]))
        finally:
            ladder.close()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8)


def test_the_command_line_takes_workers_and_says_what_it_cannot_use(tmp_path):
    small = "--set mini_networks=1 --set mini_draws=1 --set full_networks=1 --set full_draws=1"
    rest = "--set finalists=1 --set selection_networks=1 --no-compare"
    arguments = f"search --task polynomial --budget 8 {small} {rest} --executor".split()
    done = called(*arguments, "processes", "--workers", "1", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "run").counts["mini"] == 8
    done = called(*arguments, "proceses", "--out", str(tmp_path / "other"))
    assert done.returncode == 2
    assert done.stderr.strip() == ("symact: unknown executor 'proceses'; did you mean 'processes'?")
    assert not (tmp_path / "other").exists()


def test_without_ray_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SymactError, match=r"not installed; pip install 'symact\[cluster\]'"):
        check_executor("ray:auto")


def test_finalists_are_judged_by_who_trains_and_one_that_ends_its_process_is_quarantined(
    monkeypatch, tmp_path
):
    """Whatever is best so far; only where finalists are judged it ends the process."""
    arguments = {"grammar": "pointwise", "task": SHORT, "budget": 10, "seed": 2}
    arguments |= {"plan": TINY, "evolution": SMALL}
    expected = search(**arguments)
    best = expected.front[0].formula
    monkeypatch.setenv("DEADLY_FINALIST", best)
    executor = ProcessExecutor(1, command=POISONED, attempts=2)
    found = search(**arguments, executor=executor, out=tmp_path / "run")
    assert found.finished
    assert [(entry["place"], entry["reason"]) for entry in found.quarantined] == [
        ("selection", "ended its process 2 times (signal 9)")
    ]
    assert best not in {one.formula for one in found.front}
    kept = [one for one in expected.front if one.formula != best]
    assert all(one in found.front for one in kept)
    frame = found.to_frame().set_index("id")
    columns = ["formula", "mini_ood", "full_ood"]
    assert frame[columns].equals(expected.to_frame().set_index("id")[columns])
