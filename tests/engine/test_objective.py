"""What a search minimises: the mean of the families, or the worst of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from small_runs import SMALL, TINY, ShortTraining

from symact.engine import search
from symact.engine.baselines import Baselines
from symact.evaluation import ActivationProblem
from symact.storage.repository import open_run
from symact.tasks import scores as stats
from symact.tasks import task

FAMILIES = ("a", "a", "b", "c")


@pytest.fixture(scope="module")
def errors():
    """Errors [draw][baseline][instance, seed, 4]."""
    return np.random.default_rng(0).lognormal(0, 0.5, (2, 4, 4, 1, 4))


def test_the_worst_family_counts_relative_to_the_reference(errors):
    problem = ActivationProblem(task("ood-suite"))
    mean = Baselines.of(problem, errors, FAMILIES)
    worst = Baselines.of(problem, errors, FAMILIES, "worst")
    own = errors[1, 0] * np.array([0.8, 0.8, 1.2, 0.5]).reshape(4, 1, 1)
    (ood, inside), cases = worst.above(own, 1)
    (average, same), _ = mean.above(own, 1)
    reference = list(problem.baselines).index("GELU")
    base = np.mean([worst.above(errors[d, reference], d)[1] for d in (0, 1)], axis=0)
    assert ood == pytest.approx(max(np.array(cases) - base))
    assert ood > average
    assert inside == same


def test_a_search_of_the_worst_family_chooses_by_it(tmp_path):
    problem = ShortTraining(task("ood-suite"))
    plan = replace(TINY, objective="worst", finalists=3)
    result = search(
        "pointwise", problem, budget=20, seed=1, plan=plan, evolution=SMALL, out=tmp_path / "run"
    )
    with closing(open_run(tmp_path / "run")) as run:
        selected, repeated = run.selected(), run.repeated()
        base = run.references()["full"]
        scores = {own.candidate: own for own in run.scores("selection")}
    known = selected.reference.by_family
    for found in result.front:
        families = stats.score(scores[found.id].errors, selected.reference.families).families
        worst = max(families[name] - known[name] for name in known)
        pooled = (worst + repeated[found.id][0] - base[0]) / 2
        assert found.pooled[0] == pytest.approx(10**pooled)
