"""A run of an earlier release is shown by this one, and not continued.

The run in ``data/run-491e9a9`` was finished after 24 candidates, resumed with a budget of 48, and
interrupted with a generation under way. ``expected.json`` is what that release made of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from symact import load
from symact.engine import resume
from symact.errors import StoreError

STORED = Path(__file__).parents[1] / "data" / "run-491e9a9"
EXPECTED = json.loads((STORED / "expected.json").read_text())


@pytest.fixture
def stored(tmp_path):
    """A copy, since opening a database makes files beside it."""
    return shutil.copytree(STORED, tmp_path / "run")


def check(result, name):
    expected = EXPECTED[name]
    assert result.counts == expected["counts"]
    assert [found.formula for found in result.front] == [f["formula"] for f in expected["front"]]
    for found, known in zip(result.front, expected["front"], strict=True):
        assert found.id == known["id"]
        # Other processors round differently.
        assert found.ood == pytest.approx(known["ood"], rel=1e-3)
        assert found.id_error == pytest.approx(known["id_error"], rel=1e-2)


def test_it_is_shown(stored):
    result = load(stored)
    check(result, "interrupted")
    assert not result.finished
    assert result.fidelity == "selection"
    assert result.config["seed"] == 3
    assert len(result.to_frame()) == result.counts["seen"]


def test_its_scores_are_not_continued_by_other_networks(stored):
    with pytest.raises(StoreError, match="trained by ladder 6, this symact has 7"):
        resume(stored, threads=1)
    test_it_is_shown(stored)
