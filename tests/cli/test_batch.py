"""Batches: every combination, one directory each, whatever happens to one of them."""

from __future__ import annotations

import pytest
from command_line import called

from symact.cli.jobs import load_batch
from symact.errors import SymactError

JOBS = """
grammars = ["rational"]
tasks = ["polynomial"]
seeds = [0, 1]
budget = "12"
compare = false
"""

#: Searches of seconds.
SMALL = """
[settings]
mini_networks = 2
mini_draws = 1
full_networks = 1
full_draws = 1
selection_networks = 1
finalists = 1
refine_share = 0
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grammars = [", "not TOML"),
        (JOBS + "grammer = 1", "key 'grammer': unknown; did you mean 'grammars'"),
        (JOBS.replace('"rational"', '"rationl"'), "did you mean 'rational'"),
        (JOBS.replace('"rational"', '"rationl"'), "key 'grammars'"),
        (JOBS.replace("[0, 1]", "[-1]"), "key 'seeds'"),
        (JOBS.replace("false", '"no"'), "key 'compare'"),
        (JOBS + "out = 5", "key 'out'"),
        ("", "key 'grammars': expected a list"),
        (JOBS.replace('"polynomial"', '"polynom"'), "key 'tasks'"),
        (JOBS.replace("[0, 1]", "[]"), "key 'seeds': expected a list"),
        (JOBS.replace("[0, 1]", '["a"]'), "key 'seeds': expected ints"),
        (JOBS.replace("[0, 1]", "[1, 1]"), "two jobs have the same directory"),
        (JOBS.replace('"12"', '"soon"'), "key 'budget'"),
        (JOBS + 'proposer = "ggp"', "key 'proposer'"),
        (JOBS + "settings = 1", "key 'settings': expected dict"),
        (JOBS + "[settings]\nislandz = 2", "key 'settings': unknown setting 'islandz'"),
        (JOBS + "[settings]\ntune = 3", "key 'settings': setting 'tune': expected true or false"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(text, message, tmp_path):
    file = tmp_path / "jobs.toml"
    file.write_text(text)
    with pytest.raises(SymactError, match=r"^[^\n]*$") as caught:
        load_batch(file)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_missing_or_no_text_is_refused_by_name(tmp_path):
    with pytest.raises(SymactError, match=r"none\.toml: cannot be read"):
        load_batch(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SymactError, match=r"binary\.toml: not TOML"):
        load_batch(tmp_path / "binary.toml")


def test_jobs_are_every_combination_in_order(tmp_path):
    file = tmp_path / "jobs.toml"
    file.write_text(JOBS.replace('["rational"]', '["rational", "periodic"]'))
    names = [job.name for job in load_batch(file).jobs]
    assert names == [f"{g}-polynomial-{s}" for g in ("rational", "periodic") for s in (0, 1)]


def test_a_failing_job_stops_no_other_and_a_second_batch_skips_what_is_done(tmp_path):
    (tmp_path / "jobs.toml").write_text(JOBS + SMALL)
    broken = tmp_path / "jobs" / "rational-polynomial-0"
    broken.mkdir(parents=True)
    (broken / "run.db").write_bytes(b"no database" * 100)
    first = called("batch", "jobs.toml", cwd=tmp_path)
    assert first.returncode == 1
    assert "1 of 2 jobs done, 1 failed" in first.stdout
    assert "not a readable run" in (broken / "log.txt").read_text()
    assert (broken / "run.db").read_bytes() == b"no database" * 100
    done = tmp_path / "jobs" / "rational-polynomial-1"
    assert "done, best" in (done / "log.txt").read_text()
    before = (done / "run.db").read_bytes()

    (broken / "run.db").unlink()
    second = called("batch", "jobs.toml", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "2 of 2 jobs done, 0 failed" in second.stdout
    assert (done / "run.db").read_bytes() == before
