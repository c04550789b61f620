"""Variants of a good candidate are candidates themselves."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import exprs

from symact.expr import Expr, fold, literals, parameters, parse, show, var, with_literals
from symact.expr.cost import flops
from symact.expr.primitives import CONST
from symact.grammar import Grammar, grammar_names
from symact.proposers import RandomProposer
from symact.proposers.local_search import MOST_PRUNED, pruned, rounded, variants

grammar = functools.cache(Grammar.load)


def without_literals(expr: Expr) -> Expr:
    def visit(node: Expr, args: list[Expr]) -> Expr:
        return var("c") if node.op == CONST else Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


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
            elif own.origin in ("released", "held"):
                change = 1 if own.origin == "released" else -1
                assert len(parameters(own.expr)) == len(parameters(expr)) + change
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


def test_literals_become_parameters_and_parameters_literals():
    expr = parse("param(0.5)*tanh(0.5*x) + 0.1*x")
    found = variants(expr, None, grammar("pointwise-trained"), prune=False)
    assert {(own.origin, str(own.expr)) for own in found} == {
        ("released", "param(0.5)*tanh(param(0.5, 1)*x) + 0.1*x"),
        ("released", "param(0.5)*tanh(0.5*x) + param(0.1)*x"),
        ("held", "0.5*tanh(0.5*x) + 0.1*x"),
    }
    assert not variants(parse("0.5*tanh(x)"), None, grammar("pointwise"), prune=False)
