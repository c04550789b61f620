"""Proposers: sentences within the limits, reproducible, and able to learn."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import itertools
import json
import math
import os
import random as global_random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from deap import base, tools
from deap import gp as deap_gp
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from symact.backends import evaluate
from symact.backends.simplify import simplify
from symact.expr import Expr, const, param, parameters, parse, show, substitute, var
from symact.expr.cost import flops
from symact.grammar import HOLES, Grammar, grammar_names
from symact.proposers import (
    AbstractProposer,
    EvaluatedProposal,
    Evolution,
    GeneticProposer,
    Proposal,
    RandomProposer,
)
from symact.proposers.evolution import Diversity, Selection
from symact.proposers.genetic import VARIATION
from symact.proposers.population import survivors
from symact.proposers.reshape import reshape
from symact.proposers.trees import Tree, Trees, draw_constant
from symact.proposers.variation import (
    MUTATIONS,
    cross,
    insert_node,
    perturb_constants,
    replace_node,
    shrink,
)

NAMES = grammar_names()
SEEDS = tuple(map(parse, ("relu(x)", "gelu(x)", "x*tanh(softplus(x))", "x + sin(x)**2")))

grammar = functools.cache(Grammar.load)
trees = functools.cache(lambda name: Trees(grammar(name), global_random.Random(0)))


def verdict(expr: Expr) -> tuple[float, float, float] | None:
    """Scores that depend on the formula alone; some candidates are rejected."""
    digest = hashlib.sha256(show(expr).encode()).digest()
    if digest[0] < 60:
        return None
    return digest[1] / 64 - 3, digest[2] / 64 - 3, float(flops(expr))


def evolver(
    name: str = "pointwise", *, seed: int = 0, population: int, seeds: Sequence[Expr] = SEEDS
) -> AbstractProposer:
    """Genetic programming in one population."""
    evolution = Evolution(population=population, islands=1)
    return GeneticProposer(grammar(name), seed=seed, evolution=evolution, seeds=seeds)


def both_forms(expr: Expr) -> tuple[str, str]:
    """What a parent that was told may be called: as it was proposed, or shorter."""
    return show(expr), show(simplify(expr, seconds=0))


def generations(proposer: AbstractProposer, count: int = 4, each: int = 25) -> list[list[Proposal]]:
    asked = []
    for _ in range(count):
        asked.append(proposer.ask(each))
        proposer.tell([EvaluatedProposal(p.expr, verdict(p.expr)) for p in asked[-1]])
    return asked


def assert_admitted(name: str, expr: Expr) -> None:
    limits = grammar(name).limits
    grammar(name).check(expr)
    assert expr.size <= limits.nodes
    assert expr.depth <= limits.depth
    assert flops(expr) <= limits.flops


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(6))
@given(seed=st.integers(0, 2**63))
def test_every_proposal_is_a_sentence_within_the_limits(name, seed):
    evolved = evolver(name, seed=seed, population=20, seeds=())
    for proposer in (evolved, RandomProposer(grammar(name), seed=seed)):
        for proposals in generations(proposer):
            assert len(proposals) == 25
            for proposal in proposals:
                assert_admitted(name, proposal.expr)


@pytest.mark.parametrize("name", NAMES)
def test_twenty_generations_of_variation_stay_within_the_limits(name):
    evolved = generations(evolver(name, seed=2, population=25), 20, 30)
    assert {"crossover", "uniform"} <= {p.origin for p in evolved[-1]}
    for proposals in evolved:
        for proposal in proposals:
            assert_admitted(name, proposal.expr)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 2**63))
def test_a_tree_and_its_expression_turn_into_each_other(name, seed):
    for proposal in RandomProposer(grammar(name), seed=seed).ask(15):
        tree = trees(name).from_expr(proposal.expr)
        assert tree is not None
        assert folded(name, tree) == proposal.expr
        assert_parts_are_right(name, tree)


def folded(name: str, tree: Sequence[Any]) -> Expr:
    """What a prefix list makes, by the plainest means."""
    productions = {production.name: production for production in grammar(name).productions}
    stack: list[Expr] = []
    for node in reversed(tree):
        if node.arity == 0:
            is_trained = isinstance(getattr(node, "value", None), tuple)
            leaf = param(*node.value) if is_trained else None
            stack.append(leaf or (var() if node.name == "x" else const(node.value)))
        else:
            bindings = {hole: stack.pop() for hole, _ in zip(HOLES, node.args, strict=False)}
            stack.append(substitute(productions[node.name].template, bindings))
    assert len(stack) == 1
    return stack[0]


def assert_parts_are_right(name: str, tree: Tree) -> None:
    plain = deap_gp.PrimitiveTree(tree)
    limits = grammar(name).limits
    for place, (node, part) in enumerate(zip(tree, tree.parts, strict=True)):
        branch = plain.searchSubtree(place)
        assert tree.searchSubtree(place) == branch
        assert issubclass(node.ret, tree.asked(place))
        assert part.expr == folded(name, plain[branch])
        assert part.work >= flops(part.expr)
        assert trees(name).fits(part) == (
            part.expr.size <= limits.nodes
            and part.expr.depth <= limits.depth
            and flops(part.expr) <= limits.flops
        )


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 2**63))
def test_a_changed_tree_knows_what_all_its_branches_make(name, seed):
    made = trees(name)
    grown = [made.from_expr(p.expr) for p in RandomProposer(grammar(name), seed=seed).ask(8)]
    made.rng.seed(seed)
    for tree, other in zip(grown, reversed(grown), strict=True):
        child = tree.copy()
        for mutate in [*MUTATIONS.values()] * 2:
            mutate(child, made)
            assert_parts_are_right(name, child)
        cross(child, other, made)
        assert_parts_are_right(name, child)
        assert_parts_are_right(name, tree)


THE_SAME = {
    "replacement": (replace_node, deap_gp.mutNodeReplacement),
    "insert": (insert_node, deap_gp.mutInsert),
    "shrink": (shrink, lambda tree, pset: deap_gp.mutShrink(tree)),
}


@pytest.mark.parametrize("kind", THE_SAME)
@pytest.mark.parametrize("name", NAMES)
def test_mutations_are_those_of_deap_drawn_from_an_own_stream(name, kind):
    own, deap = THE_SAME[kind]
    exprs = [p.expr for p in RandomProposer(grammar(name), seed=3).ask(60)]
    stream = global_random.random.__self__  # what DEAP draws from
    made = Trees(grammar(name), stream)
    outer, changed = stream.getstate(), 0
    try:
        for number, expr in enumerate(exprs):
            ours, theirs = made.from_expr(expr), made.from_expr(expr)
            stream.seed(number)
            own(ours, made)
            after = stream.getstate()
            stream.seed(number)
            with contextlib.suppress(IndexError):  # no terminal of a type
                deap(theirs, made.pset)
            assert stream.getstate() == after
            assert ours.parts[0].expr == theirs.parts[0].expr
            changed += ours.parts[0].expr != expr
    finally:
        stream.setstate(outer)
    # In swish no primitive takes its own type.
    assert changed > 5 or (name == "swish" and kind != "replacement")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 2**63))
def test_a_wrapped_branch_is_a_typed_branch_with_one_more_literal(name, seed):
    made = trees(name)
    grown = [made.from_expr(p.expr) for p in RandomProposer(grammar(name), seed=seed).ask(8)]
    made.rng.seed(seed)
    for tree in grown:
        place = made.rng.randrange(len(tree))
        old = tree[tree.searchSubtree(place)]
        new = made.wrapped(old, tree.asked(place))
        if new is None:
            continue
        assert len(new) == len(old) + 2
        assert old in (new[1:-1], new[2:])
        tree.put(place, new, made.parts(new))
        assert_parts_are_right(name, tree)
        grammar(name).check(tree.parts[0].expr)


def test_mutations_change_initial_values_and_keep_parameters():
    made = trees("pointwise-trained")
    made.rng.seed(0)
    found = set()
    for _ in range(300):
        tree = made.from_expr(parse("x*sigmoid(param(0.5)*x)"))
        perturb_constants(tree, made)
        found.add(tree.parts[0].expr)
    starts = [own.parameter[0] for expr in found for own in parameters(expr)]
    assert len(starts) == len(found) > 50
    assert found == {parse(f"x*sigmoid(param({start!r})*x)") for start in starts}
    assert sum(0.3 < start < 0.8 for start in starts) > len(starts) / 3


def test_wrapping_adds_literals_and_parameters():
    made = trees("pointwise-trained")
    branch = list(made.from_expr(parse("silu(x)")))
    made.rng.seed(0)
    wrapped = [made.parts(made.wrapped(branch, made.pset.ret))[0].expr for _ in range(200)]
    assert {expr.op for expr in wrapped} == {"add", "sub", "mul", "min", "max"}
    assert 60 < sum(bool(parameters(expr)) for expr in wrapped) < 140


def test_wrapping_scales_shifts_and_cuts_off():
    made = trees("pointwise")
    branch = list(made.from_expr(parse("silu(x)")))
    made.rng.seed(0)
    wrapped = [made.parts(made.wrapped(branch, made.pset.ret))[0].expr for _ in range(200)]
    assert {expr.op for expr in wrapped} == {"add", "sub", "mul", "min", "max"}


def reshaped(expr, count=200):
    rng = global_random.Random(0)
    return [reshape(expr, 2, rng) for _ in range(count)]


def test_reshaping_keeps_the_middle_or_the_slope_there():
    near, far = np.linspace(-0.5, 0.5, 21), np.array([-60.0, 60.0])
    expr = parse("silu(x - 0.3)")
    changed = kept_values = kept_slope = 0
    for new in reshaped(expr):
        changed += not np.allclose(evaluate(new, far), evaluate(expr, far))
        # What is bent is the same up to its knee; what is dilated has the same slope far out, where
        # the function is a line, up to the rounding of two literals.
        kept_values += np.allclose(evaluate(new, near), evaluate(expr, near))
        rise = np.diff(evaluate(new, np.array([50.0, 60.0])))[0]
        kept_slope += rise == pytest.approx(10.0, rel=0.12)
    assert changed > 180  # a width may be rounded to 1
    assert kept_values > 60
    assert kept_slope > 60


def test_reshaping_can_make_what_rises_fall_again():
    ends = [evaluate(new, np.array([10.0, 60.0])) for new in reshaped(parse("silu(x)"))]
    assert 10 < sum(last < first for first, last in ends) < 190


def test_reshaping_can_be_switched_off():
    for switch in (True, False):
        evolution = Evolution(population=30, islands=1, reshape=switch)
        proposer = GeneticProposer(grammar("pointwise"), seed=0, evolution=evolution, seeds=())
        origins = {p.origin for own in generations(proposer, 6, 50) for p in own}
        assert ("reshape" in origins) is switch


def test_literals_drawn_by_their_size_spread_over_it():
    custom = Grammar.parse(
        '[constants]\ndistribution = "log-uniform"\nparameters = [0.1, 10.0]\n[productions]\nmul=1'
    )
    rng = global_random.Random(0)
    drawn = np.array([draw_constant(custom.constants, "Const", rng) for _ in range(2000)])
    positive = [draw_constant(custom.constants, "PositiveConst", rng) for _ in range(200)]
    assert min(positive) > 0
    assert np.all((np.abs(drawn) >= 0.1) & (np.abs(drawn) <= 10.0))
    assert np.mean(np.abs(drawn) < 1.0) == pytest.approx(0.5, abs=0.05)
    assert np.mean(drawn < 0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("parents", ['["Real", "Unit"]', '["Signed", "NonNegative"]', '["Unit"]'])
def test_supertypes_may_stand_in_any_order(parents):
    custom = Grammar.parse(
        f'[types]\nA = {parents}\nB = ["A", "NonNegative", "Real"]\n[productions]\ntanh = 1'
    )
    custom.check(RandomProposer(custom, seed=0).ask(1)[0].expr)


@pytest.mark.parametrize(
    "spec",
    [
        'distribution = "choice"\nparameters = [2.0]',
        'distribution = "uniform"\nparameters = [-0.0001, 0.0001]',
        'distribution = "log-uniform"\nparameters = [1e-7, 0.0001]',
        'distribution = "log-uniform"\nparameters = [0.001, 1000000000.0]',
        "parameters = [0.0, 0.0001]",
        "parameters = [0.0, 1000000000.0]",
    ],
)
def test_literals_at_the_edge_of_what_is_allowed_can_be_drawn(spec):
    custom = Grammar.parse(f"[constants]\n{spec}\n[productions]\nadd = 1\nmax = 1")
    for proposal in RandomProposer(custom, seed=0).ask(50):
        custom.check(proposal.expr)


def test_what_is_no_sentence_has_no_tree():
    assert trees("pointwise").from_expr(parse("log(x)")) is None


def test_all_kinds_of_variation_happen():
    asked = generations(evolver(population=30), 12, 50)
    origins = {proposal.origin for proposals in asked for proposal in proposals}
    kinds = {kind for kind in VARIATION if kind != "random"}
    assert origins == {"seed", "random"} | kinds


def test_parents_are_candidates_that_were_told():
    proposer = evolver(seed=3, population=20)
    told: set[str] = set()
    for _ in range(6):
        proposals = proposer.ask(30)
        for proposal in proposals:
            assert set(proposal.parents) <= told
            assert len(proposal.parents) == {"crossover": 2, "seed": 0, "random": 0}.get(
                proposal.origin, 1
            )
        proposer.tell([EvaluatedProposal(p.expr, verdict(p.expr)) for p in proposals])
        passed = [p.expr for p in proposals if verdict(p.expr) is not None]
        told |= {form for expr in passed for form in both_forms(expr)}


@pytest.mark.parametrize("each", [1, 3, 30])
def test_the_seeds_that_are_sentences_come_first(each):
    no_sentence = parse("log(x)")
    proposer = GeneticProposer(
        grammar("pointwise"), seed=0, seeds=(SEEDS[0], no_sentence, *SEEDS[1:])
    )
    asked = [p for proposals in generations(proposer, 6, each) for p in proposals]
    first = asked[: len(SEEDS)]
    assert [p.expr for p in first] == list(SEEDS)[: len(first)]
    assert all(p.origin == "seed" for p in first)
    assert all(p.origin != "seed" for p in asked[len(SEEDS) :])


def test_one_batch_of_the_genetic_proposer_has_no_expression_twice():
    for proposals in generations(evolver(seed=1, population=40, seeds=()), 8, 60):
        assert len({p.expr for p in proposals}) == len(proposals)


def test_a_tiny_language_runs_out_but_asking_goes_on():
    tiny = Grammar.parse("[productions]\ntanh = 1\n[limits]\nnodes = 2")
    proposer = GeneticProposer(tiny, seed=0, evolution=Evolution(population=5, islands=1))
    for proposals in generations(proposer, 3, 10):
        assert {show(p.expr) for p in proposals} <= {"x", "tanh(x)"}
        assert len(proposals) == 10


REJECTED = [
    None,
    (math.nan, 0.0, 1.0),
    (math.inf, 0.0, 1.0),
    (0.0, math.nan, 1.0),
    (0.0, -math.inf, 1.0),
    (0.0, 0.0, math.nan),
]


@pytest.mark.parametrize("objectives", REJECTED)
def test_what_was_rejected_has_no_children(objectives):
    proposer = evolver(population=10)
    proposals = proposer.ask(20)
    proposer.tell([EvaluatedProposal(p.expr, objectives) for p in proposals])
    assert all(not p.parents for p in proposer.ask(20))


def test_what_was_rejected_does_not_enter_a_population_that_others_are_in():
    proposer = evolver(population=10)
    proposals = proposer.ask(24)
    scores = [*REJECTED, *[(float(i), 0.0, 1.0) for i in range(3)]]
    told = [EvaluatedProposal(p.expr, scores[i % len(scores)]) for i, p in enumerate(proposals)]
    proposer.tell(told)
    accepted = {form for t in told if t.objectives not in REJECTED for form in both_forms(t.expr)}
    parents = {parent for p in proposer.ask(200) for parent in p.parents}
    assert parents
    assert parents <= accepted


def test_the_random_baseline_begins_with_the_same_seeds_and_goes_on_after_a_restart():
    seeds = (parse("silu(x)"), parse("log(x)"), parse("tanh(x)"))
    first = RandomProposer(grammar("pointwise"), seed=4, seeds=seeds)
    asked = first.ask(1)
    second = RandomProposer(grammar("pointwise"), seed=0)
    second.restore(first.state())
    assert [p.expr for p in asked] == [seeds[0]]
    rest = second.ask(4)
    assert [(p.expr, p.origin) for p in rest] == [(p.expr, p.origin) for p in first.ask(4)]
    assert rest[0].expr == seeds[2]
    assert [p.origin for p in rest] == ["seed", "random", "random", "random"]


def test_the_random_baseline_learns_nothing():
    quiet, told = (
        RandomProposer(grammar("pointwise"), seed=5),
        RandomProposer(grammar("pointwise"), seed=5),
    )
    for _ in range(3):
        proposals = told.ask(20)
        assert proposals == quiet.ask(20)
        told.tell([EvaluatedProposal(p.expr, verdict(p.expr)) for p in proposals])


def test_another_seed_gives_other_proposals():
    for kind in (GeneticProposer, RandomProposer):
        first, second = (generations(kind(grammar("pointwise"), seed=s)) for s in (0, 1))
        assert first != second


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["gp", "random"])
def test_a_restored_proposer_goes_on_as_if_nothing_had_happened(name, kind):
    def fresh() -> AbstractProposer:
        if kind == "random":
            return RandomProposer(grammar(name), seed=7)
        return evolver(name, seed=7, population=20)

    proposer = fresh()
    for _ in range(4):
        state = json.loads(json.dumps(proposer.state(), allow_nan=False))
        restored = fresh()
        restored.ask(2)
        restored.restore(state)
        assert restored.state() == proposer.state()
        assert generations(restored, 2, 15) == generations(proposer, 2, 15)
        assert restored.state() == proposer.state()


def test_seeds_that_are_still_waiting_survive_a_restart():
    proposer = GeneticProposer(grammar("pointwise"), seed=0, seeds=SEEDS)
    proposer.ask(1)
    restored = GeneticProposer(grammar("pointwise"), seed=0, seeds=SEEDS)
    restored.restore(proposer.state())
    assert [p.expr for p in restored.ask(3)] == list(SEEDS[1:])


def test_the_global_random_numbers_are_neither_used_nor_disturbed():
    asked = []
    for seed in (1, 2):
        global_random.seed(seed)
        before = global_random.getstate()
        proposer = evolver(population=20)
        asked.append(generations(proposer))
        asked[-1] += generations(RandomProposer(grammar("pointwise"), seed=0))
        proposer.restore(proposer.state())
        trees("pointwise").from_expr(parse("0.5*x"))
        assert global_random.getstate() == before
    assert asked[0] == asked[1]


@functools.cache
def transcript() -> str:
    """Everything that both proposers propose for every grammar, as one text."""
    lines = []
    parts = itertools.cycle(zip(get_args(Selection), get_args(Diversity), strict=True))
    for name, (selection, diversity) in zip(NAMES, parts, strict=False):
        evolution = Evolution(population=16, islands=2, selection=selection, diversity=diversity)
        evolved = GeneticProposer(grammar(name), seed=11, evolution=evolution, seeds=SEEDS)
        for proposer in (evolved, RandomProposer(grammar(name), seed=11)):
            for proposals in generations(proposer, 3, 20):
                lines += [f"{p.origin} {show(p.expr)} {p.parents}" for p in proposals]
    return "\n".join(lines)


def test_the_same_seed_proposes_the_same_in_any_process():
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/support', 'tests/proposers']; "
        "import test_genetic as t; print(t.transcript())"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip() == transcript()


def test_evolution_comes_nearer_to_a_target_than_chance():
    grid = np.linspace(-4, 4, 41)
    target = evaluate(parse("tanh(1.5*x)*gaussian(0.5*x) + 0.3*x"), grid)

    def distance(expr: Expr) -> float:
        with np.errstate(all="ignore"):
            return float(np.sqrt(np.mean((evaluate(expr, grid) - target) ** 2)))

    def best(proposer: AbstractProposer) -> float:
        least = math.inf
        for _ in range(15):
            told = []
            for proposal in proposer.ask(60):
                error = distance(proposal.expr)
                least = min(least, error if math.isfinite(error) else math.inf)
                told.append(
                    EvaluatedProposal(proposal.expr, (error, error, float(flops(proposal.expr))))
                )
            proposer.tell(told)
        return least

    pairs = [
        (
            best(GeneticProposer(grammar("pointwise"), seed=s)),
            best(RandomProposer(grammar("pointwise"), seed=s)),
        )
        for s in range(3)
    ]
    evolved, drawn = zip(*pairs, strict=True)
    assert sum(evolved) < sum(drawn), pairs


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_survivors_are_those_of_nsga2(decimals):
    """Rounded objectives make ties; equal fitnesses share a front."""
    stream = np.random.default_rng(0)
    for count in (1, 17, 60, 100):
        pool = [individual_of(v) for v in np.round(stream.normal(size=(100, 3)), decimals)]
        ours = survivors(list(pool), count)
        theirs = tools.selNSGA2(list(pool), count, nd="standard")
        fronts = tools.sortNondominated(pool, len(pool))
        rank = {id(i): place for place, front in enumerate(fronts) for i in front}
        assert len({id(i) for i in ours}) == len(ours) == count
        assert sorted(rank[id(i)] for i in ours) == sorted(rank[id(i)] for i in theirs)
        if decimals == 6:  # no ties, so that the choice in the last front is one
            assert {id(i) for i in ours} == {id(i) for i in theirs}


class _Fitness(base.Fitness):
    weights = (-1.0, -1.0, -1.0)


class _Individual(list):
    fitness: _Fitness


def individual_of(values):
    individual = _Individual()
    individual.fitness = _Fitness(tuple(values))
    return individual


def test_a_stored_population_is_the_same_trees():
    proposer = evolver("full", seed=5, population=40, seeds=())
    stream = global_random.Random(0)
    for _ in range(3):
        proposals = proposer.ask(60)
        proposer.tell(
            [EvaluatedProposal(p.expr, (stream.random(), stream.random(), 1.0)) for p in proposals]
        )
    restored = evolver("full", seed=5, population=40, seeds=())
    restored.restore(json.loads(json.dumps(proposer.state())))
    assert [p.expr for p in restored.ask(80)] == [p.expr for p in proposer.ask(80)]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        generations(evolver(population=5, seeds=()), 2, 5)
        assert gc.isenabled() == enabled
        with pytest.raises(TypeError):
            RandomProposer(grammar("pointwise"), seed=0).ask("many")
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_proposers_make_no_cycles_that_only_the_collector_could_free():
    proposer = evolver(population=30, seeds=())
    generations(proposer, 2, 30)
    gc.collect()
    generations(proposer, 3, 30)
    assert gc.collect() == 0


def test_what_was_not_asked_is_taken_if_it_is_a_sentence():
    proposer = evolver(population=5, seeds=())
    told = [
        EvaluatedProposal(parse(text), (0.0, 0.0, 1.0))
        for text in ("tanh(x)", "log(x)", "sin(tanh(x))")
    ]
    proposer.tell(told)
    parents = {parent for p in proposer.ask(60) for parent in p.parents}
    assert parents == {"tanh(x)", "sin(tanh(x))"}
