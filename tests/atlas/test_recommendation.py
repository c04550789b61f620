"""A recommendation: from arrays, files and tasks, with reasons, in one line where it is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import symact
from symact.atlas.landmarks import FORM, GIVEN, WHOLE, landmarks
from symact.atlas.panel import FALLBACK, LINEAR, panel
from symact.atlas.recommendation import cells, headings, recommend, summary, write
from symact.errors import TaskError
from symact.evaluation.hierarchy import BEST_ERROR
from symact.evaluation.statistics import Interval

#: Networks that cost little; what they say is not the point of these tests.
SMALL = replace(FORM, steps=20, width=8)


def table(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 2))
    return x, np.sin(3 * x[:, 0]) + x[:, 1]


@pytest.fixture(scope="module")
def found():
    return recommend(*table(), form=SMALL)


def test_answers_are_sorted_and_their_chances_sum_to_one(found):
    predicted = [own.ood.ratio for own in found.answers]
    assert predicted == sorted(predicted)
    assert sum(own.best for own in found.answers) == pytest.approx(1)
    assert all(own.ood.low <= own.ood.high for own in found.answers)
    names = [own.name for own in found.answers]
    assert {FALLBACK, LINEAR, found.choice, found.activation} <= set(names)
    assert found.activation != LINEAR


def test_the_module_is_the_recommended_activation(found):
    x = torch.linspace(-2, 2, 9)
    expected = symact.activation(found.activation)(x)
    torch.testing.assert_close(found.to_torch()(x), expected)


def test_where_it_abstains_it_says_why_and_falls_back(found):
    if found.abstained:
        assert found.choice == FALLBACK
        assert found.abstained in found.reasons
    else:
        assert found.choice == FALLBACK or found.better >= 0.55


def test_it_is_written_as_json_and_as_a_figure(found, tmp_path):
    write(found, tmp_path / "made")
    stored = json.loads((tmp_path / "made" / "recommendation.json").read_text())
    assert stored["choice"] == found.choice
    assert len(stored["answers"]) == len(found.answers)
    assert (tmp_path / "made" / "recommendation.svg").read_text().startswith("<?xml")


def test_a_row_has_a_cell_for_each_heading_and_the_summary_the_choice(found):
    assert all(len(cells(own)) == len(headings()) for own in found.answers)
    lines = summary(found)
    assert lines[0] == f"recommended: {found.choice}"
    assert all(own.name in "\n".join(lines) for own in found.shifts)


def test_the_order_of_the_rows_and_duplicates_do_not_matter(found):
    x, y = table()
    order = np.random.default_rng(1).permutation(len(x))
    again = recommend(np.vstack([x[order], x]), np.append(y[order], y), form=SMALL)
    assert [own.name for own in again.answers] == [own.name for own in found.answers]
    assert again.rows == found.rows == len(x)


def test_a_file_gives_what_its_arrays_give(found, tmp_path):
    x, y = table()
    lines = [f"{a!r},{b!r},{c!r}" for (a, b), c in zip(x.tolist(), y.tolist(), strict=True)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["a,b,target", *lines]))
    again = recommend(path, "target", form=SMALL)
    assert again.to_dict()["answers"] == found.to_dict()["answers"]


def test_a_task_is_answered_for_all_its_families():
    task = symact.task("polynomial")
    again = recommend(task, form=replace(SMALL, steps=5))
    assert len(again.answers) > 2
    assert again.rows == len(task.families) * 256


def test_rows_outside_decide_where_they_are_given():
    x, y = table()
    far = np.random.default_rng(2).uniform(1, 2, (100, 2))
    own = landmarks(x, y[:, None], [symact.parse("tanh(x)")], form=SMALL)
    assert own.given is None
    own = landmarks(
        x,
        y[:, None],
        [symact.parse("tanh(x)")],
        given=(far, far[:, :1] ** 3),
        fallback=symact.parse("silu(x)"),
        form=SMALL,
    )
    assert own.shifts[0] == WHOLE
    assert own.shifts[-1] == GIVEN
    assert own.given is not None
    assert len(own.by_shift) == len(own.shifts) - 2
    again = recommend(x, y, ood=(far, np.sin(3 * far[:, 0]) + far[:, 1]), form=SMALL)
    assert len(again.shifts) == len(own.by_shift)


def test_errors_on_rows_of_the_user_are_measured_relative_to_the_fallback():
    x, y = table(60)
    far = np.random.default_rng(2).uniform(1, 2, (40, 2))
    small = replace(SMALL, steps=2)
    found = recommend(x, y, ood=(far, far.sum(axis=1)), form=small)
    by_name = {own.name: own for own in found.answers}
    assert found.measured
    assert by_name[FALLBACK].ood == Interval(1, 1, 1)
    assert by_name[FALLBACK].pseudo is not None
    rows = np.unique(np.column_stack([x, y]), axis=0)
    used = np.unique(np.column_stack([far, far.sum(axis=1)])[::2], axis=0)
    split = [(own[:, :2], own[:, 2:]) for own in (rows, used)]
    functions = [own.function for own in panel() if own.name in ("tanh", FALLBACK)]
    errors = landmarks(*split[0], functions, given=split[1], form=small).errors[:, :, -1, 1:]
    tanh, fallback = 10 ** errors.mean(axis=(1, 2))
    assert by_name["tanh"].ood.ratio == pytest.approx(tanh / fallback, rel=1e-5)


def test_a_task_with_many_families_is_answered_from_some_of_them():
    task = symact.task("polynomial").by_instance("search", 6)
    found = recommend(task, form=replace(SMALL, steps=2))
    assert found.rows == 4 * 256
    used = ", ".join(f"polynomial/search-{i}" for i in (0, 2, 3, 5))
    assert f"Of the 6 families of the task, 4 are used: {used}." in found.reasons
    assert not found.measured


def test_a_linear_target_is_exact_for_the_linear_model():
    x, _ = table()
    own = landmarks(x, x @ [[1.0], [2.0]], [symact.parse("relu(x)")], form=SMALL)
    assert own.by_shift[:, 1].max() < np.log10(BEST_ERROR) + 1


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.ones((100, 2)), np.arange(100.0), "constant in all columns"),
        (np.arange(100.0), np.ones(100), "constant"),
        (np.arange(10.0), np.arange(10.0), "at least 48"),
        (np.arange(100.0), np.arange(99.0), "100 rows, y has 99"),
        (np.arange(100.0), None, "y is missing"),
        ([["a"]] * 100, np.arange(100.0), "text"),
        ([np.nan] * 100, np.arange(100.0), "NaN"),
    ],
)
def test_unusable_data_are_refused_in_one_line(x, y, said):
    with pytest.raises(TaskError) as error:
        recommend(x, y, form=SMALL)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_targets_of_a_data_frame_may_be_named():
    x, y = table(60)
    far = np.random.default_rng(2).uniform(1, 2, (20, 2))
    frame = pd.DataFrame({"a": x[:, 0], "price": y, "b": x[:, 1]})
    later = pd.DataFrame({"price": far.sum(axis=1), "b": far[:, 1], "a": far[:, 0]})
    small = replace(SMALL, steps=2)
    expected = recommend(x, y, ood=(far, far.sum(axis=1)), form=small).to_dict()["answers"]
    found = [
        recommend(frame, y, ood=ood, form=small)
        for y, ood in (("price", later), (["price"], (later, "price")))
    ]
    assert [own.to_dict()["answers"] for own in found] == [expected, expected]


@pytest.mark.parametrize(
    ("data", "y", "said"),
    [
        (
            pd.DataFrame({"a": [1.0], "price": 2.0}),
            "prize",
            "X has no column 'prize'; did you mean",
        ),
        (pd.DataFrame({"price": [1.0]}), "price", "no input column"),
        (pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "a", "b"]), "b", "more than one column 'a'"),
        (np.ones((60, 2)), "price", "X has no column names"),
        (np.ones((2, 2)), ["red", "blue"], "text"),
    ],
)
def test_a_name_that_is_no_target_is_refused(data, y, said):
    with pytest.raises(TaskError, match=said):
        recommend(data, y, form=SMALL)


def test_a_task_has_targets_of_its_own():
    with pytest.raises(TaskError, match="its own targets"):
        recommend(symact.task("polynomial"), np.ones(3))


@pytest.mark.parametrize("ood", ["far.csv", np.ones((9, 2)), (np.ones(9),)])
def test_ood_rows_need_targets(ood):
    with pytest.raises(TaskError, match=r"ood must be \(X_ood, y_ood\)"):
        recommend(*table(), ood=ood, form=SMALL)


def test_ood_rows_of_a_file_have_its_columns_in_any_order(tmp_path):
    x, y = table()
    data, far = tmp_path / "data.csv", tmp_path / "far.csv"
    rows = np.column_stack([x, y])
    np.savetxt(data, rows, delimiter=",", header="a,b,y", comments="")
    np.savetxt(far, rows[:, [1, 2, 0]] + 3, delimiter=",", header="b,y,a", comments="")
    found = recommend(data, "y", ood=far, form=SMALL)
    again = recommend(x, y, ood=(x + 3, y + 3), form=SMALL)
    assert [own.name for own in found.answers] == [own.name for own in again.answers]


@pytest.mark.parametrize(
    ("far", "said"),
    [
        ((np.full((2, 2), 3.0), np.array([1.0, 2.0])), "1 distinct OOD row.* at least 4"),
        ((np.arange(24.0).reshape(12, 2), np.ones(12)), "OOD rows is .nearly. constant"),
        ((np.full((9, 2), np.nan), np.ones(9)), "X_ood holds NaN"),
    ],
)
def test_ood_rows_that_measure_nothing_are_refused(far, said):
    with pytest.raises(TaskError, match=said):
        recommend(*table(), ood=far, form=SMALL)


def test_ood_rows_in_even_places_are_left_for_a_check():
    x, y = table(60)
    far = np.random.default_rng(2).uniform(1, 2, (12, 2))
    other = far.copy()
    other[1::2] *= 50
    one, same = (
        recommend(x, y, ood=(own, own.sum(axis=1)), form=replace(SMALL, steps=2))
        for own in (far, other)
    )
    assert [own.ood for own in one.answers] == [own.ood for own in same.answers]


def test_the_last_column_of_the_data_is_the_target_of_the_ood_file(tmp_path):
    data, far = tmp_path / "data.csv", tmp_path / "far.csv"
    x, y = table(60)
    np.savetxt(data, np.column_stack([x, y]), delimiter=",", header="a,b,y", comments="")
    np.savetxt(far, np.column_stack([y, x + 3]), delimiter=",", header="y,a,b", comments="")
    small = replace(SMALL, steps=2)
    found, again = recommend(data, ood=far, form=small), recommend(x, y, ood=(x + 3, y), form=small)
    assert [own.name for own in found.answers] == [own.name for own in again.answers]
    named = {own.name for own in found.shifts}
    assert {"input 'a'", "input 'b'"} & named
    assert not {"input 0", "input 1"} & named


def test_targets_of_a_file_are_names(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("a,y\n1,2\n")
    with pytest.raises(TaskError, match="names of target columns"):
        recommend(data, np.arange(3.0))
