"""Mutators from outside: files, processes, objects. Whatever they do costs them alone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import called
from small_runs import SHORT, go_on

import symact
from symact.errors import StoreError, SymactError
from symact.evaluation import Plan
from symact.grammar import Grammar
from symact.proposers import EvaluatedProposal, ProcessProposer, make_proposer
from symact.reporting.curves import best_so_far, curves_report, to_text
from symact.storage.repository import open_run
from symact.tasks.protocol import SEARCH_ID_LIMIT

SMALL = {
    "mini_networks": 2,
    "mini_draws": 1,
    "full_networks": 1,
    "full_draws": 1,
    "selection_networks": 1,
    "finalists": 2,
}
PLAN = Plan(**SMALL, generation=8)
SETTINGS = [text for name, value in SMALL.items() for text in ("--set", f"{name}={value}")]
GRAMMAR = Grammar.load("pointwise")
FORMULAS = [f"gelu(x) + 0.{n}*sin(x)" for n in range(1, 10)]
FORMULAS += [f"x*tanh({n}*x)" for n in range(2, 9)]


def proposer(text: str):
    return make_proposer(text, GRAMMAR)


def script(folder: Path, body: str) -> str:
    """Write a proposer and return its name for --proposer."""
    file = folder / "proposer.py"
    head = "import json, sys, time, os\ndef say(x): print(json.dumps(x), flush=True)\n"
    file.write_text(head + body)
    return f"exec:{sys.executable} {file}"


ANSWER = """
for line in sys.stdin:
    message = json.loads(line)
    if "ask" in message:
        say({"proposals": ["x*tanh(x)", "sin(x)"]})
"""


def search(spec, tmp_path, budget=6, **changes):
    folder = tmp_path / "run"
    return symact.search(
        "pointwise", SHORT, budget=budget, out=folder, proposer=spec, plan=PLAN, **changes
    )


def candidates(result):
    store = open_run(result.path)
    found = store.candidates()
    store.close()
    return found


def is_alive(marker: str) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return any(marker in line for line in listed.splitlines())


# A file.
def test_a_file_is_judged_in_order_and_the_search_ends_with_it(tmp_path):
    file = tmp_path / "said.jsonl"
    lines = [json.dumps("x*tanh(x)"), "", json.dumps({"formula": "sin(x)", "note": 1}), "{broken"]
    lines += [json.dumps({"nothing": 1}), json.dumps("tanh(x"), json.dumps("x*tanh(x)")]
    file.write_text("\n".join(lines))
    found = search(f"replay:{file}", tmp_path, budget=100)
    assert found.finished
    told = [(c.formula, c.outcome) for c in candidates(found)]
    assert [outcome for _, outcome in told] == [
        *("passed", "passed", "refused", "refused", "refused", "duplicate")
    ]
    assert told[2][0] == "{broken"
    reasons = [c.origin for c in candidates(found) if c.outcome == "refused"]
    assert "not a line of JSON" in reasons[0]
    assert "neither a formula nor code" in reasons[1]
    assert "column" in reasons[2]
    assert found.counts["mini"] == 2


def test_a_resumed_replay_goes_where_the_uninterrupted_one_went(tmp_path):
    file = tmp_path / "said.jsonl"
    file.write_text("\n".join(map(json.dumps, FORMULAS)))
    whole = search(f"replay:{file}", tmp_path / "a", budget=12)
    half = search(f"replay:{file}", tmp_path / "b", budget=5)
    assert half.counts["mini"] == 5
    rest = go_on(half.path, budget=12)
    assert [c.formula for c in candidates(rest)] == [c.formula for c in candidates(whole)]
    file.write_text(json.dumps("sin(x)"))
    with pytest.raises(StoreError, match="has changed since this run began"):
        go_on(half.path, budget=14)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("replay:missing.jsonl", "missing.jsonl: cannot be read"),
        ("exec:no-such-command --x", "there is no command 'no-such-command'"),
        ("exec:", "there is no command"),
        ("exec:'open", "No closing quotation"),
        ("replya:x", "did you mean 'replay:'"),
    ],
)
def test_what_cannot_propose_is_refused_before_anything_is_made(spec, message, tmp_path):
    with pytest.raises(SymactError, match=message) as caught:
        search(spec, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# A process.
def test_a_process_is_asked_told_and_ended(tmp_path):
    log = tmp_path / "heard.jsonl"
    body = f"""
heard = open({str(log)!r}, "w")
turn = 0
for line in sys.stdin:
    heard.write(line); heard.flush()
    if "ask" in json.loads(line):
        turn += 1
        other = {{"formula": f"sin(x) + {{turn}}*x"}}
        say({{"proposals": [f"x*tanh({{turn}}*x)", other, "x + 1"]}})
