"""The contract of proposers as tests. A subclass makes the proposer."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symact.expr import parse, show
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.proposers import AbstractProposer, EvaluatedProposal, Proposal, RandomProposer

GRAMMAR = Grammar.load("pointwise")
OUTSIDE = [show(p.expr) for p in RandomProposer(GRAMMAR, seed=9).ask(500)]


def evaluated(proposal: Proposal) -> EvaluatedProposal:
    """Scores that depend on the formula alone; some candidates are rejected."""
    if proposal.refused:
        return EvaluatedProposal(proposal.expr, None, "refused", tag=proposal.tag)
    numbers = hashlib.sha256(show(proposal.expr).encode()).digest()
    if numbers[0] < 60:
        return EvaluatedProposal(proposal.expr, None, "flat", tag=proposal.tag)
    ood, id_error, error, *cases = (number / 64 - 3 for number in numbers[1:7])
    objectives = (ood, id_error, float(flops(proposal.expr)))
    return EvaluatedProposal(proposal.expr, objectives, "passed", error, tuple(cases), proposal.tag)


def turns(proposer: AbstractProposer, count: int = 3, each: int = 12) -> list[list[Proposal]]:
    asked = []
    for _ in range(count):
        asked.append(proposer.ask(each))
        proposer.tell([evaluated(proposal) for proposal in asked[-1]])
    return asked


Make = Callable[[], AbstractProposer]


class ProposerContract:
    """What a search relies on; a subclass says how its proposer is made."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterable[Make]:
        made: list[AbstractProposer] = []

        def make() -> AbstractProposer:
            made.append(self.proposer(tmp_path))
            return made[-1]

        yield make
        for proposer in made:
            proposer.close()

    def proposer(self, folder: Path) -> AbstractProposer:
        raise NotImplementedError

    @pytest.mark.parametrize("count", [1, 5, 30])
    def test_at_most_as_many_as_asked_for(self, make, count):
        proposer = make()
        for _ in range(3):
            proposals = proposer.ask(count)
            assert 0 < len(proposals) <= count
            assert all(isinstance(proposal, Proposal) for proposal in proposals)
            proposer.tell([evaluated(proposal) for proposal in proposals])

    def test_candidates_are_within_the_limits(self, make):
        limits = GRAMMAR.limits
        for proposal in [one for asked in turns(make(), 6, 20) for one in asked]:
            assert not proposal.refused
            assert proposal.origin
            assert proposal.expr.size <= limits.nodes
            assert proposal.expr.depth <= limits.depth
            assert flops(proposal.expr) <= limits.flops

    def test_a_restored_proposer_goes_on_as_if_nothing_had_happened(self, make):
        proposer = make()
        for _ in range(3):
            turns(proposer, 2)
            state = json.loads(json.dumps(proposer.state(), allow_nan=False))
            restored = make()
            restored.restore(state)
            assert restored.state() == proposer.state()
            assert turns(restored, 2) == turns(proposer, 2)

    def test_any_legal_result_is_taken(self, make):
        proposer = make()
        proposals = proposer.ask(12)
        scores = [None, (math.nan, 0.0, 1.0), (math.inf, math.inf, 1.0), (-1.0, -2.0, 9.0)]
        results = [
            EvaluatedProposal(p.expr, scores[i % 4], "passed" if scores[i % 4] else "flat")
            for i, p in enumerate(proposals)
        ]
        proposer.tell([])
        proposer.tell(results[:5])  # a budget may end within a generation
        proposer.tell([EvaluatedProposal(parse("sin(x)"), (0.0, 0.0, 4.0))])  # asked by nobody
        proposer.tell([EvaluatedProposal(parse("x"), None, "refused")])
        proposer.revalue(lambda exprs: [(0.0, 0.0, float(i)) for i, _ in enumerate(exprs)])
        assert proposer.ask(4)

    def test_closing_twice_is_closing_once(self, make):
        proposer = make()
        proposer.close()
        proposer.ask(3)
        proposer.close()
        proposer.close()

    def test_one_that_can_still_propose_is_not_finished_and_has_no_trouble(self, make):
        proposer = make()
        turns(proposer, 2)
        assert not proposer.finished
        assert proposer.trouble == []

    def test_the_same_seed_proposes_the_same(self, make):
        assert turns(make()) == turns(make())

    def test_proposers_in_threads_propose_what_they_propose_one_after_another(self, make):
        expected = turns(make(), 4, 25)
        proposers = [make() for _ in range(3)]
        found: list[Any] = in_threads([lambda own=own: turns(own, 4, 25) for own in proposers])
        assert found == [expected] * 3

    def test_global_state_is_neither_used_nor_changed(self, make):
        before = global_state()
        asked = []
        try:
            for seed in (1, 2):
                random.seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                outer = global_state()
                proposer = make()
                asked.append(turns(proposer))
                proposer.restore(proposer.state())
                assert global_state() == outer
        finally:
            random.setstate(before["random"])
            np.random.seed(None)  # noqa: NPY002
        assert asked[0] == asked[1]


def in_threads(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run functions at the same time, switching often, and return their results."""
    results: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        results[index] = works[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return results


def global_state() -> dict[str, Any]:
    kind, numbers, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "random": random.getstate(),
        "numpy": (kind, numbers.tobytes(), *rest),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "alarm": (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)),
        "trace": (sys.gettrace(), threading.gettrace()),
    }
