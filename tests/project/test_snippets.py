"""Every Python snippet of the documentation runs.

A snippet with prompts is a doctest: its output is compared. The snippets of one page share a
namespace, in order. ``<!-- not run: REASON -->`` on the line before a snippet exempts it.

Searches and comparisons of the pages take minutes. ``SHORTER`` replaces their budgets, tasks and
forms by tiny ones before a snippet runs; the rest of the text runs as a user would copy it.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path

import numpy as np
import pytest

from symact.evaluation import Plan
from symact.proposers import Evolution
from symact.tasks.protocol2 import PopulationForm

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SNIPPET = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n+)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
#: Patterns of what takes long, and their replacements.
SHORTER = {
    r'"ood-suite"': '"polynomial"',
    r"\bProcessExecutor\(\d+\)": "ProcessExecutor(2)",
    r'\bbudget=("\w+"|\d+)': "budget=8, plan=TINY_PLAN, evolution=TINY_EVOLUTION",
    r'(?m)(\bcompare\(.*?)(, form="\w+")?\)(?=\s*(?:#|$))': r"\1, form=TINY_FORM)",
    r"\brecommend\((.*?)\)": r"recommend(\1, form=TINY_FORM)",
}
TINY = {
    "TINY_PLAN": Plan(
        mini_networks=1,
        mini_draws=1,
        full_networks=1,
        full_draws=1,
        selection_networks=1,
        generation=8,
        finalists=1,
    ),
    "TINY_EVOLUTION": Evolution(population=16, islands=2),
    "TINY_FORM": PopulationForm("tiny", 2, 1, 1, 4, 2, 32, 32, (1e-2,)),
}


def snippets(page: Path) -> list[str]:
    """The code of the snippets of a page that are not exempt."""
    found = SNIPPET.finditer(page.read_text("utf-8"))
    return [match["code"] for match in found if not match["reason"]]


def shortened(code: str) -> str:
    for pattern, replacement in SHORTER.items():
        code = re.sub(pattern, replacement, code)
    return code


def given() -> dict[str, object]:
    """What the pages assume that a user has: arrays of data."""
    x = np.linspace(-2, 2, 240, dtype=np.float32).reshape(-1, 2)
    return {
        "X_train": x,
        "y_train": np.sin(x).sum(1),
        "X_ood": 2 * x,
        "y_ood": np.sin(2 * x).sum(1),
    }


def run_snippet(code: str, name: str, namespace: dict[str, object]) -> None:
    if ">>> " in code:
        test = doctest.DocTestParser().get_doctest(code, {}, name, name, 0)
        test.globs = namespace
        said = io.StringIO()
        found = doctest.DocTestRunner().run(test, out=said.write, clear_globs=False)
        assert found.failed == 0, said.getvalue()
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(shortened(code), name, "exec"), namespace)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if snippets(page)], ids=lambda page: page.name
)
def test_the_snippets_run(page, tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    Path("theirs.jsonl").write_text(
        '{"system": "theirs", "program": "1", "formula": "x*tanh(x)"}\n'
    )
    namespace: dict[str, object] = {**TINY, **given()}
    for number, code in enumerate(snippets(page), 1):
        run_snippet(code, f"{page.name}, snippet {number}", namespace)


def test_snippets_are_found_with_their_exemptions():
    assert len(snippets(ROOT / "docs" / "zoo.md")) == 13
    text = "<!-- not run: needs a cluster -->\n```python\na\n```\n\n```python\nb\n```\n"
    found = [(match["reason"], match["code"]) for match in SNIPPET.finditer(text)]
    assert found == [("needs a cluster", "a\n"), (None, "b\n")]


def test_a_snippet_with_a_wrong_output_fails():
    with pytest.raises(AssertionError, match="Expected"):
        run_snippet(">>> 1 + 1\n3\n", "page", {})
    with pytest.raises(ZeroDivisionError):
        run_snippet("1 / 0", "page", {})


def test_searches_and_comparisons_become_short():
    tiny = "budget=8, plan=TINY_PLAN, evolution=TINY_EVOLUTION"
    assert shortened('search("full", "ood-suite", budget="5m")') == (
        f'search("full", "polynomial", {tiny})'
    )
    assert shortened("search(task, budget=500, seed=0)") == f"search(task, {tiny}, seed=0)"
    assert shortened('compare(run)  # all\ncompare(run, "tanh(x)", form="quick")\n') == (
        'compare(run, form=TINY_FORM)  # all\ncompare(run, "tanh(x)", form=TINY_FORM)\n'
    )
