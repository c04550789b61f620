"""Generated families: strata, disjoint splits, reproducible data, noise and refusals."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from symact.errors import TaskError
from symact.expr import parse, show
from symact.expr.canonical import canonical
from symact.tasks import Instance, Task
from symact.tasks.families import (
    FAMILY_SPLITS,
    MAX_GROWTH,
    NOISE,
    STRATA,
    Box,
    Family,
    Template,
    families,
    population,
)
from symact.tasks.families.form import form_of, is_linear
from symact.tasks.instance import MIN_SPREAD, spread

ARRAYS = ("x_train", "y_train", "x_held_out", "y_held_out", "x_ood", "y_ood")
COUNT = 64
NAMES = tuple(f"{kind}{number}" for kind in "xc" for number in range(1, 100))

#: The first far target of the first twelve families of the test split.
PINNED = [
    4.3242,
    -4.89017,
    120.35123,
    -4.28556,
    -0.22562,
    0.56743,
    2.15157,
    -1.49719,
    -0.24691,
    -2.38679,
    -0.73296,
    -0.25744,
]

Targets = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Instance, ...]]:
    """One instance of each of 64 families of each split."""
    return {split: population(split, COUNT).draw(split, per_family=1) for split in FAMILY_SPLITS}


def everything() -> list[Family]:
    return [family for split in FAMILY_SPLITS for family in families(split, COUNT)]


def canonical_template(formula: str) -> str:
    """Return the simplifier's form with one constant and inputs named in order of appearance."""
    text = re.sub(r"c\d+", "c", show(canonical(parse(formula, NAMES))))
    names = list(dict.fromkeys(re.findall(r"x\d+", text)))
    return re.sub(r"x\d+", lambda match: f"x{names.index(match[0])}", text)


def test_strata_come_in_turn_and_equally_often() -> None:
    found = families("search", 2 * len(STRATA))
    assert [family.stratum for family in found] == 2 * list(STRATA)
    assert [family.number for family in found] == list(range(len(found)))
    assert found[3].name == "rational-03"


def test_names_are_unique_in_a_split_and_inputs_are_one_to_six() -> None:
    assert len({(family.split, family.name) for family in everything()}) == 4 * COUNT
    assert {family.inputs for family in everything()} == set(range(1, 7))


def test_a_window_has_the_families_of_the_whole() -> None:
    assert population("test", 5, first=20).families == population("test", COUNT).families[20:25]
    assert families("test", 5, first=20) == families("test", COUNT)[20:25]


def test_every_family_has_standardised_usable_instances(
    drawn: dict[str, tuple[Instance, ...]],
) -> None:
    for one in (one for instances in drawn.values() for one in instances):
        for name in ARRAYS:
            assert getattr(one, name).dtype == np.float32
            assert np.isfinite(getattr(one, name)).all()
        np.testing.assert_allclose(one.x_train.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(one.x_train.std(axis=0), 1, atol=1e-4)
        np.testing.assert_allclose(one.y_train.mean(), 0, atol=1e-4)
        np.testing.assert_allclose(one.y_train.std(), 1, atol=1e-4)
        spreads = [spread(part) for part in (one.y_held_out, *one.y_ood)]
        assert min(spreads) >= MIN_SPREAD
        assert max(spreads[1:]) <= MAX_GROWTH


def test_the_same_arguments_give_the_same_data() -> None:
    first, again = (population("selection", 12).draw("selection", per_family=2) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_formulas_are_those_of_the_protocol() -> None:
    state = hashlib.sha256()
    for family in everything():
        state.update(f"{family.split}/{family.name}: {family.key}: {family.formula}".encode())
    assert state.hexdigest()[:16] == "ecf5a972f1f6f19c"


def test_data_are_those_of_the_protocol() -> None:
    first = [one.y_ood[2, 0, 0] for one in population("test", 12).draw("test", per_family=1)]
    np.testing.assert_allclose(first, PINNED, rtol=1e-3)


# Splits.


def test_no_two_splits_share_a_key() -> None:
    owner: dict[str, str] = {}
    for family in everything():
        assert owner.setdefault(family.key, family.split) == family.split


def test_no_two_splits_share_a_canonical_formula() -> None:
    owner: dict[str, str] = {}
    for family in everything():
        if family.stratum in ("teacher", "linear") or " where " in family.formula:
            continue
        text = canonical_template(family.formula)
        assert owner.setdefault(text, family.split) == family.split, text


def test_only_the_linear_stratum_is_linear() -> None:
    for family in everything():
        assert is_linear(family.template.form) == (family.stratum == "linear")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("c1*x1 + c2*x2*x3", "x3 - c1*x1*x2"),
        ("sin(c1*x1 + c2)", "c1*sin(-x2)"),
        ("c1*x1 + c2*x1", "x1"),
        ("max(max(x1, c1*x2), x3)", "max(x3, max(x2, x1))"),
        ("x1/(c1*x2)", "c1/x1*x2"),
        ("x1**2*x1", "c1*x2**3"),
        ("exp(c1)*x1", "x1"),
    ],
)
def test_formulas_of_one_structure_have_one_form(one: str, other: str) -> None:
    assert form_of(parse(one, NAMES)) == form_of(parse(other, NAMES))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x1*x2", "x1**2"),
        ("x1/(x1 + c1)", "x1"),
        ("max(x1, x2)", "min(x1, x2)"),
        ("sin(x1) + sin(x2)", "sin(x1 + x2)"),
        ("sqrt(x1**2 + x2**2)", "sqrt(x1*x2)"),
        ("c1 - c2", "x1"),
    ],
)
def test_other_structures_have_other_forms(one: str, other: str) -> None:
    assert form_of(parse(one, NAMES)) != form_of(parse(other, NAMES))


