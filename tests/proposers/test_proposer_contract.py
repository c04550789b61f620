"""Every proposer keeps the contract, and searches are independent of threads and global state."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_runs import SHORT

import symact
from contracts.proposers import (
    GRAMMAR,
    OUTSIDE,
    ProposerContract,
    evaluated,
    global_state,
    in_threads,
)
from symact.evaluation import Plan
from symact.expr import parse, show
from symact.grammar import Grammar
from symact.proposers import (
    AbstractProposer,
    EnumerationProposer,
    EvaluatedProposal,
    Evolution,
    GeneticProposer,
    ProcessProposer,
    RandomProposer,
    ReplayProposer,
    adapt,
    make_proposer,
)

SEEDS = tuple(map(parse, ("relu(x)", "gelu(x)", "log(x)", "x*tanh(softplus(x))")))

PROGRAM = f"""
import json, sys
formulas, asked = {OUTSIDE!r}, 0
for line in sys.stdin:
    message = json.loads(line)
    asked += len(message.get("tell", []))
    if "ask" in message:
        print(json.dumps(formulas[asked : asked + message["ask"]]), flush=True)
"""


class Counting:
    """An object with ``ask`` and ``tell`` that goes through a list."""

    def __init__(self) -> None:
        self.index = 0

    def ask(self, count: int) -> list[str]:
        return OUTSIDE[self.index : self.index + count]

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        self.index += len(results)

    def state(self) -> dict[str, int]:
        return {"index": self.index}

    def restore(self, state: dict[str, int]) -> None:
        self.index = state["index"]


class TestGeneticProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        evolution = Evolution(population=18, islands=3, migration_every=30, selection="nsga3")
        return GeneticProposer(GRAMMAR, seed=3, evolution=evolution, seeds=SEEDS)


class TestLexicaseProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        evolution = Evolution(population=18, islands=2, selection="lexicase", diversity="novelty")
        return GeneticProposer(GRAMMAR, seed=3, evolution=evolution, seeds=SEEDS)


class TestRandomProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        return RandomProposer(GRAMMAR, seed=3, seeds=SEEDS)


class TestEnumerationProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        return EnumerationProposer(GRAMMAR)


class TestReplayProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        file = folder / "proposals.jsonl"
        file.write_text("\n".join(map(json.dumps, OUTSIDE)))
        return ReplayProposer(GRAMMAR, file)


class TestProcessProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        program = folder / "program.py"
        program.write_text(PROGRAM)
        return ProcessProposer(GRAMMAR, f"{sys.executable} {program}")


class TestAdaptedProposer(ProposerContract):
    def proposer(self, folder: Path) -> AbstractProposer:
        return adapt(Counting(), GRAMMAR)


# The end of proposals.
def test_a_replay_is_finished_when_all_its_lines_were_evaluated(tmp_path):
    file = tmp_path / "proposals.jsonl"
    file.write_text(json.dumps("sin(x)") + "\n" + json.dumps("cos(x)"))
    proposer = ReplayProposer(GRAMMAR, file)
    proposals = proposer.ask(5)
    assert len(proposals) == 2
    proposer.tell([evaluated(proposals[0])])
    assert not proposer.finished
    proposer.tell([evaluated(proposals[1])])
    assert proposer.finished
    assert proposer.ask(5) == []


def test_a_process_is_finished_after_three_failures_in_a_row():
    proposer = ProcessProposer(GRAMMAR, f"{sys.executable} -c 0", seconds=5.0)
    for number in range(3):
        assert not proposer.finished
        assert [one.refused != "" for one in proposer.ask(2)] == [True]
        assert len(proposer.trouble) == number + 1
    assert proposer.finished


def test_an_object_says_itself_whether_it_is_finished():
    inner = Counting()
    proposer = adapt(inner, GRAMMAR)
    assert not proposer.finished
    inner.finished = True
    assert proposer.finished


def test_an_enumeration_ends_with_its_grammar():
    tiny = Grammar.parse("[productions]\ntanh = 1\n[limits]\nnodes = 2")
    proposer = EnumerationProposer(tiny)
    assert [show(p.expr) for p in proposer.ask(9)] == ["x", "tanh(x)"]
    assert proposer.ask(9) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [("gp", GeneticProposer), ("random", RandomProposer), ("enumerate", EnumerationProposer)],
)
def test_a_text_names_a_proposer(text, kind):
    assert isinstance(make_proposer(text, GRAMMAR, seed=1), kind)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Told", "EvaluatedProposal"),
        ("gp", "GeneticProposer"),
        ("enumerate_all", "EnumerationProposer"),
        ("make", "make_proposer"),
    ],
)
def test_a_former_name_warns_and_works(old, new):
    with pytest.warns(DeprecationWarning, match=f"proposers.{old} is deprecated; use .*{new}"):
        assert getattr(symact.proposers, old) is getattr(symact.proposers, new)


# Whole searches.
PLAN = Plan(
    mini_networks=2,
    mini_draws=1,
    full_networks=1,
    full_draws=1,
    selection_networks=1,
    finalists=2,
    generation=8,
    refine_share=0.1,
)


def found(seed: int) -> tuple[Any, ...]:
    """Return all that a search finds, its finalists in their short form."""
    evolution = Evolution(population=24, selection="nsga3")
    result = symact.search(
        "pointwise", SHORT, budget=24, seed=seed, plan=PLAN, evolution=evolution, threads=1
    )
    assert result.counts["full"] > 0
    return result.to_frame().to_csv(), [(one.formula, one.ood) for one in result.front]


def test_searches_in_two_threads_find_what_they_find_one_after_another():
    expected = [found(seed) for seed in (0, 1)]
    assert in_threads([lambda: found(0), lambda: found(1)]) == expected


def test_a_search_leaves_no_trace_in_global_state():
    torch = pytest.importorskip("torch")
    found(0)  # what is imported on the way may set things up
    state, threads = global_state(), torch.get_num_threads()
    found(0)
    assert global_state() == state
    assert torch.get_num_threads() == threads