"""
    found = search(script(tmp_path, body), tmp_path, budget=6)
    assert found.finished
    assert found.counts["mini"] == 6
    heard = [json.loads(line) for line in log.read_text().splitlines()]
    start = heard[0]["start"]
    assert start["grammar"] == "pointwise"
    assert start["limits"] == dataclasses.asdict(GRAMMAR.limits)
    assert "gelu" in start["primitives"]
    told = [one for message in heard[1:] for one in message.get("tell", [])]
    assert [one["outcome"] for one in told[:3]] == ["passed", "passed", "affine"]
    scored = [one for one in told if "ood" in one]
    assert scored
    assert all(one["ood"] > 0 and one["flops"] > 0 for one in scored)
    assert not is_alive(str(tmp_path / "proposer.py"))


MISCHIEF = {
    "hangs": ("time.sleep(600)", "no answer within"),
    "dies": ("sys.exit(3)", "ended with status 3"),
    "floods": ("print('x' * 5_000_000, flush=True); time.sleep(600)", "more than"),
    "floods stderr": ("while True: sys.stderr.write('x' * 65536)", "no answer within"),
    "never reads": ("os.close(0); time.sleep(600)", "ended|read|answer"),
    "closes its output": ("os.close(1); time.sleep(600)", "closed its output|ended"),
    "talks nonsense": ("while sys.stdin.readline(): print('hello', flush=True)", "no JSON"),
    "nests": ("while sys.stdin.readline(): print('[' * 100_000, flush=True)", "no JSON"),
    "says NaN": ("while sys.stdin.readline(): print('NaN', flush=True)", "without a list"),
    "not UTF-8": ("while sys.stdin.readline(): os.write(1, b'\\xff\\xfe\\n')", "no JSON"),
    "says nothing": ("while sys.stdin.readline(): say({'proposals': []})", "without a list"),
}


@pytest.mark.parametrize("name", MISCHIEF)
def test_a_broken_process_ends_the_search_with_its_reason_and_leaves_nothing(name, tmp_path):
    body, reason = MISCHIEF[name]
    said = []
    sleeper = f"import time; time.sleep(99)  # {tmp_path}"
    child = f"import subprocess; subprocess.Popen([sys.executable, '-c', {sleeper!r}])\n"
    start = time.monotonic()
    command = script(tmp_path, (child if name == "hangs" else "") + body)
    mischief = ProcessProposer(GRAMMAR, command.removeprefix("exec:"), seconds=0.5)
    for _ in range(10):
        if mischief.finished:
            break
        asked = mischief.ask(4)
        assert all(one.refused for one in asked)
        mischief.tell([EvaluatedProposal(one.expr, None, "refused") for one in asked])
        said += mischief.trouble[:1]
    mischief.close()
    assert mischief.finished
    assert time.monotonic() - start < 30
    assert any(part in said[-1] for part in reason.split("|")), said
    assert not is_alive(str(tmp_path))


def test_one_bad_answer_costs_its_own_proposals_only(tmp_path):
    body = f"""
mark = {str(tmp_path / "mark")!r}
for line in sys.stdin:
    if "ask" in json.loads(line):
        if not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(1)
        deep = "exp(" * 40 + "x" + ")" * 40
        say(["x*tanh(x)", 7, None, "sin(" * 5000, deep, "y", "sin(x)\\ud800"])
"""
    found = search(script(tmp_path, body), tmp_path, budget=1)
    outcomes = [c.outcome for c in candidates(found)]
    assert outcomes[:2] == ["refused", "passed"]
    assert "ended with status 1" in candidates(found)[0].origin
    strange = proposer(script(tmp_path, body))
    asked = strange.ask(10)
    strange.close()
    assert [bool(one.refused) for one in asked] == [False] + [True] * 6
    assert "limit" in asked[4].refused
    assert "variable" in asked[5].refused or "unknown" in asked[5].refused
    assert all("\ud800" not in one.text for one in asked)


def test_a_search_behind_a_broken_process_keeps_what_it_has_and_says_why(tmp_path):
    body = f"""
mark = {str(tmp_path / "mark")!r}
for line in sys.stdin:
    if "ask" in json.loads(line):
        if os.path.exists(mark):
            print("out of credit", file=sys.stderr)
            sys.exit(1)
        open(mark, "w").close()
        say({{"proposals": ["x*tanh(x)", "sin(x)"]}})
