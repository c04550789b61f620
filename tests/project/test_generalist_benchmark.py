"""The comparisons of methods at equal time, with problems of a second."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_contest
import torch
from small_runs import ONE_CELL

from symact import zoo
from symact.backends import evaluate
from symact.errors import SymactError
from symact.evaluation import Ladder, Plan
from symact.evaluation.cells import CellJudge
from symact.evaluation.training.mlp import MLPTrainer
from symact.expr import parse, show
from symact.grammar import Grammar
from symact.proposers import Evolution
from symact.proposers.random import sentences_of
from symact.tasks.families import population

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "generalist"


@pytest.fixture(scope="module")
def scripts():
    """Import the modules of the benchmark by their names, as their commands do."""
    before, loaded = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(SCRIPTS))
    names = (
        "contest",
        "trainings",
        "former",
        "methods_of_rivals",
        "rivals",
        "spline",
        "specialists",
    )
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
    assert own["evaluations"] == {"mini": 4, "selection": 2, "full": 2}
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_comparison_leaves_no_process_and_no_file(tmp_path):
    words = ["run", "--methods", "zoo", "--seeds", "0", "--results", str(tmp_path)]
    command = [sys.executable, str(SCRIPTS / "rivals.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert "zoo-0: 300 s" in parent.stdout.readline()
        (children,) = Path(f"/proc/{parent.pid}/task/{parent.pid}").glob("children")
        for _ in range(200):
            started = [Path("/proc", pid) for pid in children.read_text().split()]
            if any(b"spawn_main" in (own / "cmdline").read_bytes() for own in started):
                break
            time.sleep(0.1)
        time.sleep(1)
        parent.kill()
    for _ in range(200):
        if not any(own.exists() for own in started):
            break
        time.sleep(0.1)
    assert not any(own.exists() for own in started)
    assert list((tmp_path / "runs").glob("*.json")) == []


@pytest.mark.parametrize("step", ["run", "judge", "report"])
@pytest.mark.parametrize("script", ["rivals", "specialists"])
def test_each_step_refuses_an_unknown_method(scripts, tmp_path, monkeypatch, script, step):
    words = [step, "--methods", "zoom", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [script, *words])
    with pytest.raises(SystemExit, match=r"error: unknown method 'zoom'; did you mean 'zoo'"):
        scripts[script].main()


def test_an_empty_folder_is_one_line(scripts, tmp_path):
    contest = scripts["contest"]
    with pytest.raises(SymactError, match="has no run of zoo; use the step run first"):
        contest.records(tmp_path, ["zoo"])


def test_each_ablation_differs_from_the_search_and_from_the_others(scripts):
    methods = scripts["methods_of_rivals"].ABLATIONS
    changes = [json.dumps(own.run.keywords, default=dataclasses.asdict) for own in methods]
    usual = {"plan": Plan(), "evolution": Evolution()}
    assert len(set(changes)) == len(changes)
    for own in methods:
        for part, value in own.run.keywords.items():
            assert value != usual.get(part), own.name


def test_constants_come_nearer_to_a_target(scripts):
    problem = small_contest.Target("0.6*silu(0.8*x) + 0.1*x")
    cma = next(own for own in scripts["methods_of_rivals"].METHODS if own.name == "cma-silu")
    chosen = cma.run(problem, 2.0, 0)
    assert problem.distance(parse(chosen.formula)) < 0.3 * problem.distance(parse("silu(x)"))
    assert chosen.evaluations["full"] == len([j for j in problem.jobs if j.fidelity == "full"])


def test_draws_are_taken_in_turn_and_nothing_is_trained_twice(scripts):
    problem = small_contest.Target("silu(x)")
    trainings = scripts["trainings"].Trainings(problem, 300.0, 0)
    silu, relu = parse("silu(x)"), parse("relu(x)")
    for draw in (0, 1, 2, 3):
        better, worse = trainings.above("full", [silu, relu], draw)
        assert better < 0 < worse  # relative to GELU
    jobs = [(job.draw, show(job.expr)) for job in problem.jobs]
    formulas = ("gelu(x)", "silu(x)", "relu(x)")
    assert sorted(jobs) == sorted((draw, own) for draw in (0, 1) for own in formulas)
    assert trainings.counts == {"full": 6}
    trainings.close()


def test_the_best_known_function_is_found(scripts):
    problem = small_contest.Target("x*tanh(softplus(x))")
    methods = scripts["methods_of_rivals"]
    chosen = methods.best_known(methods.known_functions, problem, 5.0, 0)
    assert chosen.formula == show(zoo.find("Mish").expr)
    # The reference is among them. Mini-training has two draws.
    count = len(set(methods.known_functions().values()))
    assert chosen.evaluations["mini"] == 2 * count
    assert chosen.evaluations["selection"] == count


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
        assert len(ladder.families(ladder.final.name)) == 96
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


def test_a_spline_is_a_formula_with_its_values_and_straight_ends(scripts):
    spline = scripts["spline"]
    values = spline.knots() ** 2 / 3 - spline.knots().abs()
    x = np.linspace(-8, 8, 97)
    places, heights = spline.knots().double().numpy(), values.double().numpy()
    expected = np.interp(x, places, heights)
    slope = (heights[-1] - heights[-2]) / (places[-1] - places[-2])
    expected += slope * np.maximum(np.abs(x) - spline.LIMIT, 0)  # it is even
    z = torch.from_numpy(x)[None, None]
    np.testing.assert_allclose(spline.spline(z, values.double()[None])[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(evaluate(spline.formula(values), x), expected, atol=1e-3)


@pytest.fixture(scope="module")
def stacks(scripts):
    """Return the training sets of a draw, and the stacks of the same networks."""
    problem = small_contest.short()
    fidelities = (*problem.fidelities(Plan()), problem.final_fidelity(Plan()))
    sets = problem.draws(0, fidelities).sets("mini", 0)
    return sets, [scripts["spline"].stack_of([own], 7) for own in sets]


def test_networks_with_a_spline_train_as_all_networks_do(scripts, stacks):
    spline = scripts["spline"]
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        for own, stack in zip(*stacks, strict=True):
            values = torch.relu(spline.knots()).expand(len(stack.x), -1)
            state = spline.State.of(stack.layers)
            for step in range(own.training.steps):
                state = state.stepped(stack, step, values, is_kept=False)
            trainer = MLPTrainer(own.data, own.training, [0], 7)
            (future,) = trainer.start(pool, [parse("relu(x)")])
            expected = np.log(future.result()[:, 0] + spline.LEAST).mean(axis=1)
            loss = spline.validation_loss(stack, state.layers, values).detach()
            np.testing.assert_allclose(loss, expected, rtol=1e-3, atol=1e-3)
            seen.add((own.training.initialisation, own.training.residual))
    assert len(seen) == 8


def loss_after_a_step(spline, stack, state, moments, values):
    """Return the validation loss after step 9 of Adam with given second moments."""
    kept = state.stepped(stack, 9, values, is_kept=True)
    layers = []
    for before, after, own, given in zip(
        state.layers, kept.layers, kept.second, moments, strict=True
    ):
        own, given = ((v / (1 - 0.999**10)).sqrt() + spline.EPSILON for v in (own, given))
        layers.append(before + (after - before) * own / given)
    return spline.validation_loss(stack, layers, values)


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_gradient_of_knots_is_that_of_finite_differences(scripts, stacks, kind):
    spline = scripts["spline"]
    stack = next(own for own in stacks[1] if own.training.residual == (kind == "residual"))
    fields = {f.name: getattr(stack, f.name) for f in dataclasses.fields(stack)}
    tensors = {name: own.double() for name, own in fields.items() if torch.is_tensor(own)}
    layers = [own.double() for own in stack.layers]
    stack = dataclasses.replace(stack, layers=layers, **tensors)
    values = torch.nn.functional.gelu(spline.knots().double())
    own = values.expand(len(stack.x), -1)
    state = spline.State.of(layers)
    for step in range(9):
        state = state.stepped(stack, step, own, is_kept=False)
    found = spline.knot_gradient(stack, state, 9, values)  # the last of ten steps
    # The gradient does not pass through the second moments.
    moments = state.stepped(stack, 9, own, is_kept=False).second
    for knot in (18, 20, 22, 30):
        moved = torch.zeros_like(values)
        moved[knot] = 1e-6
        up, down = (
            loss_after_a_step(spline, stack, state, moments, own + change).detach()
            for change in (moved, -moved)
        )
        np.testing.assert_allclose(found[:, knot], (up - down) / 2e-6, rtol=1e-3, atol=1e-5)


def test_one_network_cannot_dominate_a_step_of_the_knots(scripts):
    spline = scripts["spline"]
    gradients = torch.tensor([[3e9, 4e9], [float("nan"), 1.0], [float("inf"), 0.0], [0.3, 0.4]])
    np.testing.assert_allclose(spline.limited(gradients), [0.9 / 4, 1.2 / 4], rtol=1e-6)


def test_a_spline_is_learned_in_time(scripts):
    began = time.monotonic()
    chosen = scripts["spline"].meta_learned(small_contest.short(), 4.0, 0)
    assert time.monotonic() - began < 20
    assert "relu(" in chosen.formula
    assert chosen.evaluations["mini"] > 0
    assert chosen.evaluations["selection"] > 1


def test_the_lot_has_two_families_of_each_stratum_and_is_the_same_in_each_process(scripts):
    numbers = scripts["specialists"].lot(96)
    assert len(set(numbers)) == 24
    assert all(96 <= own < 192 for own in numbers)
    assert sorted(own % 12 for own in numbers) == sorted([*range(12), *range(12)])
    assert numbers[:4] == [123, 154, 168, 167]


def test_specialists_are_judged_on_draws_of_their_family_that_no_method_sees(scripts):
    specialists = scripts["specialists"]
    problem = specialists.family_problem("search", 96)
    fidelities = (*problem.fidelities(Plan(mini_draws=1)), problem.final_fidelity(Plan()))
    seen = {
        np.concatenate([x[:inputs, point], y[:, point]]).tobytes()
        for data in problem.draws(0, fidelities).data.values()
        for x, y, inputs in zip(data.x, data.y, data.inputs, strict=True)
        for point in range(x.shape[1])
    }
    drawn = specialists.family("search", 96).by_instance("test", specialists.DRAWS)
    judged = rows_of(drawn.draw("test", per_family=1))
    assert len(judged) > 1000
    assert seen.isdisjoint(judged)
    settings = {
        (setting.initialisation, setting.architecture)
        for index in range(specialists.DRAWS)
        for setting in specialists.FORM.settings_of(index)
    }
    assert len(settings) == 16


def test_specialists_are_reported_relative_to_each_other(scripts, tmp_path):
    specialists, contest = scripts["specialists"], scripts["contest"]
    drawn = specialists.family("search", 96).by_instance("test", ONE_CELL.families)
    judged = contest.Judged(CellJudge(drawn, ONE_CELL), tmp_path, "search-linear-96")
    judged.add(["GELU", "silu(x)", "x"], lambda line: None)
    runs = [
        {"method": method, "case": "search-linear-96", "seed": 0, "formula": formula}
        | {"evaluations": {"mini": 4}, "process_seconds": 5.0}
        for method, formula in (("symact", "silu(x)"), ("zoo", "x"))
    ]
    table = specialists.report(runs, {"search-linear-96": judged})
    ratio = 10 ** float((judged.ood("silu(x)") - judged.ood("x")).mean())
    (row,) = [line for line in table.splitlines() if line.startswith("| symact |")]
    assert f" {ratio:.2f} [" in row
    assert row.endswith("| 4 mini | 5 |")
    own = 10 ** float((judged.ood("x") - judged.ood("GELU")).mean())
    assert table.splitlines()[-1].endswith(f" {own:.2f} |")
