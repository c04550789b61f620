"""A search, end to end, on the smallest plan that has all its parts."""

from __future__ import annotations

import gc
import json
import os
import shutil
import threading
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import BRIEF, SIX, SMALL, TINY, go_on, run

import symact
from symact.backends import evaluate
from symact.engine import Progress, resume, search, seed_exprs
from symact.engine.collector import infrequent_collection
from symact.engine.result import load
from symact.errors import BudgetError, GrammarError, StoreError, SymactError, TaskError
from symact.evaluation import ThreadExecutor
from symact.expr import show
from symact.grammar import Grammar
from symact.proposers.genetic import GeneticProposer
from symact.storage.repository import open_run
from symact.tasks.protocol import ID_LIMIT

REFINED = {"tuned", "rounded", "pruned"}
BAD_SEED = Grammar.parse('[productions]\ntanh = 1\n[seeds]\nzoo = ["gellu(x)"]')


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a"
    return folder, run(folder)


class Interrupted(ThreadExecutor):
    """Threads; of the first finalists only two are trained, then the user interrupts."""

    def __init__(self):
        super().__init__(2)
        self.finalists: list[int] = []

    def submit_all(self, jobs):
        futures = super().submit_all(jobs)
        if not jobs or jobs[0].fidelity != "selection":
            return futures
        self.finalists.append(len(jobs))
        if len(self.finalists) > 1:
            return futures
        interrupt: Future = Future()
        interrupt.set_exception(KeyboardInterrupt())
        return [*futures[:2], *[interrupt] * (len(jobs) - 2)]


def test_finalists_that_were_judged_are_not_judged_again(finished, tmp_path):
    _, expected = finished
    executor = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", executor=executor)
    resumed = go_on(tmp_path / "run", executor=executor)
    # First all of them and the reference, of which two were judged, then the others.
    assert executor.finalists == [TINY.finalists + 1, TINY.finalists - 1]
    assert resumed.front == expected.front
    assert resumed.to_frame().equals(expected.to_frame())


def test_a_candidate_budget_is_met_exactly_and_counts_shrink_with_the_fidelity(finished):
    _, result = finished
    counts = result.counts
    assert counts["mini"] == counts["screened"] == 30
    assert counts["seen"] >= 30 > counts["full"] >= len(result.front) > 0
    assert sum(result.outcomes.values()) == counts["seen"]
    assert result.finished


def test_the_same_seed_gives_the_same_run_on_any_number_of_threads_and_another_seed_another(
    finished,
):
    _, result = finished
    for threads in {1, 2, 4} - {os.cpu_count()}:  # the number of cores in the first run
        again = run(threads=threads)
        assert again.front == result.front
        assert again.to_frame().equals(result.to_frame())
    other = run(seed=4, budget=15, plan=BRIEF)
    # The seeds of the grammar come first whatever the seed; they are judged on other draws.
    first, second = (r.to_frame().head(15) for r in (result, other))
    assert list(first["formula"]) == list(second["formula"])
    assert not np.isclose(first["mini_ood"], second["mini_ood"]).any()


@pytest.mark.parametrize(("phase", "call"), [("diagnosis", 1), ("search", 3), ("select", 1)])
def test_an_interrupted_run_resumes_to_where_the_uninterrupted_one_ended(
    phase, call, finished, tmp_path
):
    _, expected = finished
    calls = 0

    def interrupt(progress: Progress) -> None:
        nonlocal calls
        calls += progress.phase == phase
        if calls == call:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", on_progress=interrupt)
    part = load(tmp_path / "run")
    assert not part.finished
    seen, all_seen = part.counts["seen"], expected.counts["seen"]
    assert (seen == 0, seen == all_seen) == (phase == "diagnosis", phase == "select")
    assert part.fidelity == {"diagnosis": "", "search": "full", "select": "full"}[phase]
    resumed = go_on(tmp_path / "run")
    assert resumed.front == expected.front
    assert resumed.to_frame().equals(expected.to_frame())
    assert set(resumed.to_frame()["origin"]) & REFINED  # that happened in it too


def test_progress_rises_to_the_end_and_counts_what_is_stored(tmp_path):
    reports: list[Progress] = []
    result = run(tmp_path / "run", budget=20, plan=BRIEF, on_progress=reports.append)
    phases = [report.phase for report in reports]
    assert phases == sorted(phases, key=["diagnosis", "search", "select", "done"].index)
    assert set(phases) == {"diagnosis", "search", "select", "done"}
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert reports[-1].counts == result.counts
    trained = result.to_frame().dropna(subset="full_ood")
    assert reports[-1].best in set(trained["formula"])
    assert reports[-1].ratio > 0


