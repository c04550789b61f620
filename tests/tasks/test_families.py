"""Generated families: strata, disjoint splits, reproducible data, noise and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from symact.tasks import Instance
from symact.tasks.families import (
    FAMILY_SPLITS,
    MAX_GROWTH,
    STRATA,
    Family,
    families,
    population,
)
from symact.tasks.instance import MIN_SPREAD, spread

ARRAYS = ("x_train", "y_train", "x_held_out", "y_held_out", "x_ood", "y_ood")
COUNT = 64
NAMES = tuple(f"{kind}{number}" for kind in "xc" for number in range(1, 100))


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Instance, ...]]:
    """One instance of each of 64 families of each split."""
    return {split: population(split, COUNT).draw(split, per_family=1) for split in FAMILY_SPLITS}


def everything() -> list[Family]:
    return [family for split in FAMILY_SPLITS for family in families(split, COUNT)]


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
