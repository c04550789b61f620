"""Intervals and rank agreement against hand-made numbers and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from profiles import examples
from scipy.stats import spearmanr

from symact.evaluation import statistics
from symact.tasks import scores

FAMILIES = ["a", "a", "b"]
POSITIVE = arrays(float, (3, 2, 4), elements=st.floats(1e-6, 1e4))


@settings(max_examples=examples(60))
@given(errors=POSITIVE)
def test_the_ratio_of_a_function_to_itself_is_exactly_one(errors):
    interval = statistics.ratio(errors, errors, FAMILIES, resamples=50)
    assert (interval.ratio, interval.low, interval.high) == (1, 1, 1)


@settings(max_examples=examples(60))
@given(errors=POSITIVE, factor=st.floats(0.1, 10))
def test_a_ratio_scales_with_the_errors_and_has_no_spread_where_all_change_alike(errors, factor):
    interval = statistics.ratio(errors * factor, errors, FAMILIES, resamples=50)
    assert interval.ratio == pytest.approx(factor)
    assert interval.low == pytest.approx(factor)
    assert interval.high == pytest.approx(factor)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    families = ["a"] * 12 + ["b"] * 12
    hits = 0
    for trial in range(200):
        logs = generator.normal(-0.2, 0.3, (24, 1, 1))
        reference = 10 ** generator.normal(0, 1, (24, 1, 4))
        interval = statistics.ratio(
            reference * 10**logs, reference, families, resamples=400, seed=trial
        )
        hits += interval.low <= 10**-0.2 <= interval.high
    assert 0.87 <= hits / 200 <= 0.99


@settings(max_examples=examples(100))
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30).filter(
        lambda p: all(len(set(side)) > 1 for side in zip(*p, strict=True))
    )
)
def test_spearman_is_that_of_scipy(pairs):
    a, b = zip(*pairs, strict=True)
    assert statistics.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_spearman_of_too_little_is_nothing():
    assert statistics.spearman([1, 2], [1, 2]) is None
    assert statistics.spearman([1, 1, 1], [1, 2, 3]) is None
    assert statistics.spearman([1, 2, np.nan, 3], [1, 2, 9, 4]) == pytest.approx(1)


def test_skill_is_one_minus_the_ratio_to_a_baseline():
    errors, baseline = np.full((3, 2, 2, 4), 0.05), np.full((3, 4), 0.2)
    assert statistics.skill(errors, baseline, FAMILIES) == pytest.approx(0.75)
    assert statistics.skill(errors * 8, baseline, FAMILIES) == pytest.approx(-1.0)


def test_holms_procedure_on_the_example_of_its_textbooks():
    # Four tests: 0.01 * 4, 0.02 * 3, 0.03 * 2 rises to 0.06 of its neighbour, 0.04 * 1 likewise.
    np.testing.assert_allclose(statistics.holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(statistics.holm([0.5, 0.9]), [1.0, 1.0])
    np.testing.assert_allclose(statistics.holm([0.02, np.nan]), [0.02, np.nan])
    assert statistics.holm([]).size == 0


@settings(max_examples=examples(60))
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrected_p_values_keep_the_order_and_never_fall(p):
    adjusted = statistics.holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_the_signed_rank_test_agrees_with_counting_all_signs():
    a = np.array([0.3, 1.1, -0.2, 0.9, 2.0, 0.7])
    ranks = np.argsort(np.argsort(np.abs(a))) + 1
    signs = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1)
    sums = ranks @ signs
    smaller = min(ranks[a > 0].sum(), ranks[a < 0].sum())
    assert statistics.wilcoxon(a, np.zeros(6)) == pytest.approx(2 * (sums <= smaller).mean())
    assert statistics.wilcoxon(a, a) == 1.0


def test_a_ranking_gives_mean_ranks_pairs_and_cliques():
    rng = np.random.default_rng(1)
    tasks = rng.normal(size=40)
    good = tasks + 0.02 * rng.normal(size=40)
    same = tasks + 0.02 * rng.normal(size=40)
    bad = tasks + 3.0
    ranking = statistics.ranking([bad, good, same])
    assert ranking.ranks[0] == 3
    assert sum(ranking.ranks) == pytest.approx(6)
    assert ranking.pairs[0, 1] < 1e-6 < 0.05 < ranking.pairs[1, 2]
    np.testing.assert_array_equal(ranking.pairs, ranking.pairs.T)
    assert [set(clique) for clique in ranking.cliques] == [{1, 2}]
    assert ranking.friedman < 1e-6


@settings(max_examples=examples(40))
@given(
    errors=arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.floats(-3, 3))
)
def test_a_ranking_of_anything_is_whole(errors):
    ranking = statistics.ranking(errors)
    assert len(ranking.ranks) == len(errors)
    assert sum(ranking.ranks) == pytest.approx(len(errors) * (len(errors) + 1) / 2)
    assert ((ranking.pairs >= 0) & (ranking.pairs <= 1)).all()
    for clique in ranking.cliques:
        assert len(clique) > 1
        for one in clique:
            for other in clique:
                assert ranking.pairs[one, other] >= 0.05


def test_the_figures_are_those_that_earlier_versions_computed_without_scipy():
    rng = np.random.default_rng(7)
    families = ["a"] * 5 + ["b"] * 3 + ["c"]
    errors = 10.0 ** rng.normal(-1, 1, (3, 9, 2, 3, 4))
    errors[0, 0, 0, 0, 1] = np.nan
    ood = np.array([scores.ood_errors(own, families) for own in errors])
    ood[2, :4] = ood[1, :4]
    a, b = (rng.integers(0, 6, 12).astype(float) for _ in range(2))
    b[3], a[5] = np.nan, np.inf
    outside = statistics.ratio(errors[0], errors[1], families)
    inside = statistics.id_ratio(errors[0], errors[2], families, resamples=500, seed=3, level=0.9)
    ranking = statistics.ranking(ood)
    computed = {
        "ratio": (outside.ratio, outside.low, outside.high),
        "id ratio": (inside.ratio, inside.low, inside.high),
        "spearman": statistics.spearman(a, b),
        "skill": statistics.skill(errors[0], errors[1][:, 0, 0], families),
        "ranks": ranking.ranks,
        "friedman": ranking.friedman,
        "pairs": (ranking.pairs[0, 1], ranking.pairs[0, 2], ranking.pairs[1, 2]),
    }
    known = {
        "ratio": (1.4490211436158174, 0.8769936063750638, 2.1582099015411407),
        "id ratio": (1.5096628258838751, 0.9292787004698614, 2.3991513228902868),
        "spearman": -0.3319381327380488,
        "skill": 0.39785044685785775,
        "ranks": (2.2222222222222223, 1.6666666666666667, 2.111111111111111),
        "friedman": 0.41686201967851155,
        "pairs": (0.75, 0.91015625, 0.75),
    }
    for name, value in known.items():
        assert computed[name] == pytest.approx(value, rel=1e-12), name
    assert ranking.cliques == ((1, 2, 0),)
