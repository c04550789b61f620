"""Any mix of functions under one judge, each trained once, and answers that stay."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from small_runs import SHORT

import symact
from symact import zoo
from symact.errors import SymactError
from symact.evaluation import Plan
from symact.expr import parse
from symact.reporting.comparison import compare
from symact.reporting.report import write_report
from symact.reporting.table import from_json, to_json
from symact.tasks.protocol import COMPARED, EvaluationProtocol

FORM = EvaluationProtocol(
    "tiny", ((8, 2), (8, 1)), (1e-2, 3e-2), tuning=1, per_family=2, seeds=2, steps=20
)


class Steps:
    """Counts what is trained."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, place: int, total: int, name: str) -> None:
        self.names.append(name)


SMALL: dict[str, Any] = {
    "mini_networks": 2,
    "mini_draws": 1,
    "full_networks": 1,
    "full_draws": 1,
    "selection_networks": 1,
    "finalists": 3,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    plan = Plan(**SMALL, generation=20)
    folder = tmp_path_factory.mktemp("runs") / "a"
    return symact.search("pointwise", SHORT, budget=12, seed=3, out=folder, plan=plan)


def test_each_function_is_trained_once_and_a_new_one_alone(tmp_path):
    steps = Steps()
    items = ["GELU", "tanh", "x*tanh(x)"]
    first = compare(*items, task="polynomial", form=FORM, out=tmp_path, on_step=steps)
    assert sorted(steps.names) == sorted(items)
    again = compare(*items, task="polynomial", form=FORM, out=tmp_path, on_step=steps)
    assert len(steps.names) == 3
    assert again == first
    more = compare(*items, "sin", task="polynomial", form=FORM, out=tmp_path, on_step=steps)
    assert steps.names[3:] == ["sin"]
    shared = {row.name: row.ood for row in more.rows}
    assert all(shared[row.name] == row.ood for row in first.rows)
    # The same values under another text are another question; the same text is not.
    compare(["tanh", "GELU"], task="polynomial", form=FORM, out=tmp_path, on_step=steps)
    assert len(steps.names) == 4


def test_names_paths_expressions_and_known_functions_can_be_mixed(tmp_path, run):
    found = compare(
        *[run, parse("sin(x)"), zoo.find("tanh"), "0.5*x*tanh(x)"],
        task="polynomial",
        form=FORM,
    )
    kinds = {row.name: row.kind for row in found.rows}
    assert kinds["sin(x)"] == kinds["0.5*x*tanh(x)"] == "imported"
    assert kinds["tanh"] == "zoo"
    assert "GELU" in kinds
    assert any(kind == "found" for kind in kinds.values())
    assert found.protocol == "1.0-tiny"
    assert found.sizes == FORM.sizes
    for row in found.rows:
        assert row.low <= row.ratio <= row.high
        assert len(row.rates) == len(FORM.sizes)
        assert set(row.rates) <= set(FORM.rates)
    reference = next(row for row in found.rows if row.name == "GELU")
    assert (reference.ratio, reference.p) == (1, 1)
    assert len(found.pairs) == len(found.rows)
    assert np.mean([row.rank for row in found.rows]) == pytest.approx((len(found.rows) + 1) / 2)


def test_a_run_alone_stands_beside_the_usual_functions_and_remembers_them(run):
    steps = Steps()
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    found = compare(run, form=one, on_step=steps)
    assert set(COMPARED) <= {row.name for row in found.rows}
    formulas = {(row.formula, row.flops) for row in found.rows}
    assert len(steps.names) == len(formulas)  # a found one may be one of the usual
    assert compare(run.path, form=one, on_step=steps) == found
    assert len(steps.names) == len(formulas)


def test_two_runs_name_their_functions_apart(run, tmp_path):
    plan = Plan(**SMALL, generation=20)
    other = symact.search("pointwise", SHORT, budget=12, seed=4, out=tmp_path / "b", plan=plan)
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    found = compare(run, other, "GELU", form=one, best=1)
    names = [row.title for row in found.rows if row.kind == "found"]
    assert len(names) == 2
    assert any(str(run.path) in name for name in names)
    assert any(str(other.path) in name for name in names)


def test_two_programs_of_one_name_are_both_judged(tmp_path):
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    for folder, text in (("a", "x*x"), ("b", "np.sin(x)"), ("c", "x*x")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"def f(x):\n    return {text}\n")
    files = [tmp_path / folder / "mine.py" for folder in "abc"]
    found = compare(files, task="polynomial", form=one)
    rows = {row.name: row.formula for row in found.rows}
    assert rows == {"mine": "x*x", "mine (2)": "sin(x)", "GELU": "gelu(x)"}


def test_a_report_is_drawn_once_and_again_when_something_changed(tmp_path):
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    found = compare("GELU", "sin", task="polynomial", form=one)
    paths = write_report([], found, tmp_path)
    times = {key: path.stat().st_mtime_ns for key, path in paths.items()}
    assert write_report([], found, tmp_path) == paths
    assert {key: path.stat().st_mtime_ns for key, path in paths.items()} == times
    paths["families"].unlink()
    write_report([], found, tmp_path)
    assert paths["families"].exists()
    more = compare("GELU", "sin", "tanh", task="polynomial", form=one)
    write_report([], more, tmp_path)
    assert "tanh" in paths["html"].read_text()


def test_a_comparison_survives_json():
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=1, seeds=1, steps=2)
    found = compare("GELU", "sin", "exp(x**2)", task="polynomial", form=one)
    document = json.loads(json.dumps(to_json(found), allow_nan=False))
    assert to_json(from_json(document)) == to_json(found)


