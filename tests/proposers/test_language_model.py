"""The language model of examples/: answers, failures, costs, and searches against a fake server."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import called
from fake_model import fake_model
from small_runs import TINY, run

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = EXAMPLES / "llm_proposer.py"
KEY = "sk-secret-0123456789"
CHEAP = {
    "mini_networks": 1,
    "mini_draws": 1,
    "full_networks": 1,
    "full_draws": 1,
    "selection_networks": 1,
    "finalists": 1,
}
SETTINGS = [text for name, value in CHEAP.items() for text in ("--set", f"{name}={value}")]


def loaded():
    spec = importlib.util.spec_from_file_location("llm_proposer", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


example = loaded()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("MODEL_KEY", KEY)


def model(server, **changes):
    settings = example.Settings(model="m", url=server.url, wait=0.01, seconds=5.0)
    return example.LanguageModel(replace(settings, **changes))


def command(server, record, *more):
    words = [sys.executable, SCRIPT, "--url", server.url, "--model", "m", "--wait", 0.01]
    words += ["--record", record, "--key-variable", "MODEL_KEY"]
    return shlex.join(map(str, [*words, "--input-price", 2, "--output-price", 10, *more]))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"formula": "sin(x)"}\n{"formula": "cos(x)"}', ["sin(x)", "cos(x)"]),
        ('"sin(x)",\n"cos(x)"', ["sin(x)", "cos(x)"]),
        ('["sin(x)", {"formula": "cos(x)"}]', ["sin(x)", "cos(x)"]),
        ('{\n "formulas": [\n  {"formula": "sin(x)", "why": "waves"}\n ]\n}', ["sin(x)"]),
        ('[\n {"formula": "sin(x)"},\n {"formula": "co', ["sin(x)", '{"formula": "co']),
        ('So:\n```json\n{"formula": "sin(x)"}\n```\nor\n```\ncos(x)\n```', ["sin(x)", "cos(x)"]),
        ("```json\n{\"formula\": \"sin(x)\"}", ["sin(x)"]),
        ("1. -cos(x)\n2) `sin(x)`: smooth\n- f(x) = x^2  # a bowl", ["-cos(x)", "sin(x)", "x**2"]),
        ("Sure, here are five (x is the input):\n\nIt is self-gated.", []),
        ("<think>maybe sin(x)\nx*x</think>\ncos(x)", ["cos(x)"]),
        ("<think>sin(x)", []),
        ("sin(x)\nsin(x)", ["sin(x)"]),
        ("```python\ndef f(x):\n    return x*x\n```", [{"code": "def f(x):\n    return x*x"}]),
        ("[" * 100_000, []),
        ("3\nnull\n\x00\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_formulas_are_found_in_answers(answer, expected):
    assert example.formulas_in(answer) == expected


def test_the_prompt_has_the_grammar_and_the_best_functions_first():
    proposer = example.LanguageModel(example.Settings("m", best=2))
    told = [("sin(x)", 0.5), ("cos(x)", 0.1), ("erf(x)", 0.9)]
    rest = {"outcome": "passed", "id_error": 0.01, "flops": 4}
    proposer.tell([{"formula": formula, "ood": ood, **rest} for formula, ood in told])
    proposer.tell([{"formula": "x + x", "outcome": "affine"}])
    text = proposer.prompt(7)[1]["content"]
    assert "Propose 7 new formulas" in text
    assert "softplus: log(1 + e**a)" in text
    assert "std:" not in text  # not in the grammar
    assert "at most 24 nodes, depth 9 and 120 FLOPs" in text
    assert "x + x  (affine)" in text
    assert text.index("0.1  0.01  4  cos(x)") < text.index("0.5  0.01  4  sin(x)")
    assert "erf(x)" not in text


def test_refused_formulas_are_proposed_and_told_to_the_model():
    with fake_model("bad") as server:
        proposer = model(server)
        assert proposer.ask(5) == ["frob(x)", "x*erf(x)"]
        assert "frob(x)  ('frob(x)', column 1: unknown function" in proposer.prompt(5)[1]["content"]


@pytest.mark.parametrize("name", ["busy", "broken", "truncated", "prose", "no content"])
def test_passing_failures_are_retried(name, capsys, tmp_path):
    with fake_model(name, name, "fenced") as server:
        proposer = model(server, record=tmp_path / "r.json")
        assert proposer.ask(4) == ["x*tanh(x)"]
        assert len(server.requests) == 3
    assert capsys.readouterr().err == ""
    calls = json.loads((tmp_path / "r.json").read_text())["calls"]
    assert [bool(call["error"]) for call in calls] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "requests", "message"),
    [
        ("broken", 4, "HTTP 500 <html>oops</html>"),
        ("truncated", 4, "an answer that is no JSON"),
        ("prose", 4, "an answer without a formula"),
        ("busy for long", 1, "HTTP 429 slow down"),
        ("unknown", 1, "HTTP 404 no model of"),
        ("moved", 1, "HTTP 302"),
    ],
)
def test_after_lasting_failures_there_is_one_line_and_no_proposal(name, requests, message, capsys):
    with fake_model(*[name] * 4) as server:
        proposer = model(server)
        assert proposer.ask(4) == []
        assert len(server.requests) == requests
        assert not proposer.finished
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]


def test_three_failures_in_a_row_finish_it():
    with fake_model("unknown", "unknown", "good", *["unknown"] * 3) as server:
        proposer = model(server)
        for expected in (0, 0, 3, 0, 0):
            assert len(proposer.ask(3)) == expected
            assert not proposer.finished
        assert proposer.ask(3) == []
        assert proposer.finished


def test_a_server_that_is_not_there_is_one_line(capsys):
    with fake_model() as server:
        proposer = model(server, attempts=2)
    assert proposer.ask(3) == []
    assert "refused" in capsys.readouterr().err


LATER = "Fri, 01 Jan 2100 00:00:00 GMT"  # fixed, since pytest-xdist compares names of tests


@pytest.mark.parametrize(
    ("text", "requests"), [("7", 1), (LATER, 1), ("-3", 2), ("nan", 2), ("", 2), ("soon", 2)]
)
def test_no_retry_starts_before_the_time_that_the_server_asks_for(text, requests):
    with fake_model((429, {"Retry-After": text}, b"")) as server:
        model(server, seconds=2.0).ask(1)
        assert len(server.requests) == requests


def test_tokens_and_cost_are_summed_over_restarts(tmp_path):
    record = tmp_path / "new" / "r.json"
    with fake_model("good", "busy", "no usage", "prose", "good") as server:
        for _ in range(3):  # each time a new object, as if the process had started again
            model(server, record=record, prices=(2.0, 10.0)).ask(3)
        assert len(server.requests) == 5
    document = json.loads(record.read_text())
    totals = document["totals"]
    assert (totals["calls"], totals["calls_without_usage"]) == (5, 2)
    assert (totals["prompt_tokens"], totals["completion_tokens"]) == (360, 90)
    assert totals["cost"] == pytest.approx((360 * 2 + 90 * 10) / 1e6)
    assert document["calls"][0]["messages"][1]["content"].startswith("Propose activation")
    with (
        fake_model() as server,
        pytest.raises(example.NoAnswerError, match="a record of another url"),
    ):
        model(server, record=record)
    record.write_text('{"calls": 3}')
    with fake_model() as server, pytest.raises(example.NoAnswerError, match="not a record"):
        model(server, record=record)


def test_the_cost_limit_ends_it(capsys):
    with fake_model("prose", "prose") as server:
        proposer = model(server, prices=(2.0, 10.0), most_cost=0.001)
        assert proposer.ask(3) == []  # 0.00054 a request, so the third would exceed the limit
        assert len(server.requests) == 2
        assert proposer.finished
    assert "the cost 0.00108 reached 0.001" in capsys.readouterr().err


def test_the_key_is_sent_and_neither_stored_nor_printed(tmp_path, capsys):
    record = tmp_path / "r.json"
    with fake_model("repeats the key") as server:
        assert model(server, key=KEY, record=record, temperature=0.3, seed=4).ask(3) == []
        headers, body = server.requests[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"], body["seed"]) == ("m", 0.3, 4)
    said = capsys.readouterr().err
    assert "HTTP 401 wrong key ***" in said
    assert KEY not in said + record.read_text()


def test_a_search_takes_it_as_an_object():
    with fake_model("busy", "fenced") as server:
        found = run(proposer=model(server), budget=6, plan=replace(TINY, generation=3, finalists=1))
    assert found.counts["mini"] == 6
    prompt = server.requests[-1][1]["messages"][1]["content"]
    assert re.search(r"^[\d.e+-]+  [\d.e+-]+  \d+  \S", prompt, re.MULTILINE)  # a result so far


def test_the_command_line_searches_with_it(tmp_path):
    replies = ("busy", "fenced", "broken", "bad", "truncated")
    arguments = ["search", "--task", "polynomial", "--budget", "6", "--no-compare", "--out", "a"]
    with fake_model(*replies) as server:
        proposer = "exec:" + command(server, "r.json", "--most-cost", 5)
        done = called(*arguments, *SETTINGS, "--proposer", proposer, cwd=tmp_path)
        complete = len(server.requests) - 3  # the others had no usage
    assert done.returncode == 0, done.stderr
    assert "6 mini-trained" in done.stdout
    text = (tmp_path / "r.json").read_text()
    totals = json.loads(text)["totals"]
    assert totals["prompt_tokens"] == 120 * complete
    assert totals["completion_tokens"] == 30 * complete
    assert totals["cost"] == pytest.approx((120 * 2 + 30 * 10) * complete / 1e6)
    assert not any(
        KEY in file.read_text("latin-1") for file in tmp_path.rglob("*") if file.is_file()
    )
    formulas = script("--formulas", "r.json", cwd=tmp_path).stdout
    (tmp_path / "again.jsonl").write_text(formulas)
    arguments[-1] = "b"
    again = called(*arguments, *SETTINGS, "--proposer", "replay:again.jsonl", cwd=tmp_path)
    assert "6 mini-trained" in again.stdout


def test_a_spent_limit_ends_the_search_with_its_reason(tmp_path):
    arguments = ["search", "--task", "polynomial", "--budget", "50", "--no-compare", "--out", "a"]
    with fake_model() as server:
        proposer = "exec:" + command(server, "r.json", "--most-cost", 0.001)
        done = called(*arguments, *SETTINGS, "--proposer", proposer, cwd=tmp_path)
        assert len(server.requests) == 2
    assert done.returncode == 0, done.stderr
    assert "6 mini-trained" in done.stdout
    assert "the cost 0.00108 reached 0.001" in done.stdout + done.stderr


def script(*arguments, name="llm_proposer.py", cwd=None):
    words = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, input="", cwd=cwd, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model is required"),
        (["--url", "file:///etc/passwd"], "needs http://HOST"),
        (["--url", "http://me:word@host/v1"], "without a user name"),
        (["--model", "m", "--most-cost", 1], "needs --input-price"),
        (["--model", "m", "--key-variable", "NO_SUCH_KEY"], "has no variable NO_SUCH_KEY"),
        (["--model", "m", "--input-price", "nan"], "nan is not a finite number"),
        (["--formulas", "none.json"], "none.json: cannot be read"),
    ],
)
def test_wrong_options_are_refused(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["llm_proposer.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        example.main()
    assert message in capsys.readouterr().err + str(ended.value)
