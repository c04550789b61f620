"""Calls made from the table of signatures mean what the real library computes, or are refused."""

from __future__ import annotations

import contextlib
import inspect
import math
import warnings

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples

from symact.backends import evaluate
from symact.errors import ImportRefusedError
from symact.importers import Imported, from_source
from symact.importers.rules import RULES
from symact.importers.signatures import REQUIRED, Row, rows

#: Both tails, the middle, and where functions have kinks.
X = np.array(
    [-35.0, -9.5, -6.0, -2.5, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.25, 0.5, 1.0, 3.5, 12.0, 40.0]
)
HEAD = "import math\nimport numpy\nimport scipy.special\nimport scipy.stats\nimport torch\n"
MODULES = (
    *("math", "numpy", "scipy.special", "scipy.stats.norm", "torch", "torch.special"),
    *("torch.nn.functional", "torch.nn", "Tensor", "ndarray", "builtins"),
)
ARGUMENTS = (
    "x",
    "0.5*x",
    "x > 0",
    "1.0",
    "0.5",
    "-1.5",
    "2",
    "3",
    "20",
    "0",
    "True",
    "False",
    "None",
)
OTHERS = ("'tanh'", "'none'", "'floor'", "'trunc'", "x - 1", "(x > 1)", "1", "[x, 1.0]", "(0.5,)")
TYPES = ("float", "int", "bool", "'float64'", "'int32'")


def module_of(row: Row) -> str:
    return row.path.rpartition(".")[0]


def is_torch(row: Row) -> bool:
    return row.path.startswith(("torch", "Tensor"))


TESTED = sorted(
    path for path, row in rows().items() if module_of(row) in MODULES and not row.refusal
)


def real(path: str) -> object:
    """Return the real function of a path, None where this version of the library has none."""
    value: object = {"math": math, "numpy": np, "scipy": scipy, "torch": torch}.get(
        path.split(".")[0]
    )
    for name in path.split(".")[1:]:
        value = getattr(value, name, None)
    return value


@st.composite
def calls(draw: st.DrawFn) -> tuple[Row, str]:
    """Draw a row and a program that calls its function with some arguments."""
    row = rows()[draw(st.sampled_from(TESTED))]
    types = ("torch.float64", "torch.int64") if is_torch(row) else ("numpy.float64", "numpy.int64")
    pool = st.sampled_from((*ARGUMENTS, *OTHERS, *TYPES, *types))
    args, keywords = [], []
    is_method = module_of(row) in ("Tensor", "ndarray")
    for place, parameter in enumerate(row.parameters):
        if parameter.kind in ("args", "kwargs"):
            if draw(st.booleans()) and not keywords and parameter.kind == "args":
                args.append(draw(pool))
            continue
        is_first = place == 0 and module_of(row) != "torch.nn"
        if not is_first and parameter.default is not REQUIRED and draw(st.booleans()):
            continue
        value = draw(st.sampled_from(("x", "0.5*x"))) if is_first else draw(pool)
        is_keyword = parameter.kind == "keyword" or len(args) < place
        if is_keyword or (parameter.kind == "either" and place and draw(st.booleans())):
            keywords.append(f"{parameter.name}={value}")
        else:
            args.append(value)
    given_ = [*args, *keywords]
    if is_method:
        args = args or ["x"]
        given_ = [*args, *keywords]
        return row, f"({args[0]}).{row.path.split('.')[1]}({', '.join(given_[1:])})"
    call = f"{row.path.removeprefix('builtins.')}({', '.join(given_)})"
    return row, f"{call}(x)" if row.layer else call


def computed(row: Row, text: str) -> np.ndarray | None:
    """Return what the library computes, None where it refuses or the result is no tensor."""
    x = torch.tensor(X) if is_torch(row) else X.copy()  # a call may change it
    scope = {"x": x, "math": math, "numpy": np, "scipy": scipy, "torch": torch}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            value = np.asarray(eval(text, scope), dtype=float)
            return np.broadcast_to(value, X.shape)
        except Exception:
            return None


@settings(max_examples=examples(300))
@given(call=calls())
def test_a_call_means_what_the_library_computes_or_is_refused(call):
    row, text = call
    expected = computed(row, text)
    with contextlib.suppress(ImportRefusedError):
        compare(from_source(f"{HEAD}def f(x):\n    return 1.0*({text})\n"), expected, text)


def compare(found: Imported, expected: np.ndarray | None, text: str) -> None:
    if expected is None or found.kind == "statistics":
        event("understood, no value to compare")
        return
    event("compared")
    with np.errstate(all="ignore"):
        ours = evaluate(found.expr, X)
    # float32 has seven digits, float16 three; ndtr's note is about its left tail.
    digits = 2e-3 if any("half" in note for note in found.notes) else 2e-7
    absolute = 1e-7 if any("accuracy" in note for note in found.notes) else 1e-15
    good = np.isfinite(expected) & (np.abs(expected) < 1e300)
    if any("needs a > 0" in note for note in found.notes):
        good &= np.isfinite(ours)
    np.testing.assert_allclose(ours[good], expected[good], rtol=digits, atol=absolute)
    assert not np.isfinite(ours[~good & ~np.isfinite(expected)]).any(), text


def told(path: str) -> dict[str, inspect.Parameter]:
    """Return the parameters that the library tells of a function, none where it tells none."""
    if module_of(rows()[path]) in ("Tensor", "ndarray", "builtins"):
        return {}
    function = real(path)
    target = function.__init__ if inspect.isclass(function) else function
    try:
        found = dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        return {}
    found.pop("self", None)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {} if any(p.kind in variadic for p in found.values()) else found


@pytest.mark.parametrize("path", [path for path in TESTED if told(path)])
def test_parameters_and_defaults_are_those_of_the_library(path):
    theirs = told(path)
    for parameter in rows()[path].parameters:
        assert parameter.name in theirs
        default = theirs[parameter.name].default
        if isinstance(default, int | float | str | bool):
            assert parameter.default == default, parameter.name


def test_every_row_has_a_meaning_that_reads_its_own_parameters():
    for path, row in rows().items():
        names = {parameter.name for parameter in row.parameters}
        assert row.used <= names, path
        assert not row.rule or row.rule in RULES, path
        assert not row.layer or row.layer in rows(), path
