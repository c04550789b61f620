"""Judgements that are part of the package, and comparisons within a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_runs import ONE_CELL

import symact
from symact import zoo
from symact.atlas.board import explanation, form_of, judge_all, judge_in_time
from symact.atlas.comparison import BRIEF_FAMILIES
from symact.atlas.judgements import Judgements
from symact.atlas.known import PATH, known_judgements, write_known
from symact.errors import SymactError
from symact.evaluation.cells import CellJudge
from symact.evaluation.hierarchy import ood
from symact.reporting.competitors import of_formula, of_zoo
from symact.tasks.families import population
from symact.tasks.protocol import COMPARED


@pytest.fixture(scope="module")
def brief():
    """The judge at the end of a search."""
    form = form_of("quick", BRIEF_FAMILIES)
    return CellJudge(population("test", BRIEF_FAMILIES), form, device="cpu")


@pytest.fixture(scope="module")
def tiny():
    return CellJudge(population("test", 4), ONE_CELL, device="cpu")


def test_the_usual_functions_have_judgements_for_the_end_of_a_search(brief):
    known = known_judgements(brief)
    assert [own.key for own in known] == [of_zoo(zoo.find(name)).key for name in COMPARED]
    assert all(own.errors.shape == (BRIEF_FAMILIES, 4, 4) for own in known)
    assert PATH.stat().st_size < 150_000


def test_they_are_what_judging_gives(brief):
    """If this fails after an intended change, run ``python tools/judge_known.py``."""
    known = {own.name: own for own in known_judgements(brief)}
    (found,) = brief.judge([of_zoo(zoo.find("GELU")).function])
    difference = ood(found.errors) - ood(known["GELU"].errors)
    # The last digits differ between processors, and training amplifies that by chance.
    assert np.median(np.abs(difference)) < 0.02
    assert abs(difference.mean()) < 0.02


def test_another_form_or_other_families_have_none(tiny):
    assert known_judgements(tiny) == ()
    form = form_of("quick", 8)
    assert known_judgements(CellJudge(population("test", 8), form, device="cpu")) == ()


def test_a_written_file_has_the_judgements(tiny, tmp_path):
    judged = judge_all(tiny, Judgements(None), [of_zoo(zoo.find("ReLU"))])
    write_known(tmp_path / "known.json", tiny, judged)
    lines = (tmp_path / "known.json").read_text().splitlines()
    assert len(lines) == 3
    assert tiny.data in lines[0]
    assert '"name":"ReLU"' in lines[1]


def test_own_judgements_come_before_those_of_the_package(tiny):
    (own,) = judge_all(tiny, Judgements(None), [of_zoo(zoo.find("ReLU"))])
    other = replace(own, seconds=99.0)
    store = Judgements(None)
    store.add(own)
    store.offer([other])
    assert store.get(own.key, own.population) is own
    store = Judgements(None)
    store.offer([other])
    assert store.get(own.key, own.population) is other


# Time.
def functions():
    found = replace(of_formula("x*tanh(x)", zoo.function("x*tanh(x)")[1]), kind="found")
    return [found, *(of_zoo(zoo.find(name)) for name in ("ReLU", "SiLU", "tanh", "GELU"))]


@pytest.mark.parametrize(("end", "judged"), [(0.0, "fG"), (5.0, "fRG"), (8.0, "fRSG")])
def test_functions_are_judged_while_there_is_time(tiny, end, judged):
    """A clock counts its readings; a training takes one, and a look at the time another."""
    readings = iter(range(100))
    found = judge_in_time(
        tiny, Judgements(None), functions(), end=end, clock=lambda: float(next(readings))
    )
    names = "fRStG"
    assert "".join(name for name, own in zip(names, found, strict=True) if own) == judged


def test_known_judgements_take_no_time(tiny):
    store = Judgements(None)
    judge_all(tiny, store, functions()[1:])
    assert all(judge_in_time(tiny, store, functions(), end=0.0, clock=lambda: 1.0))


def test_what_is_left_out_is_named():
    board = symact.compare("x*tanh(x)", "SiLU", "tanh", form=ONE_CELL, device="cpu", seconds=0.0)
    assert {own.name for own in board.entries} == {"x*tanh(x)", "GELU"}
    assert board.left_out == ("SiLU", "tanh")
    assert explanation(board).endswith("No time was left for SiLU, tanh.")
    assert board.to_dict()["left_out"] == ["SiLU", "tanh"]


def test_a_time_belongs_to_protocol_2():
    with pytest.raises(SymactError, match=r"seconds belongs to protocol 2\.0"):
        symact.compare("SiLU", protocol="1.0", seconds=5.0)
