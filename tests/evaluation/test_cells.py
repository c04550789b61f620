"""Judging in cells: a family, an initialisation and an architecture."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from symact import zoo
from symact.errors import SymactError
from symact.evaluation.cells import CellJudge, chosen_by_validation, rows_of, with_validation
from symact.evaluation.jobs import Failed
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.networks import pack
from symact.expr import parse
from symact.reporting.competitors import of_zoo
from symact.tasks import task
from symact.tasks.families import population
from symact.tasks.protocol2 import FULL, QUICK, SETTINGS, Setting

TINY = replace(
    QUICK, name="tiny", families=3, cells=2, width=8, steps=15, points=32, judged_points=32
)
GELU = parse("gelu(x)")


@pytest.fixture(scope="module")
def judge() -> CellJudge:
    return CellJudge(population("search", 3), TINY, device="cpu", threads=2)


@pytest.mark.parametrize("form", [FULL, QUICK])
def test_all_settings_occur_equally_often(form):
    counts = Counter(s for family in range(form.families) for s in form.settings_of(family))
    assert set(counts) == set(SETTINGS)
    assert len(set(counts.values())) == 1


@pytest.mark.parametrize("form", [FULL, QUICK])
def test_the_cells_of_a_family_differ(form):
    for family in range(form.families):
        own = form.settings_of(family)
        assert len(set(own)) == len(own) == form.cells


def test_no_stratum_has_settings_of_its_own():
    strata = 12
    seen = {
        stratum: {QUICK.settings_of(family)[0] for family in range(stratum, 96, strata)}
        for stratum in range(strata)
    }
    assert min(len({s.initialisation for s in own}) for own in seen.values()) >= 2
    assert min(len({s.architecture for s in own}) for own in seen.values()) >= 2


def test_each_instance_meets_each_initialisation_and_architecture():
    met = {FULL.instance_of(5, s): [] for s in SETTINGS}
    for setting in SETTINGS:
        met[FULL.instance_of(5, setting)].append(setting)
    assert set(met) == set(range(FULL.instances))
    for own in met.values():
        assert {s.initialisation for s in own} == {s.architecture for s in own} == {0, 1, 2, 3}


def test_a_judgement_equals_single_trainings_at_the_best_rate(judge):
    (found,) = judge.judge([GELU])
    assert found.errors.shape == (3, 2, 4)
    assert set(found.rates.reshape(-1)) <= set(TINY.rates)
    family, cell = 1, 1
    setting = TINY.settings_of(family)[cell]
    instances = population("search", 3).draw("test", per_family=TINY.instances)
    packed = with_validation(pack(instances, TINY.points), TINY.judged_points)
    # Weights depend on the place in the group of a setting, so the whole group is trained.
    group = [f for f in range(3) if setting in TINY.settings_of(f)]
    rows = [f * TINY.instances + TINY.instance_of(f, setting) for f in group]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        tried = [
            MLPTrainer(
                rows_of(packed, rows),
                TINY.training(setting, rate),
                [0],
                100 + SETTINGS.index(setting),
            )
            .start(pool, [GELU])[0]
            .result()
            for rate in TINY.rates
        ]
    place = group.index(family)
    validation = [own[place, 0, 0] for own in tried]
    best = int(np.argmin(validation))
    assert found.rates[family, cell] == TINY.rates[best]
    np.testing.assert_allclose(found.errors[family, cell], tried[best][place, 0, 1:], rtol=1e-6)


def test_errors_do_not_depend_on_the_company_or_the_threads(judge):
    alone = judge.judge([GELU])[0].errors
    other = CellJudge(population("search", 3), TINY, device="cpu", threads=1)
    together = other.judge([parse("tanh(x)"), GELU])[1].errors
    np.testing.assert_array_equal(alone, together)


def test_modules_with_trained_parameters_are_judged(judge):
    swish = of_zoo(zoo.find("Swish-beta"))
    (found,) = judge.judge([swish.function])
    assert np.isfinite(found.errors).all()


def test_the_linear_model_is_exact_on_a_linear_family(judge):
    linear = judge.baselines()["linear"]
    assert judge.families[0].startswith("linear")
    assert linear.shape == (3, 2, 4)
    assert linear[0].max() < 1e-3


def test_validation_points_measure_nothing_else():
    instances = task("polynomial").draw("search", per_family=2)
    data = with_validation(pack(instances, 32), 64)
    assert data.x_judged.shape[1] == 5
    parts = [set(map(bytes, data.x_judged[0, part].T.copy())) for part in range(5)]
    assert not parts[0] & parts[1]
    np.testing.assert_allclose(
        data.variance[0, 0], data.y_judged[0, 0].astype(float).var(axis=-1).mean()
    )


def test_a_rate_at_which_training_diverged_is_not_chosen():
    diverged = np.full((2, 1, 5), np.nan)
    fine = np.full((2, 1, 5), 0.5)
    errors, best = chosen_by_validation([diverged, fine])
    assert best.tolist() == [1, 1]
    assert errors.tolist() == [[0.5] * 4] * 2


def test_a_failed_training_is_an_error():
    with pytest.raises(SymactError, match="took longer"):
        chosen_by_validation([Failed("took longer than 1 s")])


def test_a_setting_has_a_name():
    assert Setting(3, 3).name == "he, residual-2"
