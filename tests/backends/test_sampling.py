"""Grids for one input and for several."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from symact.backends import sampling
from symact.backends.sampling import SCREEN, SIMPLIFICATION, Grid, fingerprint
from symact.backends.simplify import simplify
from symact.evaluation import Outcome, screen
from symact.evaluation.behaviour import behaviour, kind
from symact.evaluation.surrogate import features
from symact.expr import parse

GRIDS = [name for name in dir(sampling) if isinstance(getattr(sampling, name), Grid)]
XY = ("x", "y")


def two(text: str):
    return parse(text, XY)


@pytest.mark.parametrize("name", GRIDS)
def test_each_coordinate_has_the_points_of_the_line_in_its_own_order(name):
    grid = getattr(sampling, name)
    points = grid.points(3)
    assert points.shape == (3, len(grid.line))
    np.testing.assert_array_equal(points[0], grid.line)
    for row in points[1:]:
        np.testing.assert_array_equal(np.sort(row), np.sort(grid.line))
    for other in (points[1], points[2]):
        assert abs(stats.spearmanr(points[0], other).statistic) < 0.5
    np.testing.assert_array_equal(grid.points(2), points[:2])


@pytest.mark.parametrize("grid", [SCREEN, SIMPLIFICATION])
def test_a_point_lies_in_one_band_in_every_coordinate(grid):
    points = np.abs(grid.points(6))
    for edge in grid.bands:
        inside = points <= edge
        assert (inside == inside[0]).all()


def test_points_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        SCREEN.points(2)[0, 0] = 1.0


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("x*y", Outcome.PASSED),
        ("x - 2*y + 1", Outcome.AFFINE),
        ("tanh(x) + y", Outcome.PASSED),
        ("x - x", Outcome.CONSTANT),
        ("log(x*y)", Outcome.NON_FINITE),
        ("x + sin(2000*y)", Outcome.STEEP),
    ],
)
def test_functions_of_two_inputs_are_screened_by_both(text, outcome):
    assert screen(two(text), inputs=XY).outcome == outcome


def test_equal_functions_of_two_inputs_have_one_fingerprint():
    marks = [screen(two(t), inputs=XY).fingerprint for t in ("x*y", "y*x", "x*y*1", "x*y + 0.001")]
    assert marks[0] == marks[1] == marks[2] != marks[3]
    assert marks[0] != fingerprint(SCREEN.line**2)


def test_behaviour_is_that_along_an_input():
    expr = two("relu(x)*tanh(y)")
    assert behaviour(expr, inputs=XY).right == "line"
    assert behaviour(expr, inputs=XY, along="y").bounded
    assert kind(expr, inputs=XY) == "; ".join(
        behaviour(expr, inputs=XY, along=name).key for name in XY
    )


def test_the_surrogate_sees_slopes_by_every_input():
    one, other = (features(two(text), XY) for text in ("x + sin(y)", "x + cos(y)"))
    assert one.shape == other.shape == (4 * 61,)
    np.testing.assert_array_equal(one[61:122], other[61:122])
    assert np.abs(one[122:183] - other[122:183]).max() > 0.1
    assert not one[183:].any()  # no trained parameters


def test_functions_of_two_inputs_are_simplified_and_compared_on_both():
    assert simplify(two("x*y + 0*x + y*0")) == two("x*y")
    expr = two("x - y")
    assert simplify(expr) == expr
