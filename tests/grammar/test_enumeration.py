"""Enumerating and counting sentences, against brute force that shares nothing with them."""

from __future__ import annotations

import functools
import itertools
import json
from collections import defaultdict

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from symact import zoo
from symact.backends import evaluate
from symact.backends.numba.tape import to_batch
from symact.backends.sampling import SCREEN, fingerprint
from symact.engine import search
from symact.errors import GrammarError
from symact.evaluation import Plan
from symact.expr import Expr, const, parse, substitute, uses_statistics, var
from symact.grammar import (
    DEFAULT_CONSTANTS,
    HOLES,
    Grammar,
    Language,
    SentenceCount,
    default_constants,
)
from symact.grammar.enumeration import (
    Enumeration,
    enumerate_grammar,
    report,
    to_text,
    up_to_scale,
)
from symact.proposers import EnumerationProposer

grammar = functools.cache(Grammar.load)


def brute_force(given: Grammar, constants: tuple[float, ...], nodes: int) -> dict[int, set[Expr]]:
    """All sentences by size: every production with all arguments of its types, again and again."""
    leaves = [*map(var, given.terminals), *map(const, constants)]
    made: dict[tuple[str, int], set[Expr]] = defaultdict(set)
    for wanted in given.types:
        made[wanted, 1] = {leaf for leaf in leaves if given.leaf_type(leaf, wanted)}
    for size in range(1, nodes + 1):
        grown = True
        while grown:  # rules that only rename add nothing to the size
            before = sum(map(len, made.values()))
            for wanted, productions in given.by_type.items():
                for production in productions:
                    for expr in applied(production, made, size):
                        made[wanted, size].add(expr)
            grown = sum(map(len, made.values())) != before
    return {size: made[given.start, size] for size in range(1, nodes + 1)}


def applied(production, made, size):
    for sizes in itertools.product(range(1, size + 1), repeat=len(production.args)):
        hollow = dict(zip(HOLES, map(of_size, sizes), strict=False))
        if substitute(production.template, hollow).size != size:
            continue
        pools = [made[arg, own] for arg, own in zip(production.args, sizes, strict=True)]
        for args in itertools.product(*pools):
            yield substitute(production.template, dict(zip(HOLES, args, strict=False)))


def of_size(size: int) -> Expr:
    """Some expression with so many nodes."""
    return functools.reduce(lambda e, _: Expr("neg", (e,)), range(size - 1), var("y"))


def distinct_by_values(
    sentences: dict[int, set[Expr]], rtol: float = 1e-6, atol: float = 2e-12
) -> dict[int, int]:
    """How many functions appear first at each size, by NumPy and SciPy and a plain tolerance."""
    known: list[np.ndarray] = []
    counts = {}
    for size, exprs in sentences.items():
        before = len(known)
        for expr in exprs:
            values = reference.evaluate(expr, SCREEN.line)
            same = (np.allclose(values, other, rtol, atol, equal_nan=True) for other in known)
            if not any(same):
                known.append(values)
        counts[size] = len(known) - before
    return counts


def counted(found: Enumeration) -> dict[int, int]:
    return {count.size: count.distinct for count in found.counts()}


@pytest.mark.parametrize(
    ("name", "nodes"),
    [("pointwise", 4), ("full", 3), ("swish", 5), ("batch", 3), ("rational", 4), ("periodic", 4)],
)
def test_sentences_are_counted_as_brute_force_counts_them(name, nodes):
    language = Language(grammar(name))
    naive = brute_force(grammar(name), language.constants, nodes)
    count = SentenceCount(language)
    assert {n: count.sentences(n) for n in naive} == {n: len(own) for n, own in naive.items()}
    for exprs in naive.values():
        assert all(language.mask(expr) & language.start for expr in itertools.islice(exprs, 300))


