"""The zoo against facts collected apart from it, and against torch.

``data/zoo_facts.json`` holds, for each function, the NumPy formula of the fact sheet with its
parameter values, f(0), the slopes left and right of 0 (null where it jumps there) and torch's own
function. It was not written from ``zoo.json``.
"""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import REFERENCE, evaluate
from scipy import special
from torch.nn import functional

from symact import zoo
from symact.errors import ZooError
from symact.expr import parse, show, uses_statistics, variables
from symact.expr.primitives import PRIMITIVES
from symact.tasks import protocol

_FACTS_FILE = Path(__file__).parents[1] / "data" / "zoo_facts.json"
FACTS: dict[str, dict[str, Any]] = {
    fact["name"]: fact
    for fact in json.loads(
        (Path(__file__).parents[1] / "data" / "zoo_facts.json").read_text("utf-8")
    )
}
#: What the formulas of the facts may use: NumPy, erf, and no builtins.
NAMESPACE = {**vars(np), "__builtins__": {}, "erf": special.erf}
EXTREMES = [sign * 10.0**power for sign in (-1, 1) for power in (-8, -3, 2, 3, 4, 6)]
KINKS = [sign * at * (1 + by) for sign in (-1, 1) for at in (0.01, 0.5) for by in (-1e-9, 1e-9)]
GRID = np.array([*np.linspace(-20, 20, 4001), *EXTREMES, *KINKS, 0.0])
#: Torch's own function, where there is one: from the facts, and a few the facts leave out.
BUILTINS = {
    **{name: fact["torch"] for name, fact in FACTS.items() if fact["torch"]},
    "Swish-beta": "F.silu(x)",
    "Quadratic": "torch.square(x)",
    "RePU": "F.relu(x)**3",
    "sign": "torch.sign(x)",
    "identity": "x",
    "Gaussian": "torch.exp(-x**2)",
    "LiSHT": "x*torch.tanh(x)",
    "Symlog": "torch.sign(x)*torch.log1p(torch.abs(x))",
}

every_entry = pytest.mark.parametrize("entry", zoo.known(), ids=lambda entry: entry.name)


