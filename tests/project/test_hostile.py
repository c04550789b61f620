"""Whatever somebody sends is refused in one line or read as what it says; nothing of it runs."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from small_runs import BRIEF, SMALL

from symact.cli.jobs import load_batch
from symact.engine import resume, search
from symact.engine.result import load
from symact.engine.settings import SearchConfig
from symact.errors import BatchError, GrammarError, ParseError, StoreError, SymactError
from symact.evaluation import Draws
from symact.expr import parse, show
from symact.grammar import Grammar
from symact.proposers import make_proposer
from symact.storage.schema import RUN_FILE, TABLES, checksum

EXAMPLES = examples(100)
POINTWISE = Grammar.load("pointwise")
GRAMMARS = sorted((Path(__file__).parents[2] / "grammars").glob("*.toml"))
#: Each would leave a file behind, were it ever evaluated, unpickled, or given to a shell.
PAYLOADS = [
    "__import__('os').system('touch canary')",
    "$(touch canary)",
    "; touch canary #",
    "cos\nsystem\n(S'touch canary'\ntR.",
    "!!python/object/apply:os.system ['touch canary']",
    "{__import__('os').system('touch canary')}",
]
NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(PAYLOADS),
    lambda own: st.lists(own, max_size=3) | st.dictionaries(st.text(max_size=5), own, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.fixture(autouse=True)
def canary(tmp_path_factory, monkeypatch):
    """Work where a file would appear if anything ran."""
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(folder)
    yield
    assert not (folder / "canary").exists()


def mutated(text, data):
    """Cut, repeat, and put in what does not belong there."""
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 40)))
        new = data.draw(
            st.text(max_size=6)
            | st.sampled_from([*PAYLOADS, '"', "[", "]", "=", "\n", "1e999", "x", "(", "0", "-"])
            | st.just(text[start:stop] * 3)
        )
        text = text[:start] + new + text[stop:]
    return text


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_a_grammar_file_is_a_grammar_or_refused(data):
    text = mutated(data.draw(st.sampled_from(GRAMMARS)).read_text(), data)
    with suppress(GrammarError):
        Grammar.parse(text)


@given(st.data())
@settings(max_examples=3 * EXAMPLES)
def test_a_formula_is_an_expression_or_refused(data):
    text = mutated("x*sigmoid(1.5*x) + where(gt(x, 0), x, 0.1*expm1(x))", data)
    with suppress(ParseError):
        expr = parse(text)
        assert parse(show(expr)) == expr


@pytest.mark.parametrize("text", [*PAYLOADS, "(" * 10**5, "-" * 10**5, "x" * 10**6, "x+" * 10**5])
def test_a_formula_that_is_meant_badly_is_refused(text):
    with pytest.raises(ParseError):
        parse(text)


@given(st.dictionaries(st.sampled_from(["islands", "pool", "tune", "full_share", "x"]), NONSENSE))
@settings(max_examples=EXAMPLES)
def test_settings_are_settings_or_refused(changes):
    with suppress(SymactError):
        SearchConfig.of(changes)


JOBS = """
grammars = ["pointwise", "swish"]
tasks = ["polynomial", "ood-suite"]
seeds = [0, 1]
budget = "90s"
proposer = "gp"
compare = false
out = "runs"
[settings]
islands = 2
"""


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_a_file_of_jobs_is_jobs_or_refused(data):
    file = Path("jobs.toml")
    file.write_text(mutated(JOBS, data), encoding="utf-8", errors="replace")
    batch = None
    with suppress(BatchError):
        batch = load_batch(file)
    if batch is None:
        return
    assert batch.jobs
    assert len({job.name for job in batch.jobs}) == len(batch.jobs)
    for job in batch.jobs:  # each stays below the batch's own directory
        assert len(Path(job.name).parts) == 1


@given(st.lists(NONSENSE.map(json.dumps) | st.sampled_from(PAYLOADS) | st.text(), min_size=1))
@settings(max_examples=EXAMPLES)
def test_a_stream_of_proposals_is_proposals_or_refusals(lines):
    file = Path("stream.jsonl")
    file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        own = make_proposer(
            f"replay:{file}", Grammar.load("pointwise"), seed=0, evolution=SMALL, seeds=()
        )
    except SymactError:
        assert not file.read_bytes().strip()
        return
    for one in own.ask(len(lines)):
        assert one.refused or one.expr is not None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sent") / "run"
    search("pointwise", "polynomial", budget=16, plan=BRIEF, evolution=SMALL, out=folder)
    return folder


def rewritten(run, folder, table, place, column, value):
    """Copy a run and put a value into a row, with the checksum that belongs to it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    with closing(sqlite3.connect(folder / RUN_FILE)) as database, database:
        rows = database.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
        number, *row, _ = rows[place % len(rows)]
        name = list(TABLES[table])[column % len(TABLES[table])]
        row[column % len(TABLES[table])] = value
        with suppress(sqlite3.IntegrityError):
            database.execute(
                f"UPDATE {table} SET {name} = ?, sum = ? WHERE rowid = ?",
                (value, checksum(row), number),
            )
    return folder


