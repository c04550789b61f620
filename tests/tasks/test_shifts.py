"""Pseudo-shifts: divisions of training rows into an inner and an outer part."""

from __future__ import annotations

import numpy as np
import pytest

from symact import Task
from symact.errors import TaskError
from symact.tasks.shifts import OUTER, pseudo_shifts


def table(rows=300, inputs=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs)) * [1.0, 10.0, 0.1][:inputs]
    return x, (x[:, :1] ** 2 + x[:, -1:])


def test_every_row_is_either_inner_or_outer():
    x, y = table()
    for shift in pseudo_shifts(x, y):
        rows = np.sort(np.concatenate([shift.inner, shift.outer]))
        np.testing.assert_array_equal(rows, np.arange(len(x)))
        assert len(shift.outer) == pytest.approx(OUTER * len(x), abs=1)


def test_outer_rows_are_beyond_inner_ones_from_near_to_far():
    x, y = table()
    found = {own.name: own for own in pseudo_shifts(x, y)}
    low, high = np.quantile(x, [0.01, 0.99], axis=0)
    unit = (x - (low + high) / 2) / ((high - low) / 2)
    for name, distance in {
        "shell": np.abs(unit).max(axis=1),
        "upper": unit.max(axis=1),
        "lower": (-unit).max(axis=1),
    }.items():
        shift = found[name]
        assert distance[shift.inner].max() <= distance[shift.outer].min()
        assert (np.diff(distance[shift.outer]) >= 0).all()


def test_units_and_order_of_columns_do_not_matter():
    x, y = table()
    outer = {own.name: set(own.outer.tolist()) for own in pseudo_shifts(x, y)}
    scaled = {own.name: set(own.outer.tolist()) for own in pseudo_shifts(1e3 * x + 5, y)}
    for name in ("shell", "upper", "lower", "first component"):
        assert outer[name] == scaled[name]
    turned = {own.name: set(own.outer.tolist()) for own in pseudo_shifts(x[:, ::-1], y)}
    assert outer["shell"] == turned["shell"]


def test_a_single_input_has_no_shift_twice():
    x, y = table(inputs=1)
    parts = [np.sort(own.outer).tobytes() for own in pseudo_shifts(x, y)]
    assert len(set(parts)) == len(parts) >= 3


def test_constant_inputs_are_left_out_and_refused_alone():
    x, y = table()
    x[:, 1] = 7.0
    assert all("input 1" not in own.name for own in pseudo_shifts(x, y))
    with pytest.raises(TaskError, match="constant in all columns"):
        pseudo_shifts(np.ones((100, 2)), y[:100])
    with pytest.raises(TaskError, match="at least 48"):
        pseudo_shifts(x[:47], y[:47])


def test_a_task_without_ood_rows_has_a_family_for_each_pseudo_shift():
    x, y = table()
    own = Task.from_arrays(x, y, name="mine")
    assert own.families[0] == "mine: shell"
    assert len(own.families) == len(pseudo_shifts(np.unique(x, axis=0), y))


def test_splits_of_pseudo_shifts_measure_on_different_rows():
    numbers = np.arange(400.0)
    own = Task.from_arrays(numbers, numbers**2, name="mine")
    measured = {}
    for split in ("search", "selection", "test"):
        drawn = own.draw(split, per_family=3)
        measured[split] = set().union(*(_numbers(one) for one in drawn))
        assert measured[split] <= set(range(400))
    assert not measured["search"] & measured["selection"]
    assert not measured["search"] & measured["test"]
    assert not measured["selection"] & measured["test"]


def _numbers(one):
    """Return the numbers of the measured rows of numbers and their squares, standardised."""
    x = np.concatenate([one.x_held_out.ravel(), one.x_ood.ravel()]).astype(float)
    y = np.concatenate([one.y_held_out.ravel(), one.y_ood.ravel()]).astype(float)
    gaps = np.diff(np.unique(x))
    scale = 1 / np.median(gaps[gaps < 1.5 * gaps.min()])
    square, line, _ = np.polyfit(x, y, 2)
    mean = line / square * scale / 2
    return set(np.rint(x * scale + mean).astype(int).tolist())


def test_rows_at_equal_distances_are_not_chosen_by_their_targets():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (4000, 1)).astype(float)
    noise = rng.normal(size=(4000, 1))
    rows = np.unique(np.hstack([x, x + noise]), axis=0)  # sorted by inputs, then by targets
    x, noise = rows[:, :1], rows[:, 1:] - rows[:, :1]
    for shift in pseudo_shifts(x, x + noise):
        assert abs(noise[shift.inner].mean()) < 0.1
        assert abs(noise[shift.outer].mean()) < 0.1


@pytest.mark.parametrize("missing", ["X_ood", "y_ood"])
def test_ood_inputs_without_targets_are_refused(missing):
    x, y = table()
    arrays = {"X_ood": x + 10, "y_ood": y}
    arrays[missing] = None
    with pytest.raises(TaskError, match=f"{missing} is missing"):
        Task.from_arrays(x, y, **arrays)


def test_too_few_rows_for_pseudo_shifts_are_refused():
    x, y = table(rows=200)
    with pytest.raises(TaskError, match="at least 240"):
        Task.from_arrays(x, y)


@pytest.mark.filterwarnings("error")
def test_an_input_with_two_values_is_divided_without_warnings():
    x = np.repeat([0.0, 1.0], 30)[:, None]
    found = pseudo_shifts(x, np.arange(60.0)[:, None])
    assert {"shell", "lower"} <= {own.name for own in found}