@pytest.mark.parametrize(
    ("items", "changes", "message"),
    [
        (["GLU2"], {}, "no run or program is called 'GLU2' here"),
        (["tanh(x"], {}, "column"),
        (["GELU"], {"form": "quik"}, "did you mean 'quick'"),
        (["GELU"], {"task": "digit"}, "did you mean 'digits'"),
        (["GELU"], {"device": "tpu"}, "unknown device"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_is_trained(items, changes, message):
    steps = Steps()
    with pytest.raises(SymactError, match=message.replace("(", r"\(")) as caught:
        compare(*items, on_step=steps, **changes)
    assert "\n" not in str(caught.value)
    assert steps.names == []


def test_functions_of_batch_statistics_change_no_figure_of_the_others():
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=4, seeds=1, steps=8)
    names = ["ReLU", "tanh", "sin", "GELU"]
    alone = compare(names, task="ood-suite", form=one)
    mixed = compare([*names, "Turbulent"], task="ood-suite", form=one)
    assert mixed.rows[:-1] == alone.rows
    assert (mixed.cliques, mixed.friedman) == (alone.cliques, alone.friedman)
    pairs = np.array(mixed.pairs)
    np.testing.assert_array_equal(pairs[:-1, :-1], alone.pairs)
    assert np.isnan(pairs[-1, :-1]).all()
    turbulent = mixed.rows[-1]
    assert (turbulent.name, turbulent.statistics, turbulent.rank) == ("Turbulent", True, 1.0)
    assert 0 < turbulent.p <= 1
    # Two of them correct for each other alone.
    more = compare([*names, "Turbulent", "x*std(x)"], task="ood-suite", form=one)
    assert more.rows[:-2] == alone.rows


def test_a_found_function_of_the_zoo_is_one_row_and_one_test(tmp_path):
    file = tmp_path / "proposals.jsonl"
    formulas = [
        "x*sigmoid(x)",
        "sin(x) + 0.5*x",
        "x/(1 + exp(-x))",
        "0.5*x*(1 + erf(0.7071067811865476*x))",
    ]
    file.write_text("".join(json.dumps({"formula": text}) + "\n" for text in formulas))
    found = symact.search(
        "full", "polynomial", budget=4, out=tmp_path / "run", proposer=f"replay:{file}",
        plan=Plan(**SMALL, ladder=False, refine_share=0.0),
    )  # fmt: skip
    one = EvaluationProtocol("one", ((4, 1),), (1e-2,), tuning=0, per_family=4, seeds=1, steps=8)
    judged = compare(found, form=one, best=4)
    formulas = [row.formula for row in judged.rows]
    assert len(formulas) == len(set(formulas))
    silu = [row for row in judged.rows if "SiLU" in row.title]
    assert len(silu) == 1
    assert silu[0].also.startswith("found #")
    assert silu[0].kind == "found"
    pointwise = [row for row in judged.rows if not row.statistics]
    assert len(pointwise) == len({row.title.rpartition(" = ")[2] for row in pointwise})