@pytest.mark.parametrize(("name", "nodes"), [("pointwise", 3), ("swish", 4), ("rational", 3)])
def test_functions_are_counted_as_brute_force_counts_them(name, nodes):
    naive = brute_force(grammar(name), default_constants(grammar(name).constants), nodes)
    found = enumerate_grammar(name, nodes=nodes)
    assert counted(found) == distinct_by_values(naive)
    assert found.complete_size == nodes
    for size, exprs in naive.items():
        for expr in exprs:
            placed = found.find(expr)
            assert placed.is_sentence
            assert placed.place is not None
            assert placed.size <= size
            assert placed.first in naive[placed.size]


def test_functions_of_several_terminals_are_enumerated_as_brute_force_does():
    given = Grammar.parse(
        '[terminals]\nx = "Real"\ng = "Positive"\n'
        "[productions]\nadd = 1\nmul = 1\nlog = 1\nmax = 1\n"
        '[[rules]]\nrule = "a*tanh(g)"\nargs = ["Real"]'
    )
    naive = brute_force(given, (), 5)
    count = SentenceCount(Language(given))
    assert {n: count.sentences(n) for n in naive} == {n: len(own) for n, own in naive.items()}
    points = np.random.default_rng(3).normal(0, 2, (2, 64))
    points[1] = np.abs(points[1]) + 0.1
    with np.errstate(all="ignore"):
        tables = {
            expr: tuple(np.round(evaluate(expr, *points, inputs=("x", "g")), 9))
            for own in naive.values()
            for expr in own
        }
    found = enumerate_grammar(given, nodes=5)
    assert {s.expr for s in found} <= set(tables)
    # Points with g > 0 alone cannot tell more functions apart than the screen's can.
    assert len(found) >= len(set(tables.values()))
    assert found.find(parse("g*x", ("x", "g"))).place == found.find(parse("x*g", ("x", "g"))).place
    assert found.find(parse("g - x", ("x", "g"))).place is None


RULES = (
    '[[rules]]\nrule = "0.5*(exp(a) - exp(-a))"\nargs = ["Real"]\n',
    '[[rules]]\nrule = "c*a + (1 - c)*b"\nargs = ["Real", "Real", "PositiveConst"]\n',
    '[[rules]]\nrule = "a*tanh(a)"\nargs = ["Real"]\n',
    '[[rules]]\nrule = "a + a"\nargs = ["NonNegative"]\nresult = "NonNegative"\n',
    '[[rules]]\nrule = "x*tanh(a)"\nargs = ["Real"]\n',
    '[[rules]]\nrule = "a/b"\nargs = ["Real", "Positive"]\n',
)


@st.composite
def small_grammars(draw) -> Grammar:
    names = [
        "add",
        "sub",
        "mul",
        "div",
        "abs",
        "tanh",
        "mul",
        "exp",
        "sqrt",
        "log",
        "tanh",
        "sigmoid",
        "max",
    ]
    names += ["square", "where", "lt"]
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    rules = draw(st.lists(st.sampled_from(RULES), max_size=2, unique=True))
    text = "[constants]\ndistribution = 'choice'\nparameters = [0.5, -2.0]\n[productions]\n"
    text += "".join(f"{name} = 1\n" for name in chosen)
    try:
        small = Grammar.parse(text + "".join(rules))
        SentenceCount(Language(small))
        return small
    except GrammarError:  # a type that nothing produces, or rules that cannot be counted
        return Grammar.parse("[productions]\n" + "tanh = 1\nadd = 1\n")


@settings(max_examples=examples(10))
@given(small_grammars())
def test_any_small_grammar_is_counted_and_enumerated_as_by_brute_force(small):
    language = Language(small)
    nodes = next(n for n in itertools.count(3) if n == 6 or sum_of(language, n + 1) > 300)
    naive = brute_force(small, language.constants, nodes)
    count = SentenceCount(language)
    assert [count.sentences(n) for n in naive] == list(map(len, naive.values()))
    found = enumerate_grammar(small, nodes=nodes)
    # Functions that differ in the eighth digit are told apart or not: both are right.
    fewest, most = (
        sum(distinct_by_values(naive, *tolerances).values()) for tolerances in [(1e-6,), (1e-13, 0)]
    )
    assert fewest <= len(found) <= most
    sentences = set().union(*naive.values())
    assert all(sentence.expr in sentences for sentence in found)
    if all(group.simple for group in language.groups):
        assert sorted(map(count.place, sentences)) == list(range(1, len(sentences) + 1))


