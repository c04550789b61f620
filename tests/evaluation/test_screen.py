"""The screen compares functions by their values."""

from __future__ import annotations

import pytest

from symact.backends import evaluate
from symact.backends.sampling import SCREEN, fingerprint
from symact.evaluation import screen
from symact.expr import call, parse, substitute


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("gelu(x) + mean(x)", "gelu(x)"),
        ("x*sigmoid(x - mean(x))", "silu(x)"),
        ("sin(x) + mean(x)", "sin(x) - mean(x)"),
    ],
)
def test_statistics_that_vanish_on_a_symmetric_grid_still_count(text, other):
    one, two = (screen(parse(own), mirrors=True) for own in (text, other))
    assert one.outcome == two.outcome == "passed"
    assert one.keys.isdisjoint(two.keys)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("gelu(x) + mean(x)", "0.5*(2*mean(x) + 2*gelu(x))"),
        ("tanh(x - mean(x))", "tanh(x + mean(-x))"),
    ],
)
def test_functions_of_statistics_with_the_same_values_are_duplicates(text, other):
    one, two = (screen(parse(own), mirrors=True) for own in (text, other))
    assert one.fingerprint == two.fingerprint
    assert one.mirror_key == two.mirror_key


@pytest.mark.parametrize("text", ["gelu(x) + mean(x)", "x*exp(mean(x) - 1)", "std(x)*sin(x) + x"])
def test_mirror_images_of_functions_of_statistics_have_one_key(text):
    expr = parse(text)
    mirrored = substitute(expr, {"x": parse("-x")})
    images = (expr, call("neg", expr), mirrored, call("neg", mirrored))
    assert len({screen(image, mirrors=True).mirror_key for image in images}) == 1


def test_a_pointwise_function_has_the_fingerprint_of_its_values_on_the_screen():
    expr = parse("gelu(x)")
    assert screen(expr).fingerprint == fingerprint(evaluate(expr, SCREEN.line))
