"""The examples in the docstrings of every module run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import types

import pytest

import symact

#: Modules that need a package which is not everywhere, and that package.
NEEDS = {
    "symact.backends.triton": "triton",
    "symact.backends.triton_kernels": "triton",
    "symact.evaluation.executors.ray": "ray",
}


def module_names() -> list[str]:
    """The modules of the package, found without importing them; no entry points."""
    found = pkgutil.walk_packages(symact.__path__, "symact.")
    return ["symact", *(module.name for module in found if not module.name.endswith("__main__"))]


@pytest.mark.parametrize("name", module_names())
def test_the_examples_run(name, tmp_path, monkeypatch, one_thread):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs {NEEDS[name]}")
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_examples_are_found_and_a_wrong_one_fails():
    assert doctest.testmod(importlib.import_module("symact.errors")).attempted > 0
    wrong = types.ModuleType("wrong", ">>> 1 + 1\n3\n")
    assert doctest.testmod(wrong).failed == 1
