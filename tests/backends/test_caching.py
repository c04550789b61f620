"""Cached machine code belongs to the sources and the table that it was compiled from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference import REFERENCE

import symact
from symact.expr.primitives import PRIMITIVES

UNARY = [name for name, row in PRIMITIVES.items() if row.arity == 1 and not row.statistic]

VALUES = """
import json, sys
import numpy as np
from symact.expr import primitives
rows = primitives.PRIMITIVES
order = list(rows.items())
rows.clear()
rows.update(reversed(order) if "reversed" in sys.argv else order)
from symact.backends import evaluate
from symact.expr import call, var
x = np.array([0.3, 1.7])
print(json.dumps({name: evaluate(call(name, var()), x).tolist() for name in %r}))
"""

COMPILED = """
from symact.backends.numba.caching import cached
import part

@cached
def twice(x):
    return part.once(x) * 2
"""

CALLED = """
import sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from symact.expr import primitives
if "renumbered" in sys.argv:
    row = primitives.PRIMITIVES["sin"]
    primitives.PRIMITIVES["sin"] = replace(row, opcode=1000)
import compiled
print(compiled.twice(1.0), sum(compiled.twice.stats.cache_hits.values()))
"""


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: text for name, text in os.environ.items() if not name.startswith("NUMBA_")}
    own |= {"PYTHONPATH": os.fspath(Path(symact.__file__).parents[1]), **environment}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=own, capture_output=True, text=True, check=True, timeout=300)


def test_opcodes_are_distinct():
    assert len({row.opcode for row in PRIMITIVES.values()}) == len(PRIMITIVES)


def test_the_order_of_the_table_does_not_matter_to_a_warm_cache():
    script = VALUES % UNARY
    run(script)
    found = json.loads(run(script, "reversed").stdout)
    for name in UNARY:
        np.testing.assert_allclose(found[name], REFERENCE[name](np.array([0.3, 1.7])), rtol=1e-12)


@pytest.fixture
def folder(tmp_path):
    """A folder with a compiled function that calls one of another file."""
    own = tmp_path / "sources"
    own.mkdir()
    (own / "compiled.py").write_text(COMPILED)
    write_part(own, 1)
    return own


def write_part(folder: Path, number: int) -> None:
    text = f"from numba import njit\n@njit\ndef once(x):\n    return x + {number}\n"
    (folder / "part.py").write_text(text)


def outcome(folder: Path, *arguments: str, **environment: str) -> tuple[float, int]:
    """Return what the function gives for 1, and how often it came from the cache."""
    value, hits = run(CALLED, os.fspath(folder), *arguments, **environment).stdout.split()
    return float(value), int(hits)


def test_compiled_code_is_cached_until_another_source_file_changes(folder):
    assert outcome(folder) == (4, 0)
    assert outcome(folder) == (4, 1)
    write_part(folder, 10)
    assert outcome(folder) == (22, 0)


def test_compiled_code_is_cached_until_the_table_changes(folder):
    assert outcome(folder) == (4, 0)
    assert outcome(folder, "renumbered") == (4, 0)


def nowhere(folder: Path) -> dict[str, str]:
    """Make the places beside the sources and in the home directory unwritable, even for root."""
    (folder / "__pycache__").write_text("")
    return {"HOME": os.devnull + "/home", "XDG_CACHE_HOME": os.devnull + "/cache"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs the owner of a directory")
def test_a_read_only_installation_caches_below_the_temporary_directory(folder, tmp_path):
    places = nowhere(folder) | {"TMPDIR": os.fspath(tmp_path)}
    assert outcome(folder, **places) == (4, 0)
    assert outcome(folder, **places) == (4, 1)
    (private,) = tmp_path.glob("symact-*")
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs the owner of a directory")
def test_without_a_safe_directory_the_function_is_compiled_for_the_process(folder, tmp_path):
    places = nowhere(folder) | {"TMPDIR": os.fspath(tmp_path)}
    prepared = tmp_path / f"symact-{os.getuid()}"
    prepared.mkdir()
    prepared.chmod(0o777)  # anybody could put code there, which would be run
    for _ in range(2):
        done = run(CALLED, os.fspath(folder), **places)
        assert done.stdout.split() == ["4.0", "0"]
        assert done.stderr.count("\n") == 1
        assert "NUMBA_CACHE_DIR" in done.stderr
    assert not list(prepared.iterdir())
