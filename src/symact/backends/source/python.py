"""NumPy and JAX source code."""

from __future__ import annotations

from collections.abc import Sequence

from symact.backends.source.base import Source
from symact.expr.printer import Template
from symact.expr.rules import FUNCTIONS, Target


def _arrays(module: str, special: str) -> Target:
    """Return the target of an array library with the names of NumPy and SciPy."""
    functions = {
        **{name: f"{module}.{name}({{0}})" for name in FUNCTIONS},
        "atan": f"{module}.arctan({{0}})",
        "erf": f"{special}.erf({{0}})",
        "normal_pdf": f"(0.3989422804014327*{module}.exp(-{module}.square({{0}})/2))",
        "normal_sf": f"{special}.ndtr(-({{0}}))",
        "bell": f"{module}.exp(-{module}.square({{0}}))",
        "select": f"{module}.where({{0}}, {{1}}, {{2}})",
    }
    return Target(functions, names={"inf": f"{module}.inf", "nan": f"{module}.nan"})


#: ``import numpy as np`` and ``from scipy import special``.
NUMPY = _arrays("np", "special")
#: ``import jax.numpy as jnp`` and ``from jax.scipy import special``.
JAX = _arrays("jnp", "special")


class Python(Source):
    """Writes Python code for an array library.

    Args:
        target: The target of the library.
        module: The name of the library in the code.
        imports: The import statements that the code may need.
    """

    def __init__(self, target: Target, module: str, *imports: str) -> None:
        templates = {
            "square": Template(f"{module}.square({{0}})"),
            "where": Template(f"{module}.where({{0}}, {{1}}, {{2}})"),
            "mean": Template(f"{module}.mean({{0}})"),
            "std": Template(f"{module}.std({{0}})"),
        }
        super().__init__(target, templates)
        self._imports = imports

    def function(
        self, name: str, args: Sequence[str], steps: Sequence[tuple[str, str]], result: str
    ) -> str:
        lines = [
            f"def {name}({', '.join(args)}):",
            *(f"    {step} = {text}" for step, text in steps),
        ]
        return "\n".join([*lines, f"    return {result}"]) + "\n"

    def module(self, functions: Sequence[str]) -> str:
        text = "\n\n".join(functions)
        used = [line for line in self._imports if f"{line.split()[-1]}." in text]
        return "\n".join([*used, "\n", text])


NUMPY_SOURCE = Python(NUMPY, "np", "import numpy as np", "from scipy import special")
JAX_SOURCE = Python(JAX, "jnp", "import jax.numpy as jnp", "from jax.scipy import special")
