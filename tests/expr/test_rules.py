"""The rules of the primitives say what the backends compute, in every language of a target."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from reference import REFERENCE
from scipy import special

from symact.backends.source.c import C
from symact.backends.source.python import JAX, NUMPY
from symact.backends.sympy import opaque
from symact.backends.torch.rules import by_rule
from symact.expr.primitives import PRIMITIVES
from symact.expr.rules import ARGUMENTS, MATH, Target, emit, interpret, parse_rule

ROOT = Path(__file__).parents[2]
ELEMENTWISE = [name for name, row in PRIMITIVES.items() if not row.statistic]
SMOOTH = [n for n in ELEMENTWISE if n != "where" and PRIMITIVES[n].sort == "Real"]
A = np.array([-40.0, -9.7, -1.5, -0.3, -1e-3, 0.0, 1e-3, 0.2, 0.9, 1.0, 3.3, 40.0])
B = np.array([0.7, 2.0, -1.5, 0.3, 1e-3, 0.0, 5.0, 0.2, -0.9, 1.1, 3.2, -2.0])


def arguments(name: str) -> tuple[np.ndarray, ...]:
    first = A < 0.2 if PRIMITIVES[name].argument_sorts[0] == "Bool" else A
    return (first, B, A * B)[: PRIMITIVES[name].arity]


def source_of(name: str, target: Target, output: str = "value") -> str:
    steps = emit(PRIMITIVES[name].rule, target, (output,))
    names = ", ".join(ARGUMENTS[: PRIMITIVES[name].arity])
    lines = [f"def f({names}):", *(f"    {own} = {text}" for own, text in steps)]
    return "\n".join([*lines, f"    return {output}"])


def computed(name: str, target: Target, output: str = "value") -> np.ndarray:
    # JAX has the names of NumPy and SciPy.
    space: dict[str, object] = {"np": np, "jnp": np, "special": special}
    exec(source_of(name, target, output), space)
    with np.errstate(all="ignore"):
        found = space["f"](*arguments(name))  # type: ignore[operator]
    return np.broadcast_to(np.asarray(found, dtype=float), A.shape)


@pytest.mark.parametrize("target", [NUMPY, JAX])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_source_of_a_rule_computes_the_primitive(name, target):
    with np.errstate(all="ignore"):
        expected = REFERENCE[name](*arguments(name))
    np.testing.assert_allclose(computed(name, target), expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_partial_derivatives_of_a_rule_are_slopes_of_its_value(name):
    row, h = PRIMITIVES[name], 1e-6
    for place, partial in enumerate(row.rule.partials):
        for point in zip(*((0.37, 1.3), (0.81, -0.6))[: row.arity], strict=True):
            ends = []
            for step in (-h, h):
                moved = [own + step * (place == other) for other, own in enumerate(point)]
                ends.append(interpret(row.rule, MATH, dict(zip(ARGUMENTS, moved, strict=False))))
            found = interpret(row.rule, MATH, dict(zip(ARGUMENTS, point, strict=False)), partial)
            assert found == pytest.approx((ends[1] - ends[0]) / (2 * h), rel=1e-6, abs=1e-8)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_c_source_of_all_rules_computes_the_primitives(tmp_path):
    functions, calls = [], []
    for name in ELEMENTWISE:
        arity = PRIMITIVES[name].arity
        parameters = ", ".join(f"double {own}" for own in ARGUMENTS[:arity])
        steps = emit(PRIMITIVES[name].rule, C)
        body = [f"  const double {own} = {text};" for own, text in steps]
        functions.append(
            "\n".join([f"double f_{name}({parameters}) {{", *body, "  return value;\n}"])
        )
        for point in zip(*arguments(name), strict=True):
            numbers = ", ".join(repr(float(own)) for own in point)
            calls.append(f'  printf("%.17g\\n", f_{name}({numbers}));')
    text = "\n".join(["#include <math.h>", "#include <stdio.h>", *functions, "int main(void) {"])
    (tmp_path / "rules.c").write_text("\n".join([text, *calls, "  return 0;", "}"]))
    flags = ["-std=c99", "-Wall", "-Werror", "-o", "rules", "rules.c", "-lm"]
    subprocess.run(["cc", *flags], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "rules"], capture_output=True, text=True, check=True)
    found = np.array(list(map(float, done.stdout.split()))).reshape(len(ELEMENTWISE), -1)
    for name, own in zip(ELEMENTWISE, found, strict=True):
        with np.errstate(all="ignore"):
            expected = REFERENCE[name](*arguments(name)).astype(float)
        np.testing.assert_allclose(own, expected, rtol=1e-13, atol=1e-300, err_msg=name)


def test_only_what_an_output_needs_is_written():
    rule = PRIMITIVES["sinc"].rule
    assert {"slope", "series_slope"}.isdisjoint(name for name, _ in emit(rule, NUMPY))
    assert "series" not in [name for name, _ in emit(rule, NUMPY, ("da",))]


def test_the_sign_is_a_product_where_a_language_has_none():
    rule = parse_rule("value = 1/-a - -(a + 2)")
    assert emit(rule, NUMPY) == [("value", "1.0 / -a - -(a + 2.0)")]
    unsigned = Target({}, has_sign=False)
    assert emit(rule, unsigned) == [("value", "1.0 / (a * -1.0) - (a + 2.0) * -1.0")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value = a; value = a", "assigns each name once, 'value'"),
        ("a = 1", "assigns each name once, 'a'"),
        ("value = other", "after they are assigned, got 'other'"),
        ("value = sinh(a)", r"cannot contain: sinh\(a\)"),
        ("value = exp(a, b)", "cannot contain"),
        ("value = a ** 2", "cannot contain"),
        ("value = a if a > 0 else b", "cannot contain"),
        ("value = 0 < a < 1", "cannot contain"),
        ("value = a.real", "cannot contain"),
        ("value = 'a'", "a literal in a rule is a number"),
        ("import os", "consists of assignments"),
    ],
)
def test_what_is_outside_the_language_of_rules_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_rule(text)


@pytest.mark.parametrize("name", ["sigmoid", "gaussian", "gelu", "softplus", "asinh", "max", "sub"])
def test_sympy_knows_a_primitive_by_its_rule(name):
    row = PRIMITIVES[name]
    symbols = sympy.symbols("x y", real=True)[: row.arity]
    at = dict(zip(symbols, (0.7, -0.3), strict=False))
    value = opaque(row)(*symbols)
    point = dict(zip(ARGUMENTS, at.values(), strict=False))
    assert float(value.subs(at)) == pytest.approx(interpret(row.rule, MATH, point))
    for symbol, partial in zip(symbols, row.rule.partials, strict=True):
        expected = interpret(row.rule, MATH, point, partial)
        assert float(value.diff(symbol).subs(at)) == pytest.approx(expected)


def test_a_function_of_sympy_by_a_rule_has_the_name_of_its_primitive():
    cbrt = replace(PRIMITIVES["sqrt"], name="cbrt")
    assert str(opaque(cbrt)(sympy.Symbol("x"))) == "Cbrt(x)"


@pytest.mark.parametrize("name", SMOOTH)
def test_torch_knows_a_primitive_by_its_rule(name):
    row = PRIMITIVES[name]
    own = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arguments(name)]
    value = by_rule(row)(*own)
    with np.errstate(all="ignore"):
        expected = REFERENCE[name](*arguments(name))
    np.testing.assert_allclose(value.detach(), expected, rtol=1e-13, atol=1e-300)
    for partial, slope in zip(
        row.rule.partials, torch.autograd.grad(value.sum(), own), strict=True
    ):
        np.testing.assert_allclose(slope, computed(name, NUMPY, partial), rtol=1e-13, atol=1e-300)


def test_the_gradient_by_a_rule_is_differentiable_and_maps():
    sigmoid, x = by_rule(PRIMITIVES["sigmoid"]), torch.tensor([-2.0, 0.7, 3.0]).double()
    assert torch.autograd.gradgradcheck(sigmoid, x.requires_grad_())
    rows = torch.stack([x, 2 * x])
    torch.testing.assert_close(torch.vmap(sigmoid)(rows), torch.sigmoid(rows))


def test_the_generated_kernels_are_those_of_the_rules():
    sources = runpy.run_path(str(ROOT / "tools" / "generate_kernels.py"))["sources"]()
    for path, text in sources.items():
        assert path.read_text(encoding="utf-8") == text, "run python tools/generate_kernels.py"
