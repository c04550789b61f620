"""Problems: what is searched is an argument of the engine."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import called

from symact.backends import evaluate
from symact.cli.progress import status
from symact.engine import resume, search
from symact.engine.result import load
from symact.errors import GrammarError, StoreError
from symact.evaluation import (
    Draws,
    Fidelity,
    InlineExecutor,
    Plan,
    Problem,
)
from symact.evaluation.jobs import TUNING
from symact.evaluation.training.networks import pack
from symact.expr import parse
from symact.grammar import Grammar
from symact.proposers import adapt
from symact.proposers.evolution import Evolution
from symact.proposers.population import Individual
from symact.tasks import Instance

GRAMMAR = Grammar.parse(
    """
name = "plane"

[terminals]
x0 = "Real"
x1 = "Real"

[productions]
add = 1
sub = 1
mul = 1
sin = 1
cos = 1

[seeds]
zoo = ["x0 + x1"]

[limits]
nodes = 12
depth = 5
flops = 100
"""
)
PLAN = Plan(generation=16, pool=2, full_share=0.25, refine_share=0.05, finalists=3, tune=False)
EVOLUTION = Evolution(diversity="novelty")


def instance(family, scale, seed):
    """Points of y = x0*x1 + sin(x0): one instance whose shells are squares of several sizes."""
    rng = np.random.default_rng(seed)

    def points(size):
        x = rng.uniform(-size, size, (64, 2)).astype(np.float32)
        return x, (x[:, :1] * x[:, 1:] + np.sin(x[:, :1])).astype(np.float32)

    (x, y), (held_out, held_out_y) = points(scale), points(scale)
    shells = [points(scale * factor) for factor in (1.5, 2.0, 3.0)]
    return Instance(
        family, family, x, y, held_out, held_out_y,
        np.stack([x for x, _ in shells]), np.stack([y for _, y in shells]),
    )  # fmt: skip


class RegressionProblem(Problem):
    """Fits y = x0*x1 + sin(x0): the errors are those of the candidate, nothing is trained."""

    name = "product-and-sine"
    description = "this regression"
    variables = ("x0", "x1")
    reference = "sum"
    clip = 8.0
    objectives = ("error_outside", "error_inside", "flops")

    def __init__(self):
        self.baselines = {
            name: self.parse(text) for name, text in {"sum": "x0 + x1", "sine": "sin(x0)"}.items()
        }

    def fidelities(self, plan):
        return (Fidelity("few", 2, draws=2), Fidelity("all", 4, draws=2, share=plan.full_share))

    def final_fidelity(self, plan):
        return Fidelity("selection", 4)

    def draws(self, seed, fidelities):
        data = {
            f"{own.name}/evaluation": pack(
                [
                    instance("small" if i % 2 else "large", 1.0 + i % 2, i)
                    for i in range(own.instances)
                ],
                64,
            )
            for own in fidelities
        }
        return Draws(tuple(fidelities), data, seed)

    def executor(self, executor, threads):
        return InlineExecutor(self.errors)

    def errors(self, draws, job):
        """Mean squared errors over the variance of the targets, ``[instance, 1, 4]``."""
        assert job.fidelity != TUNING
        data = draws.data[f"{job.fidelity}/evaluation"]
        x = data.x_judged.astype(np.float64)
        inputs = (x[:, :, 0].ravel(), x[:, :, 1].ravel())
        value = evaluate(job.expr, *inputs, inputs=self.variables).reshape(
            data.y_judged[:, :, 0].shape
        )
        return (np.square(value - data.y_judged[:, :, 0]).mean(axis=-1) / data.variance)[:, None]


def run(out=None, **changes):
    arguments = {"budget": 600, "seed": 2, "plan": PLAN, "evolution": EVOLUTION}
    return search(GRAMMAR, RegressionProblem(), out=out, **arguments | changes)


def rows(result):
    return result.to_frame().to_csv()


# Another problem.
def test_a_regression_of_two_variables_is_searched_by_the_same_engine():
    result = run()
    best = result.best
    assert best.ood < 1e-6 < 0.1 < result.reference.ood
    x = np.random.default_rng(0).uniform(-9, 9, (2, 50))
    np.testing.assert_allclose(
        evaluate(best.expr, *x, inputs=("x0", "x1")), x[0] * x[1] + np.sin(x[0]), rtol=1e-6
    )
    assert result.reference.formula == "x0 + x1"
    assert result.objectives == RegressionProblem.objectives
    assert list(result.fidelity_spearman) == ["few-all", "all-selection"]


def test_an_interrupted_regression_resumes_exactly(tmp_path):
    def interrupt(progress):
        if progress.counts["seen"] >= 150:
            raise KeyboardInterrupt

    whole = run(budget=300)
    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path / "run", budget=300, on_progress=interrupt)
    assert 0 < load(tmp_path / "run").counts["few"] < 300
    resumed = resume(tmp_path / "run", task=RegressionProblem())
    assert rows(resumed) == rows(whole)
    assert resumed.front == whole.front
    # A run is read without its problem.
    assert [found.expr for found in load(tmp_path / "run").front] == [f.expr for f in whole.front]


def test_a_run_is_not_resumed_with_another_problem(tmp_path):
    run(out=tmp_path / "run", budget=20)
    other = RegressionProblem()
    other.reference = "sine"
    with pytest.raises(StoreError, match=r"has variables x0, x1 and reference sum, not x0, x1 and"):
        resume(tmp_path / "run", task=other)
    with pytest.raises(StoreError, match="its task 'product-and-sine' came from arrays"):
        resume(tmp_path / "run")


# Variables.
def test_a_run_of_another_problem_is_shown_with_its_own_fidelities(tmp_path):
    lines = []
    run(out=tmp_path / "run", budget=40, on_progress=lambda p: lines.append(status(p)))
    shown = called("show", tmp_path / "run")
    assert shown.returncode == 0
    assert "40 evaluated at 'few'" in shown.stdout
    assert any("of sum's" in line for line in lines)
    assert not any("GELU" in line for line in lines)


def test_a_problem_refuses_a_grammar_with_other_terminals():
    gated = Grammar.parse(
        'name = "gated"\n[terminals]\nx = "Real"\ng = "Real"\n[productions]\nmul = 1\ntanh = 1'
    )
    with pytest.raises(GrammarError) as caught:
        search(gated, "polynomial", budget=1)
    assert str(caught.value) == (
        "grammar 'gated' has terminals x, g; an activation search needs x only"
    )
    with pytest.raises(GrammarError, match=r"has terminals x, g; this regression needs x0, x1$"):
        search(gated, RegressionProblem(), budget=1)


def test_functions_of_two_variables_are_screened_and_described_by_both():
    problem = RegressionProblem()
    first, second, product = (problem.parse(text) for text in ("sin(x0)", "sin(x1)", "x0*x1"))
    assert problem.screen(product).outcome == "passed"
    assert problem.screen(problem.parse("x0 - x1")).outcome == "affine"
    assert len({problem.kind(expr) for expr in (first, second, product)}) == 3
    assert not np.array_equal(problem.features(first), problem.features(second))


def test_novelty_tells_two_variables_apart():
    individuals = [
        Individual(parse(text, ("x0", "x1")), (0.0, 0.0, 1.0), inputs=("x0", "x1"))
        for text in ("sin(x0)", "sin(x1)", "3*sin(x1)")
    ]
    one, other, scaled = (individual.signature for individual in individuals)
    assert abs(one @ other) < 0.9
    np.testing.assert_allclose(other, scaled)
    restored = [Individual.load(own.dump(), ("x0", "x1")) for own in individuals]
    assert [own.behaviour for own in restored] == [own.behaviour for own in individuals]


def test_proposals_from_outside_may_use_the_terminals():
    class Mutator:
        def ask(self, count):
            return ["x0*x1", parse("sin(x1)", ("x1",)), "x0 + y"]

        def tell(self, results):
            pass

    proposals = adapt(Mutator(), GRAMMAR).ask(3)
    assert [str(own.expr) for own in proposals[:2]] == ["x0*x1", "sin(x1)"]
    assert [bool(own.refused) for own in proposals] == [False, False, True]
