"""The comparisons of methods at equal time, with problems of a second."""

from __future__ import annotations

import importlib
import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_contest
from small_runs import ONE_CELL

from symact import zoo
from symact.backends import evaluate
from symact.errors import SymactError
from symact.evaluation import Ladder, Plan
from symact.evaluation.cells import CellJudge
from symact.expr import parse, show
from symact.grammar import Grammar
from symact.proposers.random import sentences_of
from symact.tasks.families import population

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "generalist"


@pytest.fixture(scope="module")
def scripts():
    """Import the modules of the benchmark by their names, as their commands do."""
    before, loaded = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(SCRIPTS))
    names = ("contest", "trainings", "former", "methods_of_rivals", "rivals")
    yield {name: importlib.import_module(name) for name in names}
    sys.path[:] = before
    for name in set(sys.modules) - loaded:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(SCRIPTS.parent)):
            del sys.modules[name]


def test_a_run_is_made_judged_and_reported_once(scripts, tmp_path):
    contest, rivals = scripts["contest"], scripts["rivals"]
    best = partial(scripts["methods_of_rivals"].best_known, small_contest.two)
    runs = [contest.Run(contest.Method("two", "the better of two", best), 3, small_contest.silu)]
    said: list[str] = []
    contest.run_all(runs, 60.0, tmp_path, said.append)
    file = tmp_path / "two-3.json"
    kept = file.read_text()
    own = json.loads(kept)
    assert own["formula"] == "silu(x)"
    assert own["evaluations"] == {"mini": 6, "selection": 3}
    assert own["seconds"] < own["process_seconds"] < 60
    said.clear()
    contest.run_all(runs, 60.0, tmp_path, said.append)
    assert said == []
    assert file.read_text() == kept
    with pytest.raises(SymactError, match=r"has 60 s, asked are 9"):
        contest.run_all(runs, 9.0, tmp_path, said.append)

    found = contest.records(tmp_path, ["two"])
    families = population("search", ONE_CELL.families, first=96)
    judged = contest.Judged(CellJudge(families, ONE_CELL), tmp_path, families.name)
    with pytest.raises(SymactError, match="'GELU' is not judged"):
        rivals.report(found, judged)
    found[0]["formula"] = own["formula"] = "x*tanh(x)"  # not a name of the zoo
    asked = ["GELU", "SiLU", "Swish-beta", own["formula"]]
    judged.add(asked, said.append)
    assert said == [f"{place}/4 {name}" for place, name in enumerate(asked, 1)]
    said.clear()
    again = contest.Judged(CellJudge(families, ONE_CELL), tmp_path, families.name)
    again.add(asked, said.append)
    assert said == []
    *_, row = rivals.report(found, again).splitlines()
    ratio = 10 ** float((again.ood(own["formula"]) - again.ood("SiLU")).mean())
    assert row.startswith("| two | 3 |")
    assert f" {ratio:.2f} [" in row


def test_an_unknown_method_and_an_empty_folder_are_one_line(scripts, tmp_path):
    rivals, contest = scripts["rivals"], scripts["contest"]
    with pytest.raises(SymactError, match=r"unknown method 'cma-silo'; did you mean"):
        rivals.methods_of(["cma-silo"], rivals.METHODS)
    with pytest.raises(SymactError, match="has no run of zoo; use the step run first"):
        contest.records(tmp_path, ["zoo"])


def test_constants_come_nearer_to_a_target(scripts):
    problem = small_contest.Target("0.6*silu(0.8*x) + 0.1*x")
    cma = next(own for own in scripts["methods_of_rivals"].METHODS if own.name == "cma-silu")
    chosen = cma.run(problem, 2.0, 0)
    assert problem.distance(parse(chosen.formula)) < 0.3 * problem.distance(parse("silu(x)"))
    jobs = [job for job in problem.jobs if job.fidelity == "full"]
    assert chosen.evaluations["full"] == len(jobs)
    assert {job.draw for job in jobs} == {0, 1}  # in turn