def test_draws_of_a_population_are_new_instances_of_the_same_families() -> None:
    task = population("search", 4)
    own, tested = task.draw("search", per_family=1), task.draw("test", per_family=1)
    assert [one.family for one in own] == [one.family for one in tested]
    for one, other in zip(own, tested, strict=True):
        assert not np.array_equal(one.x_train, other.x_train)


def test_instances_of_a_family_differ_and_depend_on_the_seed() -> None:
    task = population("test", 1)
    first, second = task.draw("test", per_family=2)
    (reseeded,) = task.draw("test", per_family=1, seed=1)
    assert not np.array_equal(first.x_train, second.x_train)
    assert not np.array_equal(first.x_train, reseeded.x_train)


# Noise.


def test_a_third_of_the_families_has_noise() -> None:
    found = families("test", 72)
    noisy = [family for family in found if family.noise]
    assert len(noisy) == 24
    assert {family.stratum for family in noisy} == set(STRATA)
    assert all(NOISE[0] <= family.noise <= NOISE[1] for family in noisy)


def test_noise_is_only_on_training_targets() -> None:
    noisy = next(family for family in families("search", COUNT) if family.noise)
    exact = replace(noisy, noise=0.0)
    one, other = (family.source().draw("search", 0, 0, 0) for family in (noisy, exact))
    for name in ("x_train", "x_held_out", "y_held_out", "x_ood", "y_ood"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    relative = (one.y_train - other.y_train).std() / other.y_train.std()
    assert relative == pytest.approx(noisy.noise, rel=0.2)


# Refusals.


def test_an_unknown_split_is_named_with_the_nearest_choice() -> None:
    with pytest.raises(TaskError, match="unknown split 'tset'; did you mean 'test'"):
        population("tset")
    with pytest.raises(TaskError, match="unknown split 'confirm'; did you mean 'confirmation'"):
        population("test", 1).draw("confirm")


@pytest.mark.parametrize(("count", "first"), [(0, 0), (1, -1), (1.5, 0)])
def test_numbers_out_of_range_are_refused(count: int, first: int) -> None:
    with pytest.raises(TaskError, match="must be"):
        population("test", count, first=first)


@pytest.mark.parametrize(
    "targets",
    [
        lambda x: np.zeros((len(x), 1)),
        lambda x: np.full((len(x), 1), np.nan),
        lambda x: np.exp(8 * x[:, :1]),
        lambda x: np.where(np.abs(x[:, :1]) > 1, 0.0, x[:, :1]),
    ],
    ids=["constant", "not finite", "growth", "flat shells"],
)
def test_a_family_that_cannot_be_drawn_is_named(targets: Targets) -> None:
    template = Template("f(x1)", "f(x)", (), lambda rng: targets)
    box = Box((-1.0,), (1.0,), centred=True)
    family = Family("mixed-11", "mixed", "test", 11, box, 0.0, template)
    task = Task("one", (family.source(),))
    with pytest.raises(TaskError, match=r"'mixed-11', split 'test', instance 0: .* other families"):
        task.draw("test", per_family=1)
