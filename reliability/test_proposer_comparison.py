"""The comparison of a language model with the other proposers, in whole commands."""

from __future__ import annotations

import pytest
from fake_model import fake_model

from proposers.test_language_model import SETTINGS, script


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def compared(server, folder, *more):
    shared = ["--task", "polynomial", "--seeds", 1, "--families", 2, "--out", "out", *SETTINGS]
    own = ["--model", "m", "--url", server.url, "--input-price", 2, "--wait", 0.01]
    return script(*shared, "--budget", 3, *own, *more, name="compare_proposers.py", cwd=folder)


def test_one_command_compares_it_with_the_others(tmp_path):
    with fake_model() as server:
        done = compared(server, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[-3:]
    assert [line.split()[:2] for line in lines] == [
        ["model-0", "3"],
        ["gp-0", "3"],
        ["random-0", "3"],
    ]
    assert "120 + 30 tokens in 1 requests, cost 0.00024" in lines[0]
    assert (tmp_path / "out" / "curves" / "curves.png").exists()
    assert (tmp_path / "out" / "comparison").is_dir()


def test_a_comparison_stops_at_a_model_that_judged_too_few(tmp_path):
    with fake_model("good") as server:
        done = compared(server, tmp_path, "--budget", 9, "--most-cost", 0.0001)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said == "out/model-0: 3 of 9 candidates judged; repeat after a repair"