class Recording(GeneticProposer):
    """The default proposer, which also keeps what it is told."""

    def __init__(self, grammar):
        super().__init__(grammar, seed=3, evolution=SMALL, seeds=seed_exprs(grammar))
        self.told = []

    def tell(self, results):
        self.told += results
        super().tell(results)


def test_what_is_refined_or_promoted_stays_on_its_island(tmp_path):
    proposer = Recording(Grammar.load("pointwise"))
    run(tmp_path / "run", plan=BRIEF, proposer=proposer)
    with closing(open_run(tmp_path / "run")) as store:
        rows = {candidate.id: candidate for candidate in store.candidates()}
        trained = [scored.candidate for scored in store.scores("full")]
    tags = {row.formula: row.tag for row in rows.values()}
    refined = [row for row in rows.values() if row.origin in REFINED]
    assert refined
    for row in refined:
        assert row.tag == tags[row.parents[0]]
    assert {row.tag != () for row in rows.values()} == {True, False}  # seeds belong everywhere
    again = {}
    for one in proposer.told:
        again.setdefault(show(one.expr), set()).add(one.tag)
    known = [rows[number] for number in trained if rows[number].formula in again]
    assert known
    for row in known:
        assert again[row.formula] == {row.tag}


def test_a_larger_budget_extends_a_finished_run(tmp_path):
    first = run(tmp_path / "run", budget=20, plan=BRIEF)
    extended = go_on(tmp_path / "run", budget=32)
    assert extended.counts["mini"] == 32
    assert first.finished
    assert extended.finished
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


def test_the_table_has_a_row_for_each_candidate_and_numbers_where_it_was_judged(finished):
    result = finished[1]
    frame = result.to_frame()
    assert list(frame["id"]) == list(range(1, result.counts["seen"] + 1))
    passed = frame["outcome"] == "passed"
    assert passed.sum() == result.counts["screened"]
    assert (frame["mini_ood"].notna() == passed).all()
    for lower, higher in (("mini", "full"), ("full", "selection")):
        assert set(frame.index[frame[f"{higher}_ood"].notna()]) <= set(
            frame.index[frame[f"{lower}_ood"].notna()]
        )
    for name in ("mini", "full"):
        assert frame[f"{name}_ood"].notna().sum() == result.counts[name]
    assert {found.id for found in result.front} <= set(frame["id"])


def test_json_has_the_documented_keys_and_is_strict(finished):
    document = json.loads(json.dumps(finished[1].to_json(), allow_nan=False))
    documented = {"protocol", "seed", "counts", "rung_spearman", "front"}
    assert documented <= set(document)
    assert set(document) - documented == {
        *("outcomes", "costs", "finished", "config", "quarantined", "fidelity"),
        "fidelity_spearman",
    }
    assert set(document["counts"]) == {"seen", "screened", "mini", "full"}
    assert set(document["rung_spearman"]) == {"mini-full", "full-selection"}
    assert document["fidelity_spearman"] == document["rung_spearman"]
    assert (document["protocol"], document["seed"]) == (symact.tasks.protocol.VERSION, 3)
    entries = {"id", "formula", "ood", "id_error", "flops", "nodes", "families", "pooled"}
    assert document["front"]
    assert all(set(entry) == entries for entry in document["front"])


def test_the_best_keeps_the_limit_on_the_id_error_where_any_does(finished):
    result = finished[1]
    allowed = [f for f in result.front if f.pooled[1] <= ID_LIMIT]
    if allowed:
        assert result.best.pooled[0] == min(f.pooled[0] for f in allowed)
    else:
        assert result.best.pooled[1] == min(f.pooled[1] for f in result.front)


def test_the_errors_of_a_finalist_are_pooled_over_search_and_validation(finished):
    """Equal weights of the logs, relative to the reference on the same draws."""
    run = open_run(finished[0])
    base, repeated, selected = run.references()["full"], run.repeated(), run.selected()
    validated = {own.candidate: own for own in run.scores("selection")}
    run.close()
    for found in finished[1].front:
        own, searched = validated[found.id], repeated[found.id]
        for k, score in enumerate((own.ood, own.id_error)):
            reference = (selected.reference.ood, selected.reference.id_error)[k]
            mean = (score - reference + searched[k] - base[k]) / 2
            assert found.pooled[k] == pytest.approx(10**mean)


