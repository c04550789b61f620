"""A search on a Ray cluster of this machine: the same result, whatever becomes of its workers."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch
from command_line import symact
from small_runs import SMALL, TINY

from contracts.executors import EXPRS, ExecutorContract, make_draws
from symact.engine import resume, search
from symact.engine.result import load
from symact.errors import SymactError
from symact.evaluation import Failed, Job
from symact.expr import parse

ray = pytest.importorskip("ray", reason="needs the extra symact[cluster]")

from symact.evaluation.executors.ray import RayExecutor, connect, run_batch  # noqa: E402

pytestmark = pytest.mark.ray

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
            if title.startswith(b"ray::run_batch"):
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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_by_ray_as_it_does_without():
    own = search(**ARGUMENTS, device="cuda")
    found = search(**ARGUMENTS, device="cuda", executor="ray")
    assert found.to_frame().equals(own.to_frame())
    assert found.front == own.front


def test_the_command_line_makes_a_cluster_of_its_own_where_there_is_none(tmp_path):
    """Or takes the one that runs here, which is that of these tests."""
    tiny = ("mini_networks=1", "mini_draws=1", "full_networks=1", "full_draws=1", "generation=8")
    tiny += ("finalists=1", "selection_networks=1")
    words = ["search", "--task", "polynomial", "--budget", "16", "--no-compare"]
    words += [word for setting in tiny for word in ("--set", setting)]
    for name, more in (("own", []), ("ray", ["--ray", "auto"])):
        symact(*words, *more, "--out", str(tmp_path / name))
    assert load(tmp_path / "ray").to_frame().equals(load(tmp_path / "own").to_frame())


class TestRayExecutor(ExecutorContract):
    @staticmethod
    def make():
        return RayExecutor(2, address="auto")


def test_a_function_that_kills_every_worker_is_quarantined():
    # Ray sends nested functions by value; workers cannot import this module.
    def deadly(draws, key, device, requests):
        if any(request["formula"] == "sin(3*x)" for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return run_batch(draws, key, device, requests)

    own = RayExecutor(2, address="auto", task=deadly, least_seconds=1000.0)
    own.open(make_draws(), "cpu")
    try:
        assert own.batch_size("quick") == 1  # nobody knows yet how fast candidates are
        own.submit(Job("quick", EXPRS[0])).result()
        assert own.batch_size("quick") > 3
        exprs = [parse(text) for text in ("sin(x)", "sin(3*x)", "tanh(x)")]
        first, second, third = own.submit_all([Job("quick", expr) for expr in exprs])
        assert second.result() == Failed("ended its worker 5 times (WorkerCrashedError)")
        assert first.result().shape == third.result().shape
    finally:
        own.close()


def test_a_gpu_that_the_cluster_does_not_have_is_said_at_once():
    if ray.cluster_resources().get("GPU"):
        pytest.skip("this cluster has a GPU")
    with pytest.raises(SymactError, match="the Ray cluster has no GPU; use cpu"):
        search(**ARGUMENTS, device="cuda", executor="ray")


def test_a_worker_without_symact_is_no_fault_of_a_candidate():
    def lacking(*arguments):
        raise ModuleNotFoundError("No module named 'symact'")

    with pytest.raises(SymactError, match="a Ray worker failed: ModuleNotFoundError"):
        search(**ARGUMENTS, executor=RayExecutor(2, task=lacking))


def test_a_cluster_that_is_not_there_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(address, **options):
        raise ConnectionError(f"Could not find any running\nRay instance at {address}")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SymactError, match=r"no Ray cluster at '10.0.0.1:6379': Could not .* at"):
        connect("10.0.0.1:6379", 2)


def test_the_order_of_arrival_meets_its_budget_with_workers_killed(tmp_path):
    killed = []

    def kill(progress):
        if progress.phase == "search" and 0 < progress.fraction < 1 and not killed:
            killed.extend(pids_of_workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    plan = replace(ARGUMENTS["plan"], mode="asynchronous")
    arguments = {**ARGUMENTS, "plan": plan, "executor": "ray", "threads": LOGICAL}
    found = search(**arguments, out=tmp_path / "run", on_progress=kill)
    assert killed
    assert found.finished
    assert found.counts["mini"] == ARGUMENTS["budget"]
    assert found.quarantined == []
    assert load(tmp_path / "run").front == found.front