@pytest.mark.parametrize("result", ["Real", "NonNegative"])
def test_what_a_rule_and_primitives_both_make_is_counted_once(result):
    rule = f'[[rules]]\nrule = "a*tanh(a)"\nargs = ["Real"]\nresult = "{result}"\n'
    both = Grammar.parse("[productions]\nmul = 1\ntanh = 1\nsqrt = 1\nabs = 1\n" + rule)
    naive = brute_force(both, (), 6)
    count = SentenceCount(Language(both))
    assert [count.sentences(n) for n in naive] == list(map(len, naive.values()))
    assert counted(enumerate_grammar(both, nodes=5)) == distinct_by_values(
        {n: naive[n] for n in range(1, 6)}
    )


def sum_of(language: Language, nodes: int) -> int:
    count = SentenceCount(language)
    return sum(count.sentences(n) for n in range(1, nodes + 1))


def test_every_sentence_is_the_first_with_its_values_and_a_sentence():
    found = enumerate_grammar("pointwise", nodes=4)
    sizes = [sentence.size for sentence in found]
    assert sizes == sorted(sizes)
    values, _ = to_batch([sentence.expr for sentence in found]).evaluate(SCREEN.line)
    marks = [fingerprint(row) for row in values]
    assert len(set(marks)) == len(found)  # the screen tells them apart too
    for sentence in itertools.islice(found, 0, None, 37):
        assert grammar("pointwise").derive(sentence.expr) is not None
        assert found.find(sentence.expr).place == sentence.place
        assert found.sentence(sentence.place) == sentence


def test_the_result_does_not_depend_on_chunks_or_on_what_stays_in_memory():
    usual = enumerate_grammar("pointwise", nodes=4)
    small = Enumeration(grammar("pointwise"), chunk=119, most_stored=10)
    small.extend(nodes=4)
    assert [sentence.expr for sentence in small] == [sentence.expr for sentence in usual]


def test_going_on_finds_what_one_go_finds():
    whole = enumerate_grammar("pointwise", nodes=4)
    parts = Enumeration(grammar("pointwise"))
    for nodes in (1, 3, 4):
        parts.extend(nodes=nodes)
        assert parts.complete_size == nodes
    assert list(map(str, (s.expr for s in parts))) == list(map(str, (s.expr for s in whole)))


def test_a_limit_says_which_sizes_are_complete_and_keeps_the_order():
    whole = enumerate_grammar("pointwise", nodes=4)
    cut = enumerate_grammar("pointwise", limit=1000)
    assert cut.kept == 1000
    assert cut.is_cut
    assert not cut.exhausted
    assert cut.complete_size == 3
    assert [count.complete for count in cut.counts()] == [True, True, True, False]
    assert [s.expr for s in cut] == [s.expr for s in itertools.islice(whole, len(cut))]
    assert "the limit was reached within the next size" in to_text(report(cut))


def test_a_finite_grammar_is_exhausted():
    small = Grammar.parse(
        '[types]\nInput = "Real"\n[terminals]\nx = "Input"\n'
        '[[rules]]\nrule = "tanh(a)"\nargs = ["Input"]\n'
    )
    found = enumerate_grammar(small)
    assert found.exhausted
    assert [str(sentence.expr) for sentence in found] == ["x", "tanh(x)"]
    assert enumerate_grammar("swish", depth=2).exhausted


