"""``symact compare`` from the command line, by protocol 2.0."""

from __future__ import annotations

import pytest
from command_line import called, strict_json

SMALL = ("--families", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run with the comparison at its end."""
    folder = tmp_path_factory.mktemp("compare") / "run"
    settings = (
        *("mini_networks=1", "mini_draws=1", "full_networks=1", "full_draws=1"),
        *("selection_networks=1", "finalists=1", "refine_share=0"),
    )
    done = called(
        *("search", "--task", "polynomial", "--budget", 12, "--seed", 1, "--out", folder),
        *(text for setting in settings for text in ("--set", setting)),
        "--no-compare",
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_is_judged_on_its_task_reported_and_remembered(run):
    first = called("compare", run, "ReLU", "x*tanh(x)", *SMALL, "--json")
    assert first.returncode == 0, first.stderr
    document = strict_json(first.stdout)
    assert document["protocol"] == "2.0-quick-task"
    assert (document["task"], document["draws"]) == ("polynomial", True)
    rows = {own["name"]: own for own in document["entries"]}
    assert {"ReLU", "GELU", "x*tanh(x)"} <= set(rows)
    assert rows["GELU"]["ood"] == [1, 1, 1]
    assert rows["x*tanh(x)"]["kind"] == "imported"
    assert any(own["kind"] == "found" for own in rows.values())
    for name in ("report.html", "table.md", "table.csv", "compare.json", "judgements.jsonl"):
        assert (run / name).stat().st_size > 200
    assert "Chosen function" in (run / "report.html").read_text()
    assert strict_json(called("compare", run, "ReLU", "x*tanh(x)", *SMALL, "--json").stdout) == (
        document
    )
    more = called("compare", run, "ReLU", "tanh", *SMALL)
    assert more.stderr.count("judging") == 1
    assert "2 test draws of task 'polynomial'" in more.stdout
    assert "new draws of this task, not other tasks" in more.stdout
    assert f"report: {run / 'report.html'}" in more.stdout


def test_functions_alone_are_judged_in_the_generated_families(tmp_path):
    found = called("compare", "tanh", "SiLU", *SMALL, "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    assert "Protocol 2.0-quick-2: 3 functions in 2 generated families of targets" in found.stdout
    assert {"tanh", "SiLU", "GELU"} <= set(found.stdout.split())
    assert "p is corrected for 3 functions (Holm)" in found.stdout
    assert len((tmp_path / "judgements.jsonl").read_text().splitlines()) == 3


def test_options_of_the_earlier_protocol_choose_it(tmp_path):
    found = called("compare", "tanh", "--quick", "--seeds", 1, "--per-family", 1, "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    assert "--per-family belongs to protocol 1.0, which is used" in found.stderr
    assert "protocol 1.0-quick" in found.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protocol", "2.0", "--seeds", 1), "seeds belongs to protocol 1.0"),
        (("--protocol", "2.0", "--per-family", 1), "per-family belongs to protocol 1.0"),
        (("--protocol", "1.0", "--families", 4), "families belongs to protocol 2.0"),
        (("--protocol", "2"), "unknown protocol '2'"),
        (("--families", 1), "'--families': Input should be greater than or equal to 2"),
        (("--families", 1001), "'--families': Input should be less than or equal to 1000"),
        (("--task", "digit"), "did you mean 'digits'"),
        (("--out", "file"), "file/judgements.jsonl: cannot be read"),
    ],
)
def test_bad_options_are_one_line(options, message, tmp_path):
    (tmp_path / "file").write_text("")
    found = called("compare", "tanh", *options, cwd=tmp_path)
    assert found.returncode == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
