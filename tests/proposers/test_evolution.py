"""The parts of evolution: each can be switched, and each does what it is there for."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from symact.errors import SymactError
from symact.evaluation.behaviour import behaviour
from symact.expr import Expr, parse, show
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.proposers import (
    AbstractProposer,
    EvaluatedProposal,
    Evolution,
    GeneticProposer,
    Proposal,
)
from symact.proposers.evolution import Diversity, Selection
from symact.proposers.population import Individual, select

GRAMMAR = Grammar.load("pointwise")
SEEDS = tuple(map(parse, ("relu(x)", "gelu(x)", "x*tanh(softplus(x))", "x + sin(x)**2")))
PARTS = [
    {"selection": selection, "diversity": diversity, "archive": archive, "islands": islands}
    for selection, diversity, archive, islands in itertools.product(
        get_args(Selection), get_args(Diversity), (True, False), (1, 3)
    )
]
each_combination = pytest.mark.parametrize(
    "parts", PARTS, ids=["-".join(map(str, parts.values())) for parts in PARTS]
)


def evolver(parts: dict) -> AbstractProposer:
    evolution = Evolution(**{"population": 18, "migration_every": 30, **parts})
    return GeneticProposer(GRAMMAR, seed=5, evolution=evolution, seeds=SEEDS)


def told(proposal: Proposal, families: int = 3) -> EvaluatedProposal:
    """Scores that depend on the formula alone; some candidates are rejected."""
    numbers = hashlib.sha256(show(proposal.expr).encode()).digest()
    if numbers[0] < 60:
        return EvaluatedProposal(proposal.expr, None, "flat", tag=proposal.tag)
    ood, id_error, error, *cases = (number / 64 - 3 for number in numbers[1 : 4 + families])
    objectives = (ood, id_error, float(flops(proposal.expr)))
    return EvaluatedProposal(proposal.expr, objectives, "passed", error, tuple(cases), proposal.tag)


def evolve(
    proposer: AbstractProposer, waiting: Sequence[Proposal] = (), turns: int = 4, families: int = 3
) -> list[list[Proposal]]:
    """Ask for the next proposals before the last ones are told."""
    asked = []
    for _ in range(turns):
        asked.append(proposer.ask(15))
        if waiting:
            proposer.tell([told(one, families) for one in waiting])
        waiting = asked[-1]
    return asked


def parents_of(proposals: Sequence[Proposal]) -> Counter[str]:
    return Counter(parent for proposal in proposals for parent in proposal.parents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": "nsga"}, "selection: unknown 'nsga'; did you mean 'nsga"),
        ({"selection": "lexicas"}, "did you mean 'lexicase'"),
        ({"diversity": "novel"}, "diversity: unknown 'novel'; did you mean 'novelty'"),
        ({"diversity": "x"}, "diversity: unknown 'x'; .*age, novelty, none"),
        ({"population": 0}, "population: expected at least 1, got 0"),
        ({"islands": 0}, "islands: expected at least 1, got 0"),
        ({"migration_every": 0}, "migration_every: expected at least 1, got 0"),
        ({"population": 9, "islands": 5}, "population: 5 islands need at least 10 .* got 9"),
        ({"migrants": -1}, "migrants: expected 0 to 24 .* got -1"),
        ({"population": 12, "islands": 4, "migrants": 4}, "migrants: expected 0 to 3 .* got 4"),
    ],
)
def test_what_makes_no_evolution_is_refused_in_one_line_with_the_nearest_choice(changes, message):
    with pytest.raises(SymactError, match=f"^evolution, .*{message}") as caught:
        Evolution(**changes)
    assert "\n" not in str(caught.value)


@each_combination
def test_each_combination_proposes_sentences_within_the_limits_the_same_under_a_seed(parts):
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    asked = []
    try:
        for seed in (1, 2):  # of the global numbers, which have no say
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            outer = random.getstate(), np.random.get_state()  # noqa: NPY002
            asked.append(evolve(evolver(parts)))
            assert random.getstate() == outer[0]
            np.testing.assert_equal(np.random.get_state(), outer[1])  # noqa: NPY002
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
    assert asked[0] == asked[1]
    limits = GRAMMAR.limits
    for proposal in itertools.chain.from_iterable(asked[0]):
        GRAMMAR.check(proposal.expr)
        assert proposal.expr.size <= limits.nodes
        assert proposal.expr.depth <= limits.depth
        assert flops(proposal.expr) <= limits.flops
    assert parents_of(asked[0][-1])


@pytest.mark.parametrize("families", [1, 3])
@each_combination
def test_each_combination_goes_on_after_a_restart_as_if_nothing_had_happened(parts, families):
    """Also where proposals were asked for and not told about."""
    proposer = evolver(parts)
    waiting: list[Proposal] = []
    for _ in range(3):
        waiting = evolve(proposer, waiting, 2, families)[-1]
        state = json.loads(json.dumps(proposer.state(), allow_nan=False))
        restored = evolver(parts)
        restored.ask(2)
        restored.restore(state)
        expected = evolve(proposer, waiting, 3, families)
        assert evolve(restored, waiting, 3, families) == expected
        assert restored.state() == proposer.state()
        waiting = expected[-1]


CANDIDATES = ["tanh(x)", "sin(x)", "relu(x)", "gelu(x)", "x*tanh(x)", "softplus(x)", "abs(x)", "x"]


def given_to(texts: dict[str, EvaluatedProposal], **parts) -> AbstractProposer:
    """Evolution that was told of some functions and of nothing else."""
    evolution = Evolution(**{"islands": 1, "migrants": 0, "archive": False, **parts})
    proposer = GeneticProposer(GRAMMAR, seed=0, evolution=evolution)
    proposer.tell(list(texts.values()))
    return proposer


def scored(
    text: str, error: float, cases: tuple[float, ...] = (), tag: tuple = ()
) -> EvaluatedProposal:
    return EvaluatedProposal(parse(text), (error, error, 10.0 + error), "passed", error, cases, tag)


def test_lexicase_has_children_of_a_specialist_that_a_tournament_passes_by():
    even = {text: scored(text, 0.01 * i, (0.0, 0.0, 0.0)) for i, text in enumerate(CANDIDATES[:-1])}
    everyone = {**even, "x": scored("x", 1.0, (-2.0, 2.5, 2.5))}
    shares = {}
    for selection in ("lexicase", "nsga2"):
        proposer = given_to(everyone, population=8, selection=selection, diversity="none")
        parents = parents_of(proposer.ask(300))
        shares[selection] = parents["x"] / parents.total()
    assert shares["lexicase"] > 0.15
    assert shares["nsga2"] < 0.05


@settings(max_examples=examples(60))
@given(
    errors=st.lists(st.floats(-3, 3), min_size=2, max_size=30),
    count=st.integers(2, 12),
    selection=st.sampled_from(get_args(Selection)),
    diversity=st.sampled_from(get_args(Diversity)),
)
def test_survivors_are_as_many_as_fit_the_best_among_them(errors, count, selection, diversity):
    pool = [
        Individual(parse(f"sin({i + 1}*x)"), (-error, error, float(i % 5)), error, (error, 0.0), i)
        for i, error in enumerate(errors)
    ]
    evolution = Evolution(selection=selection, diversity=diversity)
    kept = select(list(pool), count, evolution, random.Random(0))
    assert len({id(one) for one in kept}) == len(kept) == min(count, len(pool))
    assert {id(one) for one in kept} <= {id(one) for one in pool}
    found = [one.error for one in kept]
    assert found == sorted(found)
    elite = max(1, round(0.3 * count))
    assert found[:elite] == sorted(errors)[: min(elite, len(kept))]


def chain(exprs: Sequence[Expr], births: Sequence[int]) -> list[Individual]:
    """Individuals of which each is worse than the one before in everything."""
    return [
        Individual(expr, (float(i), float(i), float(i)), float(i), (float(i),) * 3, born)
        for i, (expr, born) in enumerate(zip(exprs, births, strict=True))
    ]


@pytest.mark.parametrize("selection", ["nsga2", "lexicase"])
def test_a_newborn_lives_beside_older_and_better_ones_where_age_counts(selection):
    pool = chain([parse(f"tanh({i + 1}*x)") for i in range(30)], [0] * 29 + [100])
    for diversity in ("age", "none"):
        evolution = Evolution(selection=selection, diversity=diversity)
        kept = select(list(pool), 8, evolution, random.Random(0))
        assert (pool[-1] in kept) == (diversity == "age")


@pytest.mark.parametrize("selection", ["nsga2", "lexicase"])
def test_an_outlier_lives_beside_better_ones_where_novelty_counts(selection):
    exprs = [parse(f"tanh({1 + i / 100}*x)") for i in range(29)]
    pool = chain([*exprs, parse("cos(3*x)")], [0] * 30)
    for diversity in ("novelty", "none"):
        evolution = Evolution(selection=selection, diversity=diversity)
        kept = select(list(pool), 8, evolution, random.Random(0))
        assert (pool[-1] in kept) == (diversity == "novelty")


def test_a_child_is_as_old_as_its_oldest_ancestor():
    ages = {"tanh(x)": 3, "sin(x)": 7, "relu(x)": 5}
    everyone = {text: scored(text, 0.0, tag=(0, born)) for text, born in ages.items()}
    for proposal in given_to(everyone, population=6).ask(200):
        born = [ages[parent] for parent in proposal.parents]
        assert proposal.tag == (0, min(born, default=len(ages)))


def test_parents_come_from_the_archive_where_there_is_one_and_are_the_best_of_their_kind():
    """A population of two has no place for the kinks and waves that the archive keeps."""
    errors = {"tanh(x)": 0.0, "tanh(2*x)": 0.1, "abs(x)": 2.0, "abs(2*x)": 3.0, "sin(x)": 4.0}
    kinds = {text: behaviour(parse(text)).key for text in errors}
    assert kinds["abs(x)"] == kinds["abs(2*x)"]
    assert len(set(kinds.values())) == 3
    everyone = {text: scored(text, error) for text, error in reversed(errors.items())}
    for archive, others in ((True, {"abs(x)", "sin(x)"}), (False, set())):
        proposer = given_to(everyone, population=2, diversity="none", archive=archive)
        assert set(parents_of(proposer.ask(300))) == {"tanh(x)", "tanh(2*x)"} | others


def test_the_best_of_an_island_are_copied_to_the_next_one():
    everyone = {
        "tanh(x)": scored("tanh(x)", 0.0, tag=(0, 0)),
        "sin(x)": scored("sin(x)", 0.5, tag=(0, 0)),
        "relu(x)": scored("relu(x)", 1.0, tag=(1, 0)),
        "abs(x)": scored("abs(x)", 2.0, tag=(1, 0)),
    }
    proposer = given_to(everyone, population=8, islands=2, migration_every=5, migrants=1)
    home = {0: {"tanh(x)", "sin(x)"}, 1: {"relu(x)", "abs(x)"}}
    for _ in range(2):
        asked = proposer.ask(200)
        for island, expected in home.items():
            assert set(parents_of([p for p in asked if p.tag[0] == island])) == expected
        proposer.tell([EvaluatedProposal(parse("x"), None)])  # the fifth: now they migrate
        home = {0: home[0] | {"relu(x)"}, 1: home[1] | {"tanh(x)"}}


def test_islands_ask_in_turn_and_what_has_no_island_comes_to_all_of_them():
    evolution = Evolution(population=12, islands=3)
    proposer = GeneticProposer(GRAMMAR, seed=0, evolution=evolution)
    assert [p.tag[0] for p in proposer.ask(7)] == [0, 1, 2, 0, 1, 2, 0]
    proposer.tell([scored("tanh(x)", 0.0)])
    asked = proposer.ask(90)
    for island in range(3):
        assert set(parents_of([p for p in asked if p.tag[0] == island])) == {"tanh(x)"}


def test_what_is_told_again_in_a_shorter_form_is_the_same_individual():
    evolution = Evolution(population=12, islands=1, archive=False)
    proposer = GeneticProposer(GRAMMAR, seed=0, evolution=evolution)
    proposer.tell(
        [scored("2*(1.5*tanh(x))", 1.0, tag=(0, 0)), scored("3*tanh(x)", 0.5, tag=(0, 0))]
    )
    assert set(parents_of(proposer.ask(40))) == {"3*tanh(x)"}


def test_a_stored_individual_keeps_its_cases_as_measured_when_it_was_valued_anew():
    told = EvaluatedProposal(parse("silu(x)"), (-1.0, -2.0, 16.0), error=-1.0, cases=(-1.5, -0.5))
    individual = Individual.of(told, 7)
    individual.revalue(-0.9, -1.8, -0.9)
    again = Individual.load(json.loads(json.dumps(individual.dump())))
    assert again.cases == individual.cases == (-1.5, -0.5, -2.0)
    assert again.fitness.values == individual.fitness.values == (-0.9, -1.8, 16.0)
    assert (again.error, again.born) == (-0.9, 7)
