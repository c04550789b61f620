"""``symact leaderboard`` from the command line."""

from __future__ import annotations

from command_line import called, strict_json

SMALL = ("--families", "2", "--device", "cpu")


def test_the_leaderboard_is_printed_stored_and_continued(tmp_path):
    first = called("leaderboard", "tanh", *SMALL, "--out", tmp_path)
    assert first.returncode == 0, first.stderr
    assert "Protocol 2.0-quick-2: 2 functions in 2 generated families" in first.stdout
    assert "judging 1/2: tanh" in first.stderr
    assert (tmp_path / "leaderboard.html").exists()
    second = called("leaderboard", "tanh", "SiLU", *SMALL, "--out", tmp_path, "--json")
    document = strict_json(second.stdout)
    assert {own["name"] for own in document["entries"]} == {"tanh", "SiLU", "GELU"}
    assert len((tmp_path / "judgements.jsonl").read_text().splitlines()) == 3


def test_an_unknown_name_is_one_line(tmp_path):
    found = called("leaderboard", "SiLUU", *SMALL, "--out", tmp_path)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "SiLU" in found.stderr
