"""FLOPs count work after sharing and constant folding."""

from __future__ import annotations

import pytest

from symact.expr import call, parse, var
from symact.expr.cost import flops
from symact.expr.primitives import PRIMITIVES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", 0),
        ("2", 0),
        ("gelu(x) + 0.1*sin(x)", 14 + 10 + 1 + 1),
        ("sin(x)*sin(x)", 10 + 1),
        ("sin(x) + sin(x + 0)", 10 + 1 + 10 + 1),
        ("x*sqrt(2)", 1),
        ("x + exp(tanh(1))*3", 1),
        ("where(x < sqrt(2), x, 0.1*x)", 1 + 1 + 1),
        ("(x - mean(x))/std(x)", 1 + 1 + 3 + 4),
    ],
)
def test_flops_count_each_distinct_subexpression_of_x_once(text: str, expected: int) -> None:
    assert flops(parse(text)) == expected


@pytest.mark.parametrize("name", [p.name for p in PRIMITIVES.values() if p.argument_sorts])
def test_a_primitive_of_x_costs_its_row(name: str) -> None:
    row = PRIMITIVES[name]
    comparison = PRIMITIVES["lt"].flops if "Bool" in row.argument_sorts else 0
    args = [call("lt", var(), var()) if sort == "Bool" else var() for sort in row.argument_sorts]
    assert flops(call(name, *args)) == row.flops + comparison


def test_a_deeply_nested_expression_has_a_cost() -> None:
    expr = var()
    for _ in range(5000):
        expr = call("neg", expr)
    assert flops(expr) == 5000
