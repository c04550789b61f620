"""Ten thousand random functions of the largest grammar pass every fidelity and do no harm."""

from __future__ import annotations

import collections
import time

import numpy as np

from symact.backends import to_latex
from symact.backends.simplify import simplify
from symact.evaluation import Draws, Failed, Fidelity, Job, Outcome, screen
from symact.evaluation.behaviour import kind
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.surrogate import features
from symact.evaluation.training.networks import pack
from symact.expr import parse, show
from symact.expr.canonical import canonical
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.proposers import Evolution, make_proposer
from symact.proposers.local_search import variants
from symact.tasks import task
from symact.tasks.protocol import Training

COUNT = 10_000
#: All that a fidelity does, in small networks for few steps.
SMALL = Training(width=4, depth=2, steps=5, points=16, learning_rate=5e-2)


def test_every_function_is_judged_or_rejected_and_nothing_else_happens(capsys):
    started = time.monotonic()
    grammar = Grammar.load("full")
    proposer = make_proposer("random", grammar, seed=1, evolution=Evolution(), seeds=())
    data = pack(task("polynomial").draw("search", seed=0, per_family=2), SMALL.points, 16)
    mini = Fidelity("mini", 2, (SMALL,), entropy=1)
    full = Fidelity("full", 2, (SMALL,), entropy=501)
    arrays = dict.fromkeys(("mini/0/0", "full/0/0", "tuning"), data)
    evaluator = Evaluator(Draws((mini, full), arrays, 1000), "cpu")
    became: collections.Counter[str] = collections.Counter()
    seen = 0
    while seen < COUNT:
        for proposal in proposer.ask(min(500, COUNT - seen)):
            seen += 1
            expr = proposal.expr
            assert parse(show(expr)) == expr
            assert flops(canonical(expr)) >= 0
            to_latex(expr)
            outcome = screen(expr, max_slope=grammar.max_slope).outcome
            became[outcome] += 1
            simplify(expr, seconds=0)
            # Training has to bear what the screen would have kept from it, too.
            for name in ("mini", "full"):
                (errors,) = evaluator.run([Job(name, expr)])
                assert not isinstance(errors, Failed), (show(expr), errors)
                assert errors.shape == (2, 1, 4)
                became[f"{name}, diverged"] += not np.isfinite(errors).all()
            if outcome == Outcome.PASSED and became["refined"] < COUNT / 100:
                became["refined"] += 1
                simplify(expr, seconds=0.5)
                (tuned,) = evaluator.run([Job("tuning", expr)])
                assert not isinstance(tuned, Failed)
                if tuned is not None:
                    assert not isinstance(evaluator.run([Job("mini", tuned)])[0], Failed)
                for variant in variants(expr, tuned, grammar):
                    screen(variant.expr, max_slope=grammar.max_slope)
            features(expr)
            kind(expr)
    with capsys.disabled():
        print(f"\n{seen} expressions in {time.monotonic() - started:.0f} s: {dict(became)}")
    assert became[Outcome.PASSED] > COUNT / 10