def fact_values(fact: dict[str, Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the NumPy formula of the fact sheet."""
    with np.errstate(all="ignore"):
        value = eval(fact["formula"], NAMESPACE, {**fact["parameters"], "x": x})
    return np.broadcast_to(np.asarray(value, dtype=np.float64), x.shape)


def slope(entry: zoo.Known, direction: int) -> float:
    """The one-sided slope at 0, by a difference quotient of second order."""
    step = direction * 1e-6
    at = evaluate(entry.expr, np.array([0.0, step, 2 * step]))
    return float(-3 * at[0] + 4 * at[1] - at[2]) / (2 * step)


def test_the_reference_has_exactly_the_primitives() -> None:
    assert REFERENCE.keys() == PRIMITIVES.keys()


def test_the_facts_cover_exactly_the_zoo() -> None:
    assert tuple(FACTS) == zoo.names()


@every_entry
def test_a_formula_parses_and_round_trips(entry: zoo.Known) -> None:
    assert parse(show(entry.expr)) == entry.expr
    assert variables(entry.expr) == ("x",)
    assert entry.statistics == uses_statistics(entry.expr)


@every_entry
def test_a_row_is_complete(entry: zoo.Known) -> None:
    assert entry.source
    assert entry.confidence.startswith(("certain", "likely", "uncertain"))
    assert entry.year is None or 1900 < entry.year < 2100
    assert set(entry.learnable) <= set(entry.parameters)
    assert entry.parameters == FACTS[entry.name]["parameters"]


@every_entry
def test_values_are_those_of_the_facts(entry: zoo.Known) -> None:
    expected = fact_values(FACTS[entry.name], GRID)
    np.testing.assert_allclose(evaluate(entry.expr, GRID), expected, rtol=1e-11, atol=1e-12)


@every_entry
def test_values_stay_finite_far_out(entry: zoo.Known) -> None:
    x = np.array([sign * 10.0**power for sign in (-1, 1) for power in range(31)])
    assert np.isfinite(evaluate(entry.expr, x)).all()


@every_entry
def test_value_and_slopes_at_zero_are_those_of_the_facts(entry: zoo.Known) -> None:
    fact = FACTS[entry.name]
    assert evaluate(entry.expr, np.zeros(1)).item() == pytest.approx(fact["f0"], abs=1e-12)
    if entry.statistics:  # the slope is stated for a tensor of mean 0
        x = np.array([-1e-6, 0.0, 1e-6, -1.0, 1.0])
        left, at, right = evaluate(entry.expr, x)[:3]
        assert [(at - left) / 1e-6, (right - at) / 1e-6] == pytest.approx(fact["slopes"], abs=1e-5)
    elif fact["slopes"] is None:
        jump = np.ptp(evaluate(entry.expr, np.array([-1e-300, 1e-300])))
        assert jump >= 1
    else:
        assert [slope(entry, -1), slope(entry, 1)] == pytest.approx(fact["slopes"], abs=1e-5)


@pytest.mark.parametrize("name", BUILTINS)
def test_values_are_those_of_torch(name: str) -> None:
    x = torch.from_numpy(GRID)
    expected = eval(BUILTINS[name], {"F": functional, "torch": torch, "x": x})
    ours = evaluate(zoo.find(name).expr, GRID)
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "celu",
        "elu",
        "gelu",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "logsigmoid",
        "mish",
        "prelu",
        "relu",
        "relu6",
        "selu",
        "silu",
        "softplus",
        "softshrink",
        "softsign",
        "tanhshrink",
        "threshold",
        "sigmoid",
        "tanh",
        "sin",
        "cos",
        "sinc",
        "abs",
        "square",
        "atan",
        "asinh",
        "exp",
        "sign",
        "heaviside",
    ],
)
def test_torch_names_are_found(name: str) -> None:
    assert hasattr(functional, name) or hasattr(torch, name)
    assert zoo.find(name)


def test_turbulent_follows_the_statistics_of_the_whole_tensor() -> None:
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(5, 7))
    for name in ("Turbulent", "Turbulent (log1p base)"):
        expected = fact_values(FACTS[name], x)
        np.testing.assert_allclose(evaluate(zoo.find(name).expr, x), expected, rtol=1e-12)


def test_turbulent_is_finite_on_a_constant_tensor() -> None:
    assert np.isfinite(evaluate(zoo.find("Turbulent").expr, np.full(4, 3.0))).all()


def test_names_and_aliases_are_unique_after_folding() -> None:
    spelled = [text for entry in zoo.known() for text in (entry.name, *entry.aliases)]
    folded = ["".join(c for c in text.lower() if c not in " -_") for text in spelled]
    assert len(folded) == len(set(folded))


def test_every_name_and_alias_finds_its_entry() -> None:
    for entry in zoo.known():
        for text in (entry.name, *entry.aliases):
            assert zoo.find(text) is entry


@pytest.mark.parametrize("name", [*protocol.COMPARED, protocol.REFERENCE, "identity"])
def test_the_functions_others_rely_on_are_there_by_exact_name(name: str) -> None:
    assert name in zoo.names()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("gelu sinc_perturbation", "GELU-Sinc-Perturbation"),
        ("GSP", "GELU-Sinc-Perturbation"),
        ("swish", "SiLU"),
        ("Leaky_ReLU", "LeakyReLU"),
        ("linear", "identity"),
        ("Sine", "sin"),
        ("TeLU", "TanhExp"),
        ("telu ", "TanhExp"),
    ],
)
def test_look_up_ignores_case_spaces_hyphens_underscores(typed: str, name: str) -> None:
    assert zoo.find(typed).name == name


@pytest.mark.parametrize(("typed", "near"), [("gelusin", "GELUSine"), ("swich", "Swish")])
def test_an_unknown_name_is_answered_with_the_nearest(typed: str, near: str) -> None:
    with pytest.raises(ZooError, match=f"'{typed}'; did you mean '{near}'"):
        zoo.find(typed)


def test_a_known_function_is_a_hashable_value_that_pickles() -> None:
    entry = zoo.find("Snake")
    assert pickle.loads(pickle.dumps(entry)) == entry
    assert len(set(zoo.known())) == len(zoo.known())


def test_the_catalogue_loads_nothing_heavy() -> None:
    script = (
        "import sys, symact.zoo; symact.zoo.find('GELU')\n"
        "print([name for name in ('torch', 'numba', 'scipy', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["SDM", "top-AFA", "ASH", "Phase-flip chaos"])
def test_an_entry_that_holds_its_rule_does_not_call_it_unknown(name: str) -> None:
    entry = zoo.find(name)
    assert entry.kind != "unknown"
    assert entry.definition
    with pytest.raises(ZooError, match="has no formula in x") as caught:
        _ = entry.expr
    assert "not known" not in str(caught.value)


def test_the_quadratic_fit_escapes_where_its_note_says() -> None:
    entry = zoo.find("Quadratic ReLU fit")
    low, high = (float(text) for text in re.findall(r"-?\d+\.\d{4}", entry.note))
    x = np.array([low - 1e-3, low + 1e-3, high - 1e-3, high + 1e-3])
    for _ in range(200):
        x = np.clip(evaluate(entry.expr, x), -1e6, 1e6)
    assert (np.abs(x) > 1e5).tolist() == [True, False, False, True]


def test_known_is_read_once() -> None:
    assert zoo.known() is zoo.known()
