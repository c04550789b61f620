"""A search on a Ray cluster of this machine: the same result, whatever becomes of its workers."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch

from symact.engine import resume, search
from symact.engine.result import load
from symact.errors import SymactError
from test_cli import symact
from test_engine import SMALL, TINY

ray = pytest.importorskip("ray", reason="needs the extra symact[cluster]")

ARGUMENTS = {
    "grammar": "pointwise",
    "task": "polynomial",
    "budget": 40,
    "seed": 3,
    "plan": replace(TINY, refine_share=0.1),
    "evolution": SMALL,
}
#: More than this machine has cores.
LOGICAL = 4


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(
        "local", num_cpus=LOGICAL, include_dashboard=False, log_to_driver=False,
        object_store_memory=80_000_000, logging_level="error",
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def expected():
    return search(**ARGUMENTS)


def pids_of_workers():
    """Return the processes that run tasks of ours, of all that Ray has started."""
    found = []
    for text in os.listdir("/proc"):
        if text.isdigit():
            try:
                with open(f"/proc/{text}/cmdline", "rb") as file:
                    title = file.read()
            except OSError:
                continue
            if title.startswith(b"ray::_work"):
                found.append(int(text))
    return found


def test_ray_and_threads_find_the_same(expected):
    found = search(**ARGUMENTS, executor="ray")
    assert found.to_frame().equals(expected.to_frame())
    assert found.front == expected.front
    assert ray.is_initialized()  # who started the cluster stops it


def test_workers_that_are_killed_during_a_search_cost_nothing(expected, tmp_path):
    killed = []

    def kill(progress):
        """Kill what trains, after every second generation at most: the next one is under way."""
        if progress.phase == "search" and 0 < progress.fraction < 1:
            kill.rest -= 1
            for pid in pids_of_workers() if kill.rest < 0 else ():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                kill.rest = 1

    kill.rest = 0
    found = search(**ARGUMENTS, executor="ray", out=tmp_path / "run", on_progress=kill)
    print(f"{len(killed)} workers killed")
    assert killed
    assert found.quarantined == []
    assert found.to_frame().equals(expected.to_frame())
    assert found.front == expected.front


def test_what_a_cluster_began_threads_end(expected, tmp_path):
    def stop(progress):
        if progress.counts["mini"] >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(**ARGUMENTS, executor="ray", out=tmp_path / "run", on_progress=stop)
    found = resume(tmp_path / "run", executor="threads")
    assert found.to_frame().equals(expected.to_frame())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_by_ray_as_it_does_without():
    own = search(**ARGUMENTS, device="cuda")
    found = search(**ARGUMENTS, device="cuda", executor="ray")
    assert found.to_frame().equals(own.to_frame())
    assert found.front == own.front


def test_the_command_line_makes_a_cluster_of_its_own_where_there_is_none(tmp_path):
    """Or takes the one that runs here, which is that of these tests."""
    tiny = ("mini_instances=1", "mini_draws=1", "full_instances=1", "full_draws=1", "generation=8")
    tiny += ("finalists=1", "selection_instances=1", "final_form=quick")
    words = ["search", "--task", "polynomial", "--budget", "16", "--no-compare"]
    words += [word for setting in tiny for word in ("--set", setting)]
    for name, more in (("own", []), ("ray", ["--ray", "auto"])):
        symact(*words, *more, "--out", str(tmp_path / name))
    assert load(tmp_path / "ray").to_frame().equals(load(tmp_path / "own").to_frame())


def test_a_function_that_kills_every_worker_is_quarantined(monkeypatch):
    from symact.evaluation import Failed, Plan
    from symact.evaluation.executors import ray as ray_executor
    from symact.evaluation.rungs import Draws
    from symact.tasks import task

    plan = Plan(mini_instances=1, mini_draws=1, full_instances=1, full_draws=1)
    draws = Draws.of(task("polynomial"), 0, plan)
    work = ray_executor._work

    def deadly(draws, key, device, rung, formulas, draw):
        if "sin(3*x)" in formulas:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(draws, key, device, rung, formulas, draw)

    monkeypatch.setattr(ray_executor, "_task", lambda: ray.remote(deadly))
    from symact.expr import parse

    own = ray_executor.RayWorkers(draws, "cpu", 2, "auto")
    own._seconds["mini"] = 0.01  # so fast that one task takes many
    exprs = [parse(text) for text in ("sin(x)", "sin(3*x)", "tanh(x)")]
    first, second, third = own.start("mini", exprs, 0)()
    assert second == Failed("ended its worker 5 times (WorkerCrashedError)")
    assert first.shape == third.shape == (1, 1, 4)
    own.close()


def test_training_that_takes_too_long_is_stopped_by_its_worker(monkeypatch):
    from symact.evaluation import Failed, Plan
    from symact.evaluation.executors import ray as ray_executor
    from symact.evaluation.rungs import Draws
    from symact.expr import parse
    from symact.tasks import task

    plan = Plan(mini_instances=1, mini_draws=1, full_instances=1, full_draws=1)
    work = ray_executor._work

    def hasty(draws, key, device, rung, formulas, draw):
        from symact.evaluation import jobs

        jobs.LIMIT = 1e-4 if "sin(3*x)" in formulas else 600.0
        try:
            return work(draws, key, device, rung, formulas, draw)
        finally:
            jobs.LIMIT = 600.0  # this worker will work for other tests

    monkeypatch.setattr(ray_executor, "_task", lambda: ray.remote(hasty))
    own = ray_executor.RayWorkers(Draws.of(task("polynomial"), 0, plan), "cpu", 2, "auto")
    found = own.start("full", [parse(text) for text in ("sin(x)", "sin(3*x)")], 0)()
    assert found[0].shape == (1, 1, 4)
    assert found[1] == Failed("took longer than 0.0001 s")


def test_a_gpu_that_the_cluster_does_not_have_is_said_at_once():
    if ray.cluster_resources().get("GPU"):
        pytest.skip("this cluster has a GPU")
    with pytest.raises(SymactError, match="the Ray cluster has no GPU; use cpu"):
        search(**ARGUMENTS, device="cuda", executor="ray")


def test_a_worker_without_symact_is_no_fault_of_a_candidate(monkeypatch):
    from symact.evaluation.executors import ray as ray_executor

    def lacking(*arguments):
        raise ModuleNotFoundError("No module named 'symact'")

    monkeypatch.setattr(ray_executor, "_task", lambda: ray.remote(lacking))
    with pytest.raises(SymactError, match="a Ray worker cannot work: ModuleNotFoundError"):
        search(**ARGUMENTS, executor="ray")


def test_a_cluster_that_is_not_there_is_said_in_one_line(monkeypatch):
    from symact.evaluation.executors import ray as ray_executor

    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(address, **options):
        raise ConnectionError(f"Could not find any running\nRay instance at {address}")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SymactError, match="no Ray cluster at"):
        ray_executor._connect("10.0.0.1:6379", 2)


def test_batches_are_as_large_as_candidates_are_fast():
    from symact.evaluation.executors import ray as ray_executor

    own = ray_executor.RayWorkers.__new__(ray_executor.RayWorkers)
    own._seconds = {"mini": 0.001, "full": 4.0}
    own.device = "cpu"
    assert own._batch("mini") == 250
    assert own._batch("full") == 1
    assert own._batch("tuning") == 1
    own.device, own._together = "cuda", 64
    assert own._batch("full") == 64


def test_the_order_of_arrival_meets_its_budget_with_workers_killed(tmp_path):
    killed = []

    def kill(progress):
        if progress.phase == "search" and 0 < progress.fraction < 1 and not killed:
            killed.extend(pids_of_workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    plan = replace(ARGUMENTS["plan"], order="arrival")
    arguments = {**ARGUMENTS, "plan": plan, "executor": "ray", "threads": LOGICAL}
    found = search(**arguments, out=tmp_path / "run", on_progress=kill)
    assert killed
    assert found.finished
    assert found.counts["mini"] == ARGUMENTS["budget"]
    assert found.quarantined == []
    assert load(tmp_path / "run").front == found.front
