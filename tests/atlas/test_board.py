"""The leaderboard of protocol 2.0: judged once, stored at once, sorted, with statistics."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

import symact
from symact.atlas.board import cells, headings
from symact.atlas.page import write_page
from symact.errors import StoreError, SymactError
from symact.evaluation.hierarchy import ood
from symact.reporting.figures.matrix import order
from symact.tasks.protocol2 import QUICK, VERSION

TINY = replace(
    QUICK, name="tiny", families=4, cells=2, width=8, steps=15, points=32, judged_points=32
)
NAMES = ("SiLU", "tanh", "x - mean(x)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("leaderboard")


@pytest.fixture(scope="module")
def board(folder):
    return symact.leaderboard(*NAMES, form=TINY, out=folder, device="cpu")


def lines(folder) -> list[str]:
    return (folder / "judgements.jsonl").read_text().splitlines()


def test_pointwise_functions_are_sorted_and_come_first(board):
    names = [own.name for own in board.entries]
    assert set(names) == {*NAMES, "GELU"}
    assert names[-1] == "x - mean(x)"
    ratios = [own.standing.ood.ratio for own in board.entries[:-1]]
    assert ratios == sorted(ratios)
    assert board.version == f"{VERSION}-tiny"


def test_ratios_are_those_of_the_stored_errors(board, folder):
    stored = {json.loads(line)["name"]: json.loads(line) for line in lines(folder)}

    def errors(name):
        values = np.array(stored[name]["errors"], dtype=float)
        return ood(values.reshape(stored[name]["shape"]))

    difference = errors("tanh") - errors("GELU")
    entry = board.entry("tanh")
    assert entry.standing.ood.ratio == pytest.approx(10 ** difference.mean(axis=1).mean())
    assert entry.families == pytest.approx(tuple(10 ** difference.mean(axis=1)))
    assert entry.standing.won == pytest.approx((difference < 0).mean())
    reference = board.entry("GELU")
    assert reference.standing.ood.ratio == 1.0


def test_a_second_call_trains_nothing_and_returns_the_same(board, folder):
    before, steps = lines(folder), []
    again = symact.leaderboard(
        *NAMES, form=TINY, out=folder, device="cpu", on_step=lambda *step: steps.append(step)
    )
    assert steps == []
    assert lines(folder) == before
    assert again.to_dict() == board.to_dict()


def test_after_a_kill_only_the_lost_function_is_trained_again(board, folder, tmp_path):
    whole = lines(folder)
    cut = "\n".join(whole[:-1]) + "\n" + whole[-1][:100]
    (tmp_path / "judgements.jsonl").write_text(cut)
    steps = []
    again = symact.leaderboard(
        *NAMES, form=TINY, out=tmp_path, device="cpu", on_step=lambda *step: steps.append(step[2])
    )
    assert steps == [json.loads(whole[-1])["name"]]
    same = [own.standing.ood for own in again.entries]
    assert same == [own.standing.ood for own in board.entries]
    assert len(lines(tmp_path)) == len(whole) + 1


def test_families_of_another_split_have_judgements_of_their_own(tmp_path):
    steps = []
    for split in ("test", "search"):
        found = symact.leaderboard(
            *("SiLU", "GELU"), form=TINY, families=2, split=split, out=tmp_path, device="cpu",
            on_step=lambda *step: steps.append(step),
        )  # fmt: skip
    assert len(steps) == 4
    assert found.task == "families-search"


def test_the_page_has_every_function_and_the_matrix(board, tmp_path):
    page = write_page(board, tmp_path).read_text()
    for own in board.entries:
        assert own.name in page
    assert page.count("data:image/svg+xml") == 1
    document = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [own["name"] for own in document["entries"]] == [own.name for own in board.entries]
    assert len(document["entries"][0]["families"]) == len(document["families"]) == 4


def test_a_row_has_a_cell_for_each_heading(board):
    assert all(len(cells(own)) == len(headings()) for own in board.entries)


def test_similar_rows_become_neighbours():
    rng = np.random.default_rng(0)
    kinds = rng.normal(0, 1, (2, 20))
    rows = np.stack([kinds[i % 2] + rng.normal(0, 0.05, 20) for i in range(10)])
    placed = [i % 2 for i in order(rows)]
    assert sum(a != b for a, b in itertools.pairwise(placed)) == 1


@pytest.mark.parametrize(
    ("items", "changes", "message"),
    [
        (("SiLUU",), {}, "SiLU"),
        (("SiLU",), {"form": "quik"}, "did you mean 'quick'"),
        (("SiLU",), {"split": "tests"}, "did you mean 'test'"),
        (("SiLU",), {"families": 1}, "families must be at least 2, got 1"),
        (("SiLU",), {"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_bad_input_is_named_in_one_line(tmp_path, items, changes, message):
    with pytest.raises(SymactError, match=message) as caught:
        symact.leaderboard(*items, **({"form": TINY, "out": tmp_path} | changes))
    assert "\n" not in str(caught.value)


def test_an_unknown_row_is_named(board):
    with pytest.raises(SymactError, match="did you mean 'tanh'"):
        board.entry("tahn")


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "judgements.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"judgements\.jsonl"):
        symact.leaderboard("SiLU", form=TINY, out=tmp_path, device="cpu")