def test_the_front_holds_no_dominated_function(finished):
    objectives = [(*f.pooled, f.flops) for f in finished[1].front]
    for one in objectives:
        for other in objectives:
            no_worse = all(a <= b for a, b in zip(other, one, strict=True))
            assert not no_worse or other == one


def test_a_found_function_is_a_torch_module_of_its_formula(finished):
    x = torch.linspace(-4, 4, 31, dtype=torch.float64)
    for found in finished[1].front:
        expected = evaluate(found.expr, x.numpy())
        np.testing.assert_allclose(found.to_torch()(x).numpy(), expected, rtol=1e-10, atol=1e-12)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), finished[1].best.to_torch())
    model(torch.ones(2, 3)).sum().backward()
    assert torch.isfinite(model[0].weight.grad).all()


def test_the_garbage_collector_rests_during_searches_of_several_threads_and_is_then_as_it_was():
    before, during = gc.get_threshold(), []
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first():
        with suppress(RuntimeError), infrequent_collection():
            first_is_in.set()
            second_is_in.wait(60)
            raise RuntimeError

    def second():
        first_is_in.wait(60)
        with infrequent_collection():
            second_is_in.set()
            one.join()  # the first has ended in between
            during.append(gc.get_threshold())

    one, other = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    other.start()
    other.join()
    assert during[0] == (before[0], 2 * before[1], 5 * before[2])
    assert gc.get_threshold() == before


def test_thresholds_that_are_set_during_a_search_stay():
    before = gc.get_threshold()
    try:
        with infrequent_collection():
            gc.set_threshold(1234, 5, 6)
        assert gc.get_threshold() == (1234, 5, 6)
    finally:
        gc.set_threshold(*before)