VALUES = st.one_of(
    NONSENSE.map(json.dumps), st.sampled_from(PAYLOADS), st.integers(-5, 2**40), st.floats(),
    st.just("[" * 5000),
)  # fmt: skip


@given(
    table=st.sampled_from(["meta", "candidates", "scores", "simplified"]),
    place=st.integers(0, 200),
    column=st.integers(0, 9),
    value=VALUES,
)
@settings(max_examples=2 * EXAMPLES)
def test_a_run_that_somebody_wrote_is_shown_or_refused(run, table, place, column, value):
    folder = rewritten(run, Path("sent"), table, place, column, value)
    said = ""
    try:
        result = load(folder)
        json.dumps(result.to_json())
        result.to_frame()
    except SymactError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("config", {"plan": {"generation": 16}}, "holds what symact does not write (KeyError"),
        ("config", {"plan": {"executable": PAYLOADS[0]}}, "holds what symact does not write"),
        ("config", [], "the run has no configuration"),
        ("state", {"generation": "x"}, "holds what symact does not write"),
        ("state", {"proposer": PAYLOADS[1]}, "holds what symact does not write"),
        ("state", {"costs": []}, "holds what symact does not write"),
        ("state", {"passed_over": {"x": PAYLOADS}}, "holds what symact does not write"),
        ("state", {"due": {"full": "x"}}, "holds what symact does not write"),
        ("state", {"rows": [3, 3]}, "holds what symact does not write"),
        ("anchors", {"mini": PAYLOADS}, "holds what symact does not write"),
    ],
)
def test_what_is_continued_is_understood_or_refused(run, key, value, said, tmp_path):
    with closing(sqlite3.connect(run / RUN_FILE)) as database:
        keys = [row[0] for row in database.execute("SELECT key FROM meta ORDER BY rowid")]
        stored = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
    if isinstance(value, dict):
        old = json.loads(stored)
        value = old | ({"plan": old["plan"] | value["plan"]} if "plan" in value else value)
        if said.endswith("(KeyError"):
            del value["protocol"]
    folder = rewritten(run, tmp_path / "sent", "meta", keys.index(key), 1, json.dumps(value))
    with pytest.raises(StoreError) as caught:
        resume(folder, budget=24, threads=1)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_command_in_a_run_is_not_started_unless_the_user_names_it(run, tmp_path):
    with closing(sqlite3.connect(run / RUN_FILE)) as database:
        keys = [row[0] for row in database.execute("SELECT key FROM meta ORDER BY rowid")]
        config = json.loads(
            database.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()[0]
        )
    config["proposer"] = "exec:touch canary"
    folder = rewritten(run, tmp_path / "a", "meta", keys.index("config"), 1, json.dumps(config))
    for named in (None, "gp", "exec:true"):
        with pytest.raises(StoreError, match="starts only if you name it again"):
            resume(folder, budget=24, proposer=named)


def test_draws_with_objects_in_them_are_refused():
    class Touch:
        def __reduce__(self):
            return os.system, ("touch canary",)

    file = io.BytesIO()
    np.savez(file, head=np.array([Touch()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Draws.load(file.getvalue())
