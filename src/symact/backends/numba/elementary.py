"""The elementary functions of the rules, for the dtype of the argument.

float32 arguments use :mod:`symact.backends.numba.single`, float64 arguments use
:mod:`symact.backends.numba.double`. numba selects the function during compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import overload

from symact.backends.numba import double, single


def _by_dtype(name: str) -> Callable[[Any], Any]:
    """Return a function that calls the float32 or the float64 kernel, by its argument."""
    in_single, in_double = getattr(single, name), getattr(double, name)

    def stub(x):
        raise RuntimeError("compiled code only")

    def choose(x):
        if x == types.float32:
            return lambda x: in_single(x)
        return lambda x: in_double(x)

    stub.__name__ = name
    overload(stub)(choose)
    return stub


exp = _by_dtype("exp")
log = _by_dtype("log")
log1p = _by_dtype("log1p")
sin = _by_dtype("sin")
cos = _by_dtype("cos")
tanh = _by_dtype("tanh")
atan = _by_dtype("atan")
erf = _by_dtype("erf")
bell = _by_dtype("bell")
normal_pdf = _by_dtype("normal_pdf")
normal_sf = _by_dtype("normal_sf")
