"""What goes wrong with a candidate costs only that candidate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poisoned_worker import DEADLY, ENDLESS, GREEDY
from symact.backends.numba import tape
from symact.engine import search
from symact.engine.result import load
from symact.errors import SymactError
from symact.evaluation import Failed, Ladder, Plan, check_executor, whole
from symact.evaluation.executors.workers import Processes, Threads
from symact.evaluation.finals import Finals
from symact.evaluation.jobs import Job
from symact.evaluation.judge import Judge
from symact.evaluation.rungs import Draws, Rungs
from symact.evaluation.training.networks import pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import parse, show
from symact.tasks import Task, task
from symact.tasks.protocol import SELECTION_FORM, Training
from test_cli import symact
from test_engine import SMALL, TINY

EXPRS = [parse(text) for text in ("gelu(x)", "x*tanh(2*x)", "sin(x)")]
PLAN = Plan(mini_instances=2, mini_draws=2, full_instances=1, full_draws=2)
ENDLESS_TRAINING = Training(width=16, depth=2, steps=10**7, points=64, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data():
    return pack(task("polynomial").draw("search", seed=0, per_family=2), 64)


@pytest.fixture(scope="module")
def draws():
    return Draws.of(task("polynomial"), 1, PLAN)


@pytest.fixture
def refusing(monkeypatch):
    """Make the compiler of expressions run out of memory at some of them."""
    refused: set[str] = set()
    compiled = tape.to_tape

    def to_tape(expr):
        if show(expr) in refused:
            raise MemoryError("no room for\nthis one")
        return compiled(expr)

    monkeypatch.setattr(tape, "to_tape", to_tape)
    return refused


@pytest.mark.parametrize("trainer", [NumbaMLPTrainer, TorchMLPTrainer])
def test_what_takes_too_long_is_stopped_and_the_next_one_is_trained(trainer, data):
    own = trainer(data, ENDLESS_TRAINING, [0], 7)
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        found = own.start(pool, EXPRS[:2], limit=0.3)()
    assert found == [Failed("took longer than 0.3 s")] * 2
    assert time.monotonic() - started < 20


def test_an_exception_is_kept_as_one_line_and_other_candidates_do_not_notice(refusing, data):
    short = replace(ENDLESS_TRAINING, steps=20)
    own = NumbaMLPTrainer(data, short, [0], 7)
    with ThreadPoolExecutor(2) as pool:
        expected = own.start(pool, EXPRS)()
        refusing.add(show(EXPRS[1]))
        found = own.start(pool, EXPRS, parts=2)()
    assert found[1] == Failed("MemoryError: no room for this one")
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[2], expected[2])
    with pytest.raises(SymactError, match="could not be trained here: MemoryError"):
        whole(found, [show(expr) for expr in EXPRS])


def test_a_job_that_is_given_up_does_not_begin_its_other_parts():
    begun = []

    def part(stop):
        begun.append(len(begun))
        while not stop[0]:
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        assert Job(pool, [part, part], limit=0.05).wait() == Failed("took longer than 0.05 s")
    assert begun == [0]


def test_a_search_goes_on_without_what_fails_and_says_so(monkeypatch, tmp_path):
    """Every tenth candidate cannot be trained, every seventh screened, every ninth shortened."""
    from symact.engine import loop as engine

    counts = {"train": 0, "screen": 0, "short": 0}
    train, screen, simplify = NumbaMLPTrainer._train, engine.screen, engine.simplify

    def failing_train(self, *arguments):
        counts["train"] += 1
        if counts["train"] > 60 and counts["train"] % 10 == 0:
            raise FloatingPointError("too hot")
        return train(self, *arguments)

    def failing_screen(expr, **options):
        counts["screen"] += 1
        if counts["screen"] > 20 and counts["screen"] % 7 == 0:
            raise RecursionError
        return screen(expr, **options)

    def failing_simplify(expr, **options):
        counts["short"] += 1
        if counts["short"] % 9 == 0:
            raise KeyError("no such factor")
        return simplify(expr, **options)

    monkeypatch.setattr(engine, "simplify", failing_simplify)
    monkeypatch.setattr(NumbaMLPTrainer, "_train", failing_train)
    monkeypatch.setattr(engine, "screen", failing_screen)
    result = search(
        "pointwise", "polynomial", budget=40, seed=3, plan=TINY, evolution=SMALL, out=tmp_path / "a"
    )
    assert result.finished
    assert result.counts["mini"] == 40
    reasons = {(entry["rung"], entry["reason"]) for entry in result.quarantined}
    assert ("screen", "RecursionError") in reasons
    assert ("mini", "FloatingPointError: too hot") in reasons
    assert ("short form", "KeyError: 'no such factor'") in reasons
    failed = {entry["id"] for entry in result.quarantined if entry["rung"] == "mini"}
    frame = result.to_frame().set_index("id")
    assert (frame.loc[sorted(failed), "mini_ood"] >= frame["mini_ood"].max()).all()
    assert not failed & {found.id for found in result.front}
    assert result.outcomes["failed"] > 0
    assert load(tmp_path / "a").quarantined == result.quarantined


# Processes.


def test_processes_and_threads_say_the_same_to_the_last_digit_that_is_stored():
    plan = {"plan": replace(TINY, refine_share=0.2), "evolution": SMALL}
    arguments = {"grammar": "pointwise", "task": "polynomial", "budget": 24, "seed": 3, **plan}
    expected = search(**arguments)
    found = search(**arguments, executor="processes", threads=3)
    assert found.to_frame().equals(expected.to_frame())
    assert found.front == expected.front


@pytest.fixture
def poisoned(draws):
    command = (sys.executable, str(Path(__file__).with_name("poisoned_worker.py")))
    own = Processes(draws, "cpu", 2, limit=1.0, command=command)
    yield own
    own.close()


def test_a_candidate_that_ends_its_process_or_hangs_or_fills_memory_costs_only_itself(
    poisoned, draws, monkeypatch
):
    monkeypatch.setattr("symact.evaluation.executors.workers._START_SECONDS", 30.0)
    texts = ["gelu(x)", DEADLY, "sin(x)", ENDLESS, "tanh(x)", GREEDY, "cos(x)"]
    poisoned.start("mini", EXPRS, 0)()  # both have begun
    started = time.monotonic()
    found = poisoned.start("mini", [parse(text) for text in texts], 1)()
    assert time.monotonic() - started < 60
    assert found[1] == Failed("ended its process 5 times (signal 9)")
    assert found[3] == Failed("took longer than 1 s")
    rungs = Rungs(draws, "cpu")
    assert isinstance(found[5], Failed)  # for real: the kernel gives a worker no more than so much
    assert "Unable to allocate 8.00 GiB" in found[5].reason
    for place in (0, 2, 4, 6):
        (expected,) = rungs.train("mini", [parse(texts[place])], 1)
        np.testing.assert_allclose(found[place], expected, rtol=1e-8)
    assert isinstance(poisoned.tune(parse(DEADLY))(), Failed)


def test_a_process_that_somebody_kills_is_replaced_and_nothing_is_lost(draws):
    own = Processes(draws, "cpu", 2)
    try:
        rungs = Rungs(draws, "cpu")
        exprs = [parse(f"tanh({number}*x)") for number in range(1, 13)]
        own.start("mini", exprs[:2], 0)()
        before, every = set(own.pids), set(own.pids)
        finish = own.start("full", exprs, 0)
        for pid in sorted(before):
            os.kill(pid, signal.SIGKILL)
        found = finish()
        every |= set(own.pids)
        assert len(every) > len(before)
        assert not before & set(own.pids)
        expected = rungs.train("full", exprs, 0)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8)
    finally:
        own.close()
    assert own.pids == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in every)


def test_a_worker_imports_nothing_from_the_current_directory(draws, tmp_path, monkeypatch):
    (tmp_path / "base64.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    own = Processes(draws, "cpu", 1)
    try:
        (found,) = own.start("mini", [parse("sin(x)")], 0)()
    finally:
        own.close()
    assert not isinstance(found, Failed)
    assert [path.name for path in tmp_path.iterdir()] == ["base64.py"]


ORPHANED = """
import sys
from symact.expr import parse
from symact.evaluation import Plan
from symact.evaluation.rungs import Draws
from symact.evaluation.executors.workers import Processes
from symact.tasks import task
plan = Plan(mini_instances=1, mini_draws=1, full_instances=1, full_draws=1)
own = Processes(Draws.of(task("polynomial"), 0, plan), "cpu", 1, command=sys.argv[1:])
own.start("mini", [parse("sin(x)")], 0)()
print(*own.pids, flush=True)
own.start("mini", [parse("cos(3*x)")], 0)()
"""


def test_a_worker_ends_with_the_process_that_asks_whatever_it_is_at():
    worker = [sys.executable, str(Path(__file__).with_name("poisoned_worker.py"))]
    command = [sys.executable, "-c", ORPHANED, *worker]
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


def test_closing_does_not_wait_for_what_is_under_way(poisoned):
    waiting = poisoned.start("mini", [parse(ENDLESS)] * 5, 0)
    started = time.monotonic()
    poisoned.close()
    assert time.monotonic() - started < 10
    with pytest.raises(CancelledError):
        waiting()


@pytest.mark.parametrize("text", ["thread", "threads:2", "dask", ""])
def test_an_unknown_executor_is_refused_before_anything_is_made(text, tmp_path):
    with pytest.raises(SymactError, match=f"unknown executor '{text}'"):
        search(budget=8, out=tmp_path / "a", executor=text)
    assert not (tmp_path / "a").exists()
    with pytest.raises(SymactError):
        check_executor(text)


def test_tuning_in_threads_has_a_limit_of_time(draws):
    own = Threads(Rungs(draws, "cpu"), "cpu", 1, limit=1e-3)
    assert own.tune(parse("silu(1.7*x)"))() == Failed("took longer than 0.001 s")
    own.close()


def test_draws_travel_as_bytes_without_code(draws):
    again = Draws.load(draws.dump())
    assert again.entropy == draws.entropy
    assert again.rungs.keys() == draws.rungs.keys()
    first, second = Rungs(draws, "cpu"), Rungs(again, "cpu")
    for rung in ("mini", "full"):
        assert draws.families(rung) == again.families(rung)
        for draw in (0, 1):
            found = [rungs.train(rung, EXPRS, draw) for rungs in (first, second)]
            np.testing.assert_array_equal(*found)
    assert first.tune(parse("silu(1.7*x)")) == second.tune(parse("silu(1.7*x)"))


def test_a_ladder_of_processes_needs_no_task_there():
    """A task from arrays is known to this process alone."""
    rng = np.random.default_rng(0)
    inside, outside = rng.uniform(-1, 1, (200, 2)), rng.uniform(1, 2, (200, 2))
    own = Task.from_arrays(inside, inside[:, 0] ** 2, outside, outside[:, 0] ** 2)
    plan = replace(PLAN, mini_instances=1, full_instances=1)
    found = []
    for executor in ("threads", "processes"):
        ladder = Ladder(own, 0, plan, threads=1, executor=executor)
        try:
            found.append(ladder.mini(EXPRS[:2]))
        finally:
            ladder.close()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8)


def test_the_command_line_takes_workers_and_says_what_it_cannot_use(tmp_path):
    small = "--set mini_instances=1 --set mini_draws=1 --set full_instances=1 --set full_draws=1"
    rest = "--set finalists=1 --set selection_instances=1 --set final_form=quick --no-compare"
    arguments = f"search --task polynomial --budget 8 {small} {rest} --executor".split()
    done = symact(*arguments, "processes", "--workers", "1", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "run").counts["mini"] == 8
    done = symact(*arguments, "proceses", "--out", str(tmp_path / "other"))
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
    command = (sys.executable, str(Path(__file__).with_name("poisoned_worker.py")))
    arguments = {"grammar": "pointwise", "task": "polynomial", "budget": 10, "seed": 3}
    arguments |= {"plan": TINY, "evolution": SMALL}
    expected = search(**arguments)
    best = expected.front[0].formula
    monkeypatch.setenv("DEADLY_FINALIST", best)
    start = Processes.__init__
    monkeypatch.setattr(
        Processes, "__init__", lambda self, *args: start(self, *args, command=command)
    )
    found = search(**arguments, executor="processes", out=tmp_path / "run")
    assert found.finished
    assert [(entry["rung"], entry["reason"]) for entry in found.quarantined] == [
        ("selection", "ended its process 5 times (signal 9)")
    ]
    assert best not in {one.formula for one in found.front}
    kept = [one for one in expected.front if one.formula != best]
    assert all(one in found.front for one in kept)
    frame = found.to_frame().set_index("id")
    columns = ["formula", "mini_ood", "full_ood"]
    assert frame[columns].equals(expected.to_frame().set_index("id")[columns])


def test_finals_in_a_pool_say_what_the_judge_says(draws):
    """Two implementations of waiting, one of judging: rates chosen and errors are the same."""
    plan = replace(PLAN, final_form="selection", selection_instances=2)
    form = replace(SELECTION_FORM, sizes=((8, 2), (6, 1)), tuning=1, steps=40)
    own = task("polynomial")
    judge = Judge(own, form, 2, 1, "cpu", split="selection")
    finals = Finals(judge.data, judge._tuning_data, form, "cpu")
    functions = [*EXPRS, parse("0.001*x**3")]
    with ThreadPoolExecutor(2) as pool:
        found = finals.start(pool, functions)()
    expected = judge.errors(functions, judge.rates(functions))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert Draws.of(own, 1, plan).final_form == "selection"
