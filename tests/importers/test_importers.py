"""Programs of others become formulas with the same values, and nothing of them runs."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import called
from hypothesis import event, given, settings
from profiles import examples
from scipy import special
from strategies import exprs

from symact.backends import evaluate
from symact.errors import ImportRefusedError, SymactError
from symact.expr import Expr, parse, show
from symact.importers import (
    from_source,
    read,
    read_records,
    read_with_summary,
    write_records,
)
from symact.reporting.comparison import compare
from symact.tasks.protocol import EvaluationProtocol

X = np.linspace(-4, 4, 161)


def run(source: str, name: str = "f") -> np.ndarray:
    """Really run one of our own programs, in float64."""
    scope: dict = {"np": np, "torch": torch, "math": math, "F": torch.nn.functional}
    scope |= {"special": special, "nn": torch.nn}
    exec(source, scope)
    function = scope[name]
    if isinstance(function, type):
        function = function().double()
    is_torch = any(mark in source for mark in ("torch", "F.", "nn.", "x.tanh()"))
    x = torch.tensor(X) if is_torch else X
    with np.errstate(all="ignore"):
        value = function(x)
    value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return np.broadcast_to(value, X.shape)


def body(text: str) -> str:
    return f"def f(x):\n    return {text}\n"


NUMPY = [
    "np.tanh(1.5*x)*np.exp(-0.2*x**2) + 0.1*x",
    "np.where(x > 0, x, 0.01*x)",
    "np.maximum(x, 0) - np.minimum(x, 0)**2",
    "np.clip(x, -1, 2) + np.clip(x, None, 1)",
    "np.sinc(x) + np.sign(x)*np.log1p(np.abs(x))",
    "np.logaddexp(0, x)",
    "x**3 + x**7 - x**-2 + (x*x + 1)**0.5 + (x*x + 1)**-1.5",
    "np.power(x*x + 1, 1.3) + np.sqrt(np.square(x))",
    "2**x + 2.5**(-x)",
    "np.expm1(x) + np.exp2(x) + np.sinh(x) - np.cosh(x)",
    "np.arctan(x)*np.arcsinh(x) + np.log2(x*x + 1) + np.log10(x*x + 2)",
    "special.erf(x)*special.expit(x) + special.ndtr(x)",
    "np.where((x > -1) & (x < 1), x, 0.5)",
    "np.where((x < -1) | ~(x < 1), x, 0.5)",
    "np.where(x >= 0, 1.0, 0.0)*x + np.heaviside" if False else "(x > 0)*x",
    "x - np.mean(x) + np.std(x)",
    "np.negative(x)*np.reciprocal(x*x + 1) + np.tan(0.3*x)",
    "math.pi*x/math.sqrt(2) + math.exp(1)*np.e",
    "abs(x) + np.multiply(x, 2) - np.subtract(x, 1) + np.divide(x, 4) + np.add(x, x)",
    "np.zeros_like(x) + np.ones_like(x)*x + np.full_like(x, 0.5)",
    "np.asarray(x).astype(np.float64)*2",
    "sum([x, x*x, 1.0])",
    "max(0.5, 0.25)*x if 3 > 2 else 7",
    "(lambda z: z*z)(x)",
]
TORCH = [
    "F.gelu(x) + F.silu(x) + F.mish(x)",
    "F.gelu(x, approximate='tanh')",
    "torch.clamp(x, min=-1, max=1) + x.clamp(min=0) + x.clamp_max(1.0)",
    "F.elu(x, alpha=0.5) + F.celu(x, 0.7) + F.selu(x)",
    "F.leaky_relu(x, 0.2) + F.relu6(x) + F.hardtanh(x, -0.5, 0.7)",
    "F.hardswish(x) + F.hardsigmoid(x) + F.logsigmoid(x) + F.tanhshrink(x) + F.softsign(x)",
    "F.softplus(x, beta=2) + torch.special.expit(x)",
    "x.tanh()*x.exp().log1p() + x.pow(2).add(1).sqrt() + x.abs().rsqrt().clamp(max=2)",
    "torch.where(x.gt(0), x, torch.zeros_like(x)) + torch.sinc(x) + torch.erf(x)",
    "torch.maximum(x, x*0.1) + torch.pow(x, 3) + x.float().sin()*0",
    "x.std(unbiased=False)*x + torch.mean(x)",
]
PROGRAMS = [
    "def f(x, a=0.1, *, b=2):\n    y = a*np.sin(x)\n    y += x*b\n    z: float = y/2\n    return z",
    "S = 0.5\nT = -S*2\ndef g(z, k=S):\n    return z*k\ndef f(x):\n    return g(x) + g(x, k=T)\n",
    "def f(x):\n    t = 0\n    for i in range(1, 4):\n        t = t + np.sin(i*x)/i\n    return t",
    "def f(x):\n    for c, p in [(0.5, 1), (0.25, 2)]:\n        x = x + c*x**p\n    return x\n",
    "def f(x):\n    n = 2\n    if n > 1 and not n == 5:\n        return x*n\n    return x\n",
    "def f(x):\n    a, b = 1.0, (2.0, 3.0)\n    return a*x + b[1] - b[-2]\n",
    "def f(x):\n    def g(y):\n        return y + x\n    h = lambda z: g(z)*2\n    return h(x)\n",
    "g = lambda z: z*np.tanh(z)\ndef f(x):\n    'doc'\n    return g(x)\n",
    "class f(nn.Module):\n    c = 3.0\n    def __init__(self, b=1.5):\n        super().__init__()\n"
    "        self.b = b\n        self.w = nn.Parameter(torch.tensor(0.5))\n"
    "        self.act = nn.LeakyReLU(0.3)\n    def forward(self, x):\n"
    "        return self.act(self.b*x)*self.w + self.c\n",
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("source", [*map(body, NUMPY), *map(body, TORCH), *PROGRAMS])
def test_values_are_those_of_the_program_really_run(source):
    found = from_source("from scipy import special\n" + source)
    expected = run(source)
    ours = evaluate(found.expr, X)
    good = np.isfinite(expected)
    # The program may divide by 0 where the formula does, too.
    np.testing.assert_allclose(ours[good], expected[good], rtol=1e-6, atol=1e-7)


JAX = {
    "jax.nn.gelu(x)": "0.5*x*(1 + tanh(0.7978845608028654*(x + 0.044715*x**3)))",
    "jax.nn.gelu(x, approximate=False) + 0.1*jnp.sin(x)": "gelu(x) + 0.1*sin(x)",
    "jax.nn.silu(x)*jax.nn.sigmoid(x) + jax.nn.soft_sign(x)": "silu(x)*sigmoid(x) + softsign(x)",
    "jnp.where(x == 0, 1.0, jnp.sin(x)/x)": "sinc(0.3183098861837907*x)",
    "jnp.where(x != 0, jnp.sin(jnp.pi*x)/(jnp.pi*x), 1)": "sinc(x)",
    "jax.scipy.stats.norm.cdf(x)*x": "gelu(x)",
}


@pytest.mark.parametrize("text", JAX)
def test_jax_means_what_jax_says(text):
    """JAX is not installed: its documented definitions stand beside the programs."""
    ours = evaluate(from_source(body(text)).expr, X)
    np.testing.assert_allclose(ours, evaluate(parse(JAX[text]), X), rtol=1e-9, atol=1e-12)


def test_choices_between_libraries_are_noted():
    assert "tanh form" in from_source(body("jax.nn.gelu(x)")).notes[0]
    assert "n - 1" in from_source(body("x*torch.std(x)")).notes[0]
    assert "a > 0" in from_source(body("x**(x*x)")).notes[0]
    assert from_source(body("x*np.mean(x)")).kind == "statistics"


REFUSED = {
    "x[0]": "line 2: indexing a tensor",
    "np.mean(x, axis=-1)": "line 2: 'numpy.mean' along an axis: a function over features",
    "np.sum(x)": "over features",
    "np.tanhh(x)": "did you mean 'tanh'",
    "np.max(x)": "over features",
    "x if x > 0 else 0": "line 2: a conditional on a tensor; use where",
    "x @ x": "operator 'MatMult'",
    "y*x": "line 2: unknown name 'y'",
    "open('f')": "line 2: unknown name 'open'",
    "[z for z in x]": "'ListComp' is not understood",
    "f(x)": "'f' calls itself",
    "10**10**10": "a power that is too large",
    "x.__class__": "attribute '__class__'",
    "1 < x < 2": "a chained comparison",
    "x % 2": "operator 'Mod'",
    "np.random.rand()*x": "is not understood",
    "1j*x": "a complex literal",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_refused_with_line_and_construct(text):
    with pytest.raises(ImportRefusedError, match=re.escape(REFUSED[text])) as caught:
        from_source(body(text))
    assert "\n" not in str(caught.value)


def test_the_entry_is_named_usual_or_the_only_one():
    helpers = "def helper(x):\n    return x\ndef activation(x):\n    return helper(x)*2\n"
    assert from_source(helpers).entry == "activation"
    assert show(from_source(helpers, entry="helper").expr) == "x"
    with pytest.raises(ImportRefusedError, match="did you mean 'helper'"):
        from_source(helpers, entry="helpr")
    with pytest.raises(ImportRefusedError, match="several functions"):
        from_source("def a(x):\n    return x\ndef b(x):\n    return -x\n")
    with pytest.raises(ImportRefusedError, match="no function"):
        from_source("x = 1\n")
    with pytest.raises(ImportRefusedError, match="line 1: no Python"):
        from_source("def f(x:\n")


def as_numpy(expr: Expr) -> str:
    """Print an expression as NumPy source."""
    if expr.op == "var":
        return "x"
    if expr.op == "const":
        return f"({expr.number!r})"
    args = [as_numpy(arg) for arg in expr.args]
    names = {"atan": "arctan", "asinh": "arcsinh", "abs": "abs", "min": "minimum", "max": "maximum"}
    infix = {
        "add": "+",
        "sub": "-",
        "mul": "*",
        "div": "/",
        "lt": "<",
        "le": "<=",
        "gt": ">",
        "ge": ">=",
    }
    if expr.op in infix:
        return f"({args[0]} {infix[expr.op]} {args[1]})"
    special_ = {
        "neg": "(-{0})",
        "cube": "({0})**3",
        "erf": "special.erf({0})",
        "sigmoid": "special.expit({0})",
        "softplus": "np.logaddexp({0}, 0.0)",
        "gelu": "({0})*special.ndtr({0})",
        "silu": "({0})*special.expit({0})",
        "gaussian": "np.exp(-({0})**2)",
        "relu": "np.maximum({0}, 0.0)",
        "softsign": "({0})/(1 + np.abs({0}))",
    }
    if expr.op in special_:
        return f"({special_[expr.op].format(*args)})"
    return f"np.{names.get(expr.op, expr.op)}({', '.join(args)})"


@settings(max_examples=examples(80))
@given(expr=exprs(max_depth=4))
def test_what_is_printed_as_numpy_comes_back_with_its_values(expr):
    try:
        found = from_source("from scipy import special\n" + body(as_numpy(expr)))
    except ImportRefusedError as error:
        # Constants are computed with Python's numbers, which refuse what is no number.
        event(f"refused: {error}")
        return
    with np.errstate(all="ignore"):
        a, b = evaluate(expr, X), evaluate(found.expr, X)
    good = np.isfinite(a) & np.isfinite(b) & (np.abs(a) < 1e8)
    same = np.isclose(a[good], b[good], rtol=1e-6, atol=1e-6)
    # A comparison of equal things may turn by rounding.
    assert same.all() or any(op in show(expr) for op in ("<", ">", "sign"))


def test_hostile_programs_do_nothing():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, root / "tools" / "fuzz_importer.py", str(examples(100)), "7"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Result folders, written here in the systems' own layouts.
GELUSINE = body("jax.nn.gelu(x, approximate=False) + 0.1*jnp.sin(x)")
SWISH = body("x*jax.nn.sigmoid(x)")
BAD = body("x[0]")


def openevolve(folder: Path, *, old: bool = False) -> Path:
    """Two checkpoints of one run; the later one has lost a program and holds a migrant copy."""
    best = {"id": "b" * 8 + "-0", "code": GELUSINE, "language": "python", "parent_id": None}
    for iteration, ids in ((10, "abm"), (20, "bc")):
        place = folder / "checkpoints" / f"checkpoint_{iteration}"
        (place / "programs").mkdir(parents=True)
        for name in ids:
            row = {
                "id": f"{name * 8}-0",
                "code": {"a": SWISH, "b": GELUSINE, "c": BAD, "m": GELUSINE}[name],
                "language": "python",
                "parent_id": "b" * 8 + "-0" if name == "m" else None,
                "generation": 1,
                "timestamp": 1.0,
                "iteration_found": 0 if name == "m" else {"a": 3, "b": 5, "c": 18}[name],
                "metrics": {
                    "loss_a": 0.5,
                    "loss_b": 0.25,
                    "ok": True,
                    "diversity": 9.0,
                    "text": "x",
                },
                "complexity": 0.0,
                "diversity": 0.0,
                "metadata": {"island": 1, **({"migrant": True} if name == "m" else {})},
            }
            if name == "b":
                row["metrics"] = {"combined_score": 0.9, "bad": float("nan")}
            if not old:
                row |= {"changes_description": "", "embedding": None, "prompts": None}
            (place / "programs" / f"{row['id']}.json").write_text(json.dumps(row))
        meta = {"last_iteration": iteration, "best_program_id": best["id"], "islands": [[]]}
        meta["feature_map" if old else "island_feature_maps"] = {} if old else [{}]
        (place / "metadata.json").write_text(json.dumps(meta))
    (folder / "best").mkdir()
    (folder / "best" / "best_program.py").write_text(body("np.cos(x)"))
    info = {"id": "d" * 8 + "-0", "generation": 2, "metrics": {"combined_score": 1.5}}
    (folder / "best" / "best_program_info.json").write_text(json.dumps(info))
    return folder


def shinka(folder: Path, *, old: bool = False, name: str = "programs.sqlite") -> Path:
    folder.mkdir(parents=True)
    columns = (
        "id TEXT PRIMARY KEY, code TEXT, language TEXT, parent_id TEXT, generation INTEGER, "
        "timestamp REAL, combined_score REAL, public_metrics TEXT, private_metrics TEXT, "
        "complexity REAL, correct BOOLEAN, metadata TEXT, island_idx INTEGER"
    )
    columns += "" if old else ", text_feedback TEXT, system_prompt_id TEXT"
    connection = sqlite3.connect(folder / name)
    connection.execute(f"CREATE TABLE programs ({columns})")
    rows = [
        ("p0", SWISH, 0, 0.4, True, {"api_costs": 0.0}, 0),
        ("p0-copy", SWISH, 0, 0.4, True, {"_is_island_copy": True}, 1),
        (
            "p1",
            GELUSINE,
            1,
            0.8,
            True,
            {"model_name": "m1", "api_costs": 0.02, "embed_cost": 0.01},
            0,
        ),
        ("p2", body("np.cos(x)"), 2, 2.2, False, {}, 0),
        ("p3", BAD, 3, 0.1, True, {}, 1),
    ]
    for key, code, generation, score, correct, metadata, island in rows:
        connection.execute(
            "INSERT INTO programs (id, code, language, generation, timestamp, combined_score, "
            "public_metrics, complexity, correct, metadata, island_idx) VALUES "
            "(?, ?, 'python', ?, 1.0, ?, '{\"mse\": NaN, \"n\": 3}', 0, ?, ?, ?)",
            (key, code, generation, score, correct, json.dumps(metadata), island),
        )
    connection.commit()
    connection.close()
    return folder


@pytest.mark.parametrize("old", [False, True])
def test_an_openevolve_folder_comes_in_whole_and_once(old, tmp_path):
    found, summary = read_with_summary(openevolve(tmp_path / "out", old=old))
    by_formula = {one.formula: one for one in found}
    best = by_formula["gelu(x) + 0.1*sin(x)"]
    assert (best.program, best.copies, best.iteration, best.score) == ("bbbbbbbb-0", 2, 5, 0.9)
    assert "bad" not in best.metrics
    swish = by_formula["x*sigmoid(x)"]
    assert swish.score == pytest.approx((0.5 + 0.25) / 2)  # no truth values, no grid dimensions
    assert swish.island == 1
    assert by_formula["cos(x)"].score == 1.5  # only in best/
    refused = next(one for one in found if one.formula is None)
    assert "indexing a tensor" in refused.refusal
    assert (summary.programs, summary.understood, summary.copies) == (4, 3, 1)
    assert summary.unobserved == 20 - 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@pytest.mark.parametrize(
    ("old", "name"), [(False, "programs.sqlite"), (True, "evolution_db.sqlite")]
)
def test_a_shinka_folder_comes_in_without_what_is_invalid_and_stays_as_it_is(old, name, tmp_path):
    folder = shinka(tmp_path / "results", old=old, name=name)
    before = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    found, summary = read_with_summary(folder)
    assert [one.formula for one in found] == ["gelu(x) + 0.1*sin(x)", "x*sigmoid(x)", None]
    assert (found[0].model, found[0].cost) == ("m1", pytest.approx(0.03))
    assert found[0].metrics == {"n": 3.0, "combined_score": 0.8}
    assert found[1].program == "p0"
    assert found[1].copies == 2
    assert (summary.invalid, summary.copies) == (1, 1)
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == before
    assert [path.name for path in folder.iterdir()] == [name]  # no -wal, no -shm
    errors = read(folder, minimize=True)
    assert errors[0].formula is None  # the smallest error first
    assert errors[0].score == pytest.approx(-0.1)


def test_a_database_that_is_being_written_is_read_too(tmp_path):
    folder = shinka(tmp_path / "results")
    writer = sqlite3.connect(folder / "programs.sqlite")
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE programs SET combined_score = 3.0 WHERE id = 'p0'")
    writer.commit()
    with contextlib.closing(writer):
        assert read(folder)[0].score == 3.0


def test_traces_samples_lists_and_plain_files_come_in(tmp_path):
    row = {
        "iteration": 4,
        "child_id": "k",
        "parent_id": "j",
        "child_metrics": {"combined_score": 1},
    }
    trace = tmp_path / "t" / "evolution_trace.jsonl.gz"
    trace.parent.mkdir()
    with gzip.open(trace, "wt") as handle:
        handle.write(json.dumps({**row, "child_code": SWISH}) + "\n")
    assert read(trace)[0].iteration == 4
    bare = tmp_path / "evolution_trace.jsonl"
    bare.write_text(json.dumps(row) + "\n")
    with pytest.raises(SymactError, match="include_code"):
        read(bare)
    samples = tmp_path / "llmsr" / "samples"
    samples.mkdir(parents=True)
    sample = {"sample_order": 3, "function": SWISH, "score": -0.5}
    (samples / "samples_3.json").write_text(json.dumps(sample))
    assert (read(tmp_path / "llmsr")[0].system, read(tmp_path / "llmsr")[0].score) == (
        "LLM-SR",
        -0.5,
    )
    cloud = tmp_path / "list.json"
    scores = {"scores": {"scores": [{"metric": "s", "score": 0.25}]}}
    program = {"name": "n1", "content": {"files": [{"content": SWISH}]}, "evaluation": scores}
    cloud.write_text(json.dumps({"programs": [program]}))
    assert (read(cloud)[0].system, read(cloud)[0].score) == ("AlphaEvolve", 0.25)
    sky = tmp_path / "one.json"
    sky.write_text(json.dumps({"id": "s", "solution": SWISH, "metrics": {"combined_score": 2}}))
    assert read(sky)[0].system == "SkyDiscover"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.py").write_text(GELUSINE)
    assert read(tmp_path / "folder")[0].name == "mine"
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'x'\ntR.")
    with pytest.raises(SymactError, match="a pickle runs code"):
        read(tmp_path / "x.pkl")
    (tmp_path / "empty").mkdir()
    for bad, message in ((tmp_path / "empty", "no programs"), (tmp_path / "none", "no such file")):
        with pytest.raises(SymactError, match=message):
            read(bad)


def test_records_go_to_a_file_and_back_and_are_never_overwritten(tmp_path):
    found = read(openevolve(tmp_path / "out"))
    file = tmp_path / "records.jsonl"
    write_records(found, file)
    assert read_records(file) == found
    assert read(file)[0].formula == found[0].formula
    with pytest.raises(SymactError, match="exists already"):
        write_records(found, file)
    mine = tmp_path / "mine.jsonl"
    program = json.dumps({"name": "code", "code": body("x*x")})
    mine.write_text('{"name": "ours", "formula": "x*tanh(x)"}\n\n' + program + "\n")
    assert [(one.name, one.formula) for one in read_records(mine)] == [
        ("ours", "x*tanh(x)"),
        ("code", "x*x"),
    ]
    mine.write_text('{"formula": "tanh(x"}\n')
    with pytest.raises(SymactError, match="line 1: no record"):
        read_records(mine)


def test_imported_programs_are_judged_with_their_provenance(tmp_path):
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    file = tmp_path / "mine.py"
    file.write_text(GELUSINE)
    folder = shinka(tmp_path / "results")
    found = compare(file, folder, "tanh", task="polynomial", form=one)
    rows = {row.name: row for row in found.rows}
    assert rows["mine"].kind == rows["ShinkaEvolve p1"].kind == "imported"
    assert "reported 0.8, m1" in rows["ShinkaEvolve p1"].note
    assert rows["mine"].ood == rows["ShinkaEvolve p1"].ood


def test_the_command_line_imports_and_refuses_in_one_line(tmp_path):
    folder = openevolve(tmp_path / "out")
    done = called("import", folder, "--out", tmp_path / "r.jsonl")
    assert done.returncode == 0, done.stderr
    assert "gelu(x) + 0.1*sin(x)" in done.stdout
    assert "17 iterations unobserved" in done.stderr
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 4
    listed = json.loads(called("import", folder, "--json").stdout)
    assert {"formula", "score", "refusal", "sha256"} <= set(listed[0])
    (tmp_path / "bad.py").write_text(BAD)
    for arguments, message in (
        ((tmp_path / "bad.py",), "line 2: indexing a tensor"),
        ((tmp_path / "none.py",), "no such file"),
        ((folder, "--out", tmp_path / "r.jsonl"), "exists already"),
    ):
        bad = called("import", *arguments)
        assert bad.returncode == 2
        assert message in bad.stderr.strip().splitlines()[-1]


def test_one_bad_file_or_line_costs_itself_only(tmp_path):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "good.py").write_text("\ufeff" + SWISH, encoding="utf-8")
    (folder / "bad.py").write_text("import torch\ndef f(x):\n    return torch.pow(x)\n")
    (folder / "large.py").write_bytes(b"#" * 50_000_001)
    (folder / "gone.py").symlink_to(tmp_path / "nothing")
    by_name = {one.program: one for one in read(folder)}
    assert by_name["good"].formula == "x*sigmoid(x)"
    assert "lacks the argument 'exponent'" in by_name["bad"].refusal
    assert "larger than" in by_name["large"].refusal
    assert "cannot be read" in by_name["gone"].refusal
    lines = tmp_path / "lines.jsonl"
    fenced = json.dumps({"name": "fenced", "code": f"```python\n{SWISH}```"})
    odd = json.dumps({"name": "odd", "formula": "x", "iteration": "late", "parents": 3})
    rows = ['{"name": "a", "formula": "x*tanh(x)"}', '{"formula": "tanh(x"}', fenced, odd]
    lines.write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    for found in (read_records(lines), read(lines)):
        assert {one.formula for one in found} == {"x*tanh(x)", None, "x*sigmoid(x)", "x"}
    result = openevolve(tmp_path / "run")
    (result / "evolution_trace.jsonl").write_text('{"child_id": "k"}\n')
    (result / "checkpoints" / "checkpoint_20" / "programs" / "odd.json").write_text("[1, {]")
    assert read_with_summary(result)[1].understood == 3


def test_lists_of_the_cloud_service_may_have_odd_rows(tmp_path):
    good = {"name": "n1", "content": {"files": [{"content": SWISH}]}}
    odd = [1, {"content": []}, {"content": {"files": "x"}}, {**good, "evaluation": {"scores": 3}}]
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"programs": [*odd, {**good, "parent_programs": 5}]}))
    assert [one.formula for one in read(file)] == ["x*sigmoid(x)"]


def test_a_database_whose_log_cannot_be_shared_is_read_from_a_copy(tmp_path):
    folder = shinka(tmp_path / "results")
    database = folder / "programs.sqlite"
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE programs SET combined_score = 3.0 WHERE id = 'p0'")
    writer.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("programs.sqlite", "programs.sqlite-wal"):
        (copy / name).write_bytes((folder / name).read_bytes())
    writer.close()
    (copy / "programs.sqlite-shm").mkdir()  # where the file beside it cannot be made
    assert read(copy)[0].score == 3.0
    names = ["programs.sqlite", "programs.sqlite-shm", "programs.sqlite-wal"]
    assert sorted(path.name for path in copy.iterdir()) == names


def test_the_command_line_names_known_functions_and_assumptions(tmp_path):
    program = tmp_path / "gate.py"
    program.write_text("import torch\ndef f(x):\n    return x*torch.sigmoid(1.7*x) + 0*x.std()\n")
    assert "note: gate: " in called("import", program).stderr
    program.write_text("import torch\ndef f(x):\n    return x*torch.sigmoid(1.7*x)\n")
    assert "0.5882*SiLU(1.7*x)  x*sigmoid(1.7*x)" in called("import", program).stdout
    assert json.loads(called("import", program, "--json").stdout)[0]["known"].endswith(
        "SiLU(1.7*x)"
    )
