"""What a search starts from."""

from __future__ import annotations

import pytest
from small_runs import SMALL, TINY, run

from symact import zoo
from symact.engine.budget import Budget
from symact.engine.timetable import plan_for
from symact.evaluation import Plan
from symact.expr import parameters, parse
from symact.grammar import Grammar
from symact.proposers import GeneticProposer
from symact.proposers.seeds import known_exprs, seed_exprs

GRAMMAR = Grammar.load("pointwise")


def test_no_function_that_a_language_model_found_is_a_start():
    exprs = set(known_exprs(GRAMMAR))
    for known in zoo.known():
        if "2602.05688" in known.source or "symact" in known.source:
            assert known.expr not in exprs, known.name
    assert {zoo.find(name).expr for name in ("Logish", "Mish", "ELU", "CELU")} <= exprs


def test_a_grammar_with_trained_parameters_starts_from_learnable_functions_too():
    trained = set(known_exprs(Grammar.load("pointwise-trained"))) - set(known_exprs(GRAMMAR))
    assert {zoo.find(name).trained for name in ("ACON-C", "PReLU", "Swish-beta")} <= trained
    assert all(parameters(expr) for expr in trained)


def test_a_grammar_of_other_inputs_has_no_known_functions():
    other = Grammar.parse(
        'name = "two"\n[terminals]\ny = "Real"\nz = "Real"\n[productions]\nadd = 1\n'
    )
    assert known_exprs(other) == ()


@pytest.mark.parametrize(
    ("budget", "start"),
    [
        (Budget(seconds=179), "seeds"),
        (Budget(seconds=180), "known"),
        (Budget(candidates=499), "seeds"),
        (Budget(candidates=500), "known"),
    ],
)
def test_a_small_budget_starts_from_the_seeds_alone(budget, start):
    assert plan_for(budget, Plan()).start == start


def test_the_known_functions_follow_the_seeds_and_are_proposed_once():
    seeds, known = seed_exprs(GRAMMAR), known_exprs(GRAMMAR)
    wanted = tuple(dict.fromkeys((*seeds, *known)))
    proposer = GeneticProposer(GRAMMAR, seed=1, evolution=SMALL, seeds=wanted)
    first = [own.expr for own in proposer.ask(len(wanted))]
    written = [expr for expr in wanted if expr in set(first)]
    assert first[: len(written)] == written
    assert len(written) > 2 * len(seeds)


def test_a_run_starts_as_its_budget_says():
    found = run(budget=20, plan=TINY)
    assert parse("relu(x)") in {parse(text) for text in found.to_frame()["formula"]}
    assert found.config["plan"]["start"] == "seeds"
