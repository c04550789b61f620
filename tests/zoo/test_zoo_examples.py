"""The examples of the zoo's page and docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
MODULES = [
    "symact.zoo.catalogue",
    "symact.zoo.recognise",
    *(f"symact.zoo.modules.{name}" for name in ("features", "registry", "smoothing", "wrappers")),
]


def test_the_page_runs():
    text = re.sub(r"^```.*$", "", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, "docs/zoo.md", "docs/zoo.md", 0)
    assert len(test.examples) > 20
    found = doctest.DocTestRunner().run(test)
    assert found.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_run(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, extraglobs={"torch": torch})
    assert found.attempted > 0
    assert found.failed == 0
