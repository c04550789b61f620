"""A search, end to end, on the smallest plan that has all its parts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import symact
from symact.engine import Progress, resume, search
from symact.errors import StoreError, SymactError
from symact.protocol import ID_LIMIT
from symact.result import load
from symact.score import Plan
from symact.store import open_run

TINY = Plan(
    ridge_instances=1,
    mini_instances=1,
    full_instances=1,
    full_share=0.1,
    generation=15,
    population=12,
    finalists=3,
    selection_instances=1,
)


def run(out=None, **changes):
    arguments = {"budget": 40, "seed": 3, "out": out, "plan": TINY, **changes}
    return search("pointwise", arguments.pop("task", "polynomial"), **arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a"
    return folder, run(folder)


def test_a_candidate_budget_is_met_exactly_and_counts_shrink_from_rung_to_rung(finished):
    _, result = finished
    counts = result.counts
    assert counts["ridge"] == counts["screened"] == 40
    assert counts["seen"] >= 40 > counts["mini"] > counts["full"] >= len(result.front) > 0
    assert sum(result.outcomes.values()) == counts["seen"]
    assert result.finished


def test_the_same_seed_gives_the_same_run_and_another_seed_another(finished):
    _, result = finished
    again, other = run(), run(seed=4)
    assert again.front == result.front
    assert again.to_frame().equals(result.to_frame())
    assert other.front != result.front


def test_an_interrupted_run_resumes_to_where_the_uninterrupted_one_ended(finished, tmp_path):
    _, expected = finished
    calls = 0

    def interrupt(progress: Progress) -> None:
        nonlocal calls
        calls += progress.phase == "search"
        if calls == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", on_progress=interrupt)
    part = load(tmp_path / "run")
    assert not part.finished
    assert 0 < part.counts["seen"] < expected.counts["seen"]
    with pytest.raises(SymactError, match="no judged candidate"):
        _ = part.best
    resumed = resume(tmp_path / "run")
    assert resumed.front == expected.front
    assert resumed.to_frame().equals(expected.to_frame())


def test_a_larger_budget_extends_a_finished_run(tmp_path):
    first = run(tmp_path / "run", budget=20)
    extended = resume(tmp_path / "run", budget=32)
    assert extended.counts["ridge"] == 32
    kept = extended.to_frame()[: len(first.to_frame())]
    columns = ["formula", "outcome", "mini_ood"]
    assert kept[columns].equals(first.to_frame()[columns])
    # An early candidate may be trained fully later, but no score is ever replaced.
    trained = first.to_frame()["full_ood"].dropna()
    assert len(trained) > 0
    assert kept.loc[trained.index, "full_ood"].equals(trained)


def test_loading_changes_nothing_and_gives_the_result(finished):
    folder, result = finished
    loaded = load(folder)
    assert loaded.front == result.front
    assert loaded.to_json() == result.to_json()


def test_json_has_the_documented_keys_and_is_strict(finished):
    document = json.loads(json.dumps(finished[1].to_json(), allow_nan=False))
    assert {"protocol", "seed", "counts", "rung_spearman", "front"} <= set(document)
    assert set(document["counts"]) == {"seen", "screened", "ridge", "mini", "full"}
    for entry in document["front"]:
        assert {"id", "formula", "ood", "id_error", "flops", "nodes"} <= set(entry)


def test_the_best_keeps_the_limit_on_the_id_error_where_any_does(finished):
    result = finished[1]
    limit = ID_LIMIT * result.reference.id_error
    allowed = [f for f in result.front if f.id_error <= limit]
    if allowed:
        assert result.best.ood == min(f.ood for f in allowed)
    else:
        assert result.best.id_error == min(f.id_error for f in result.front)


def test_the_front_holds_no_dominated_function(finished):
    objectives = [(f.ood, f.id_error, f.flops) for f in finished[1].front]
    for one in objectives:
        for other in objectives:
            no_worse = all(a <= b for a, b in zip(other, one, strict=True))
            assert not no_worse or other == one


def test_a_found_function_is_a_torch_module_of_its_formula(finished):
    best = finished[1].best
    x = torch.linspace(-4, 4, 31, dtype=torch.float64)
    expected = symact.lower.evaluate(best.expr, x.numpy())
    np.testing.assert_allclose(best.to_torch()(x).numpy(), expected, rtol=1e-10)


def test_a_directory_that_holds_a_run_is_refused_and_left_alone(finished):
    folder, _ = finished
    before = (folder / "run.db").read_bytes(), (folder / "config.toml").read_bytes()
    with pytest.raises(StoreError, match="holds a run already"):
        run(folder)
    assert ((folder / "run.db").read_bytes(), (folder / "config.toml").read_bytes()) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "polynomials"}, "did you mean 'polynomial'"),
        ({"budget": "soon"}, "budget 'soon'"),
        ({"budget": 0}, "budget '0'"),
        ({"proposer": "gpt"}, "unknown proposer 'gpt'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_made(changes, message, tmp_path):
    with pytest.raises(SymactError, match=message) as caught:
        run(tmp_path / "new", **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_grammar_with_few_sentences_ends_the_search_instead_of_looping(tmp_path):
    small = symact.Grammar.parse(
        'name = "small"\n[productions]\ntanh = 1\nsin = 1\n[limits]\nnodes = 3'
    )
    said = []
    result = search(
        small,
        "polynomial",
        budget=1000,
        plan=TINY,
        out=tmp_path / "run",
        on_progress=lambda progress: said.append(progress.message),
    )
    assert result.counts["ridge"] == 6  # tanh, sin, and the four of one in the other
    assert result.finished
    assert any("nothing new" in message for message in said)


def test_seeds_that_are_neither_names_nor_formulas_are_refused_before_anything_is_made(tmp_path):
    text = 'name = "mine"\n[productions]\ntanh = 1\n[seeds]\nzoo = ["RELUU"]'
    wrong = symact.Grammar.parse(text)
    with pytest.raises(SymactError, match=r"grammar 'mine', key 'seeds.zoo'.*did you mean 'ReLU'"):
        search(wrong, "polynomial", budget=5, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_random_search_is_a_proposer_like_any_other():
    result = run(proposer="random", budget=20)
    assert result.counts["ridge"] == 20
    assert set(result.to_frame()["origin"]) == {"random"}


def test_a_task_of_arrays_can_be_searched_and_resumed_with_the_task_given_again(tmp_path):
    generator = np.random.default_rng(0)
    x, far = generator.uniform(-1, 1, (200, 2)), generator.uniform(1, 2, (200, 2))
    task = symact.Task.from_arrays(x, x[:, 0] * x[:, 1], far, far[:, 0] * far[:, 1])
    result = run(tmp_path / "run", task=task, budget=15)
    assert result.front
    with pytest.raises(StoreError, match="pass task="):
        resume(tmp_path / "run", budget=20)
    assert resume(tmp_path / "run", budget=20, task=task).counts["ridge"] == 20


def test_a_run_without_configuration_is_refused(tmp_path):
    run(tmp_path / "run", budget=15)
    store = open_run(tmp_path / "run")
    with store.transaction():
        store.put("config", None)
    store.close()
    with pytest.raises(StoreError, match="no configuration"):
        load(tmp_path / "run")


def test_a_run_of_another_protocol_is_not_continued(tmp_path):
    run(tmp_path / "run", budget=15)
    store = open_run(tmp_path / "run")
    with store.transaction():
        store.put("config", {**store.get("config"), "protocol": "0.0"})
    store.close()
    with pytest.raises(StoreError, match=r"protocol 0\.0"):
        resume(tmp_path / "run")
