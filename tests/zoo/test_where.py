"""Where functions win: the file of the package against the leaderboard of the repository."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import called, strict_json

from symact import zoo
from symact.errors import ZooError

BOARD = Path(__file__).parents[2] / "benchmarks/results/leaderboard/leaderboard.json"


def test_every_judged_function_has_the_ratios_of_the_leaderboard():
    board = json.loads(BOARD.read_text())
    kinds = np.array([name.partition("-")[0] for name in board["families"]])
    for entry in board["entries"]:
        found = zoo.where_it_wins(entry["name"])
        if entry["name"] == board["reference"]:
            assert found is None
            continue
        assert (found.protocol, found.families) == (board["protocol"], len(kinds))
        assert found.ood == pytest.approx(entry["ood"], rel=0.01)
        logs = np.log(entry["families"])
        expected = {kind: np.exp(logs[kinds == kind].mean()) for kind in kinds}
        assert {kind: own.ratio for kind, own in found.kinds.items()} == pytest.approx(
            expected, rel=0.01
        )
        assert all(own.low <= own.ratio <= own.high for own in found.kinds.values())


def test_the_command_shows_where_a_function_wins():
    said = called("zoo", "SymAct-22").stdout
    assert "OOD error relative to GELU by protocol 2.0-quick, 96 generated families" in said
    rows = [line.split() for line in said.partition("Where it wins")[2].splitlines()]
    found = {row[0]: float(row[1]) for row in rows if len(row) == 5 and row[3] == "to"}
    assert len(found) == 13
    assert list(found.values())[1:] == sorted(list(found.values())[1:])
    document = strict_json(called("zoo", "SymAct-22", "--json").stdout)
    assert document["where_it_wins"]["kinds"]["linear"][0] == pytest.approx(
        found["linear"], abs=0.006
    )


def test_a_function_that_was_not_judged_has_no_row():
    assert zoo.where_it_wins("gelu") is None
    assert "Where it wins" not in called("zoo", "GELU").stdout
    with pytest.raises(ZooError, match="did you mean"):
        zoo.where_it_wins("SymAct-2")
