"""Comparisons by protocol 2.0: which families, which functions, what is stored and written."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from small_runs import ONE_CELL

import symact
from symact.atlas import Leaderboard
from symact.atlas.board import explanation
from symact.atlas.report import write_report
from symact.errors import StoreError, SymactError
from symact.evaluation import Plan
from symact.proposers import Evolution
from symact.reporting.table import Comparison
from symact.tasks import Task, task
from symact.tasks.families import population
from symact.tasks.instance import Raw, Source
from symact.tasks.protocol import COMPARED, EvaluationProtocol

PLAN = Plan(
    mini_networks=1,
    mini_draws=1,
    full_networks=1,
    full_draws=1,
    selection_networks=1,
    generation=8,
    finalists=1,
)


def compare(*items, **changes) -> Leaderboard:
    return symact.compare(*items, **{"form": ONE_CELL, "device": "cpu", **changes})


def search(name, out, seed=3):
    return symact.search(
        "pointwise",
        name,
        budget=8,
        seed=seed,
        out=out,
        plan=PLAN,
        evolution=Evolution(population=8),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return search("polynomial", tmp_path_factory.mktemp("runs") / "a")


def test_functions_are_judged_as_on_the_leaderboard_and_share_its_judgements(tmp_path):
    board = symact.leaderboard("SiLU", "tanh", form=ONE_CELL, out=tmp_path, device="cpu")
    steps = []
    found = compare("SiLU", "tanh", out=tmp_path, on_step=lambda *step: steps.append(step))
    assert steps == []
    assert found.to_dict() == board.to_dict()
    assert "4 generated families of targets" in explanation(found)
    assert "p is corrected for 3 functions" in explanation(found)


def test_the_draws_of_a_task_are_the_families(tmp_path):
    found = compare("SiLU", "x - mean(x)", task="ood-suite", families=5, out=tmp_path)
    assert found.families == (
        *("polynomial/test-0", "polynomial/test-1", "harmonic/test-0", "harmonic/test-1"),
        *(own.name for own in task("feynman").draw("test", per_family=2)),
    )
    assert (found.task, found.are_draws, found.version) == ("ood-suite", True, "2.0-tiny-task")
    assert "6 test draws of task 'ood-suite'" in explanation(found)
    assert "describe new draws of this task, not other tasks" in explanation(found)
    assert [block.title for block in found.blocks] == ["", "Functions of batch statistics"]


def test_a_task_of_draws_has_the_points_of_the_task():
    own = task("ood-suite").draw("test", per_family=2)
    again = task("ood-suite").by_instance("test", 6).draw("test", per_family=1)
    for first, second in zip(own, again, strict=True):
        np.testing.assert_array_equal(first.x_train, second.x_train)
        np.testing.assert_array_equal(first.y_ood, second.y_ood)


def test_a_task_with_many_families_keeps_them(tmp_path):
    many = population("selection", 12)
    found = compare("SiLU", task=many, out=tmp_path)
    assert (found.families, found.are_draws) == (many.families, False)
    assert "12 families of task 'families-selection'" in explanation(found)
    with pytest.raises(SymactError, match="has 12 families of its own; leave out families"):
        compare("SiLU", task=many, families=4)


def test_tasks_of_one_name_and_other_data_share_no_judgement(tmp_path):
    x, far = np.linspace(-1, 1, 120), np.linspace(1.1, 2, 120)
    taken = []
    for function in (np.sinh, np.exp):
        mine = Task.from_arrays(x, function(x), far, function(far), name="mine")
        found = compare(
            "SiLU", task=mine, families=2, out=tmp_path, on_step=lambda *step: taken.append(step)
        )
    assert len(taken) == 4
    assert found.families == ("mine/test-0", "mine/test-1")


def test_a_run_stands_beside_the_usual_functions_on_its_task_and_remembers_them(run):
    steps = []
    found = compare(run, families=2, on_step=lambda *step: steps.append(step[2]))
    names = {own.name for own in found.entries}
    assert set(COMPARED) <= names
    assert len(steps) == len(found.entries) == found.looked_at
    assert found.families == ("polynomial/test-0", "polynomial/test-1")
    again = compare(run.path, families=2, on_step=lambda *step: steps.append(step[2]))
    assert again.to_dict() == found.to_dict()
    assert len(steps) == len(found.entries)
    elsewhere = compare(run, families=2, out=run.path.parent / "other", on_step=steps.append)
    assert elsewhere.to_dict() == found.to_dict()


def test_a_run_of_the_default_task_is_judged_in_the_generated_families(tmp_path):
    found = compare(search("ood-suite", tmp_path / "run"), "SiLU", best=1)
    assert found.task == ""
    assert len(found.families) == 4
    assert {own.kind for own in found.entries} == {"found", "zoo"}


def test_the_report_of_a_run_has_its_function_tables_and_figures(run, tmp_path):
    found = compare(run, "ReLU", "x*tanh(x)", "x - mean(x)", families=2)
    paths = write_report(run, found, tmp_path)
    page = paths["html"].read_text()
    head = page.split("<table>")[0]
    assert "Chosen function" in head
    assert run.best.formula in head
    assert f"symact.load({str(run.path)!r})".replace("'", "&#39;") in head
    assert "in its worst family" in head
    assert "search time" in page
    assert page.count("data:image/svg+xml") == 3
    assert "<script" not in page
    assert 'id="chosen-0"' in paths["front"].read_text()
    for name in ("matrix", "front", "functions"):
        assert paths[name].with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(paths["csv"].read_text().splitlines()))
    assert [row["name"] for row in rows] == [own.title for own in found.entries]
    assert float(rows[0]["ood"]) == found.entries[0].standing.ood.ratio
    assert float(rows[0]["family polynomial/test-1"]) == found.entries[0].families[1]
    assert "Functions of batch statistics:" in paths["markdown"].read_text()
    document = json.loads(paths["json"].read_text())
    assert [own["chosen"]["formula"] for own in document["runs"]] == [run.best.formula]


def test_a_report_is_drawn_once_and_again_when_something_changed(tmp_path):
    found = compare("sin", families=2)
    paths = write_report([], found, tmp_path)
    times = {key: path.stat().st_mtime_ns for key, path in paths.items()}
    assert write_report([], found, tmp_path) == paths
    assert {key: path.stat().st_mtime_ns for key, path in paths.items()} == times
    write_report([], compare("sin", "tanh", families=2), tmp_path)
    assert "tanh" in paths["html"].read_text()


def test_the_earlier_protocol_is_kept():
    form = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    found = symact.compare("SiLU", protocol="1.0", form=form, task="polynomial", device="cpu")
    assert isinstance(found, Comparison)
    assert found.protocol == "1.0-one"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "3.0"}, "unknown protocol '3.0'"),
        ({"seeds": 1}, "seeds belongs to protocol 1.0; leave it out, or choose protocol 1.0"),
        ({"per_family": 1}, "per-family belongs to protocol 1.0"),
        ({"protocol": "1.0", "families": 4}, "families belongs to protocol 2.0"),
        ({"protocol": "1.0"}, "the form 'tiny' is of protocol 2.0"),
        ({"form": EvaluationProtocol("one", ((4, 1),), (1e-2,), 0, 1, 1, 2)}, "is of protocol 1.0"),
        ({"form": "quik"}, "did you mean 'quick'"),
        ({"families": 1}, "families must be at least 2, got 1"),
        ({"families": 1001}, "families must be at most 1000, got 1001"),
        ({"families": 2.5}, "families must be a whole number"),
        ({"task": "digit"}, "did you mean 'digits'"),
        ({"device": "tpu"}, "unknown device"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_is_trained(changes, message):
    steps = []
    with pytest.raises(SymactError, match=message) as caught:
        compare("SiLU", on_step=steps.append, **changes)
    assert "\n" not in str(caught.value)
    assert steps == []


def source(targets) -> Source:
    """A generator of points on [-1, 1] and outside, with these targets."""

    def draw(split, seed, index, attempt):
        train, held_out = np.linspace(-1, 1, 256)[:, None], np.linspace(-0.9, 0.9, 256)[:, None]
        shells = np.stack([train + 2.0 * place for place in (1, 2, 3)])
        return Raw("a", train, targets(train), held_out, targets(held_out), shells, targets(shells))

    return Source("mine", draw)


@pytest.mark.parametrize(
    "targets",
    [
        lambda x: np.ones_like(x),
        lambda x: np.where(np.abs(x) > 1, np.inf, x),
        lambda x: np.where(np.abs(x) > 1, 1e60 * x, x),
        lambda x: np.full_like(x, np.nan),
    ],
    ids=["constant", "infinite", "diverging", "missing"],
)
@pytest.mark.parametrize("count", [1, 12])
def test_a_task_that_cannot_be_drawn_is_named_in_one_line(targets, count):
    steps, drawn = [], Task("mine", (source(targets),) * count)
    with pytest.raises(SymactError, match="task 'mine', split 'test', instance 0") as caught:
        compare("SiLU", task=drawn, on_step=steps.append)
    assert "\n" not in str(caught.value)
    assert steps == []


def test_a_task_with_a_usual_target_is_judged():
    task = Task("mine", (source(lambda x: np.sin(x)),))
    assert compare("SiLU", task=task, families=2).task == "mine"


def test_judgements_by_another_protocol_are_refused(tmp_path):
    compare("SiLU", families=2, out=tmp_path)
    file = tmp_path / "judgements.jsonl"
    file.write_text(file.read_text().replace('"version": "2.0', '"version": "3.1', 1))
    with pytest.raises(StoreError, match=r"line 1 is a judgement by protocol 3\.1-.*, not 2\.0"):
        compare("SiLU", families=2, out=tmp_path)


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(tmp_path):
    steps = []
    (tmp_path / "file").write_text("")
    for place, message in ((tmp_path / "file", "cannot be read"), ("/dev/null/a", "cannot be")):
        with pytest.raises(StoreError, match=rf"judgements\.jsonl: {message}") as caught:
            compare("SiLU", families=2, out=place, on_step=steps.append)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="cannot be written"):
        compare("SiLU", families=2, out="/proc/none", on_step=steps.append)
    assert steps == []
