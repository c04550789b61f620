"""A search of functions with trained parameters ends, resumes exactly and writes its report."""

from __future__ import annotations

import pytest
from small_runs import ARGUMENTS, go_on, judge_and_report, run

from symact.engine import Progress
from symact.engine.result import load
from symact.expr import parameters, parse


def test_a_search_with_trained_parameters_resumes_exactly_and_reports(tmp_path):
    arguments = {**ARGUMENTS, "grammar": "pointwise-trained"}
    expected = run(tmp_path / "whole", **arguments)
    frame = expected.to_frame()
    trained = [bool(parameters(parse(formula))) for formula in frame["formula"]]
    assert sum(trained) > 5
    assert frame["mini_ood"][trained].notna().any()
    assert frame["full_ood"][trained].notna().any()

    calls = 0

    def interrupt(progress: Progress) -> None:
        nonlocal calls
        calls += progress.phase == "search"
        if calls == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", **arguments, on_progress=interrupt)
    resumed = go_on(tmp_path / "part", threads=1)
    assert resumed.front == expected.front
    assert resumed.to_frame().equals(frame)
    judge_and_report(tmp_path / "part")
    assert "param(" in (tmp_path / "part" / "report.html").read_text("utf-8")
    assert load(tmp_path / "part").finished
