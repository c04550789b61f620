"""The language: what parses, how it prints, what is refused and where."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import exprs

from symact.backends import evaluate
from symact.errors import ParseError
from symact.expr import (
    MAX_DEPTH,
    MAX_TEXT,
    Expr,
    call,
    const,
    distinct,
    fold,
    parse,
    show,
    substitute,
    uses_statistics,
    var,
    variables,
    with_literals,
)


@settings(max_examples=examples(400))
@given(expr=exprs(max_depth=6, statistics=True))
def test_printing_and_parsing_are_inverse(expr):
    assert parse(show(expr)) == expr


@settings(max_examples=examples(200))
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
        ("x - (-x)", "x - -x"),
        ("x-(-3)", "x - -3"),
        ("-(x*x)", "-(x*x)"),
        ("(-x)*x", "-x*x"),
        ("-(x + 1)", "-(x + 1)"),
        ("-(-x)", "--x"),
        ("x*(x/x)", "x*(x/x)"),
        ("(x*x)/x", "x*x/x"),
        ("x + (x + x)", "x + (x + x)"),
        ("(x*2)**2", "(x*2)**2"),
        ("gelu(x)**3", "gelu(x)**3"),
        ("2*x**3", "2*x**3"),
        ("square(cube(x))", "(x**3)**2"),
        ("where(lt(x + 1, 2*x), (x), ((1)))", "where(x + 1 < 2*x, x, 1)"),
        (".5e-3*x + 5.", "0.0005*x + 5"),
    ],
)
def test_formulas_print_with_as_few_parentheses_as_parsing_allows(text, shown):
    assert show(parse(text)) == shown
    assert parse(shown) == parse(text)


def test_a_sign_belongs_to_the_literal_it_stands_before():
    assert parse("-2*x") == call("mul", const(-2), var())
    assert parse("-2**2") == call("neg", call("square", const(2)))
    assert parse("x - 2") == call("sub", var(), const(2))
    assert parse("-x**2") == call("neg", call("square", var()))
    assert parse("-x*x") == call("mul", call("neg", var()), var())


def test_products_bind_before_sums_and_operators_of_one_level_to_the_left():
    x, one, two = var(), const(1), const(2)
    assert parse("x + 2*x - 1") == call("sub", call("add", x, call("mul", two, x)), one)
    assert parse("x/2*x") == call("mul", call("div", x, two), x)
    assert parse("2*x**2") == call("mul", two, call("square", x))
    compared = call("le", call("add", x, one), call("mul", two, x))
    assert parse("where(x + 1 <= 2*x, x, 1)") == call("where", compared, x, one)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("tanhh(x)", 1, "unknown function 'tanhh'; did you mean 'tanh'?"),
        ("x + y", 5, "unknown name 'y'; known: x, pi"),
        ("x**4", 4, "the only powers are **2 and **3"),
        ("sin(x", 6, "expected ')', found the end"),
        ("sin x", 1, "unknown name 'sin'"),
        ("where(x, 1, 2)", 1, "argument 1 of 'where' must be a comparison"),
        ("sin(x > 0)", 1, "argument 1 of 'sin' must be a number"),
        ("x < 1", 1, "a comparison is not a number"),
        ("max(x)", 1, "'max' takes 2 argument(s), got 1"),
        ("x $ 1", 3, "unexpected '$'"),
        ("x x", 3, "unexpected 'x' after the expression"),
        ("x**2**3", 4, "powers of powers need parentheses"),
        ("1e999", 1, "too large"),
        ("", 1, "expected a number, 'x' or '(', found the end"),
        ("__import__('os')", 12, "unexpected"),
        ("  \tx + Pi", 8, "unknown name 'Pi'; did you mean 'pi'?"),
        ("frobnicate(x)", 1, "list them with 'symact grammar primitives'"),
        ("where(x < 1, x > 0, 2)", 1, "argument 2 of 'where' must be a number"),
        ("where(x < 1 < 2, x, 1)", 13, "argument 1 of 'lt' must be a number"),
        ("x*(x < 1)", 2, "argument 2 of 'mul' must be a number"),
        ("-(x < 1)", 1, "argument 1 of 'neg' must be a number"),
        ("(x < 1)**2", 10, "argument 1 of 'square' must be a number"),
        ("sin()", 5, "expected a number, 'x' or '(', found ')'"),
        ("max(x,)", 7, "expected a number, 'x' or '(', found ')'"),
        ("max(x, 1, 2)", 1, "'max' takes 2 argument(s), got 3"),
        ("(x", 3, "expected ')', found the end"),
        ("x)", 2, "unexpected ')' after the expression"),
        ("x**-2", 4, "the only powers are **2 and **3, got '**-'"),
        ("x**", 4, "the only powers are **2 and **3"),
        ("x^2", 2, "unexpected '^'"),
        ("x +", 4, "found the end"),
        ("-1e999", 2, "the constant 1e999 is too large"),
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


def test_the_limit_on_depth_is_itself_allowed():
    assert parse("x" + "+x" * (MAX_DEPTH - 1)).depth == MAX_DEPTH
    with pytest.raises(ParseError, match=f"nested deeper than {MAX_DEPTH}"):
        parse("x" + "+x" * MAX_DEPTH)


def test_calls_nest_as_deep_as_the_limit_and_no_deeper():
    def nested(levels: int) -> str:
        return "sin(" * (levels - 1) + "x" + ")" * (levels - 1)

    with pytest.raises(ParseError, match=f"nested deeper than {MAX_DEPTH}"):
        parse(nested(MAX_DEPTH + 1))
    assert parse(nested(MAX_DEPTH)).depth == MAX_DEPTH


def test_trees_deeper_than_python_recurses_are_folded_and_printed():
    expr = var()
    for _ in range(3_000):
        expr = call("sin", expr)
    assert (expr.size, expr.depth) == (3_001, 3_001)
    assert show(substitute(expr, {"x": const(2)})).count("sin(") == 3_000


def test_long_texts_are_refused():
    assert parse("x".ljust(MAX_TEXT)) == var()
    with pytest.raises(ParseError, match=f"{MAX_TEXT} characters, got {MAX_TEXT + 1}"):
        parse("x".ljust(MAX_TEXT + 1))


def test_an_error_in_a_long_text_quotes_its_beginning_alone():
    with pytest.raises(ParseError) as caught:
        parse("x + " * 100 + "$")
    assert str(caught.value) == f"'{('x + ' * 100)[:77]}...', column 401: unexpected '$'"


def test_an_error_in_a_text_of_several_lines_is_one_line():
    with pytest.raises(ParseError) as caught:
        parse("x +\n\n$")
    assert "\n" not in str(caught.value)


@settings(max_examples=examples(300))
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


def test_a_literal_has_no_negative_zero():
    assert [math.copysign(1, e.number) for e in (const(-0.0), parse("-0"))] == [1, 1]
    assert show(const(-0.0)) == "0"


def test_only_well_sorted_calls_are_made():
    with pytest.raises(ParseError, match="unknown function 'sni'; did you mean 'sin'"):
        call("sni", var())
    with pytest.raises(ParseError, match=r"'sin' takes 1 argument\(s\), got 2"):
        call("sin", var(), var())
    with pytest.raises(ParseError, match="argument 1 of 'sin' must be a number"):
        call("sin", call("lt", var(), const(0)))


@settings(max_examples=examples(100))
@given(expr=exprs(max_depth=5, statistics=True))
def test_a_fold_visits_arguments_first_and_no_node_twice(expr):
    nodes = distinct(expr)
    assert len(set(nodes)) == len(nodes)
    assert nodes[-1] == expr
    for position, node in enumerate(nodes):
        assert all(arg in nodes[:position] for arg in node.args)


def test_fold_visits_each_distinct_subexpression_once():
    expr = parse("sin(x)*sin(x) + sin(x)")
    visited: list[str] = []

    def visit(node: Expr, args: list[int]) -> int:
        visited.append(show(node))
        return 1 + sum(args)

    assert fold(expr, visit) == expr.size == 8
    assert visited == ["x", "sin(x)", "sin(x)*sin(x)", "sin(x)*sin(x) + sin(x)"]
    assert [show(node) for node in distinct(expr)] == visited


def test_measures_of_an_expression():
    expr = parse("gelu((x - mean(x))/(std(x) + 0.001))")
    assert (expr.size, expr.depth) == (10, 5)
    assert uses_statistics(expr)
    assert not uses_statistics(parse("x + 1"))
    template = parse("a*b + a", ("a", "b"))
    assert variables(template) == ("a", "b")
    assert show(substitute(template, {"a": parse("sin(x)"), "b": var()})) == "sin(x)*x + sin(x)"


@settings(max_examples=examples(50))
@given(expr=exprs(max_depth=4, statistics=True))
def test_a_pickled_expression_comes_back_equal_and_with_its_hash(expr):
    copy = pickle.loads(pickle.dumps(expr))
    assert copy == expr
    assert hash(copy) == hash(expr)


def test_an_expression_is_never_changed():
    with pytest.raises(AttributeError):
        var().op = "const"


@pytest.mark.parametrize("hash_seed", ["0", "7"])
def test_an_expression_keeps_its_identity_in_another_process(hash_seed):
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
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        timeout=60,
    )
    assert done.stdout.split() == [b"True", b"True", b"1"]


def test_names_of_other_libraries_lead_to_the_primitive_that_is_the_same_function():
    x = np.linspace(0.1, 3, 50)
    for text, same in (
        ("swish(x)", x / (1 + np.exp(-x))),
        ("arctan(x)", np.arctan(x)),
        ("ln(x)", np.log(x)),
        ("expit(x)", 1 / (1 + np.exp(-x))),
        ("sgn(x)", np.sign(x)),
    ):
        with pytest.raises(ParseError, match=r"did you mean '(\w+)'\?$") as caught:
            parse(text)
        name = str(caught.value).split("'")[-2]
        np.testing.assert_allclose(evaluate(parse(f"{name}(x)"), x), same, rtol=1e-12)


def test_a_literal_that_is_written_twice_is_one_constant():
    expr = parse("1.5*sin(1.5*x) + 0.5")
    found = with_literals(expr, [2.0, 0.25])
    assert found == parse("2*sin(2*x) + 0.25")
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(evaluate(found, x), 2 * np.sin(2 * x) + 0.25)
    assert with_literals(const(3.0), [4.0]) == const(4.0)
