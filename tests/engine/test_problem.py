"""Problems: what is searched is an argument of the engine."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import called
from parametric import NETWORK, START, ParametricProblem, errors
from regression import RegressionProblem

from symact.backends import evaluate
from symact.cli.progress import status
from symact.engine import resume, search
from symact.engine.result import load
from symact.errors import GrammarError, StoreError
from symact.evaluation import Fidelity, Job, Plan, ProcessExecutor
from symact.expr import parse
from symact.grammar import Grammar
from symact.proposers import adapt
from symact.proposers.evolution import Evolution
from symact.proposers.population import Individual
from symact.tasks import task

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


def run(out=None, **changes):
    arguments = {"budget": 600, "seed": 1, "plan": PLAN, "evolution": EVOLUTION}
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


def test_processes_evaluate_functions_of_two_variables():
    worker = Path(__file__).parents[1] / "support" / "regression_worker.py"
    executor = ProcessExecutor(2, command=(sys.executable, str(worker)))
    found = run(budget=20, executor=executor)
    assert found.quarantined == []
    assert rows(found) == rows(run(budget=20))


def test_the_surrogate_tells_errors_apart_within_the_limit_of_the_problem():
    surrogate = RegressionProblem().surrogate(2)
    exprs = [parse(text, ("x0", "x1")) for text in ("x0*x1", "sin(x0)")]
    for number, decades in enumerate((-6.0, -2.0)):
        surrogate.add(number, exprs[number], (decades, decades))
    surrogate.fit()
    (good, fair), _ = surrogate.predict(exprs)
    assert good[0] < -5 < -3 < fair[0]


def test_an_interrupted_regression_resumes_exactly(tmp_path):
    def interrupt(progress):
        if progress.counts["seen"] >= 60:
            raise KeyboardInterrupt

    whole = run(budget=120)
    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path / "run", budget=120, on_progress=interrupt)
    assert 0 < load(tmp_path / "run").counts["few"] < 120
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


# Trained parameters.
def test_parameters_of_a_function_are_trained_with_the_networks():
    problem = ParametricProblem(task("polynomial"))
    draws = problem.draws(0, (Fidelity("only", 2, (NETWORK,)),))
    start = {name: f"{value}" for name, value in START.items()}
    formula = "silu({p}*x) + {q}*x"
    trained = errors(draws, Job("only", problem.parse(formula.format(p="p", q="q"))))
    fixed = errors(draws, Job("only", problem.parse(formula.format(**start))))
    assert trained.shape == (2, 1, 4)
    assert np.all(np.isfinite(trained))
    # Without training of the parameters the two would agree to rounding errors.
    assert np.all(np.abs(trained / fixed - 1) > 1e-3)


def test_functions_with_trained_parameters_are_searched_by_the_same_engine():
    grammar = Grammar.parse(
        'name = "parametric"\n[terminals]\nx = "Real"\np = "Real"\nq = "Real"\n'
        "[productions]\nadd = 1\nmul = 1\nsilu = 1\n"
        '[seeds]\nzoo = ["silu(x)", "p*silu(x) + q*x"]'
    )
    plan = Plan(generation=4, pool=1, finalists=2, full_share=0.5, refine_share=0, tune=False)
    found = search(grammar, ParametricProblem(task("polynomial")), budget=8, plan=plan)
    assert found.counts["short"] == 8
    assert found.quarantined == []
    assert {"p", "q"} & {name for row in found.to_frame()["formula"] for name in row}


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
