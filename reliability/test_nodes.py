"""Machines that join a Ray cluster during a search, and leave it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("ray", reason="needs the extra symact[cluster]")
pytestmark = pytest.mark.ray

#: In a process of its own, since a process has one cluster.
SEARCH = """
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from symact.engine import search
from symact.evaluation.executors.ray import RayExecutor, run_batch

sys.path[:0] = ["tests", "tests/support"]
from small_runs import SMALL, TINY

arguments = {
    "grammar": "pointwise", "task": "polynomial", "budget": 40, "seed": 3,
    "plan": replace(TINY, refine_share=0.1), "evolution": SMALL,
}
cluster = Cluster(initialize_head=True, head_node_args={
    "num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False})
ray.init(cluster.address, log_to_driver=False, logging_level="error")
head = ray.get_runtime_context().get_node_id()
nodes, seen = [], Path(tempfile.mkdtemp())


def placed(*arguments):
    (seen / ray.get_runtime_context().get_node_id()).touch()
    return run_batch(*arguments)


def change(progress):
    if progress.phase != "search":
        return
    if progress.fraction > 0.2 and not nodes:
        nodes.append(cluster.add_node(num_cpus=2, object_store_memory=80_000_000))
        cluster.wait_for_nodes()
    if progress.fraction > 0.7 and len(nodes) == 1:
        cluster.remove_node(nodes[0], allow_graceful=False)
        nodes.append(None)


found = search(**arguments, executor=RayExecutor(task=placed), on_progress=change)
expected = search(**arguments)
assert len(nodes) == 2
assert len(list(seen.iterdir())) == 2
assert found.quarantined == []
assert found.to_frame().equals(expected.to_frame())
assert found.front == expected.front
print("same", flush=True)
ray.shutdown()
cluster.shutdown()
"""


def test_a_machine_that_joins_works_and_one_that_is_lost_costs_nothing():
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], capture_output=True, text=True, timeout=900, check=False
    )
    assert "same" in done.stdout, done.stderr[-2000:]