def core_units() -> dict[int, set[Expr]]:
    """Every core unit b(u1(x), u2(x)) of ``swish``, from its rules alone."""
    rules = grammar("swish").productions
    literals = list(map(const, grammar("swish").constants.parameters))
    pools = {"Input": [var()], "Const": literals}
    pools["PositiveConst"] = [literal for literal in literals if literal.number > 0]

    def results(result: str) -> list[Expr]:
        return [
            substitute(rule.template, dict(zip(HOLES, args, strict=False)))
            for rule in rules
            if rule.result == result
            for args in itertools.product(*(pools[arg] for arg in rule.args))
        ]

    pools["Unary"] = results("Unary")
    units: dict[int, set[Expr]] = defaultdict(set)
    for unit in results("Core"):
        units[unit.size].add(unit)
    return units


@pytest.fixture(scope="module")
def swish_units():
    return enumerate_grammar("swish", depth=2)


def test_all_core_units_of_the_swish_search_are_found_and_swish_among_them(swish_units):
    units, found = core_units(), swish_units
    assert {c.size: c.sentences for c in found.counts() if c.sentences} == {
        size: len(own) for size, own in units.items()
    }
    exprs = [expr for size in sorted(units) for expr in units[size]]
    values, _ = to_batch(exprs).evaluate(SCREEN.line)
    marks = {fingerprint(row) for row in values}
    assert len(found) == len(marks) == 17_587
    swish = found.find(parse("x*sigmoid(x)"))
    assert str(swish.first) == "x*sigmoid(x)"
    assert (swish.size, swish.place) == (4, 15)
    assert found.find(zoo.find("SiLU").expr).place == 15
    assert not found.find(zoo.find("GELUSine").expr).is_sentence


def test_the_other_functions_of_the_swish_paper_are_core_units_or_compositions(swish_units):
    for text in ("max(x, sigmoid(x))", "cos(x) - x", "min(x, sin(x))", "max(x, tanh(x))"):
        assert swish_units.find(parse(text)).place is not None, text


@pytest.mark.parametrize(("name", "number"), [("pointwise", 4_461_719), ("full", 18_936_479)])
def test_where_gelusine_stands_is_counted_and_not_estimated(name, number):
    found = enumerate_grammar(name, nodes=3).find(zoo.find("GELUSine").expr)
    assert (found.size, found.number) == (7, number)
    assert found.smaller < found.number <= found.smaller + found.of_size
    assert not found.is_exact  # an equal sentence of 4 to 6 nodes was not excluded
    assert found.place is None
    assert found.smaller / 10 < found.estimate < found.number


def test_an_estimate_is_near_what_enumeration_finds():
    text = parse("x*tanh(softplus(x))")
    estimate = enumerate_grammar("pointwise", nodes=4).find(text).estimate
    place = enumerate_grammar("pointwise", nodes=5).find(text).place
    assert place / 1.5 < estimate < 1.5 * place


def test_functions_of_batch_statistics_are_not_taken_for_others():
    found = enumerate_grammar("batch", nodes=4)
    assert found.find(parse("x - mean(x)")).first == parse("x - mean(x)")  # not x
    assert found.find(parse("x")).place == 1
    assert any(uses_statistics(sentence.expr) for sentence in found)
    with pytest.raises(GrammarError, match="compared up to scale"):
        up_to_scale(found)


def test_up_to_scale_one_of_each_shape_is_left():
    found = enumerate_grammar("pointwise", nodes=3)
    kept = {str(sentence.expr) for sentence in up_to_scale(found)}
    assert {"x", "tanh(x)", "gelu(x)", "sin(x)"} <= kept
    assert not {"-x", "2*x", "sin(-x)", "-tanh(x)", "tanh(2*x)", "gelu(-x)", "0.1*sin(x)"} & kept
    every = {str(sentence.expr) for sentence in found}
    assert kept < every


