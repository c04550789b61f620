"""Task instances: shapes, streams, shells, equations, and what is refused."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from scipy import sparse

from symact.errors import TaskError
from symact.tasks import TASKS, Instance, Task, describe, task
from symact.tasks.arrays import MIN_OOD_ROWS, MIN_TRAIN_ROWS, arrays_source
from symact.tasks.digits import CORRUPTIONS, DIGITS
from symact.tasks.feynman import EQUATIONS, FEYNMAN, MIN_WIDTH, Equation
from symact.tasks.instance import Raw
from symact.tasks.protocol import HELD_OUT_POINTS, SHELL_POINTS, SHELLS, SPLITS, TRAIN_POINTS
from symact.tasks.synthetic import HARMONIC, POLYNOMIAL, SHELL_EDGES, on_box, shell

ARRAYS = ("x_train", "y_train", "x_held_out", "y_held_out", "x_ood", "y_ood")
ALL_EQUATIONS = [equation for split in SPLITS for equation in EQUATIONS[split]]
BY_IDENTIFIER = {equation.identifier: equation for equation in ALL_EQUATIONS}


def digest(instances: tuple[Instance, ...]) -> str:
    state = hashlib.sha256()
    for one in instances:
        state.update(one.name.encode())
        for name in ARRAYS:
            state.update(getattr(one, name).tobytes())
    return state.hexdigest()


def measured(rows: int = 200, beyond: int = 150, columns: int = 2) -> tuple[np.ndarray, ...]:
    """Return X_train, y_train, X_ood, y_ood whose first column is a serial number."""
    rng = np.random.default_rng(0)

    def target(x: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(3 * x[:, 1]) + x[:, 1], x[:, 1] ** 2], axis=1)

    x_train = rng.uniform(-1, 1, (rows, columns))
    x_ood = rng.uniform(1, 3, (beyond, columns))
    x_train[:, 0], x_ood[:, 0] = np.linspace(0, 1, rows), np.linspace(0, 1, beyond)
    return x_train, target(x_train), x_ood, target(x_ood)


# What every task gives.


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("split", SPLITS)
def test_instances_have_the_protocols_shapes_in_float32(name: str, split: str) -> None:
    drawn = task(name).draw(split, per_family=3)
    assert len(drawn) == 3 * len(task(name).families)
    assert len({one.name for one in drawn}) == len(drawn)
    assert [one.family for one in drawn] == [f for f in task(name).families for _ in range(3)]
    for one in drawn:
        inputs, outputs = one.x_train.shape[1], one.y_train.shape[1]
        assert one.x_train.shape == (TRAIN_POINTS, inputs)
        assert one.x_held_out.shape == (HELD_OUT_POINTS, inputs)
        assert one.x_ood.shape == (len(SHELLS), SHELL_POINTS, inputs)
        assert one.y_train.shape == (TRAIN_POINTS, outputs)
        assert one.y_held_out.shape == (HELD_OUT_POINTS, outputs)
        assert one.y_ood.shape == (len(SHELLS), SHELL_POINTS, outputs)
        for array in ARRAYS:
            assert getattr(one, array).dtype == np.float32
            assert np.isfinite(getattr(one, array)).all()


@pytest.mark.parametrize("name", TASKS[:1])
def test_training_points_have_mean_0_and_deviation_1(name: str) -> None:
    for one in task(name).draw("search", per_family=10):
        for array in (one.x_train, one.y_train):
            assert array.mean(axis=0) == pytest.approx(0, abs=1e-5)
            assert array.std(axis=0) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("source", [POLYNOMIAL, HARMONIC, FEYNMAN], ids=lambda s: s.family)
def test_held_out_and_ood_points_are_scaled_as_the_training_points(source: Any) -> None:
    raw = source.draw("test", 0, 1, 0)
    one = task(source.family).draw("test", per_family=2)[1]
    for axis in "xy":
        mean = getattr(raw, f"{axis}_train").mean(axis=0)
        scale = getattr(raw, f"{axis}_train").std(axis=0)
        for part in ("train", "held_out", "ood"):
            expected = (getattr(raw, f"{axis}_{part}") - mean) / scale
            assert getattr(one, f"{axis}_{part}") == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_fresh_process_draws_the_same_and_loads_no_heavy_library() -> None:
    root = Path(__file__).resolve().parents[2]
    paths = [str(root / folder) for folder in ("tests/tasks", "tests/support", "src")]
    code = (
        f"import sys; sys.path[:0] = {paths}\n"
        "from symact.tasks import task\n"
        "drawn = task('ood-suite').draw('search', seed=2**40, per_family=3)\n"
        "heavy = {'sklearn', 'scipy', 'sympy', 'torch', 'pandas', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from test_tasks import digest\n"
        "print(digest(drawn))\n"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == digest(task("ood-suite").draw("search", seed=2**40, per_family=3))


def test_the_test_draw_of_this_protocol_version_stays_what_it_is() -> None:
    first = {one.family: one for one in task("ood-suite").draw("test", per_family=1)}
    seen = {
        family: [round(float(one.x_train[0, 0]), 3), round(float(one.y_ood[2, 0, 0]), 3)]
        for family, one in first.items()
    }
    assert seen == GOLDEN


@settings(max_examples=examples(15))
@given(
    name=st.sampled_from(TASKS[1:5]),
    split=st.sampled_from(SPLITS),
    seed=st.integers(0, 2**70),
    few=st.integers(1, 5),
    more=st.integers(0, 20),
)
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(
    name: str, split: str, seed: int, few: int, more: int
) -> None:
    small = task(name).draw(split, seed=seed, per_family=few)
    large = task(name).draw(split, seed=seed, per_family=few + more)
    for family in task(name).families:
        first = tuple(one for one in large if one.family == family)[:few]
        assert digest(first) == digest(tuple(one for one in small if one.family == family))


def test_the_suite_is_its_families_side_by_side() -> None:
    parts = [task(name).draw("selection", per_family=2) for name in task("ood-suite").families]
    assert digest(task("ood-suite").draw("selection", per_family=2)) == digest(
        tuple(itertools.chain.from_iterable(parts))
    )


@pytest.mark.parametrize("name", ["polynomial", "harmonic", "feynman"])
def test_no_point_comes_twice_in_any_split_or_seed(name: str) -> None:
    seen: set[bytes] = set()
    draws = 0
    for split, seed in itertools.product(SPLITS, (0, 1, 2**32, 2**33)):
        for one in task(name).draw(split, seed=seed, per_family=20):
            seen.add(one.x_train.tobytes())
            draws += 1
    assert len(seen) == draws


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_a_bad_seed_is_refused(seed: Any) -> None:
    with pytest.raises(TaskError, match=r"^seed must be"):
        task("harmonic").draw("search", seed=seed)


@pytest.mark.parametrize("many", [0, -3, 2.0])
def test_a_bad_number_of_instances_is_refused(many: Any) -> None:
    with pytest.raises(TaskError, match=r"^per_family must be"):
        task("harmonic").draw("search", per_family=many)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(TaskError, match=r"unknown task 'feynmann'; did you mean 'feynman'"):
        task("feynmann")
    with pytest.raises(TaskError, match=r"known: generalist, ood-suite, polynomial"):
        describe("zzz")
    with pytest.raises(TaskError, match=r"unknown split 'tests'; did you mean 'test'"):
        task("digits").draw("tests")


@pytest.mark.parametrize("name", TASKS)
def test_a_description_is_one_sentence(name: str) -> None:
    assert describe(name).endswith(".")
    assert ". " not in describe(name)


# Shells.


@settings(max_examples=examples(40))
@given(dimension=st.integers(1, 6), which=st.integers(0, 2), seed=st.integers(0, 2**32))
def test_shell_points_lie_between_their_edges(dimension: int, which: int, seed: int) -> None:
    points = shell(np.random.default_rng(seed), 500, dimension, SHELL_EDGES[which])
    radius = points.max(axis=1)
    inner, outer = SHELL_EDGES[which]
    assert (radius >= inner - 1e-12).all()
    assert (radius <= outer + 1e-12).all()
    assert (points >= 0).all()


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_shell_points_are_uniform_by_volume(dimension: int) -> None:
    points = shell(np.random.default_rng(0), 40_000, dimension, (1.0, 2.0))
    total = 2.0**dimension - 1
    for r in (1.2, 1.5, 1.8):
        assert np.mean(points.max(axis=1) <= r) == pytest.approx(
            (r**dimension - 1) / total, abs=0.01
        )
    for axis in range(dimension):
        outside = (2.0**dimension - 2.0 ** (dimension - 1)) / total
        assert np.mean(points[:, axis] > 1) == pytest.approx(outside, abs=0.01)


@pytest.mark.parametrize("centred", [True, False])
def test_a_box_is_trained_inside_and_measured_in_its_shells(centred: bool) -> None:
    low, high = np.array([-2.0, 10.0, 0.5]), np.array([4.0, 11.0, 0.75])
    rng = np.random.default_rng(1)
    raw = on_box("a", lambda x: x[:, :1], low, high, rng, centred=centred)
    origin, reach = ((low + high) / 2, (high - low) / 2) if centred else (low, high - low)
    for inside in (raw.x_train, raw.x_held_out):
        assert (inside >= low).all()
        assert (inside <= high).all()
    for points, (inner, outer) in zip(raw.x_ood, SHELL_EDGES, strict=True):
        unit = (points - origin) / reach
        radius = np.abs(unit).max(axis=1)
        assert (radius > inner - 1e-9).all()
        assert (radius < outer + 1e-9).all()
        assert centred or (unit >= 0).all()
        assert not centred or np.abs(np.sign(unit).mean(axis=0)).max() < 0.3


@pytest.mark.parametrize(("source", "reach"), [(POLYNOMIAL, 1.0), (HARMONIC, math.pi)])
def test_synthetic_ranges_are_the_documented_ones(source: Any, reach: float) -> None:
    for index in range(4):
        raw = source.draw("search", 3, index, 0)
        assert 0.95 * reach < np.abs(raw.x_train).max() <= reach
        radius = np.abs(raw.x_ood).max(axis=2) / reach
        for shell_radius, (inner, outer) in zip(radius, SHELL_EDGES, strict=True):
            assert inner - 1e-9 < shell_radius.min()
            assert shell_radius.max() < outer + 1e-9


def test_polynomials_have_degree_three() -> None:
    for index in range(5):
        raw: Raw = POLYNOMIAL.draw("test", 0, index, 0)
        powers = [p for p in itertools.product(range(4), repeat=2) if sum(p) <= 3]
        basis = np.stack([raw.x_train[:, 0] ** i * raw.x_train[:, 1] ** j for i, j in powers], 1)
        found, *_ = np.linalg.lstsq(basis, raw.y_train, rcond=None)
        assert basis @ found == pytest.approx(raw.y_train, abs=1e-9)
        assert np.abs(found).max() <= 1
        x, y = raw.x_ood[2], raw.y_ood[2]
        far = np.stack([x[:, 0] ** i * x[:, 1] ** j for i, j in powers], 1)
        assert far @ found == pytest.approx(y, abs=1e-7)


# Feynman.


def test_the_splits_share_no_equation_and_are_balanced() -> None:
    assert len(BY_IDENTIFIER) == len(ALL_EQUATIONS) == 48
    assert len({equation.formula for equation in ALL_EQUATIONS}) == 48
    for split in SPLITS:
        counts = [min(len(equation.variables), 5) for equation in EQUATIONS[split]]
        assert [counts.count(n) for n in (2, 3, 4, 5)] == [2, 5, 5, 4]
        waves = [e for e in EQUATIONS[split] if "sin(" in e.formula or "cos(" in e.formula]
        assert len(waves) == 3
        drawn = task("feynman").draw(split, seed=5, per_family=16)
        assert {one.name for one in drawn} == {f"feynman/{e.identifier}" for e in EQUATIONS[split]}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("split", SPLITS)
def test_eight_equations_are_of_all_kinds(split: str, seed: int) -> None:
    drawn = task("feynman").draw(split, seed=seed)
    equations = [BY_IDENTIFIER[one.name.removeprefix("feynman/")] for one in drawn]
    assert len(equations) == 8
    sizes = [min(len(equation.variables), 5) for equation in equations]
    assert all(sizes.count(size) >= least for size, least in ((2, 1), (3, 2), (4, 1), (5, 2)))
    waves = [e for e in equations if "sin(" in e.formula or "cos(" in e.formula]
    assert 1 <= len(waves) <= 2


def test_no_equation_is_another_under_other_names() -> None:
    rng = np.random.default_rng(0)
    for one, other in itertools.combinations(ALL_EQUATIONS, 2):
        if len(one.variables) != len(other.variables):
            continue
        points = rng.uniform(1.1, 2.0, (len(one.variables), 4))
        expected = one.function(*points)
        for order in itertools.permutations(range(len(points))):
            ratio = other.function(*points[list(order)]) / expected
            same = np.ptp(ratio) <= 1e-9 * np.abs(ratio).max()
            assert not same, (one.identifier, other.identifier)


@pytest.mark.parametrize("equation", ALL_EQUATIONS, ids=lambda e: e.identifier)
def test_an_equation_computes_its_published_formula(equation: Equation) -> None:
    symbols = sympy.symbols(equation.variables)
    formula = sympy.sympify(
        equation.formula, locals=dict(zip(equation.variables, symbols, strict=True))
    )
    assert formula.free_symbols == set(symbols)
    parameters = inspect.signature(equation.function).parameters
    assert list(parameters) == [name.lower() for name in equation.variables]
    rng = np.random.default_rng(0)
    low, high = np.array(equation.low), np.array(equation.high)
    points = low + 2 * rng.random((20, len(low))) * (high - low)
    found = equation.function(*points.T)
    for point, value in zip(points, found, strict=True):
        exact = float(formula.subs(dict(zip(symbols, map(float, point), strict=True))).evalf(30))
        assert value == pytest.approx(exact, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("identifier", "arguments", "expected"),
    [
        ("I.6.2", (1, 1), 0.24197072451914337),  # the normal density one deviation out
        ("I.8.14", (1, 4, 1, 5), 5),  # a 3-4-5 triangle
        ("I.29.16", (3, 4, math.pi / 2, 0), 5),  # the same by the cosine rule
        ("I.12.2", (1, 1, 8.8541878128e-12, 1), 8.9875517923e9),  # Coulomb's constant
        ("I.13.12", (2, 3, 2, 1, 1), 3),
        ("I.13.4", (2, 1, 2, 2), 9),
        ("I.16.6", (3, 3, 2), 3),  # light stays as fast as light
        ("I.18.4", (1, 3, 2, 6), 5),
        ("I.27.6", (2, 4, 2), 1),
        ("I.37.4", (4, 9, 0), 25),  # amplitudes 2 and 3 in phase
        ("I.37.4", (4, 9, math.pi), 1),
        ("I.38.12", (9.1093837e-31, 1.602176634e-19, 6.62607015e-34, 8.8541878e-12), 5.29177e-11),
        ("I.39.22", (1, 273.15, 0.022413969, 8.314462618), 101325),  # a mole at 0 Celsius
        ("I.47.23", (1.4, 101325, 1.225), 340.3),  # sound in air
        ("III.4.33", (1e-6, 1, 2, 3), 6),  # the classical limit kT
        ("III.10.19", (2, 1, 2, 2), 6),
        ("III.14.14", (1, 1, math.log(3), 1, 1), 2),
        ("II.35.18", (2, 1, 1, 1e-9, 1), 1),
    ],
)
def test_equations_give_known_values(
    identifier: str, arguments: tuple[float, ...], expected: float
) -> None:
    found = BY_IDENTIFIER[identifier].function(*map(float, arguments))
    assert float(found) == pytest.approx(expected, rel=1e-3 if expected > 100 else 1e-5)


@pytest.mark.parametrize("split", SPLITS)
def test_equations_are_sampled_in_parts_of_their_published_ranges(split: str) -> None:
    for index in range(40):
        raw = FEYNMAN.draw(split, 1, index, 0)
        equation = BY_IDENTIFIER[raw.label.split("-")[0]]
        low, high = np.array(equation.low), np.array(equation.high)
        assert (raw.x_train >= low).all()
        assert (raw.x_train <= high).all()
        width = np.ptp(raw.x_train, axis=0) / (high - low)
        assert (width > 0.9 * MIN_WIDTH).all()
        assert (width <= 1).all()
        # Shells grow upward from the sampled box's lower corner, up to twice its width.
        assert (raw.x_ood >= low).all()
        assert (raw.x_ood <= 2 * high - low).all()
        assert raw.y_ood[1, :, 0] == pytest.approx(equation.function(*raw.x_ood[1].T))


def test_an_equation_comes_again_on_another_range_under_another_name() -> None:
    drawn = {one.name: one for one in task("feynman").draw("test", per_family=33)}
    assert len(drawn) == 33
    first, again = drawn["feynman/I.16.6"], drawn["feynman/I.16.6-2"]
    assert not np.array_equal(first.y_train, again.y_train)


# One's own arrays.


def test_arrays_cannot_take_the_name_of_a_built_in_task() -> None:
    with pytest.raises(TaskError, match="'digits' is the name of a built-in task"):
        Task.from_arrays(*measured(), name="digits")


def test_arrays_become_a_task_with_one_family_of_their_name() -> None:
    own = Task.from_arrays(*measured(), name="pump")
    assert own.name == "pump"
    assert own.families == ("pump",)
    names = [one.name for one in own.draw("test", per_family=2)]
    assert names == ["pump/test-0", "pump/test-1"]
    one = own.draw("test", per_family=1)[0]
    assert one.x_train.shape == (TRAIN_POINTS, 2)
    assert one.y_ood.shape == (len(SHELLS), SHELL_POINTS, 2)
    assert one.y_train.std(axis=0) == pytest.approx(1, abs=1e-5)


def test_a_flat_list_is_one_column() -> None:
    x = np.linspace(0, 1, 100)
    own = Task.from_arrays(list(x), list(x**2), x + 1, (x + 1) ** 2)
    assert own.draw("search", per_family=1)[0].x_ood.shape == (len(SHELLS), SHELL_POINTS, 1)


def rows_used(source_draw: Callable[..., Raw], split: str, part: str, seeds: int) -> set[float]:
    """Return the serial numbers of the rows of one part that the instances of a split use."""
    used: set[float] = set()
    for seed, index in itertools.product(range(seeds), range(4)):
        used |= set(getattr(source_draw(split, seed, index, 0), part)[..., 0].ravel().tolist())
    return used


@pytest.mark.parametrize(("rows", "beyond"), [(64, 72), (200, 150), (3000, 3000)])
def test_rows_measured_on_belong_to_one_split_whatever_the_seed(rows: int, beyond: int) -> None:
    draw = arrays_source(*measured(rows, beyond), "arrays").draw
    for part in ("x_held_out", "x_ood"):
        sets = [rows_used(draw, split, part, 12) for split in SPLITS]
        for one, other in itertools.combinations(sets, 2):
            assert not one & other
    trained = [rows_used(draw, split, "x_train", 12) for split in SPLITS]
    held_out = [rows_used(draw, split, "x_held_out", 12) for split in SPLITS]
    assert not set().union(*trained) & set().union(*held_out)
    if rows == 64:
        assert trained[0] == trained[1]
        assert len(trained[0]) == 40
        assert [len(rows) for rows in held_out] == [8, 8, 8]


def test_repeated_rows_stay_in_one_split_and_order_does_not_matter() -> None:
    arrays = measured()
    order = np.random.default_rng(3).permutation(2 * 200)
    twice = [np.concatenate([array, array])[order] for array in arrays[:2]]
    once, again = Task.from_arrays(*arrays), Task.from_arrays(*twice, *arrays[2:])
    assert digest(once.draw("test")) == digest(again.draw("test"))


def test_enough_rows_are_not_repeated_and_few_are_repeated_evenly() -> None:
    for rows, distinct in ((3000, TRAIN_POINTS), (100, math.ceil(0.8 * 62))):
        one = Task.from_arrays(*measured(rows)).draw("search", per_family=1)[0]
        _, counts = np.unique(one.x_train[:, 0], return_counts=True)
        assert len(counts) == distinct
        assert np.ptp(counts) <= 1


def test_shells_of_arrays_are_thirds_by_distance_from_the_training_range() -> None:
    draw = arrays_source(*measured(300, 300), "arrays").draw
    for split in SPLITS:
        outside = draw(split, 0, 0, 0).x_ood[..., 1] - 1
        assert outside[0].max() < outside[1].min()
        assert outside[1].max() < outside[2].min()


def test_shells_inside_the_training_range_are_graded_by_distance_from_the_mean() -> None:
    x = np.linspace(-1, 1, 200)
    draw = arrays_source(x, 2 * x, 0.9 * x, 1.8 * x, "arrays").draw
    distance = np.abs(draw("test", 0, 0, 0).x_ood[..., 0])
    assert distance[0].max() <= distance[1].min()
    assert distance[1].max() <= distance[2].min()


def test_constant_inputs_keep_their_units() -> None:
    x_train, y_train, x_ood, y_ood = measured(columns=3)
    x_train[:, 2], x_ood[:, 2] = 5.0, 7.0
    one = Task.from_arrays(x_train, y_train, x_ood, y_ood).draw("search", per_family=1)[0]
    assert (one.x_train[:, 2] == 0).all()
    assert (one.x_ood[..., 2] == 2).all()


def changed(position: int, change: Callable[[np.ndarray], Any]) -> list[Any]:
    arrays: list[Any] = list(measured())
    arrays[position] = change(arrays[position])
    return arrays


def spoil(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[7, 0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("position", "change", "message"),
    [
        (0, spoil(math.nan), "X_train holds NaN or infinity, first in row 7, column 0"),
        (1, spoil(math.inf), "y_train holds NaN or infinity, first in row 7"),
        (2, spoil(-math.inf), "X_ood holds NaN or infinity, first in row 7"),
        (3, spoil(math.nan), "y_ood holds NaN or infinity, first in row 7"),
        (3, spoil(1e200), "y_ood holds numbers above 1e\\+30"),
        (2, lambda a: a[:, :1], "X_ood has 1 column\\(s\\), X_train has 2"),
        (3, lambda a: a[:, :1], "y_ood has 1 column\\(s\\), y_train has 2"),
        (1, lambda a: a[:-1], "X_train has 200 rows, y_train has 199"),
        (2, lambda a: a[:-1], "X_ood has 149 rows, y_ood has 150"),
        (1, lambda a: 0 * a + 3, "y_train is constant in column 0"),
        (3, lambda a: 0 * a + 3, "y_ood is \\(nearly\\) constant in its near shell"),
        (0, lambda a: a[:, :, None], "X_train has 3 dimensions"),
        (0, lambda a: a[:, :0], "X_train has no columns"),
        (0, lambda a: 3.0, "X_train has 0 dimensions"),
        (0, lambda a: a + 1j, "X_train holds complex numbers"),
        (1, lambda a: ["a"] * len(a), "y_train, column 0, holds text \\('a' in row 0\\)"),
        (2, lambda a: [[1, 2], [3]], "X_ood is not a rectangular array of real numbers"),
        (3, lambda a: None, "y_ood is missing"),
        (0, lambda a: np.ma.masked_less(a, 0.0), "X_train has masked values, first in row"),
        (0, lambda a: sparse.csr_array(a), "X_train is sparse"),
        (0, lambda a: [[object(), 1.0]] * len(a), "X_train, column 0, holds object in row 0"),
        (2, lambda a: a.astype("datetime64[s]"), "X_ood, column 0, holds dates or times"),
        (1, lambda a: np.array([(1.0,)] * len(a), [("b", float)]), "y_train is a structured array"),
        (3, lambda a: [None] * len(a), "y_ood holds NaN or infinity, first in row 0"),
    ],
)
def test_unusable_arrays_are_refused_by_name(
    position: int, change: Callable[[np.ndarray], Any], message: str
) -> None:
    with pytest.raises(TaskError, match=f"^{message}") as caught:
        Task.from_arrays(*changed(position, change))
    assert "\n" not in str(caught.value)


def test_columns_of_data_frames_are_matched_by_their_names() -> None:
    x_train, y_train, x_ood, y_ood = measured()
    train = pd.DataFrame(x_train, columns=["a", "b"])
    ood = pd.DataFrame(x_ood, columns=["a", "b"])
    plain = Task.from_arrays(x_train, y_train, x_ood, y_ood).draw("test")
    for other in (ood, ood[["b", "a"]]):
        named = Task.from_arrays(train, y_train, other, y_ood).draw("test")
        for own, expected in zip(named, plain, strict=True):
            np.testing.assert_array_equal(own.x_ood, expected.x_ood)
    with pytest.raises(TaskError, match=r"^X_ood lacks the column 'b' of X_train; did you mean"):
        Task.from_arrays(train, y_train, ood.rename(columns={"b": "b2"}), y_ood)
    with pytest.raises(TaskError, match=r"^X_ood has more than one column 'a'"):
        Task.from_arrays(train, y_train, ood.rename(columns={"b": "a"}), y_ood)


def test_a_bad_column_of_a_data_frame_is_named() -> None:
    x_train, y_train, x_ood, y_ood = measured()
    train = pd.DataFrame(x_train, columns=["a", "b"])
    city = train.assign(b=["Bonn"] * len(train))
    with pytest.raises(TaskError, match=r"^X_train, column 'b', holds text \('Bonn' in row 0\)"):
        Task.from_arrays(city, y_train, x_ood, y_ood)
    missing = train.convert_dtypes()
    missing.loc[3, "b"] = pd.NA
    with pytest.raises(TaskError, match=r"^X_train holds NaN .* row 3, column 'b'; drop or fill"):
        Task.from_arrays(missing, y_train, x_ood, y_ood)


def test_tensors_of_any_kind_are_taken_by_their_values() -> None:
    x_train, y_train, x_ood, y_ood = measured()
    expected = Task.from_arrays(x_train, y_train, x_ood, y_ood).draw("test")
    tensor = torch.tensor(x_train, requires_grad=True)
    drawn = Task.from_arrays(tensor, y_train, torch.tensor(x_ood), y_ood).draw("test")
    np.testing.assert_array_equal(drawn[0].x_train, expected[0].x_train)
    rounded = torch.tensor(x_train, dtype=torch.bfloat16)
    drawn = Task.from_arrays(rounded, y_train, x_ood, y_ood).draw("test")
    expected = Task.from_arrays(rounded.double().numpy(), y_train, x_ood, y_ood).draw("test")
    np.testing.assert_array_equal(drawn[0].x_train, expected[0].x_train)
    with pytest.raises(TaskError, match=r"^X_train is sparse"):
        Task.from_arrays(tensor.detach().to_sparse(), y_train, x_ood, y_ood)


def test_rows_that_are_trained_on_are_not_measured_as_out_of_distribution() -> None:
    x_train, y_train, x_ood, y_ood = measured()
    with pytest.raises(
        TaskError, match=r"^X_ood, without the rows of X_train, has 0 distinct rows"
    ):
        Task.from_arrays(x_train, y_train, x_train, y_train)
    both = np.r_[x_ood, x_train[:50]], np.r_[y_ood, y_train[:50]]
    mixed = Task.from_arrays(x_train, y_train, *both).draw("test")
    expected = Task.from_arrays(x_train, y_train, x_ood, y_ood).draw("test")
    np.testing.assert_array_equal(mixed[0].x_ood, expected[0].x_ood)


def test_too_few_distinct_rows_are_refused() -> None:
    x_train, y_train, x_ood, y_ood = measured(MIN_TRAIN_ROWS, MIN_OOD_ROWS)
    Task.from_arrays(x_train, y_train, x_ood, y_ood)
    few = np.r_[0:63, 0:63]
    with pytest.raises(TaskError, match=r"X_train has 63 distinct rows, at least 64 are needed"):
        Task.from_arrays(x_train[few], y_train[few], x_ood, y_ood)
    with pytest.raises(TaskError, match=r"X_ood has 71 distinct rows, at least 72 are needed"):
        Task.from_arrays(x_train, y_train, x_ood[1:], y_ood[1:])


def test_targets_that_vary_in_almost_no_row_are_refused_with_one_line() -> None:
    x_train, y_train, x_ood, y_ood = measured()
    y_train[1:, 0] = 0.0
    with pytest.raises(TaskError, match=r"^y_train is"):
        Task.from_arrays(x_train, y_train[:, :1], x_ood, y_ood[:, :1])


# Digits.


def test_digits_are_one_hot_with_64_inputs() -> None:
    one = task("digits").draw("search", per_family=1)[0]
    assert one.x_train.shape[1] == 64
    assert one.y_train.shape[1] == 10
    assert all(len(np.unique(column)) == 2 for column in one.y_train.T)
    assert np.abs(one.x_ood).max() < 11


def test_the_splits_share_no_image_and_no_corruption() -> None:
    images: list[set[bytes]] = []
    for split in SPLITS:
        raws = [DIGITS.draw(split, seed, index, 0) for seed in (0, 1) for index in range(4)]
        seen = {row.tobytes() for raw in raws for row in (*raw.x_train, *raw.x_held_out)}
        for raw in raws:
            train = {row.tobytes() for row in raw.x_train}
            assert not train & {row.tobytes() for row in raw.x_held_out}
            assert (
                raw.label.rpartition("-")[0] in CORRUPTIONS[split]
                or raw.label in (CORRUPTIONS[split])
            )
        images.append(seen)
    for one, other in itertools.combinations(images, 2):
        assert not one & other
    kinds = [kind for split in SPLITS for kind in CORRUPTIONS[split]]
    assert len(kinds) == len(set(kinds)) == 9


@pytest.mark.parametrize("split", SPLITS)
def test_corruptions_grow_with_severity_and_keep_the_targets(split: str) -> None:
    labels = set()
    for index in range(3):
        raw = DIGITS.draw(split, 0, index, 0)
        labels.add(raw.label)
        moved = ((raw.x_ood - raw.x_held_out) ** 2).mean(axis=(1, 2))
        assert 0.0005 < moved[0] < 0.95 * moved[1] < 0.9 * moved[2]
        assert (raw.x_ood >= 0).all()
        assert (raw.x_ood <= 1).all()
        assert (raw.y_ood == raw.y_held_out).all()
    assert labels == set(CORRUPTIONS[split])


#: For the first test instance of each family x_train[0, 0] and y_ood[2, 0, 0].
GOLDEN = {"polynomial": [1.271, 1.258], "harmonic": [0.485, 1.829], "feynman": [0.919, 3.688]}
