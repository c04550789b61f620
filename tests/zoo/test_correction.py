"""Corrections by entropy: the paper's from ReLU, and variations that are what they claim to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from profiles import examples
from scipy import integrate, special, stats
from strategies import exprs

from symact import zoo
from symact.backends import derivative, evaluate, evaluate_with_slopes, log_slope
from symact.errors import SymactError
from symact.expr import call, const, parse, uses_statistics
from symact.zoo.entropy_correction import correct, entropy, to_json, to_text

NORMAL = 0.5 * math.log(2 * math.pi * math.e)


def formula(name: str):
    return zoo.function(name)[1]


def test_from_relu_comes_crrelu():
    made = correct(formula("ReLU"))
    assert made.expr == zoo.find("CRReLU").expr
    assert str(made.term) == "x*exp(-0.5*x**2)"
    assert made.form == "inverse"
    assert str(correct(formula("ReLU"), eps=0.3).expr) == "relu(x) + 0.3*x*exp(-0.5*x**2)"


@pytest.mark.parametrize("text", ["max(x, 0)", "where(x > 0, x, 0)", "0.5*(x + abs(x))"])
def test_relu_written_otherwise_has_the_same_correction(text):
    x = np.linspace(-6, 6, 1001)
    expected = 0.01 * x * np.exp(-0.5 * x**2)
    made = correct(parse(text))
    assert np.allclose(evaluate(made.expr, x), np.maximum(x, 0) + expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["identity", "LeakyReLU", "PReLU", "HardTanh", "ReLU6"])
def test_straight_pieces_of_any_slope_have_the_correction_of_relu(name):
    assert correct(formula(name)).term == correct(formula("ReLU")).term


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("tanh", lambda x: x - 2 * np.tanh(x)),
        ("Softplus", lambda x: x + special.expit(-x)),
        ("sigmoid", lambda x: x + 1 - 2 * special.expit(x)),
        ("ELU", lambda x: np.where(x >= 0, x, x + 1)),
        ("Arctan", lambda x: x - 2 * x / (1 + x**2)),
        ("-x", lambda x: -x),
        ("-softplus(x)", lambda x: -x - special.expit(-x)),
    ],
)
def test_monotone_functions_have_the_correction_worked_out_by_hand(name, term):
    x = np.linspace(-5, 5, 400)
    made = correct(formula(name))
    assert made.form == "inverse"
    assert np.allclose(evaluate(made.term, x), term(x) * np.exp(-0.5 * x**2), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    "name",
    ["ReLU", "GELU", "SiLU", "tanh", "Softplus", "sin", "ELU", "Softsign"],
)
def test_entropy_changes_along_the_correction_as_claimed_and_rises(name):
    base = formula(name)
    made = correct(base)
    step = 1e-4

    def shifted(eps: float) -> float:
        moved = call("add", base, call("mul", const(eps), made.term))
        return entropy(moved, where=base).value

    assert made.slope > 0
    finite = (shifted(step) - shifted(-step)) / (2 * step)
    assert finite == pytest.approx(made.slope, rel=1e-5)
    assert shifted(-step) < made.entropy.value < shifted(step)
    assert correct(base, eps=-0.001).corrected_entropy < made.entropy.value


@pytest.mark.parametrize("name", ["tanh", "Softplus"])
def test_no_other_change_of_the_inverse_of_the_same_size_does_more(name):
    """The correction is the gradient: among changes of one norm none changes entropy faster."""
    x = np.linspace(-7, 7, 20001)
    base = formula(name)
    made = correct(base)
    slope = evaluate_with_slopes(base, x)[1]

    def gain(value: np.ndarray, rise: np.ndarray) -> float:
        norm = np.sqrt(integrate.trapezoid(value**2 / slope, x))
        return float(integrate.trapezoid(stats.norm.pdf(x) * rise / slope, x) / norm)

    best = gain(*evaluate_with_slopes(made.term, x))
    for text in (
        "x*exp(-0.5*x**2)",
        "tanh(x)*gaussian(x)",
        "x**3*gaussian(x)",
        "gaussian(x)*sin(x)",
    ):
        assert abs(gain(*evaluate_with_slopes(parse(text), x))) < best


def test_the_entropy_of_a_monotone_function_is_that_of_its_output():
    assert entropy(parse("x")).value == pytest.approx(NORMAL, abs=1e-9)
    assert entropy(parse("-3*x + 1")).value == pytest.approx(NORMAL + math.log(3), abs=1e-9)
    lognormal = stats.lognorm(s=0.5).entropy()
    assert entropy(parse("exp(0.5*x)")).value == pytest.approx(float(lognormal), abs=1e-8)
    # Phi(x) is uniform on [0, 1].
    assert entropy(parse("0.5 + 0.5*erf(x/1.4142135623730951)")).value == pytest.approx(0, abs=1e-6)


def test_the_entropy_of_a_function_that_is_not_monotone_adds_that_of_the_branch():
    # x**2 is chi-squared, and its two branches are as likely.
    expected = float(stats.chi2(1).entropy()) + math.log(2)
    assert entropy(parse("x**2")).value == pytest.approx(expected, abs=1e-6)
    assert entropy(parse("abs(x)")).value == pytest.approx(NORMAL, abs=1e-8)


def test_flat_pieces_are_left_out_and_said_to_be():
    found = entropy(formula("ReLU"))
    assert found.value == pytest.approx(NORMAL / 2, abs=1e-9)
    assert found.active == pytest.approx(0.5, abs=1e-12)
    assert entropy(formula("HardTanh")).active == pytest.approx(math.erf(1 / math.sqrt(2)))
    assert entropy(formula("Heaviside")).value == -math.inf


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("GELU", [-0.7517915]),
        ("SiLU", [-1.2784645]),
        ("Quadratic", [0.0]),
        ("Cubic", [0.0]),
        ("ReLU^2", [0.0]),
        ("tanh", []),
        ("HardTanh", []),
        ("Symlog", []),
    ],
)
def test_stationary_points_are_found(name, points):
    assert correct(formula(name)).stationary == pytest.approx(points, abs=1e-5)


def test_stationary_points_are_held_where_they_are():
    base = formula("GELU")
    made = correct(base)
    assert made.form == "held"
    (point,) = made.stationary
    value, slope = evaluate_with_slopes(made.term, np.array([point]))
    assert abs(value[0]) < 1e-12
    assert abs(slope[0]) < 1e-6


def test_the_held_form_does_not_depend_on_the_scale_of_the_function():
    x = np.linspace(-5, 5, 101)
    one, other = correct(parse("gelu(x)")), correct(parse("20*gelu(x)"))
    assert np.allclose(evaluate(one.term, x), evaluate(other.term, x), rtol=1e-5, atol=1e-12)


def test_where_the_slope_vanishes_faster_than_the_density_the_variation_is_infinite():
    assert correct(parse("erf(x)")).slope == math.inf
    assert to_json(correct(parse("erf(x)")), "erf")["entropy_slope"] is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("gelu(x)", {"form": "inverse"}, "not strictly monotone (at -0.7518)"),
        ("abs(x)", {"form": "inverse"}, "not strictly monotone (at a kink)"),
        ("x", {"form": "best"}, "unknown form 'best'; known: inverse, held"),
        ("x", {"eps": math.inf}, "eps must be finite"),
        ("sign(x)", {}, "flat everywhere"),
        ("2 + 0*x", {}, "flat everywhere"),
        ("x - mean(x)", {}, "has batch statistics"),
        ("x*sigmoid(param(1)*x)", {}, "has trained parameters; write numbers in their place"),
        ("log(x)", {}, "not finite"),
        ("1/x", {}, "not finite"),
    ],
)
def test_what_has_no_correction_is_refused_in_one_line(text, options, message):
    with pytest.raises(SymactError) as refused:
        correct(parse(text), **options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_text_names_all_that_was_found():
    text = to_text(correct(formula("ReLU")), "ReLU")
    for part in ("relu(x) + 0.01*x*exp(-0.5*x**2)", "Sun et al. 2024", "0.709469", "50.0%"):
        assert part in text
    assert "-0.7518" in to_text(correct(formula("GELU")), "GELU")


KNOWN = [known for known in zoo.known() if not uses_statistics(known.expr)]


def test_derivatives_of_all_known_functions_are_those_of_the_tape():
    x = np.linspace(-6, 6, 301) + 0.00123  # meets no kink
    for known in KNOWN:
        slope = evaluate_with_slopes(known.expr, x)[1]
        error = np.abs(evaluate(derivative(known.expr), x) - slope)
        assert error.max() <= 1e-9 * (1 + np.abs(slope).max()), known.name


@settings(max_examples=examples(40))
@given(exprs(max_depth=3))
def test_a_derivative_is_found_and_right_or_refused(expr):
    x = np.linspace(-3.1, 2.9, 57) + 0.0123
    try:
        found = derivative(expr)
    except SymactError:
        return
    with np.errstate(all="ignore"):
        value, slope = evaluate_with_slopes(expr, x)
        got = evaluate(found, x)
    smooth = np.isfinite(value) & np.isfinite(slope) & np.isfinite(got) & (np.abs(slope) < 1e6)
    smooth &= np.abs(value) < 1e6
    assert np.allclose(got[smooth], slope[smooth], rtol=1e-5, atol=1e-7)


def test_the_slope_of_the_log_of_a_slope_is_zero_on_flat_pieces():
    x = np.array([-2.0, -0.5, 0.5, 2.0])
    assert np.array_equal(evaluate(log_slope(formula("HardTanh")), x), np.zeros(4))
    assert evaluate(log_slope(formula("ReLU^2")), x) == pytest.approx([0, 0, 2, 0.5])
