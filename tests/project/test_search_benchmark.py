"""The benchmark of the search, end to end, with the least draws there are."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from symact.backends import evaluate
from symact.expr import show
from symact.grammar import Grammar
from symact.proposers import EvaluatedProposal

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "search_study"


@pytest.fixture
def plain_gp(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("plain_gp")
    sys.modules.pop("plain_gp", None)


def step(folder: Path, *words: str, fails: bool = False) -> str:
    """Run a step in this process, which has loaded what it needs."""
    out, message, loaded = io.StringIO(), "", set(sys.modules)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "argv", [str(SCRIPTS), *words, "--results", str(folder / "results")])
        patch.chdir(folder)
        try:
            runpy.run_path(str(SCRIPTS), run_name="__main__")
        except SystemExit as ended:
            message = str(ended.code)
    for name in {file.stem for file in SCRIPTS.glob("*.py")} & (set(sys.modules) - loaded):
        del sys.modules[name]
    assert bool(message) == fails, message
    return message if fails else out.getvalue()


def test_runs_are_made_and_judged_once(tmp_path):
    first = step(
        tmp_path, "run", "--quick", "--methods", "plain-gp", "--seeds", "1", "--budget", "4"
    )
    assert "plain-gp, seed 1" in first
    record = tmp_path / "results" / "runs" / "plain-gp-1.json"
    kept = record.read_text()
    own = json.loads(kept)
    assert own["counts"]["full"] == 4
    assert own["counts"]["mini"] == 0
    ratios = [step["ratio"] for step in own["incumbents"]]
    assert ratios == sorted(ratios, reverse=True)
    again = ("run", "--quick", "--methods", "plain-gp", "--seeds", "1", "--budget")
    assert step(tmp_path, *again, "4") == ""
    assert "its budget is 4, asked is 5" in step(tmp_path, *again, "5", fails=True)
    assert record.read_text() == kept

    said = step(tmp_path, "judge", "--quick", "--part", "curves", "--methods", "plain-gp")
    assert own["incumbents"][-1]["formula"] in said
    assert step(tmp_path, "judge", "--quick", "--part", "curves", "--methods", "plain-gp") == ""


def test_the_report_in_the_repository_is_what_its_results_give(tmp_path):
    kept = SCRIPTS.parents[1] / "benchmarks" / "results"
    pictures = shutil.ignore_patterns("*.png", "*.svg")
    shutil.copytree(kept, tmp_path / "results", ignore=pictures)
    (tmp_path / "results" / "report.md").unlink()
    step(tmp_path, "report")
    made = (tmp_path / "results" / "report.md").read_text(encoding="utf-8")
    assert made == (kept / "report.md").read_text(encoding="utf-8")
    for name in ("chosen.svg", "curves.svg"):
        assert (tmp_path / "results" / name).stat().st_size > 5000


def test_an_unknown_method_is_named(tmp_path):
    command = [sys.executable, str(SCRIPTS), "run", "--methods", "randm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: unknown method 'randm'; did you mean 'random'?\n"


def test_plain_gp_comes_nearer_to_a_target(plain_gp):
    x = np.linspace(-3, 3, 61)
    target = x / (1 + np.exp(-x)) + 0.5
    proposer = plain_gp.PlainGP(Grammar.load("pointwise"), 3)
    best = []
    try:
        for _ in range(25):
            asked = proposer.ask(100)
            errors = [float(np.abs(evaluate(p.expr, x) - target).mean()) for p in asked]
            best.append(min(errors))
            told = zip(asked, errors, strict=True)
            proposer.tell(
                [EvaluatedProposal(p.expr, (0.0, 0.0, 1.0), error=error) for p, error in told]
            )
    finally:
        proposer.close()
    assert min(best[1:]) < best[0]


def test_plain_gp_never_asks_for_a_function_twice_and_ends_when_it_is_closed(plain_gp):
    before = set(threading.enumerate())
    proposer = plain_gp.PlainGP(Grammar.load("pointwise"), 5)
    seen: list[str] = []
    for _ in range(5):
        asked = proposer.ask(7)
        assert 1 <= len(asked) <= 7
        seen += [show(p.expr) for p in asked]
        proposer.tell([EvaluatedProposal(p.expr, None, "duplicate") for p in asked])
    proposer.close()
    assert len(seen) == len(set(seen))
    assert set(threading.enumerate()) <= before
