"""Refining: variants of a good candidate are candidates, and tuned constants are trained ones."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import exprs

from symact.backends import evaluate
from symact.backends.torch import lower
from symact.evaluation.training.constants import Tuner
from symact.evaluation.training.networks import Data, initial_weights, learning_rates, pack
from symact.evaluation.training.stack import Span, Stack
from symact.expr import Expr, const, fold, literals, parse, show, var, with_literals
from symact.expr.cost import flops
from symact.expr.primitives import CONST
from symact.grammar import Grammar, grammar_names
from symact.proposers import RandomProposer
from symact.proposers.local_search import MOST_PRUNED, pruned, rounded, variants
from symact.tasks import task
from symact.tasks.protocol import Training

grammar = functools.cache(Grammar.load)
SHORT = Training(width=8, depth=2, steps=60, points=64, learning_rate=5e-2)
ENTROPY = 9


def without_literals(expr: Expr) -> Expr:
    def visit(node: Expr, args: list[Expr]) -> Expr:
        return var("c") if node.op == CONST else Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


# Variants.
@pytest.mark.parametrize("name", grammar_names())
@settings(max_examples=examples(10))
@given(seed=st.integers(0, 2**63), factor=st.floats(0.3, 3))
def test_variants_are_sentences_within_the_limits_each_once_and_none_the_candidate(
    name, seed, factor
):
    limits = grammar(name).limits
    for proposal in RandomProposer(grammar(name), seed=seed).ask(10):
        expr = proposal.expr
        tuned = with_literals(expr, [factor * value for value in literals(expr)])
        found = variants(expr, tuned, grammar(name))
        assert len({own.expr for own in found} | {expr}) == len(found) + 1
        for own in found:
            grammar(name).check(own.expr)
            assert own.expr.size <= limits.nodes
            assert own.expr.depth <= limits.depth
            assert flops(own.expr) <= limits.flops
            assert own.parents == (show(expr),)
            if own.origin == "pruned":
                assert own.expr.size < expr.size
            else:
                assert own.origin in ("tuned", "rounded")
                assert without_literals(own.expr) == without_literals(expr)
        assert sum(own.origin == "pruned" for own in found) <= MOST_PRUNED


@settings(max_examples=examples(100))
@given(expr=exprs(), digits=st.integers(1, 3))
def test_rounding_changes_literals_alone_and_by_less_than_its_last_digit(expr, digits):
    found = rounded(expr, digits)
    assert rounded(found, digits) == found
    assert without_literals(found) == without_literals(expr)
    changed = {float(f"{value:.{digits - 1}e}") for value in literals(expr)}
    assert set(literals(found)) == changed


@settings(max_examples=examples(100))
@given(expr=exprs())
def test_what_is_pruned_is_smaller_varies_and_can_be_written(expr):
    found = pruned(expr)
    assert len(set(found)) == len(found)
    assert [flops(own) for own in found] == sorted(flops(own) for own in found)
    for own in found:
        assert own.size < expr.size
        assert own.varies
        assert parse(show(own)) == own


def test_variants_of_a_line_with_a_wave():
    expr, tuned = parse("x + 0.123*sin(1.5*x)"), parse("x + 0.1687*sin(1.42*x)")
    kinds: dict[str, list[str]] = {"tuned": [], "rounded": [], "pruned": []}
    for own in variants(expr, tuned, grammar("pointwise")):
        kinds[own.origin].append(show(own.expr))
    expected = {
        "tuned": ["x + 0.2*sin(1.0*x)", "x + 0.17*sin(1.4*x)", "x + 0.169*sin(1.42*x)"],
        "rounded": ["x + 0.1*sin(2*x)", "x + 0.12*sin(1.5*x)"],
        "pruned": [
            *("x", "0.123*sin(1.5*x)", "x + sin(1.5*x)", "x + 0.123*(1.5*x)", "x + 0.123*sin(x)"),
        ],
    }
    for kind, texts in expected.items():
        assert sorted(kinds[kind]) == sorted(show(parse(text)) for text in texts)


def test_parts_of_refining_can_be_left_out():
    expr = parse("x + 0.123*sin(1.5*x)")
    origins = {own.origin for own in variants(expr, None, grammar("pointwise"), prune=False)}
    assert origins == {"rounded"}
    assert variants(parse("tanh(x)"), None, grammar("pointwise"), prune=False) == []


# Tuning.
@pytest.fixture(scope="module")
def data():
    return pack(task("polynomial").draw("search", seed=0, per_family=3), SHORT.points, 64)


def taught(data: Data, training: Training, expr: Expr) -> Data:
    """Data of the very networks that training starts from, with a given activation."""
    drawn = initial_weights(data, training, [0], ENTROPY)
    weights = [(torch.tensor(w[:, 0]), torch.tensor(b[:, 0]).unsqueeze(-1)) for w, b in drawn]
    count, points = len(data.families), data.x.shape[2]
    teacher = Stack([Span(expr, 0, count)], weights, points, torch.device("cpu"))
    return dataclasses.replace(data, y=teacher.predict(torch.tensor(data.x)).numpy().copy())


@pytest.mark.parametrize("start", [0.25, 0.35])
@pytest.mark.usefixtures("one_thread")
def test_a_constant_moves_towards_that_of_the_networks_which_made_the_data(start):
    """Of one unit each: in larger ones the weights make up for a wrong constant."""
    training = dataclasses.replace(SHORT, width=1, depth=1, steps=300, learning_rate=3e-2)
    data = pack(task("polynomial").draw("search", seed=0, per_family=8), training.points, 64)
    data = taught(data, training, parse("max(x, 0.3*x)"))
    tuned = Tuner(data, training, ENTROPY).tune(parse(f"max(x, {start}*x)"))
    (found,) = literals(tuned)
    assert tuned == parse(f"max(x, {found!r}*x)")
    assert abs(found - 0.3) < 0.5 * abs(start - 0.3)


@pytest.mark.parametrize(
    "text", ["max(x, 0.1*x)", "x + 0.5*sin(1.5*x)", "x*sigmoid(1.5*x) + 0.1*cos(1.5*x)"]
)
@pytest.mark.usefixtures("one_thread")
def test_constants_shared_by_layers_and_networks_train_as_by_plain_autograd(data, text):
    training = dataclasses.replace(SHORT, depth=3, steps=15)
    values = literals(parse(text))
    names = {value: f"c{place}" for place, value in enumerate(values)}

    def named(node: Expr, args: list[Expr]) -> Expr:
        if node.op == CONST:
            return var(names[node.number])
        return Expr(node.op, tuple(args), node.value)

    expr = fold(parse(text), named)
    change = torch.zeros(len(values), dtype=torch.float64, requires_grad=True)
    layers = [
        (torch.tensor(w[:, 0]).double(), torch.tensor(b[:, 0]).double().unsqueeze(-1))
        for w, b in initial_weights(data, training, [0], ENTROPY)
    ]
    weights = [tensor.requires_grad_() for layer in layers for tensor in layer]
    optimiser = torch.optim.Adam([*weights, change])
    x, y = torch.tensor(data.x).double(), torch.tensor(data.y).double()

    def constants() -> dict[str, torch.Tensor]:
        return {names[v]: v * (1 + 0.1 * p) for v, p in zip(values, change, strict=True)}

    for rate in learning_rates(training):
        h = x
        for w, b in layers[:-1]:
            h = lower(expr, w @ h + b, bound=constants())
        errors = (layers[-1][0] @ h + layers[-1][1] - y).square().mean(dim=(1, 2))
        optimiser.param_groups[0]["lr"] = float(rate)
        optimiser.zero_grad()
        errors.sum().backward()
        optimiser.step()
    expected = [value.item() for value in constants().values()]
    tuned = Tuner(data, training, ENTROPY).tune(parse(text))
    np.testing.assert_allclose(literals(tuned), expected, rtol=1e-4)
    assert not np.isclose(literals(tuned), values, rtol=1e-3).any()


@pytest.mark.usefixtures("one_thread")
def test_tuning_gives_the_same_again_and_nothing_where_nothing_can_be_tuned(data):
    tuner, expr = Tuner(data, SHORT, ENTROPY), parse("x + 0.5*sin(1.5*x)")
    first = tuner.tune(expr)
    assert tuner.tune(parse("tanh(x)")) is None
    assert tuner.tune(parse("(x - mean(x))/(std(x) + 0.001)")) is None
    assert tuner.tune(parse("exp(exp(3*x))*1000")) is None  # diverges
    assert tuner.tune(expr) == first


def test_a_literal_that_is_written_twice_is_one_constant():
    expr = parse("1.5*sin(1.5*x) + 0.5")
    found = with_literals(expr, [2.0, 0.25])
    assert found == parse("2*sin(2*x) + 0.25")
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(evaluate(found, x), 2 * np.sin(2 * x) + 0.25)
    assert with_literals(const(3.0), [4.0]) == const(4.0)
