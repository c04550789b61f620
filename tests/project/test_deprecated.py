"""Earlier names of public modules work, with one warning each."""

from __future__ import annotations

import importlib
import json
import sys
import warnings

import pytest
from small_runs import run

import symact
from symact.tasks import protocol

#: What documentation used, by the earlier module.
DOCUMENTED = {
    "behaviour": ("behaviour",),
    "comparison": ("compare", "write_report"),
    "enumeration": ("enumerate_grammar",),
    "lower": ("to_torch", "to_latex", "evaluate"),
    "modules": ("module", "Smoothed", "siren_init"),
    "propose": ("Evolution", "Proposal"),
    "score": ("Plan",),
}


@pytest.fixture
def afresh(monkeypatch):
    """Earlier names as a new process has them."""
    for name in DOCUMENTED:
        monkeypatch.delitem(sys.modules, f"symact.{name}", raising=False)
        vars(symact).pop(name, None)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_an_earlier_module_warns_once_and_has_what_was_documented(name, afresh):
    with pytest.warns(DeprecationWarning, match=f"^symact.{name} is now symact") as caught:
        earlier = importlib.import_module(f"symact.{name}")
    assert len(caught) == 1
    present = importlib.import_module(str(caught[0].message).split()[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = importlib.import_module(f"symact.{name}")
        for own in DOCUMENTED[name]:
            home = "symact.reporting.report" if own == "write_report" else present.__name__
            assert getattr(again, own) is getattr(importlib.import_module(home), own)
        assert set(DOCUMENTED[name]) <= set(dir(earlier))


def test_an_earlier_module_is_an_attribute_too(afresh):
    with pytest.warns(DeprecationWarning, match="symact.zoo.modules"):
        made = symact.modules.module("SiLU")
    assert "silu(x)" in repr(made)


def test_the_warning_names_the_line_that_imports(afresh):
    with pytest.warns(DeprecationWarning, match="symact.proposers") as caught:
        from symact.propose import Evolution  # noqa: F401
    assert caught[0].filename == __file__


def test_other_names_are_not_found(afresh):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("symact.nothing")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        symact.nothing  # noqa: B018
    with pytest.warns(DeprecationWarning, match="symact.zoo.modules"):
        earlier = symact.modules
    with pytest.raises(AttributeError, match="nothing"):
        earlier.nothing  # noqa: B018


def test_an_activation_is_public():
    assert symact.activation("x*tanh(x)").formula == "x*tanh(x)"
    assert "activation" in symact.__all__
    assert symact.activation("Snake", a=5.0).formula == "x + sin(5*x)**2/5"


@pytest.mark.parametrize(
    ("earlier", "present"),
    [
        ("ANCHORS", "BASELINES"),
        ("Form", "EvaluationProtocol"),
        ("RUNG_ID_LIMIT", "SEARCH_ID_LIMIT"),
    ],
)
def test_earlier_names_of_the_protocol_warn(earlier, present):
    with pytest.warns(DeprecationWarning, match=f"^{earlier} is now {present}$"):
        found = getattr(protocol, earlier)
    assert found is getattr(protocol, present)


def test_earlier_names_of_results_warn():
    result = run(budget=8)
    with pytest.warns(DeprecationWarning, match="rung_spearman is now fidelity_spearman"):
        assert result.rung_spearman == result.fidelity_spearman
    result.costs["surrogate"] = {"candidates": 1, "seconds": 2.0}
    with pytest.warns(DeprecationWarning, match="'forecast' is now 'surrogate'"):
        assert result.costs["forecast"] is result.costs["surrogate"]
    with pytest.raises(KeyError, match="forecasts"):
        result.costs["forecasts"]
    assert json.loads(json.dumps(result.costs)) == result.costs
