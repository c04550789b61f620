"""Source code in NumPy, JAX and C computes what the expression says."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from profiles import examples
from strategies import exprs

from symact.backends.source import LANGUAGES, to_source
from symact.errors import SymactError
from symact.expr import parse, uses_statistics
from symact.expr.primitives import PRIMITIVES

POINTS = np.concatenate([np.linspace(-9, 9, 181), [-1e3, -40.0, 40.0, 1e3]])


def run(source: str, *arrays: np.ndarray) -> np.ndarray:
    names: dict = {}
    exec(source, names)
    with np.errstate(all="ignore"):
        return np.asarray(names["activation"](*arrays), dtype=np.float64)


@settings(max_examples=examples(60))
@given(exprs())
def test_numpy_source_has_the_values_of_the_reference(expr):
    expected = reference.evaluate(expr, POINTS)
    found = np.broadcast_to(run(to_source(expr), POINTS), POINTS.shape)
    # The reference has no limits: an infinite part makes it NaN.
    known = np.isfinite(expected)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", [name for name, row in PRIMITIVES.items() if row.sort == "Real"])
def test_each_primitive_can_be_written(op):
    sorts = PRIMITIVES[op].argument_sorts
    args = ["x < 1" if sort == "Bool" else f"0.5*x + {i}" for i, sort in enumerate(sorts)]
    expr = parse(f"{op}({', '.join(args)})" if op not in ("lt", "le", "gt", "ge") else "x")
    expected = reference.evaluate(expr, POINTS)
    np.testing.assert_allclose(
        np.broadcast_to(run(to_source(expr), POINTS), expected.shape), expected, 1e-12, 1e-12
    )


def test_jax_source_has_the_names_of_jax_and_the_same_values_with_numpy():
    expr = parse("where(x > 1, silu(x), gelu(max(x, -2)))*erf(x)")
    source = to_source(expr, "jax")
    assert "import jax.numpy as jnp" in source
    assert "np.random" not in source
    as_numpy = source.replace("jax.numpy as jnp", "numpy as jnp").replace(
        "from jax.scipy", "from scipy"
    )
    np.testing.assert_allclose(
        run(as_numpy, POINTS), reference.evaluate(expr, POINTS), 1e-12, 1e-12
    )


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_c_source_compiles_and_computes_the_same(tmp_path):
    expr = parse(
        "where(x > 1, silu(x), gelu(max(x, -2))) - softplus(x)*sinc(x)/(1 + x**2) + x**3*relu(x)"
    )
    main = """
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("%.17g\\n", activation(atof(argv[i])));
    return 0;
}
"""
    file, program = tmp_path / "a.c", tmp_path / "a.out"
    file.write_text(to_source(expr, "c") + main)
    subprocess.run(["gcc", "-Wall", "-Werror", "-O1", "-o", program, file, "-lm"], check=True)
    points = [repr(float(v)) for v in POINTS]
    done = subprocess.run([program, *points], capture_output=True, text=True, check=True)
    found = np.array([float(v) for v in done.stdout.split()])
    np.testing.assert_allclose(found, reference.evaluate(expr, POINTS), rtol=1e-12, atol=1e-12)


def test_a_repeated_subexpression_is_computed_once():
    source = to_source(parse("tanh(x)*tanh(x) + exp(tanh(x))"))
    assert source.count("np.tanh") == 1
    assert "t0 = np.tanh(x)" in source


def test_variables_are_arguments_in_alphabetic_order():
    expr = parse("x*b - a", ("x", "a", "b"))
    source = to_source(expr)
    assert "def activation(a, b, x):" in source
    assert run(source, np.array(1.0), np.array(2.0), np.array(3.0)) == 5.0


def test_what_cannot_be_written_is_refused_in_one_line():
    with pytest.raises(SymactError, match="unknown language 'numpi'; did you mean 'numpy'"):
        to_source(parse("x"), "numpi")
    with pytest.raises(SymactError, match="'my f' is not a valid function name"):
        to_source(parse("x"), name="my f")
    with pytest.raises(SymactError, match="batch statistics"):
        to_source(parse("x - mean(x)"), "c")
    assert uses_statistics(parse("x - mean(x)"))
    assert "np.mean(x)" in to_source(parse("x - mean(x)"))
    assert LANGUAGES == ("numpy", "jax", "c")
