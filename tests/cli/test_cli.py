"""The command line, end to end, as a user meets it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from html import unescape
from pathlib import Path

import pytest
import torch
from command_line import SYMACT, called, strict_json, symact

import symact as symact_library
from symact.engine.settings import SearchConfig
from symact.errors import SymactError
from symact.evaluation import Plan
from symact.expr.primitives import PRIMITIVES
from symact.proposers import Evolution

#: A search of seconds.
SMALL = [
    text
    for setting in (
        *("mini_networks=2", "mini_draws=1", "full_networks=4", "full_draws=1"),
        *("full_share=0.2", "selection_networks=1", "finalists=1", "refine_share=0"),
    )
    for text in ("--set", setting)
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished small run, searched through the command line."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = symact(
        *("search", "--task", "polynomial", "--budget", 25, "--seed", 2, *SMALL),
        *("--out", folder, "--no-compare"),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "run.db").read_bytes()).hexdigest()


def test_a_search_prints_plain_lines_when_piped_and_leaves_a_run(run):
    folder, done = run
    assert "\x1b" not in done.stdout + done.stderr
    assert "25 mini-trained" in done.stdout
    assert "best: #" in done.stdout
    assert {"run.db", "config.toml"} <= {path.name for path in folder.iterdir()}


def test_show_prints_the_front_for_people_and_for_programs(run):
    folder, _ = run
    assert "Pareto front" in called("show", folder).stdout
    shown = strict_json(called("show", folder, "--json").stdout)
    assert {"protocol", "seed", "counts", "rung_spearman", "front"} <= set(shown)
    assert set(shown["counts"]) == {"seen", "screened", "mini", "full"}
    assert shown["counts"]["mini"] == 25
    assert shown["seed"] == 2
    assert set(shown["rung_spearman"]) == {"mini-full", "full-selection"}
    assert shown["front"]
    for entry in shown["front"]:
        assert {"id", "formula", "ood", "id_error", "flops", "nodes"} <= set(entry)


def test_compare_by_the_earlier_protocol_judges_writes_a_report_and_remembers(run):
    folder, _ = run
    small = ("--protocol", "1.0", "--quick", "--per-family", 2, "--seeds", 1)
    arguments = ("compare", folder, "ReLU", "x*tanh(x)", *small, "--json")
    first = called(*arguments)
    compared = strict_json(first.stdout)
    assert {"protocol", "tasks", "seeds", "rows"} <= set(compared)
    assert compared["protocol"].endswith("-quick")
    assert len(compared["tasks"]) == 2
    rows = {row["name"]: row for row in compared["rows"]}
    assert {"ReLU", "GELU", "x*tanh(x)"} < set(rows)
    assert rows["GELU"]["ratio"] == rows["GELU"]["low"] == rows["GELU"]["high"] == 1
    assert rows["x*tanh(x)"]["kind"] == "imported"
    assert any(row["kind"] == "found" for row in rows.values())
    keys = {"name", "kind", "formula", "ood", "ratio", "low", "high", "id_ratio", "flops"}
    for row in rows.values():
        assert keys | {"families"} <= set(row)
        assert row["low"] <= row["ratio"] <= row["high"]
    for name in ("report.html", "table.md", "table.csv", "compare.json"):
        assert (folder / name).stat().st_size > 200
    for name in ("front", "functions", "distance", "families", "critical"):
        assert (folder / f"{name}.svg").read_text().startswith("<?xml")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert "<script" not in page
    assert "x*tanh(x)" in page
    chosen = symact_library.load(folder).best
    head = unescape(page.split("<table>")[0])
    assert "Chosen function" in head
    assert chosen.formula in head
    assert f"symact.load({str(folder)!r})" in head
    assert "search time" in page
    assert 'id="chosen-0"' in (folder / "front.svg").read_text()

    before = judged_rows(folder)
    again = called(*arguments)
    assert strict_json(again.stdout) == compared
    assert judged_rows(folder) == before > 0
    more = called("compare", folder, "GELU", "ReLU", "tanh", *small)
    assert more.stderr.count("judging") == 1  # one new function, one training
    assert judged_rows(folder) == before + 2


def judged_rows(folder: Path) -> int:
    with sqlite3.connect(folder / "run.db") as connection:
        return connection.execute("SELECT COUNT(*) FROM judged").fetchone()[0]


def test_resuming_a_finished_run_changes_nothing(run):
    folder, _ = run
    before = dump(folder)
    done = called("resume", folder, "--no-compare")
    assert done.returncode == 0, done.stderr
    assert dump(folder) == before


def dump(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "run.db") as connection:
        return list(connection.iterdump())


def test_a_search_into_an_existing_run_is_refused_and_the_run_kept(run):
    folder, _ = run
    before = digest(folder)
    done = called("search", "--task", "polynomial", "--budget", 5, "--out", folder)
    assert_refused(done, "holds a run already")
    assert digest(folder) == before


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("symact: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--grammar", "pointwize", "--out", "new"], "did you mean 'pointwise'"),
        (["search", "--grammar", "bad.toml", "--out", "new"], "did you mean 'tanh'"),
        (["search", "--grammar", "none.toml", "--out", "new"], "none.toml: cannot be read"),
        (["search", "--task", "feynmann", "--out", "new"], "did you mean 'feynman'"),
        (["search", "--budget", "soon", "--out", "new"], "budget 'soon'"),
        (["search", "--budget", "-5", "--out", "new"], "budget '-5'"),
        (["search", "--seed=-1", "--out", "new"], "--seed"),
        (["search", "--set", "island=1", "--out", "new"], "did you mean 'islands'"),
        (
            ["search", "--set", "islands=0", "--out", "new"],
            "setting 'islands': expected at least 1, got '0'",
        ),
        (["search", "--set", "tune=maybe", "--out", "new"], "setting 'tune': expected true or"),
        (
            ["search", "--set", "selection=nsga4", "--out", "new"],
            "setting 'selection': unknown 'nsga4'; did you mean 'nsga3'",
        ),
        (["search", "--set", "islands", "--out", "new"], "expected NAME=VALUE"),
        (["search", "--proposer", "llm", "--out", "new"], "unknown proposer"),
        (["zoo", "gelusin"], "did you mean 'GELUSine'"),
        (["show", "nowhere"], "run.db is missing"),
        (["resume", "nowhere"], "run.db is missing"),
        (["compare", "nowhere", "ReLU"], "no run or program is called 'nowhere' here"),
        (["compare", "runs/a", "ReLU"], "no run or program is called 'runs/a' here"),
        (["compare", "GLU+1"], "unknown name 'GLU'"),
        (["show", "garbage"], "not a readable run"),
        (["resume", "garbage"], "not a readable run"),
        (["compare", "garbage", "ReLU"], "not a readable run"),
        (["search", "--out", "garbage"], "holds a run already"),
        (["grammar", "check", "bad.toml"], "bad.toml, production 'tanhh'"),
        (["batch", "none.toml"], "none.toml: cannot be read"),
        (["doctor", "--task", "digit"], "did you mean 'digits'"),
        (["enumerate", "pointwize"], "did you mean 'pointwise'"),
        (["enumerate", "pointwise", "--nodes", "2", "--find", "gelusin"], "mean 'GELUSine'"),
        (["enumerate", "pointwise", "--nodes", "0"], "--nodes"),
        (["enumerate", "pointwise", "--depth", "99"], "depth of an enumeration"),
        (["correct", "gelusin"], "did you mean 'GELUSine'"),
        (["correct", "tanhh(x) + 1"], "did you mean 'tanh'"),
        (["correct", "Heaviside"], "flat everywhere"),
        (["correct", "Turbulent"], "batch statistics"),
        (["correct", "GELU", "--form", "inverse"], "use the form 'held'"),
        (["serach"], "search"),
        (["show"], "no run directory given, and no run in runs/"),
        (["resume"], "Missing argument"),
        (["zoo", "--plot", "f.svg"], "--plot needs the name of a function"),
        (["zoo", "GELU", "--like", "x*tanh(x)"], "use: symact zoo GELU"),
        (["zoo", "--kind", "gate"], "unknown kind 'gate'; did you mean 'gated'"),
        (["compare", "x^2"], "unexpected '^'; write x**2"),
        (["zoo", "--like", "swish(x)"], "did you mean 'silu'"),
        (["compare", "runs/none"], "names are known; list them with 'symact zoo'"),
        (["correct", "wobble(x)"], "names are known; list them with 'symact grammar primitives'"),
        (["grammar", "show", "pointwize"], "did you mean 'pointwise'"),
        (["search", "--ray", "auto", "--executor", "processes"], "cannot be combined"),
    ],
)
def test_bad_input_is_one_line_with_status_2_and_makes_nothing(arguments, message, tmp_path):
    (tmp_path / "bad.toml").write_text("[productions]\ntanhh = 1\n")
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "run.db").write_bytes(b"no database" * 100)
    before = contents(tmp_path)
    done = called(*arguments, cwd=tmp_path)
    assert_refused(done, message)
    assert len(done.stderr) < 250
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Every path below a directory with its bytes; None for a directory."""
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_unknown_functions_in_a_comparison_are_refused(run):
    folder, _ = run
    assert_refused(called("compare", folder, "Gelusin"), "did you mean 'GELUSine'")
    assert_refused(called("compare", folder, "tanhh(x) + 1"), "did you mean 'tanh'")