def test_the_best_known_function_is_found(scripts):
    problem = small_contest.Target("x*tanh(softplus(x))")
    methods = scripts["methods_of_rivals"]
    chosen = methods.best_known(methods.known_functions, problem, 5.0, 0)
    assert chosen.formula == show(zoo.find("Mish").expr)
    assert chosen.evaluations["mini"] == 2 * (40 + 1)  # the reference on each of two draws
    assert chosen.evaluations["selection"] == 40 + 1


def test_a_finalist_with_a_larger_id_error_than_the_reference_is_not_chosen(scripts):
    def larger_without_gelu(values):
        return 0.01 if np.allclose(values, evaluate(zoo.find("GELU").expr, small_contest.X)) else 1

    problem = small_contest.Target("silu(x)", larger_without_gelu)
    chosen = scripts["methods_of_rivals"].best_known(small_contest.two, problem, 2.0, 0)
    assert chosen.formula == "gelu(x)"


@pytest.mark.parametrize("name", ["symact", "random", "plain-deap", "replay"])
def test_searches_end_in_time_and_count_what_they_train(scripts, name):
    problem = small_contest.Target("0.5*x + sin(x)")
    method = next(own for own in scripts["methods_of_rivals"].METHODS if own.name == name)
    began = time.monotonic()
    chosen = method.run(problem, 2.0, 1)
    assert time.monotonic() - began < 15
    assert evaluate(parse(chosen.formula), small_contest.X).shape == small_contest.X.shape
    trained = {job.fidelity for job in problem.jobs}
    counts = {own: count for own, count in chosen.evaluations.items() if count}
    assert set(counts) == trained - ({"mini"} if name == "plain-deap" else set()) - {"tuning"}


def test_the_former_fitness_has_the_networks_of_protocol_1(scripts):
    ladder = Ladder(scripts["former"].FormerProblem(), 0, Plan(mini_draws=1, full_draws=1))
    try:
        networks = [t for own in ladder.fidelities for t in own.networks]
        assert {(t.initialisation, t.residual) for t in networks} == {("torch", False)}
        sizes = [(t.width, t.depth, t.steps) for t in networks]
        assert sizes == [(24, 2, 400), (24, 3, 400), (32, 2, 1000), (64, 3, 1000)]
        families = {ladder.families(own.name) for own in (*ladder.fidelities, ladder.final)}
        assert {name for own in families for name in own} == {"polynomial", "harmonic", "feynman"}
        (errors,) = ladder.train("mini", [parse("gelu(x)")])
        assert np.isfinite(errors).all()
    finally:
        ladder.close()


def test_published_functions_are_sentences_with_the_published_values(scripts):
    published = scripts["methods_of_rivals"].PUBLISHED
    functions = [zoo.function(text)[1] for text in published]
    assert len(sentences_of(Grammar.load("pointwise"), functions)) == len(published)
    x = np.linspace(-4, 4, 81)
    turbulent = [
        np.sign(x) * np.log1p(scale * np.abs(x)) + 0.2 * np.exp(-0.5 * x**2) * np.sin(2 * x)
        for scale in (0.5, 1.0)
    ]
    expected = [np.tanh(1.5 * x) * np.exp(-0.2 * x**2) + 0.1 * x, *turbulent]
    for function, values in zip(functions[2:], expected, strict=True):
        np.testing.assert_allclose(evaluate(function, x), values, atol=1e-6)


def rows_of(instances):
    """Return the rows of standardised training inputs and targets."""
    return {
        row.tobytes()
        for own in instances
        for row in np.concatenate([own.x_train, own.y_train], axis=1)
    }


@pytest.mark.parametrize(("split", "first"), [("test", 0), ("search", 96)])
def test_judged_families_share_no_row_with_what_methods_see(split, first):
    problem = small_contest.short()
    fidelities = (*problem.fidelities(Plan()), problem.final_fidelity(Plan()))
    draws = problem.draws(0, fidelities)
    seen = {
        np.concatenate([x[:inputs, point], y[:, point]]).tobytes()
        for data in draws.data.values()
        for x, y, inputs in zip(data.x, data.y, data.inputs, strict=True)
        for point in range(x.shape[1])
    }
    judged = rows_of(population(split, 12, first=first).draw("test", per_family=1))
    assert len(seen) > 1000
    assert len(judged) > 1000
    assert seen.isdisjoint(judged)
