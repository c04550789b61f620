"""A diagnosis warns where a search would find nothing."""

from __future__ import annotations

import numpy as np

from symact.evaluation import ActivationProblem, Ladder, Plan
from symact.evaluation.diagnosis import RANKED, check_task, diagnose_task
from symact.tasks import Task, task


def test_a_diagnosis_ranks_its_functions_and_warns_of_trivial_winners():
    diagnosis = diagnose_task(task("harmonic"), per_family=4, seeds=1)
    assert {entry.name for entry in diagnosis.entries} == set(RANKED)
    assert [e.ood for e in diagnosis.entries] == sorted(e.ood for e in diagnosis.entries)
    assert any("constant has the lowest OOD error" in warning for warning in diagnosis.warnings)
    constant = next(entry for entry in diagnosis.entries if entry.name == "constant")
    assert 0.9 < constant.id_error < 1.2


def test_a_diagnosis_warns_where_a_straight_line_wins():
    generator = np.random.default_rng(0)
    inside, outside = generator.uniform(-1, 1, (200, 2)), generator.uniform(2, 3, (200, 2))

    def line(x):
        return 2 * x[:, 0] - x[:, 1]

    linear = Task.from_arrays(inside, line(inside), outside, line(outside))
    plan = Plan(mini_networks=2, mini_draws=1, full_networks=1, full_draws=1)
    diagnosis = check_task(Ladder(ActivationProblem(linear), 0, plan))
    assert diagnosis.entries[0].name == "identity"
    assert any("identity has the lowest OOD error" in warning for warning in diagnosis.warnings)