def test_zoo_grammar_and_doctor_answer(tmp_path):
    listed = called("zoo").stdout
    assert listed.count("\n") > 100
    assert "0.1*sin(x)" in called("zoo", "GELUSine").stdout
    assert len(strict_json('{"all":' + called("zoo", "--json").stdout + "}")["all"]) > 100
    names = called("grammar", "list").stdout
    assert all(n in names for n in ("pointwise", "swish", "periodic", "rational", "batch", "full"))
    assert "some sentences" in called("grammar", "check", "swish").stdout
    (tmp_path / "mine.toml").write_text("[productions]\nmul = 1\ntanh = 1\n")
    checked = called("grammar", "check", "mine.toml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("mine: ")
    diagnosis = strict_json(called("doctor", "--task", "polynomial", "--json").stdout)
    assert {"entries", "warnings"} <= set(diagnosis)
    assert not diagnosis["warnings"]
    examined = called("doctor", "--task", "harmonic").stdout
    assert "warning: constant has the lowest OOD error" in examined
    assert all(n in examined for n in ("ReLU", "GELU", "SiLU", "tanh", "identity", "GELUSine"))
    assert "Usage" in symact("--help").stdout
    assert symact("--version").stdout.startswith("symact ")


def test_control_c_in_a_generation_ends_the_search_and_resume_goes_on(tmp_path):
    folder = tmp_path / "run"
    command = [*SYMACT, "search", "--task", "polynomial", "--budget", "1h", *SMALL]
    command += ["--out", str(folder)]
    errors = tmp_path / "stderr"
    with errors.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=stream, start_new_session=True
        )
        try:
            assert searches_within(120, process, errors), errors.read_text()
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=20) == 130
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    text = errors.read_text()
    assert f"symact resume {folder}" in text
    assert "Traceback" not in text
    shown = strict_json(called("show", folder, "--json").stdout)
    assert not shown["finished"]
    judged = shown["counts"]["mini"]
    assert "not finished" in called("show", folder).stdout
    resumed = called("resume", folder, "--budget", judged + 12, "--no-compare")
    assert resumed.returncode == 0, resumed.stderr
    assert strict_json(called("show", folder, "--json").stdout)["counts"]["mini"] == judged + 12


