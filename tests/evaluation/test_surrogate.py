"""The surrogate: it learns from values, the same from the same data."""

from __future__ import annotations

import numpy as np

from symact.backends.sampling import SURROGATE
from symact.evaluation import Surrogate, drop_near_duplicates, features, screen, statistics
from symact.expr import Expr, parse
from symact.grammar import Grammar
from symact.proposers import RandomProposer


def functions(count: int) -> list[Expr]:
    proposals = RandomProposer(Grammar.load("pointwise"), seed=4).ask(3 * count)
    return [p.expr for p in proposals if screen(p.expr).outcome == "passed"][:count]


def truth(expr: Expr) -> tuple[float, float]:
    """Errors that depend on the values alone."""
    seen = features(expr)
    return float(np.tanh(seen[20] - seen[30])), float(np.tanh(seen[25]))


def taught(exprs: list[Expr], corrected: int = 0) -> Surrogate:
    surrogate = Surrogate()
    for number, expr in enumerate(exprs):
        surrogate.add(number, expr, truth(expr))
    for number in range(corrected):
        ood, inside = truth(exprs[number])
        surrogate.correct(number, (ood + 0.2, inside))
    return surrogate


def test_it_ranks_functions_that_it_never_saw():
    exprs = functions(220)
    surrogate = taught(exprs[:150])
    assert not surrogate.is_ready
    assert surrogate.is_due
    surrogate.fit()
    assert surrogate.is_ready
    assert not surrogate.is_due
    found, deviation = surrogate.predict(exprs[150:])
    expected = np.array([truth(expr) for expr in exprs[150:]])
    assert statistics.spearman(found[:, 0], expected[:, 0]) > 0.6
    assert (deviation >= 0).all()


def test_a_first_fit_is_due_from_a_number_of_results_on():
    surrogate = Surrogate(least=18)
    for number, expr in enumerate(functions(40)[:18]):
        assert not surrogate.is_due
        surrogate.add(number, expr, truth(expr))
    assert surrogate.is_due
    assert not taught(functions(40)[:18]).is_due


def test_a_fit_to_the_first_data_is_that_of_a_model_that_saw_no_more():
    exprs = functions(160)
    early, late = taught(exprs[:120], 20), taught(exprs, 40)
    early.fit()
    late.fit(early.fitted)
    np.testing.assert_array_equal(early.predict(exprs)[0], late.predict(exprs)[0])


def test_full_training_corrects_what_mini_training_says():
    exprs = functions(120)
    plain, corrected = taught(exprs), taught(exprs, 60)
    plain.fit()
    corrected.fit()
    shift = corrected.of(range(60)) - plain.of(range(60))
    assert 0.1 < shift[:, 0].mean() < 0.3
    assert abs(shift[:, 1].mean()) < 0.05


def test_what_is_chosen_together_is_promising_and_not_nearly_the_same():
    exprs = functions(150)
    surrogate = taught(exprs)
    surrogate.fit()
    copies = [parse(f"{0.5 + 1e-6 * k}*tanh(x)") for k in range(5)]
    chosen = surrogate.choose([*copies, *exprs], 20)
    assert len(set(chosen)) == len(chosen) == 20
    assert sum(place < 5 for place in chosen) <= 1
    assert drop_near_duplicates(copies, most=5) == [0]
    # One of these is a copy, and none beyond the last one wanted is looked at.
    places = drop_near_duplicates(
        (parse(f) for f in ("tanh(x)", "0.5*x", "tanh(x)", "sin(x)", "no formula")), 3
    )
    assert places == [0, 1, 3]


def test_functions_that_differ_by_their_trained_parameters_are_trained_together():
    forms = [parse("silu(x)"), parse("x*sigmoid(param(1)*x)"), parse("x*sigmoid(param(1.01)*x)")]
    assert drop_near_duplicates(forms, 3) == [0, 1]
    surrogate = taught(functions(60))
    surrogate.fit()
    assert sorted(surrogate.choose(forms, 3)) in ([0, 1], [0, 2])


def test_the_slope_along_a_trained_parameter_is_a_feature():
    """A function and the same with a trained parameter have different features."""
    fixed, trained = features(parse("x*sigmoid(x)")), features(parse("x*sigmoid(param(1)*x)"))
    np.testing.assert_allclose(fixed[:122], trained[:122])
    assert not fixed[122:].any()
    x = SURROGATE.points(1)[0]
    own = x**2 / (4 * np.cosh(x / 2) ** 2)  # the derivative of x*sigmoid(p*x) at p = 1
    np.testing.assert_allclose(trained[122:], np.arcsinh(own) * np.exp(-np.abs(x) / 4), atol=1e-12)
    two = features(parse("param(3)*x + sin(x) + param(4)"))
    rss = np.sqrt(x**2 + 1)
    np.testing.assert_allclose(two[122:], np.arcsinh(rss) * np.exp(-np.abs(x) / 4))