def test_constants_are_those_of_the_grammar_or_those_asked_for():
    assert default_constants(grammar("pointwise").constants) == DEFAULT_CONSTANTS
    assert default_constants(grammar("swish").constants) == grammar("swish").constants.parameters
    narrow = (
        "[constants]\ndistribution = 'uniform'\nparameters = [0.0, 1.0]\n[productions]\nadd=1\n"
    )
    assert default_constants(Grammar.parse(narrow).constants) == (0.1, 0.5, 1.0)
    mine = enumerate_grammar("pointwise", nodes=3, constants=[0.3])
    assert mine.find(parse("0.3*x")).place is not None
    assert not mine.find(parse("0.1*x")).is_sentence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": 0}, "nodes must be at least 1"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"depth": 0}, "from 1 to"),
        ({"depth": 99}, "from 1 to"),
        ({"constants": [float("nan")]}, "finite"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(GrammarError, match=message):
        enumerate_grammar("pointwise", **arguments)


def test_literals_for_a_grammar_without_any_are_refused():
    with pytest.raises(GrammarError, match="does not allow literals, got 2"):
        enumerate_grammar(Grammar.parse("[productions]\nadd = 1\n"), constants=[2])


def test_rules_that_may_lie_in_each_other_are_not_counted_but_enumerated():
    rule = '[[rules]]\nrule = "a*tanh(a)"\nargs = ["Real"]\n'
    other = '[[rules]]\nrule = "sin(b*tanh(a))*b"\nargs = ["Real", "Real"]\n'
    nested = Grammar.parse("[productions]\nneg = 1\n" + rule + other)
    with pytest.raises(GrammarError, match="cannot be counted"):
        SentenceCount(Language(nested))
    found = enumerate_grammar(nested, nodes=9)
    assert all(count.sentences is None for count in found.counts())
    assert counted(found) == distinct_by_values(brute_force(nested, (), 9))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(20))
def test_templates_on_rows_have_the_values_of_the_whole_expression(seed):
    rng = np.random.default_rng(seed)
    template = parse("exp(-(c*(a - b)**2)) + 0.5*max(a, x)", ("a", "b", "c", "x"))
    inner = {"a": "gelu(x)", "b": "sin(x)", "c": "0.25*x", "x": "x"}
    points = rng.normal(size=(3, int(rng.integers(1, 700))))
    whole = substitute(template, {name: parse(text) for name, text in inner.items()})
    rows = [evaluate(parse(text), points) for text in inner.values()]
    got = evaluate(template, *rows, inputs=tuple(inner))
    assert np.array_equal(got, evaluate(whole, points))


# The proposer.


def test_the_enumerator_proposes_all_sentences_within_the_limits_in_order():
    proposer = EnumerationProposer(grammar("pointwise"))
    asked = [p.expr for _ in range(6) for p in proposer.ask(60)]
    found = enumerate_grammar("pointwise", nodes=4)
    assert asked == [sentence.expr for sentence in itertools.islice(found, 360)]
    assert {p.origin for p in proposer.ask(3)} == {"enumerated"}


def test_the_enumerator_goes_on_from_a_stored_state():
    proposer = EnumerationProposer(grammar("periodic"))
    proposer.ask(70)
    state = json.loads(json.dumps(proposer.state()))
    again = EnumerationProposer(grammar("periodic"))
    again.restore(state)
    assert again.ask(50) == proposer.ask(50)


def test_the_enumerator_ends_where_the_grammar_does():
    small = Grammar.parse("[productions]\ntanh = 1\n[limits]\nnodes = 4\n")
    proposer = EnumerationProposer(small)
    assert [str(p.expr) for p in proposer.ask(10)][-1] == "tanh(tanh(tanh(x)))"
    assert proposer.ask(10) == []


def test_a_search_by_enumeration_judges_the_smallest_sentences():
    plan = Plan(
        selection_networks=1,
        generation=15,
        mini_networks=1,
        mini_draws=1,
        full_networks=1,
        full_draws=1,
        full_share=0.1,
        finalists=1,
    )
    result = search("pointwise", "polynomial", budget=10, proposer="enumerate", plan=plan)
    frame = result.to_frame()
    assert list(frame["formula"][:4]) == ["x", "-x", "abs(x)", "x**2"]
    assert result.counts["mini"] == 10
