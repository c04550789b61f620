"""Scores against hand-made numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from profiles import examples

from symact.tasks import scores
from symact.tasks.protocol import BEST_ERROR, WORST_ERROR

FAMILIES = ["a", "a", "b"]

POSITIVE = arrays(float, (3, 2, 4), elements=st.floats(1e-6, 1e4))


def test_a_score_is_the_mean_over_families_of_means_of_medians_of_means_of_logs():
    errors = np.array(
        [
            [[1.0, 0.1, 1.0, 10.0], [0.1, 1.0, 1.0, 1.0], [0.01, 10.0, 10.0, 10.0]],
            [[1.0, 100.0, 100.0, 100.0]] * 3,
            [[0.1, 0.1, 0.1, 0.1]] * 3,
        ]
    )
    score = scores.score(errors, FAMILIES)
    # Instances: median(0, 0, 1) = 0; 2; -1. Families: a 1, b -1.
    assert score.instances == pytest.approx((0.0, 2.0, -1.0))
    assert score.families == pytest.approx({"a": 1.0, "b": -1.0})
    assert score.ood == pytest.approx(0.0)
    assert score.id_error == pytest.approx((np.mean([-1, 0]) + -1) / 2)
    assert score.diverged == 0


def test_what_is_not_finite_counts_as_the_worst_and_everything_is_clipped():
    logs = scores.log_errors([np.nan, np.inf, -np.inf, 1e99, 0.0, 1.0])
    worst, best = np.log10(WORST_ERROR), np.log10(BEST_ERROR)
    np.testing.assert_allclose(logs, [worst, worst, worst, worst, best, 0.0])
    errors = np.ones((3, 2, 4))
    errors[0, 0, 2] = np.nan
    assert scores.score(errors, FAMILIES).diverged == pytest.approx(1 / 6)


@settings(max_examples=examples(60))
@given(errors=POSITIVE, reference=POSITIVE, clip=st.floats(0, 4))
def test_beside_a_reference_an_instance_counts_as_at_most_so_many_decades_away(
    errors, reference, clip
):
    ood, inside, cases = scores.PairedComparison(reference, FAMILIES, clip).above(errors)
    base, free = scores.score(reference, FAMILIES), scores.score(errors, FAMILIES)
    apart = np.clip(np.subtract(free.instances, base.instances), -clip, clip)
    assert ood == pytest.approx((apart[:2].mean() + apart[2]) / 2, abs=1e-12)
    assert cases == pytest.approx((apart[:2].mean(), apart[2]), abs=1e-12)  # of families a and b
    assert abs(inside) <= clip + 1e-12
    free_ood, free_inside, _ = scores.PairedComparison(reference, FAMILIES, 99.0).above(errors)
    assert free_ood == pytest.approx(free.ood - base.ood, abs=1e-9)
    assert free_inside == pytest.approx(free.id_error - base.id_error, abs=1e-9)


def test_beside_a_reference_what_diverged_is_bad_and_not_hopeless():
    errors, reference = np.full((3, 2, 4), np.nan), np.full((3, 2, 4), 0.01)
    ood, inside, _ = scores.PairedComparison(reference, FAMILIES, 1.0).above(errors)
    assert (ood, inside) == pytest.approx((1.0, 1.0))


def test_sizes_of_networks_are_averaged_after_the_median_over_their_seeds():
    rng = np.random.default_rng(0)
    errors = 10.0 ** rng.normal(size=(3, 2, 5, 4))
    logs = np.log10(errors)[..., 1:].mean(axis=-1)
    by_hand = np.median(logs, axis=2).mean(axis=1)
    np.testing.assert_allclose(scores.ood_errors(errors, FAMILIES), by_hand)
    assert scores.score(errors, FAMILIES).ood == pytest.approx(
        (by_hand[:2].mean() + by_hand[2]) / 2
    )
    one_size = errors[:, :1]
    assert scores.score(one_size, FAMILIES) == scores.score(one_size[:, 0], FAMILIES)
