"""The language: what parses, how it prints, what is refused and where."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import exprs
from symact.errors import ParseError
from symact.expr import (
    MAX_DEPTH,
    MAX_TEXT,
    Expr,
    call,
    const,
    depth,
    distinct,
    fold,
    parse,
    show,
    size,
    substitute,
    uses_statistics,
    var,
    variables,
)


@settings(max_examples=400, deadline=None)
@given(expr=exprs(max_depth=6, statistics=True))
def test_printing_and_parsing_are_inverse(expr):
    assert parse(show(expr)) == expr


@settings(max_examples=200, deadline=None)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_literal_survives_printing(value):
    expr = call("add", var(), const(value))
    assert parse(show(expr)) == expr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gelu(x)+0.1*sin(x)", "gelu(x) + 0.1*sin(x)"),
        ("-x**2", "-x**2"),
        ("(-x)**2", "(-x)**2"),
        ("(-2)**2*x", "(-2)**2*x"),
        ("x - (x - 1)", "x - (x - 1)"),
        ("x - x - 1", "x - x - 1"),
        ("x/(x*2)", "x/(x*2)"),
        ("(x + 1)*x", "(x + 1)*x"),
        ("add(x, mul(x, x))", "x + x*x"),
        ("neg(2)", "neg(2)"),
        ("where(x > 0, x, -0.5*x)", "where(x > 0, x, -0.5*x)"),
        ("pi*x", "3.141592653589793*x"),
        ("(x**2)**3", "(x**2)**3"),
        (" x ", "x"),
    ],
)
def test_formulas_print_with_as_few_parentheses_as_parsing_allows(text, shown):
    assert show(parse(text)) == shown
    assert parse(shown) == parse(text)


def test_a_sign_belongs_to_the_literal_it_stands_before():
    assert parse("-2*x") == call("mul", const(-2), var())
    assert parse("-2**2") == call("neg", call("square", const(2)))
    assert parse("x - 2") == call("sub", var(), const(2))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("tanhh(x)", 1, "unknown function 'tanhh'; did you mean 'tanh'?"),
        ("x + y", 5, "unknown name 'y'; known: x, pi"),
        ("x**4", 4, "only **2 and **3 exist"),
        ("sin(x", 6, "expected ')', found 'the end'"),
        ("sin x", 1, "unknown name 'sin'"),
        ("where(x, 1, 2)", 1, "argument 1 of 'where' must be a comparison"),
        ("sin(x > 0)", 1, "argument 1 of 'sin' must be a number"),
        ("x < 1", 1, "a comparison is no activation"),
        ("max(x)", 1, "'max' takes 2 argument(s), got 1"),
        ("x $ 1", 3, "unexpected '$'"),
        ("x x", 3, "unexpected 'x' after the expression"),
        ("x**2**3", 4, "powers of powers need parentheses"),
        ("1e999", 1, "too large"),
        ("", 1, "expected a number, 'x' or '(', found 'the end'"),
        ("__import__('os')", 12, "unexpected"),
    ],
)
def test_errors_name_the_column_and_what_was_expected(text, column, message):
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert f"column {column}:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["(" * 500 + "x" + ")" * 500, "-" * 500 + "x", "x" + "+x" * 500])
def test_deep_nesting_is_refused_rather_than_overflowing(text):
    with pytest.raises(ParseError, match=f"nested deeper than {MAX_DEPTH}"):
        parse(text)


def test_long_texts_are_refused():
    with pytest.raises(ParseError, match=str(MAX_TEXT)):
        parse("x+" * MAX_TEXT)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.text(alphabet="x0.1+-*/()<>,sinmax e", max_size=40))
def test_any_text_parses_or_is_refused(text):
    try:
        expr = parse(text)
    except ParseError:
        return
    assert parse(show(expr)) == expr


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_literals_are_finite(value):
    with pytest.raises(ParseError, match="must be finite"):
        const(value)


def test_fold_visits_each_distinct_subexpression_once():
    expr = parse("sin(x)*sin(x) + sin(x)")
    visited: list[str] = []

    def visit(node: Expr, args: list[int]) -> int:
        visited.append(show(node))
        return 1 + sum(args)

    assert fold(expr, visit) == size(expr) == 8
    assert visited == ["x", "sin(x)", "sin(x)*sin(x)", "sin(x)*sin(x) + sin(x)"]
    assert [show(node) for node in distinct(expr)] == visited


def test_measures_of_an_expression():
    expr = parse("gelu((x - mean(x))/(std(x) + 0.001))")
    assert (size(expr), depth(expr)) == (10, 5)
    assert uses_statistics(expr)
    assert not uses_statistics(parse("x + 1"))
    template = parse("a*b + a", ("a", "b"))
    assert variables(template) == ("a", "b")
    assert show(substitute(template, {"a": parse("sin(x)"), "b": var()})) == "sin(x)*x + sin(x)"


def test_an_expression_keeps_its_identity_in_another_process():
    """A hash stored in a pickle would be wrong where strings hash differently."""
    expr = parse("gelu(x) + 0.1*sin(x)")
    script = (
        "import pickle, sys\n"
        "from symact.expr import parse\n"
        "e = pickle.loads(sys.stdin.buffer.read())\n"
        "same = parse('gelu(x) + 0.1*sin(x)')\n"
        "print(e == same, hash(e) == hash(same), len({e, same}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(expr),
        capture_output=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PATH": ""},
        timeout=60,
    )
    assert done.stdout.split() == [b"True", b"True", b"1"]
