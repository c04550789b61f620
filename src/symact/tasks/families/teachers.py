"""Teacher networks: random smooth networks as targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symact.tasks.families.template import Box, Function, Sketch, Template
from symact.tasks.instance import FloatArray


def _softplus(z: FloatArray) -> FloatArray:
    return np.asarray(np.logaddexp(0.0, z))


_UNITS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "tanh": np.tanh,
    "softplus": _softplus,
    "sin": np.sin,
}
_WIDTHS = (3, 5, 8, 12, 16)

#: The standard deviation of an argument of the first layer over the box, for each unit.
_GAINS = {"tanh": 1.5, "softplus": 3.0, "sin": 2.0}


def teacher(s: Sketch) -> Template:
    """Draw the layers and the unit of a network. Its weights are the constants of a family.

    Weights are normal with variance 1/fan-in, times a gain in the first layer. Inputs are in units
    of the box: -1 to 1 in training.
    """
    unit = s.one_of(tuple(_UNITS))
    widths = tuple(s.one_of(_WIDTHS) for _ in range(s.count(1, 2)))
    text = "-".join(map(str, (s.box.inputs, *widths, 1)))
    names = tuple(f"{kind}{layer}" for layer in range(1, len(widths) + 2) for kind in "Wb")

    def draw(rng: np.random.Generator) -> Function:
        return _network(rng, s.box, unit, widths)

    formula = f"network {text} of {unit} units"
    return Template(formula, formula, names, draw)


def _network(rng: np.random.Generator, box: Box, unit: str, widths: tuple[int, ...]) -> Function:
    before, after = (box.inputs, *widths), (*widths, 1)
    layers = [
        (rng.standard_normal((rows, columns)) / rows**0.5, rng.uniform(-1.0, 1.0, columns))
        for rows, columns in zip(before, after, strict=True)
    ]
    inputs = range(box.inputs)
    centre, half = np.array([[box.centre(i), box.half(i)] for i in inputs]).T

    def function(x: FloatArray) -> FloatArray:
        h: FloatArray = (x - centre) / half * _GAINS[unit]
        for weights, biases in layers[:-1]:
            h = _UNITS[unit](h @ weights + biases)
        weights, biases = layers[-1]
        return np.asarray(h @ weights + biases)

    return function
