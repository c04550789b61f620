"""Mirror images of functions that a search has seen are duplicates."""

from __future__ import annotations

import json

import pytest
from small_runs import SHORT, go_on

import symact
from symact.evaluation import Outcome, Plan, screen
from symact.expr import Expr, call, parse, show, substitute
from symact.expr.canonical import canonical
from symact.grammar import Grammar, grammar_names
from symact.proposers import RandomProposer
from symact.storage.repository import open_run

MINUS_X = parse("-x")
SMALL = {
    "mini_networks": 2,
    "mini_draws": 1,
    "full_networks": 1,
    "full_draws": 1,
    "selection_networks": 1,
    "finalists": 2,
    "generation": 4,
}


def images(expr: Expr) -> list[Expr]:
    mirrored = substitute(expr, {"x": MINUS_X})
    return [call("neg", expr), mirrored, call("neg", mirrored)]


def key(expr: Expr) -> str:
    return screen(expr, mirrors=True).mirror_key


@pytest.mark.parametrize("name", sorted(set(grammar_names()) - {"full"}))
def test_a_function_and_its_mirror_images_have_one_key(name):
    same = total = 0
    for proposal in RandomProposer(Grammar.load(name), seed=0).ask(100):
        if screen(proposal.expr).outcome is not Outcome.PASSED:
            continue
        for image in images(proposal.expr):
            total += 1
            same += key(image) == key(canonical(image)) == key(proposal.expr)
    assert total > 100
    # Another formula may round to the other side of a limit. All images of a function then differ.
    assert same >= 0.95 * total


@pytest.mark.parametrize(
    ("one", "other"),
    [("gelu(x)", "x - gelu(x)"), ("silu(x)", "x*sigmoid(-x)"), ("softplus(x)", "softplus(x) - x")],
)
def test_an_image_that_is_written_otherwise_has_the_same_key(one, other):
    assert key(parse(one)) == key(parse(other))
    assert screen(parse(one)).fingerprint != screen(parse(other)).fingerprint


@pytest.mark.parametrize("other", ["2*gelu(x)", "gelu(2*x)", "gelu(x) + 1", "gelu(x)*1.001"])
def test_what_trains_otherwise_has_another_key(other):
    assert key(parse("gelu(x)")) != key(parse(other))


def searched(tmp_path, lines: list[str], budget: int = 20, **changes):
    file = tmp_path / "proposals.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return symact.search(
        "pointwise",
        SHORT,
        budget=budget,
        out=tmp_path / "run",
        proposer=f"replay:{file}",
        plan=Plan(**SMALL, **changes),
    )


def outcomes(run) -> list[str]:
    store = open_run(run.path)
    found = [candidate.outcome for candidate in store.candidates()]
    store.close()
    return found


LINES = ["gelu(x)", "x - gelu(x)", "sin(x)*silu(x)", "-gelu(-x)", "sin(x)*silu(-x)", "2*gelu(x)"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 1, 0, 1, 1, 0]),
        ({"dedupe_mirrors": False}, [0, 0, 0, 0, 0, 0]),
        ({"dedupe": False}, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_a_search_trains_one_of_several_mirror_images(tmp_path, changes, expected):
    found = outcomes(searched(tmp_path, LINES, **changes))
    assert found == ["duplicate" if is_known else "passed" for is_known in expected]


def test_a_resumed_search_knows_the_mirror_images_of_what_was_trained(tmp_path):
    lines = ["gelu(x)", "tanh(x)", "x - gelu(x)", "softplus(x)", "softplus(x) - x", "sin(x)"]
    begun = searched(tmp_path, lines, budget=2)
    assert outcomes(begun) == ["passed", "passed"]
    expected = ["passed", "passed", "duplicate", "passed", "duplicate", "passed"]
    assert outcomes(go_on(begun.path, budget=20)) == expected


def test_the_best_known_function_is_not_found_again_as_its_image():
    """A front once showed ``x - gelu(x)``, which is -GELU(-x)."""
    plan = Plan(**{**SMALL, "finalists": 3, "generation": 16})
    found = symact.search("batch", SHORT, budget=30, seed=1, plan=plan)
    table = found.to_frame()
    known = table[table.formula == "x - gelu(x)"].outcome
    assert len(known) > 0
    assert set(known) == {"duplicate"}
    assert show(parse("x - gelu(x)")) not in [one.formula for one in found.front]