"""
    said = []
    spec = script(tmp_path, body)
    found = search(spec, tmp_path, 50, on_progress=lambda p: said.append(p.message))
    assert found.counts["mini"] >= 2
    assert found.front
    assert any("out of credit" in text for text in said)
    (tmp_path / "proposer.py").write_text(
        "import json, sys\nfor line in sys.stdin:\n    m = json.loads(line)\n"
        "    if 'tell' in m and 'start' in m: told = len(m['tell'])\n"
        "    if 'ask' in m: print(json.dumps([f'sin({told}.5*x)', 'cos(x)']), flush=True)\n"
    )
    with pytest.raises(StoreError, match="starts only if you name it again: --proposer 'exec:"):
        go_on(found.path, budget=4)
    more = go_on(found.path, budget=4, proposer=spec)
    formulas = [c.formula for c in candidates(more)]
    assert "cos(x)" in formulas
    assert "sin(2.5*x)" in formulas  # it was told the history


def test_more_than_was_asked_for_and_unasked_lines_are_dropped(tmp_path):
    body = """
for line in sys.stdin:
    message = json.loads(line)
    if "ask" in message:
        say(["x*tanh(x)"] * 50)
        say({"proposals": ["cos(x)"]})
"""
    eager = proposer(script(tmp_path, body))
    first = eager.ask(3)
    time.sleep(0.3)  # so that the second line lies there
    second = eager.ask(3)
    eager.close()
    assert [symact.show(one.expr) for one in [*first, *second]] == ["x*tanh(x)"] * 6


# An object.
class Mine:
    """Asks and tells, and counts."""

    def __init__(self) -> None:
        self.turn, self.told = 0, []

    def ask(self, count):
        self.turn += 1
        return ["cos(x)", symact.parse(f"sin({self.turn}*x)"), "tanh(x"]

    def tell(self, results):
        self.told += results

    def state(self):
        return {"turn": self.turn}

    def restore(self, state):
        self.turn = state["turn"]


def test_any_object_that_asks_and_tells_is_a_proposer(tmp_path):
    mine = Mine()
    found = search(mine, tmp_path, budget=3)
    assert found.counts["mini"] == 3
    assert found.config["proposer"] == "python:Mine"
    assert [told.outcome for told in mine.told[:3]] == ["passed", "passed", "refused"]
    with pytest.raises(StoreError, match="pass proposer="):
        go_on(found.path, budget=4)
    again = Mine()
    more = go_on(found.path, budget=4, proposer=again)
    assert more.counts["mini"] == 4
    assert "sin(3*x)" in [c.formula for c in candidates(more)]


# Curves.
def test_curves_stand_side_by_side(tmp_path):
    file = tmp_path / "said.jsonl"
    file.write_text("\n".join(map(json.dumps, FORMULAS)))
    first = search(f"replay:{file}", tmp_path / "a", budget=16)
    second = search("random", tmp_path / "b", budget=16)
    found, picture = curves_report([first.path, second.path], tmp_path / "out")
    assert picture.read_text().startswith("<?xml")
    for one in found:
        assert list(one.judged) == sorted(one.judged)
        assert list(one.ratio) == sorted(one.ratio, reverse=True)
        assert one.judged[-1] == 16
    # By hand from the table of all candidates.
    table = first.to_frame()
    store = open_run(first.path)
    reference = store.references()["full"]
    store.close()
    excess = (table.full_id / (SEARCH_ID_LIMIT * 10 ** reference[1])).clip(lower=1)
    assert found[0].ratio[-1] == pytest.approx((table.full_ood * excess).min() / 10 ** reference[0])
    assert "replay" in to_text(found)
    lines = (tmp_path / "out" / "curves.csv").read_text().splitlines()
    assert len(lines) == 1 + sum(len(one.judged) for one in found)
    with pytest.raises(StoreError, match=r"run\.db"):
        best_so_far(tmp_path)


def test_the_command_line_runs_the_example_and_draws_curves(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "proposer.py"
    arguments = ["search", "--task", "polynomial", "--budget", "8", "--no-compare", "--out", "hill"]
    proposer = f"exec:{sys.executable} {example}"
    done = called(*arguments, *SETTINGS, "--proposer", proposer, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "8 mini-trained" in done.stdout
    assert "not finished" not in done.stdout
    curves = called("compare", "--curves", "hill", cwd=tmp_path)
    assert curves.returncode == 0, curves.stderr
    assert "hill" in curves.stdout
    assert (tmp_path / "runs" / "curves" / "curves.png").exists()
    for arguments, message in (
        (["compare", "--curves"], "--curves needs runs"),
        (["search", "--proposer", "exec:none-such", "--out", "x"], "there is no command"),
    ):
        bad = called(*arguments, cwd=tmp_path)
        assert bad.returncode == 2
        assert message in bad.stderr
        assert len(bad.stderr.strip().splitlines()) == 1
    assert not os.path.exists(tmp_path / "x")
