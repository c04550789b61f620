"""Pareto fronts equal those of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from symact.evaluation.pareto import non_dominated, pareto_ranks

POINTS = st.integers(1, 4).flatmap(
    lambda objectives: st.lists(
        st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 2.0, np.inf])] * objectives),
        min_size=1,
        max_size=25,
    )
)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@settings(max_examples=examples(200))
@given(points=POINTS)
def test_a_point_is_on_the_front_if_none_dominates_it(points):
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert non_dominated(points).tolist() == expected


@settings(max_examples=examples(100))
@given(points=POINTS)
def test_each_front_is_that_of_the_points_which_are_in_no_earlier_one(points):
    ranks = pareto_ranks(points)
    for rank in range(ranks.max() + 1):
        left = [point for point, own in zip(points, ranks, strict=True) if own >= rank]
        front = [point for point, own in zip(points, ranks, strict=True) if own == rank]
        assert front == [p for p, kept in zip(left, non_dominated(left), strict=True) if kept]


@pytest.mark.parametrize("function", [non_dominated, pareto_ranks])
def test_no_points_have_no_front(function):
    assert function([]).tolist() == []


def test_what_is_not_a_number_is_the_worst():
    points = [(np.nan, 1.0), (2.0, 1.0), (np.nan, 0.5)]
    assert non_dominated(points).tolist() == [False, True, True]
    assert pareto_ranks(points).tolist() == [1, 0, 0]