def searches_within(seconds: float, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait for a search to report that its loop has begun."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if any(line.startswith("search") for line in log.read_text().splitlines()):
            return True
        time.sleep(0.1)
    return False


def test_enumerate_counts_lists_and_finds():
    arguments = ("enumerate", "swish", "--depth", 2, "--find", "x*sigmoid(x)", "--find", "GELUSine")
    text = called(*arguments, "--first", 3)
    assert text.returncode == 0, text.stderr
    assert "17,587 distinct functions; the list is complete" in text.stdout
    assert "x*sigmoid(x): 4 nodes; place 15 among the distinct functions" in text.stdout
    assert "GELUSine: no sentence" in text.stdout
    shown = strict_json(called(*arguments, "--first", 3, "--json").stdout)
    assert [row["formula"] for row in shown["sentences"]] == ["x*x", "x + x", "x - x"]
    assert shown["exhausted"]
    assert [row["place"] for row in shown["found"]] == [15, None]
    cut = called("enumerate", "pointwise", "--limit", 500, "--find", "GELUSine", "--up-to-scale")
    assert "complete up to 3 nodes; the limit was reached" in cut.stdout
    assert "as written it is sentence 4,461,719" in cut.stdout
    assert "up to sign and scale" in cut.stdout


def test_correct_derives_crrelu_from_relu():
    term = strict_json(called("correct", "GELU", "--json").stdout)["term"]
    assert term.count("exp(") <= 3  # like terms are collected
    assert len(term) < 200
    text = called("correct", "ReLU").stdout
    assert "relu(x) + 0.01*x*exp(-0.5*x**2)" in text
    shown = strict_json(called("correct", "GELU", "--json").stdout)
    assert shown["form"] == "held"
    assert shown["corrected_entropy"] > shown["entropy"]


def test_help_has_groups_examples_and_a_short_option():
    short, long = called("-h").stdout, called("--help").stdout
    assert short == long
    assert all(group in short for group in ("Search", "Functions", "Tasks, grammars and checks"))
    assert "symact compare runs/first" in short
    assert called("grammar", "show", "-h").stdout == called("grammar", "show", "--help").stdout


def test_a_packaged_grammar_is_printed_as_a_file_that_can_be_used(tmp_path):
    text = called("grammar", "show", "swish").stdout
    (tmp_path / "mine.toml").write_text(text)
    checked = called("grammar", "check", "mine.toml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == called("grammar", "check", "swish").stdout


def test_every_primitive_is_listed():
    names = [line.split()[0] for line in called("grammar", "primitives").stdout.splitlines()[1:]]
    assert names == list(PRIMITIVES)


def test_set_help_lists_every_setting_with_its_default_and_meaning(tmp_path):
    done = called("search", "--set", "help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in done.stdout.splitlines()[1:]}
    expected = {**vars(Plan()), **vars(Evolution())}
    assert set(rows) == set(expected)
    for name, (default, meaning) in rows.items():
        value = expected[name]
        assert default == (str(value).lower() if isinstance(value, bool) else str(value))
        assert len(meaning) > 8
    # What the list says can be given back.
    SearchConfig.of([f"{name}={default}" for name, (default, _) in rows.items()])


def test_the_zoo_is_filtered_by_kind_cost_and_words():
    def shown(*options: object) -> list[dict]:
        text = called("zoo", "--json", *options).stdout
        return strict_json('{"all":' + text + "}")["all"]

    assert {entry["kind"] for entry in shown("--kind", "gated")} == {"gated"}
    cheap = {entry["name"] for entry in shown("--max-flops", 1)}
    assert "ReLU" in cheap
    assert "GELU" not in cheap
    assert {"SiLU", "HardSwish"} <= {entry["name"] for entry in shown("--search", "swish")}
    both = shown("--search", "swish", "--max-flops", 10)
    assert "HardSwish" in {entry["name"] for entry in both}
    assert "SiLU" not in {entry["name"] for entry in both}
    assert called("zoo", "--search", "no such word").stdout.startswith("no function")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_output_will_do(encoding):
    done = subprocess.run(
        [*SYMACT, "zoo", "GELUSine"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    plot = done.stdout.decode(encoding).partition("4.9 |")[2].splitlines()[0]
    assert plot.strip()
    assert "?" not in plot


def test_a_line_with_characters_that_the_output_lacks_is_still_one_line(tmp_path):
    done = subprocess.run(
        [*SYMACT, "show", "запуск"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        timeout=180,
    )
    assert done.returncode == 2
    assert done.stderr.decode("ascii") == "symact: ??????: no run here (run.db is missing)\n"


def test_a_reader_that_goes_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*SYMACT, "zoo"], stdout=writing, stderr=subprocess.PIPE, timeout=180)
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == b""


def test_paths_with_spaces_accents_and_line_breaks_work_and_are_quoted(run, tmp_path):
    folder = tmp_path / "mes résultats\nd'hier"
    folder.mkdir()
    shutil.copytree(run[0], folder / "un run")
    shown = called("show", folder / "un run")
    assert shown.returncode == 0, shown.stderr
    assert "Pareto front" in shown.stdout
    resumed = called("resume", folder / "un run", "--budget", 26, "--no-compare")
    assert resumed.returncode == 0, resumed.stderr
    with sqlite3.connect(folder / "un run" / "run.db") as connection:
        connection.execute("DELETE FROM meta WHERE key = 'finished_generation'")
    (line,) = [
        line for line in called("show", "un run", cwd=folder).stdout.splitlines()
        if line.startswith("not finished")
    ]  # fmt: skip
    assert shlex.split(line)[-3:] == ["symact", "resume", "un run"]


def test_show_without_a_run_takes_the_newest(run, tmp_path):
    for name, age in (("old", 1000), ("new", 0)):
        shutil.copytree(run[0], tmp_path / "runs" / name)
        stamp = time.time() - age
        os.utime(tmp_path / "runs" / name / "run.db", (stamp, stamp))
    done = called("show", cwd=tmp_path)
    assert done.stderr == "newest run: runs/new\n"
    assert "best: #" in done.stdout


def test_the_chosen_function_is_named_and_can_be_used(run):
    folder, done = run
    lines = done.stdout.splitlines()
    (best,) = [line for line in lines if line.startswith("best: #")]
    (usage,) = [line for line in lines if line.startswith("use it: ")]
    module = eval(usage.removeprefix("use it: "), {"symact": symact_library})
    assert best.endswith(f"  {symact_library.load(folder).best.formula}")
    assert module(torch.tensor([0.5])).shape == (1,)


def test_quiet_prints_no_progress(run):
    folder, _ = run
    done = called("resume", folder, "--no-compare", "--quiet")
    assert done.returncode == 0
    assert done.stderr == ""


#: Shows two phases of which the second says nothing of its progress, as a search does.
PHASES = """
import time
from symact.cli.progress import Reporter
from symact.engine import Progress
counts = {"seen": 9, "screened": 9, "mini": 9, "full": 1}
with Reporter("runs/a") as report:
    report(Progress("search", 0.5, 1.0, counts))
    report(Progress("search", 1.0, 2.0, counts))
    time.sleep(1.2)
    report(Progress("select", 1.0, 2.0, counts))
    time.sleep(1.2)
    report(Progress("done", 1.0, 2.0, counts))
"""


def test_the_clock_of_the_progress_bar_runs_in_every_phase():
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", PHASES], stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error
        while data := os.read(master, 65_536):
            shown += data
    os.close(master)
    assert process.wait(60) == 0
    text = shown.decode()
    assert len(set(re.findall(r"search .*?(\d:\d\d:\d\d)", text))) >= 2
    assert len(set(re.findall(r"judging finalists .*?(\d:\d\d:\d\d)", text))) >= 2
    assert "100%" in text


def test_data_instead_of_a_task_is_refused_with_the_way_to_make_one():
    with pytest.raises(SymactError, match=r"symact\.Task\.from_arrays") as caught:
        symact_library.search("pointwise", ([[1.0]], [1.0]))  # type: ignore[arg-type]
    assert "tuple" in str(caught.value)


def test_a_search_with_a_time_prints_its_plan(tmp_path):
    done = called(
        *("search", "--task", "polynomial", "--budget", "0.2s", "--seed", 1, *SMALL),
        *("--out", tmp_path / "run", "--no-compare"),
    )
    assert done.returncode == 0, done.stderr
    assert "0 s: " in done.stderr
    assert " search" in done.stderr
    assert "not finished" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--goal", "specialist"), "--goal specialist needs --task, such as --task polynomial"),
        (("--goal", "specialist", "--task", "generalist"), "--goal specialist needs --task"),
        (
            ("--goal", "generalist", "--task", "polynomial"),
            "use --goal specialist for 'polynomial'",
        ),
        (("--goal", "specialst"), "unknown goal 'specialst'; did you mean 'specialist'?"),
    ],
)
def test_a_goal_that_does_not_fit_the_task_is_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = called("search", *words, "--budget", 8)
    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_specialist_is_searched_on_its_task(tmp_path):
    words = ("--goal", "specialist", "--task", "polynomial", "--budget", 4, "--no-compare")
    assert called("search", *words, *SMALL, "--out", tmp_path / "run").returncode == 0
    assert symact_library.load(tmp_path / "run").config["task"] == "polynomial"


def test_a_function_with_trained_parameters_is_known_at_their_initial_values():
    said = called("zoo", "--like", "x*sigmoid(param(1)*x)").stdout
    assert said == "SiLU (at the initial values of its parameters)\n"