def test_a_directory_that_holds_a_run_is_refused_and_left_alone(finished):
    folder, _ = finished
    before = (folder / "run.db").read_bytes(), (folder / "config.toml").read_bytes()
    with pytest.raises(StoreError, match="holds a run already"):
        run(folder)
    assert ((folder / "run.db").read_bytes(), (folder / "config.toml").read_bytes()) == before


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"task": "polynomials"}, TaskError, "did you mean 'polynomial'"),
        ({"budget": "soon"}, BudgetError, "budget 'soon'"),
        ({"budget": 0}, BudgetError, "budget '0'"),
        ({"proposer": "gpt"}, SymactError, "unknown proposer 'gpt'"),
        ({"grammar": "pointwize"}, GrammarError, "did you mean 'pointwise'"),
        ({"grammar": "missing.toml"}, GrammarError, "missing.toml: cannot be read"),
        ({"seed": -1}, TaskError, "seed must be at least 0"),
        ({"grammar": BAD_SEED}, GrammarError, "did you mean 'gelu'"),
        ({"device": "cdua"}, SymactError, "cdua"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_made(changes, kind, message, tmp_path):
    with pytest.raises(kind, match=message) as caught:
        run(tmp_path / "new", **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_grammar_with_few_sentences_ends_the_search_instead_of_looping(tmp_path):
    said = []
    result = run(
        tmp_path / "run",
        grammar=SIX,
        budget=1000,
        plan=BRIEF,
        on_progress=lambda progress: said.append(progress.message),
    )
    assert result.counts["mini"] == 6
    assert result.finished
    assert "no new candidates: the grammar is exhausted" in said


def test_seeds_that_are_neither_names_nor_formulas_are_refused_before_anything_is_made(tmp_path):
    text = 'name = "mine"\n[productions]\ntanh = 1\n[seeds]\nzoo = ["RELUU"]'
    wrong = symact.Grammar.parse(text)
    with pytest.raises(SymactError, match=r"grammar 'mine', key 'seeds.zoo'.*did you mean 'ReLU'"):
        search(wrong, "polynomial", budget=5, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_random_search_is_a_proposer_like_any_other():
    result = run(proposer="random", budget=20, plan=BRIEF)
    assert result.counts["mini"] == 20
    assert set(result.to_frame()["origin"]) - REFINED == {"seed", "random"}


def test_a_task_of_arrays_can_be_searched_and_resumed_with_the_task_given_again(tmp_path):
    generator = np.random.default_rng(0)
    x, far = generator.uniform(-1, 1, (200, 2)), generator.uniform(1, 2, (200, 2))
    task = symact.Task.from_arrays(x, x[:, 0] * x[:, 1], far, far[:, 0] * far[:, 1])
    changes = {"task": task, "budget": 15, "plan": BRIEF}
    result, unsaved = run(tmp_path / "run", **changes), run(**changes)
    assert result.front
    assert unsaved.front == result.front
    assert unsaved.path is None
    with pytest.raises(StoreError, match="pass task="):
        resume(tmp_path / "run", budget=20)
    assert resume(tmp_path / "run", budget=20, task=task).counts["mini"] == 20


def test_a_resumed_run_knows_what_was_under_way(tmp_path):
    """Among six functions the next proposals repeat those that train while the run is stored."""
    changes = {"grammar": SIX, "plan": replace(BRIEF, generation=3), "proposer": "random"}
    expected = run(budget=5, **changes)
    calls = 0

    def interrupt(progress: Progress) -> None:
        nonlocal calls
        calls += progress.phase == "search"
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", budget=5, on_progress=interrupt, **changes)
    resumed = go_on(tmp_path / "run")
    assert resumed.to_frame().equals(expected.to_frame())
    assert resumed.outcomes["duplicate"] > 0


def test_looking_ahead_is_a_switch():
    """Without it the second generation knows the first."""
    changes = {"budget": 24, "plan": replace(BRIEF, refine_share=0.0)}
    parents = {}
    for lookahead in (True, False):
        plan = replace(changes["plan"], lookahead=lookahead)
        frame = run(**{**changes, "plan": plan}).to_frame()
        parents[lookahead] = list(frame["formula"])
    assert parents[True][:8] == parents[False][:8]
    assert parents[True] != parents[False]


def replay(folder, *formulas) -> str:
    """A proposer of some formulas and of nothing else."""
    file = folder / "said.jsonl"
    file.write_text("\n".join(map(json.dumps, formulas)))
    return f"replay:{file}"


WAVES = ("x + 0.123*sin(1.57*x)", "0.456*x + sin(1.23*x)", "tanh(1.57*x) + 0.123*x")


@pytest.mark.parametrize("parts", [{}, {"tune": False}, {"prune": False}])
def test_the_best_are_refined_by_what_is_switched_on_and_the_budget_counts_what_passes(
    parts, tmp_path
):
    plan = replace(BRIEF, generation=3, refine_share=1.0, **parts)
    found = run(budget=14, plan=plan, proposer=replay(tmp_path, *WAVES))
    assert found.counts["mini"] == found.counts["screened"] == 14
    expected = REFINED - ({"tuned"} if "tune" in parts else set())
    expected -= {"pruned"} if "prune" in parts else set()
    frame = found.to_frame()
    assert set(frame["origin"]) == expected | {"replay"}
    refined = frame[frame["origin"].isin(REFINED)]
    assert (refined["id"] > 3).all()
    assert (refined["mini_ood"].notna() == (refined["outcome"] == "passed")).all()


def test_without_the_ladder_every_candidate_is_fully_trained():
    found = run(budget=10, plan=replace(BRIEF, ladder=False))
    assert (found.counts["mini"], found.counts["full"], found.counts["screened"]) == (0, 10, 10)
    frame = found.to_frame()
    assert (frame["full_ood"].notna() == (frame["outcome"] == "passed")).all()
    assert not set(frame["origin"]) & REFINED
    assert found.front


def test_duplicates_are_let_through_where_nobody_looks_for_them():
    plan = replace(BRIEF, dedupe=False, refine_share=0.0)
    found = run(grammar=SIX, budget=20, plan=plan, proposer="random")
    assert found.counts["mini"] == 20
    assert "duplicate" not in found.outcomes
    passed = found.to_frame().query("outcome == 'passed'")
    assert passed["formula"].nunique() <= 6
    # Two draws, taken in turn: a function scores alike where it sees the same one.
    for _, same in passed.groupby(["formula", passed["generation"] % 2]):
        assert same["mini_ood"].nunique() == 1


def test_a_run_without_configuration_is_refused(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    with closing(open_run(tmp_path / "run")) as store, store.transaction():
        store.database.put("config", None)
    with pytest.raises(StoreError, match="no configuration"):
        load(tmp_path / "run")


@pytest.mark.parametrize("key", ["protocol", "ladder"])
def test_a_run_of_another_protocol_or_ladder_is_not_continued(finished, tmp_path, key):
    shutil.copytree(finished[0], tmp_path / "run")
    with closing(open_run(tmp_path / "run")) as store, store.transaction():
        store.put_config(replace(store.config(), **{key: "0.0"}))
    with pytest.raises(StoreError, match=rf"{key} 0\.0"):
        go_on(tmp_path / "run")


def test_resuming_where_no_run_is_makes_none(tmp_path):
    with pytest.raises(StoreError, match="no run here"):
        go_on(tmp_path / "run")
    assert not (tmp_path / "run").exists()
