"""Statistics over families and cells."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symact.evaluation import hierarchy

FAMILIES = tuple(f"family-{i}" for i in range(24))


def differences(seed: int, functions: int = 3, spread: float = 0.5) -> np.ndarray:
    """Return log10 ratios that vary between families and, less, between cells."""
    rng = np.random.default_rng(seed)
    family = rng.normal(0.0, spread, (functions, len(FAMILIES), 1))
    return family + rng.normal(0.0, 0.1, (functions, len(FAMILIES), 8))


def test_the_interval_covers_a_true_ratio_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        own = differences(seed, functions=1)
        (found,) = hierarchy.standings(own, own, FAMILIES, resamples=400)
        covered += found.ood.low <= 1.0 <= found.ood.high
    assert 180 <= covered <= 199


def test_the_interval_is_wider_than_one_over_cells_alone():
    own = differences(0, functions=1)
    (found,) = hierarchy.standings(own, own, FAMILIES)
    cells = own.reshape(-1)
    alone = 1.96 * cells.std() / math.sqrt(cells.size)
    assert math.log10(found.ood.high / found.ood.low) / 2 > 2 * alone


def test_resamples_equal_those_of_a_plain_loop_in_mean_and_spread():
    own = differences(1, functions=1)
    drawn = hierarchy.resampled(own, resamples=4000)[0]
    rng = np.random.default_rng(5)
    plain = []
    for _ in range(4000):
        rows = own[0][rng.integers(0, 24, 24)]
        plain.append(np.mean([row[rng.integers(0, 8, 8)].mean() for row in rows]))
    assert drawn.mean() == pytest.approx(np.mean(plain), abs=0.01)
    assert drawn.std() == pytest.approx(np.std(plain), rel=0.06)


def test_the_reference_itself_is_neither_better_nor_worse():
    zero = np.zeros((1, 24, 8))
    (found,) = hierarchy.standings(zero, zero, FAMILIES)
    assert (found.ood.ratio, found.ood.low, found.ood.high) == (1.0, 1.0, 1.0)
    assert found.won == 0.0
    assert found.p == 1.0


def test_the_worst_family_is_named_with_its_ratio():
    own = np.zeros((1, 24, 8))
    own[0, 7] = 1.0
    (found,) = hierarchy.standings(own, own, FAMILIES)
    assert found.worst == "family-7"
    assert found.worst_ratio.ratio == pytest.approx(10.0)


def test_more_functions_looked_at_make_p_values_larger():
    own = differences(2) - 0.25
    few = hierarchy.standings(own, own, FAMILIES)
    many = hierarchy.standings(own, own, FAMILIES, looked_at=300)
    assert all(one.p <= other.p for one, other in zip(few, many, strict=True))
    assert any(one.p < other.p for one, other in zip(few, many, strict=True))


def test_errors_are_clipped_and_missing_ones_are_the_worst():
    logs = hierarchy.log_errors([np.nan, np.inf, 1e9, 0.0, 0.1])
    assert logs.tolist() == [3.0, 3.0, 3.0, -6.0, -1.0]


def test_the_ood_error_is_the_mean_of_the_shells():
    errors = np.array([[[1e-2, 1e-1, 1.0, 10.0]]])
    assert hierarchy.ood(errors)[0, 0] == pytest.approx(0.0)
    assert hierarchy.inside(errors)[0, 0] == pytest.approx(-2.0)


def test_halves_agree_by_what_the_variances_say():
    rng = np.random.default_rng(3)
    # The variance of a mean over 32 families is that of the functions: halves agree by 0.5.
    own = rng.normal(0, 1, (400, 1, 1)) + rng.normal(0, math.sqrt(32), (400, 64, 1))
    assert hierarchy.halves_agree(own).median == pytest.approx(0.5, abs=0.08)
    assert hierarchy.families_needed(0.5, 32) == pytest.approx(288)
