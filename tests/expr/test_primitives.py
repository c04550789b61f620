"""The signatures keep their promises: arguments in their ranges give a result in its range."""

from __future__ import annotations

import numpy as np
import pytest
from reference import REFERENCE

from symact.expr.primitives import PRIMITIVES, TYPES, is_subtype

GENERATOR = np.random.default_rng(0)
COUNT = 4000


def samples(name: str, statistic: bool) -> np.ndarray:
    """Values that fill a type, its ends included; a Divisor is at least 0.05 here."""
    wide = np.concatenate(
        [GENERATOR.normal(0, 3, COUNT // 2), GENERATOR.uniform(-30, 30, COUNT // 2)]
    )
    ends = [0.0, 1.0, -1.0, 0.5]
    values = {
        "Real": np.concatenate([wide, ends]),
        "Stat": np.concatenate([wide, ends]),
        "Const": np.concatenate([wide, ends]),
        "Signed": np.concatenate([GENERATOR.uniform(-1, 1, COUNT), ends]),
        "Unit": np.concatenate([GENERATOR.uniform(0, 1, COUNT), [0.0, 1.0, 1.0, 0.5]]),
        "NonNegative": np.concatenate([np.abs(wide), np.abs(ends)]),
        "Positive": np.concatenate([np.abs(wide) + 1e-9, [1e-9, 1.0, 1.0, 0.5]]),
        "PositiveConst": np.concatenate([np.abs(wide) + 0.05, [0.05, 1.0, 1.0, 0.5]]),
        "Divisor": np.concatenate([np.abs(wide) + 0.05, [0.05, 1.0, 1.0, 0.5]]),
        "Bool": GENERATOR.uniform(size=COUNT + 4) < 0.5,
    }[name]
    return values if statistic else GENERATOR.permutation(values)


HOLDS = {
    "Real": np.isfinite,
    "Stat": np.isfinite,
    "Signed": lambda v: np.abs(v) <= 1 + 1e-12,
    "Unit": lambda v: (v >= 0) & (v <= 1 + 1e-12),
    "NonNegative": lambda v: v >= 0,
    # Positive results may underflow to 0 far out, as e**-800 does; the screen sees to that.
    "Positive": lambda v: v >= 0,
    # Bounded away from zero by what its arguments are bounded by.
    "Divisor": lambda v: v >= 1e-5,
    "Bool": lambda v: v.dtype == bool,
}

SIGNATURES = [(name, s) for name, row in PRIMITIVES.items() for s in row.signatures]


@pytest.mark.parametrize(("name", "signature"), SIGNATURES, ids=lambda v: str(v))
def test_every_signature_is_sound(name, signature):
    args = [samples(arg, PRIMITIVES[name].statistic) for arg in signature.args]
    with np.errstate(over="ignore", under="ignore"):
        result = np.asarray(REFERENCE[name](*args))
    assert np.all(HOLDS[signature.result](result))
    assert not np.isnan(result.astype(float)).any()


def test_signatures_start_with_the_most_general_and_agree_in_arity_and_sort():
    for row in PRIMITIVES.values():
        first = row.signatures[0]
        for signature in row.signatures:
            assert len(signature.args) == len(first.args)
            assert (signature.result == "Bool") == (first.result == "Bool")


def test_subtyping_is_an_order():
    for a in TYPES:
        assert is_subtype(a, a)
        for b in TYPES:
            if is_subtype(a, b) and is_subtype(b, a):
                assert a == b
            for c in TYPES:
                if is_subtype(a, b) and is_subtype(b, c):
                    assert is_subtype(a, c)
    assert is_subtype("Unit", "Signed")
    assert is_subtype("Unit", "NonNegative")
    assert not is_subtype("Const", "Real")
