"""Trained parameters as leaves of the language: text, canonical forms, cost and evaluation."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from symact import zoo
from symact.backends import (
    derivative,
    evaluate,
    evaluate_with_slopes,
    to_latex,
    to_sympy,
    to_tape,
    to_torch,
)
from symact.backends.simplify import simplify
from symact.backends.source import to_source
from symact.backends.sympy import from_sympy
from symact.errors import GrammarError, ParseError, SymactError
from symact.evaluation.screen import screen
from symact.expr import (
    const,
    literals,
    param,
    parameters,
    parse,
    show,
    sort_of,
    variables,
    with_literals,
    with_parameters,
)
from symact.expr.canonical import canonical
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.grammar.enumeration import Enumeration
from symact.reporting.competitors import known_as
from symact.zoo.modules import Smoothed, activation, few_bit
from symact.zoo.recognise import recognise

X = np.linspace(-3, 3, 31)
SWISH = parse("x*sigmoid(param(1.5)*x)")


@settings(max_examples=examples(100))
@given(value=st.floats(allow_nan=False, allow_infinity=False), index=st.integers(0, 99))
def test_every_parameter_survives_printing(value, index):
    expr = param(value, index)
    assert parse(show(expr)) == expr
    assert pickle.loads(pickle.dumps(expr)) == expr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("param( 1.0 )", "param(1)"),
        ("param(0.25, 0)", "param(0.25)"),
        ("param(-2, 3)*x**2", "param(-2, 3)*x**2"),
        ("-param(1)", "-param(1)"),
        ("param(1)**2*x", "param(1)**2*x"),
        ("where(x > param(0), x, 0)", "where(x > param(0), x, 0)"),
    ],
)
def test_parameters_print_in_their_shortest_form(text, shown):
    assert show(parse(text)) == shown


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x*param", 3, "a parameter has an initial value, such as param(1)"),
        ("param()", 7, "expected a number, 'x' or '(', found ')'"),
        ("param(x)", 1, "'param' takes an initial value and an index, as numbers"),
        ("param(1, 2, 3)", 1, "'param' takes an initial value and an index, as numbers"),
        ("param(1, x)", 1, "'param' takes an initial value and an index, as numbers"),
        ("x + param(1, -1)", 5, "must be a whole number from 0 to 99, got -1"),
        ("param(1, 0.5)", 1, "must be a whole number from 0 to 99, got 0.5"),
        ("param(1, 100)", 1, "must be a whole number from 0 to 99, got 100"),
        ("param(1e999)", 7, "the constant 1e999 is too large"),
    ],
)
def test_errors_of_parameters_are_one_line(text, column, message):
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert f"column {column}: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_initial_value_is_finite(value):
    with pytest.raises(ParseError, match="must be finite"):
        param(value)


def test_a_parameter_is_neither_a_literal_nor_an_input():
    assert sort_of(param(1)) == "Real"
    assert variables(SWISH) == ("x",)
    assert literals(parse("2*x + param(3)")) == [2.0]
    assert with_literals(parse("2*x + param(2)"), [5.0]) == parse("5*x + param(2)")
    assert to_tape(SWISH).inputs == ("x",)
    assert parameters(parse("param(2, 1)*x + sin(param(1)*x) + param(2, 1)")) == (
        param(2, 1),
        param(1),
    )
    assert flops(parse("x*exp(param(1))")) == flops(parse("x*exp(1)"))


def test_equal_leaves_are_replaced_together():
    expr = parse("param(1)*x + param(1) + param(1, 1)")
    assert with_parameters(expr, [const(2), const(3)]) == parse("2*x + 2 + 3")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("param(1)*x + x*param(1)", "2*(x*param(1))"),
        ("x*param(1)/param(1)", "param(1)*x/param(1)"),
        ("param(1) - param(1) + x", "x"),
        ("x + param(1) + param(1, 1)", "param(1) + param(1, 1) + x"),
        ("x*(1/(1 + exp(-(param(2)*x))))", "x*sigmoid(x*param(2))"),
        ("max(param(1)*x, 0)", "relu(x*param(1))"),
        ("exp(param(0))", "exp(param(0))"),
        ("abs(param(1))", "abs(param(1))"),
    ],
)
def test_canonical_forms_treat_a_parameter_as_an_unknown(text, normal):
    assert canonical(parse(text)) == canonical(parse(normal))
    trained = [const(own.parameter[0] + 0.7) for own in parameters(parse(text))]
    moved = with_parameters(parse(text), trained)
    same = canonical(parse(text))
    by_leaf = dict(zip(parameters(parse(text)), trained, strict=True))
    after = with_parameters(same, [by_leaf[own] for own in parameters(same)])
    np.testing.assert_allclose(evaluate(moved, X), evaluate(after, X), rtol=1e-12)


def test_simplification_holds_for_all_values_of_a_parameter():
    assert simplify(parse("sqrt(param(1)**2)*x")) == canonical(parse("abs(param(1))*x"))
    assert simplify(parse("x*param(1)**2 + 0*x")) != parse("x")
    found = simplify(parse("2*sin(param(1)*x)*cos(param(1)*x)"))
    assert parameters(found) == (param(1),)
    assert flops(found) < flops(parse("2*sin(param(1)*x)*cos(param(1)*x)"))


def test_sympy_gives_parameters_back():
    expr = parse("param(1)*x**2 + param(1, 1)*x")
    form = to_sympy(expr)
    assert {str(s) for s in form.free_symbols} == {"x", "param(1)", "param(1, 1)"}
    assert all(s.is_real for s in form.free_symbols)
    assert canonical(from_sympy(form)) == canonical(expr)
    assert canonical(derivative(expr)) == canonical(parse("2*param(1)*x + param(1, 1)"))
    assert sympy.simplify(form - to_sympy(canonical(expr))) == 0


def test_values_without_training_are_those_of_the_initial_values():
    fixed = parse("x*sigmoid(1.5*x)")
    np.testing.assert_array_equal(evaluate(SWISH, X), evaluate(fixed, X))
    slopes, expected = evaluate_with_slopes(SWISH, X)[1], evaluate_with_slopes(fixed, X)[1]
    np.testing.assert_array_equal(slopes, expected)
    assert str(recognise(parse("x*sigmoid(param(1)*x)"))) == "SiLU"


def test_a_function_with_parameters_is_no_duplicate_of_its_initial_values():
    known = screen(parse("silu(x)"), mirrors=True)
    trained = screen(parse("x*sigmoid(param(1)*x)"), mirrors=True)
    assert not trained.keys & known.keys
    assert trained.keys == screen(parse("x/(1 + exp(-param(1)*x))"), mirrors=True).keys
    mirrored = screen(parse("x*sigmoid(-(param(1)*x))"), mirrors=True)
    assert mirrored.mirror_key == trained.mirror_key
    assert known_as(parse("x*sigmoid(param(1)*x)")) == ""


def test_latex_names_parameters():
    assert to_latex(SWISH) == r"x \sigma(\theta x)"
    assert to_latex(parse("param(1)*x + param(2)")) == r"\theta_{1} x + \theta_{2}"
    assert to_latex(parse("param(1)*theta", ("theta",))) == r"\omega \theta"


@pytest.mark.parametrize("text", ["x*sigmoid(param(1.5)*x)", "param(-0.5)*tanh(x) + param(2)*p0"])
def test_numpy_source_takes_parameters_by_name(text):
    names = ("x", "p0") if "p0" in text else ("x",)
    expr = parse(text, names)
    space: dict = {}
    exec(to_source(expr), space)
    given = [X] * len(names)
    expected = evaluate(expr, *given, inputs=tuple(sorted(names)))
    np.testing.assert_allclose(space["activation"](*given), expected, rtol=1e-14)
    own = parameters(expr)
    other = with_parameters(expr, [const(0.3) for _ in own])
    arguments = ["p0_" if "p0" in names and i == 0 else f"p{i}" for i in range(len(own))]
    found = space["activation"](*given, **dict.fromkeys(arguments, 0.3))
    expected = evaluate(other, *given, inputs=tuple(sorted(names)))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_c_source_refuses_parameters():
    with pytest.raises(SymactError, match="c source code has no trained parameters"):
        to_source(SWISH, "c")


def test_a_grammar_without_parameters_does_not_produce_them():
    with pytest.raises(GrammarError, match=r"does not produce 'param\(1.5\)'"):
        Grammar.load("pointwise").check(SWISH)
    with pytest.raises(GrammarError, match="has trained parameters"):
        Enumeration(Grammar.load("pointwise")).find(SWISH)
    rule = '[[rules]]\nrule = "a*sigmoid(param(1)*a)"\nargs = ["Real"]'
    grammar = Grammar.parse(rule)
    assert grammar.derive(parse("x*sigmoid(param(1)*x)")) is not None
    with pytest.raises(GrammarError, match="has trained parameters"):
        Enumeration(grammar)


def swish(x, beta):
    return x * torch.sigmoid(beta * x)


@pytest.mark.parametrize("size", [5, 2**15])
@pytest.mark.parametrize("compiled", [None, True])
def test_a_module_trains_its_parameters(size, compiled):
    module = to_torch(SWISH, compile=compiled)
    assert [p.item() for p in module.parameters()] == [1.5]
    x = torch.linspace(-3, 3, size, requires_grad=True)
    module(x).square().sum().backward()
    beta = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    y = x.detach().double().requires_grad_()
    swish(y, beta).square().sum().backward()
    torch.testing.assert_close(module.trained[0].grad.double(), beta.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x.grad.double(), y.grad, rtol=1e-4, atol=1e-5)


def test_a_module_keeps_its_parameters_in_its_state():
    module, other = to_torch(SWISH), to_torch(SWISH)
    with torch.no_grad():
        module.trained[0].fill_(0.25)
    other.load_state_dict(module.state_dict())
    x = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(other(x), swish(x, 0.25))
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(x), swish(x, 0.25))
    assert "param(1.5) = 0.25" in repr(module)
    assert module.fixed() == parse("x*sigmoid(0.25*x)")
    assert "sigmoid_(0.25*x)" in to_source(module.fixed(), "c")
    traced = torch.fx.symbolic_trace(module)
    torch.testing.assert_close(traced(x), swish(x, 0.25))
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), swish(x, 0.25))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_module_keeps_the_dtype_of_its_input(dtype):
    x = torch.linspace(-3, 3, 7, dtype=dtype)
    assert to_torch(SWISH)(x).dtype == dtype
    torch.testing.assert_close(to_torch(SWISH)(x), swish(x.float(), 1.5).to(dtype))


def test_a_module_of_several_inputs_trains_its_parameters():
    gate = to_torch(parse("x*sigmoid(param(2)*g)", ("x", "g")), inputs=("x", "g"))
    x, g = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.5])
    gate(x, g).sum().backward()
    beta = torch.tensor(2.0, requires_grad=True)
    (x * torch.sigmoid(beta * g)).sum().backward()
    torch.testing.assert_close(gate.trained[0].grad, beta.grad)


def test_formulas_of_the_zoo_train_their_parameters():
    made = activation("x*sigmoid(param(1.5)*x)", shape=(3, 1))
    assert [tuple(p.shape) for p in made.parameters()] == [(3, 1)]
    x = torch.linspace(-3, 3, 7).repeat(3, 1)
    torch.testing.assert_close(made(x), swish(x, 1.5))
    with pytest.raises(SymactError, match="needs a fixed formula"):
        few_bit("x*sigmoid(param(1)*x)", 2)
    with pytest.raises(SymactError, match="move with its parameters"):
        Smoothed(activation("max(x, param(1))"), 0.1)
    smooth = Smoothed(activation("relu(x) - param(0.25)*relu(-x)"), 0.1)
    assert torch.isfinite(smooth(x)).all()
    assert zoo.function("param(1)*x")[1] == parse("param(1)*x")
