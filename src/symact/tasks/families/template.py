"""Templates: formulas with named constants, and the rules by which instances draw the constants."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from symact.backends import evaluate
from symact.expr import Expr, parse, show
from symact.tasks.families.form import form_of
from symact.tasks.instance import FloatArray

T = TypeVar("T")

#: Maps points ``[point, input]`` to targets ``[point, 1]``.
Function = Callable[[FloatArray], FloatArray]
#: Draws a constant, given the constants that were drawn before it.
Rule = Callable[[np.random.Generator, Mapping[str, float]], float]


_CONSTANT = re.compile(r"\bc\d+\b")


@dataclass(frozen=True, slots=True)
class Box:
    """The training range of a family. All coordinates are in the units of the inputs.

    Attributes:
        low: The lower end of each input.
        high: The upper end of each input.
        centred: Whether the OOD shells surround the box. If False, they extend only upwards, and
            the inputs are positive.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    centred: bool

    @staticmethod
    def between(low: FloatArray, high: FloatArray, *, centred: bool) -> Box:
        """Return the box between two corners ``[input]``."""
        return Box(tuple(low.tolist()), tuple(high.tolist()), centred)

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return len(self.low)

    def centre(self, index: int) -> float:
        """Return the centre of an input."""
        return (self.low[index] + self.high[index]) / 2

    def half(self, index: int) -> float:
        """Return half the width of an input."""
        return (self.high[index] - self.low[index]) / 2

    def size(self, index: int) -> float:
        """Return the largest absolute value of an input in training."""
        return max(abs(self.low[index]), abs(self.high[index]))


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The structure of a family.

    Attributes:
        formula: The formula as text.
        form: The structure without constants and names; see :func:`form_of`.
        constants: The names of the constants.
        draw: Draws the constants and returns the target function.
    """

    formula: str
    form: str
    constants: tuple[str, ...]
    draw: Callable[[np.random.Generator], Function] = field(repr=False)


class Sketch:
    """Writes a formula over the inputs of a box. Each method returns a part of the formula.

    The rules of constants are in units of the box: a slope of 1 changes an argument by 1 over half
    the width of an input. Functions therefore bend inside the box on any range.

    Args:
        rng: The random stream of the structure.
        box: The training range.
    """

    def __init__(self, rng: np.random.Generator, box: Box) -> None:
        self.rng = rng
        self.box = box
        self.rules: dict[str, Rule] = {}

    # Structure.

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return bool(self.rng.random() < probability)

    def count(self, least: int, most: int) -> int:
        """Draw a whole number; both ends are included."""
        return int(self.rng.integers(least, most + 1))

    def one_of(self, options: Sequence[T]) -> T:
        """Draw one option."""
        return options[self.count(0, len(options) - 1)]

    def some(self, inputs: Sequence[int], least: int = 1, most: int = 6) -> list[int]:
        """Draw a subset of inputs."""
        size = self.count(min(least, len(inputs)), min(most, len(inputs)))
        return sorted(int(i) for i in self.rng.choice(inputs, size, replace=False))

    # Constants.

    def constant(self, rule: Rule) -> str:
        """Return the name of a new constant."""
        name = f"c{len(self.rules) + 1}"
        self.rules[name] = rule
        return name

    def uniform(self, low: float, high: float) -> str:
        """Return a constant that is uniform on a range."""
        return self.constant(lambda rng, _: float(rng.uniform(low, high)))

    def signed(self, low: float, high: float) -> str:
        """Return a constant of random sign whose absolute value is uniform on a range."""
        return self.constant(lambda rng, _: float(rng.choice((-1.0, 1.0)) * rng.uniform(low, high)))

    # Parts.

    def affine(
        self,
        inputs: Sequence[int],
        slope: tuple[float, float] = (0.5, 1.5),
        shift: float = 0.7,
    ) -> str:
        """Return an affine function of inputs, in parentheses.

        Args:
            inputs: The indices of the inputs.
            slope: The range of the norm of the slopes, in units of the box.
            shift: The largest absolute value at the centre of the box.
        """
        low, high = (end / len(inputs) ** 0.5 for end in slope)
        weights = [self.signed(low / self.box.half(i), high / self.box.half(i)) for i in inputs]
        centres = {name: self.box.centre(i) for name, i in zip(weights, inputs, strict=True)}

        def offset(rng: np.random.Generator, drawn: Mapping[str, float]) -> float:
            at_centre = sum(drawn[name] * centre for name, centre in centres.items())
            return float(rng.uniform(-shift, shift)) - at_centre

        terms = [f"{name}*{variable(i)}" for name, i in zip(weights, inputs, strict=True)]
        return f"({' + '.join([*terms, self.constant(offset)])})"

    def positive(self, inputs: Sequence[int]) -> str:
        """Return a function of inputs that is positive on the box and its shells."""
        offset = self.uniform(0.3, 1.2)
        if self.box.centred:
            return f"({offset} + {self.affine(inputs, (0.7, 2.0))}**2)"
        slopes = [self.uniform(0.3 / self.box.half(i), 1.5 / self.box.half(i)) for i in inputs]
        terms = [f"{slope}*{variable(i)}" for slope, i in zip(slopes, inputs, strict=True)]
        return f"({' + '.join([offset, *terms])})"

    def total(self, parts: Sequence[str]) -> str:
        """Return the sum of parts with random amplitudes."""
        return " + ".join(f"{self.signed(0.5, 1.5)}*{part}" for part in parts)

    def template(self, text: str) -> Template:
        """Return the template of a formula over the constants of this sketch.

        Constants of parts that the formula does not use are dropped. The others are numbered anew.
        """
        rules, text = _renumbered(self.rules, text)
        inputs = tuple(map(variable, range(self.box.inputs)))
        names = tuple(f"c{number}" for number in range(1, len(rules) + 1))
        expr = parse(text, (*inputs, *names))

        def draw(rng: np.random.Generator) -> Function:
            values = draw_constants(rules, rng).values()
            return bound(expr, inputs, dict(zip(names, values, strict=True)))

        return Template(show(expr), form_of(expr), names, draw)


def _renumbered(rules: Mapping[str, Rule], text: str) -> tuple[dict[str, Rule], str]:
    """Return the rules that a text uses, and the text with constants numbered from 1."""
    present = set(_CONSTANT.findall(text))
    used = {name: rule for name, rule in rules.items() if name in present}
    number = {name: f"c{index}" for index, name in enumerate(used, 1)}
    return used, _CONSTANT.sub(lambda match: number[match[0]], text)


def variable(index: int) -> str:
    """Return the name of an input; the index starts at 0."""
    return f"x{index + 1}"


def draw_constants(rules: Mapping[str, Rule], rng: np.random.Generator) -> dict[str, float]:
    """Draw the constants in the order of their rules."""
    drawn: dict[str, float] = {}
    for name, rule in rules.items():
        drawn[name] = rule(rng, drawn)
    return drawn


def bound(expr: Expr, inputs: tuple[str, ...], constants: Mapping[str, float]) -> Function:
    """Return the function of points ``[point, input]`` that a formula with constants defines."""
    names, values = (*inputs, *constants), [np.float64(value) for value in constants.values()]

    def function(x: FloatArray) -> FloatArray:
        columns = np.ascontiguousarray(x.T)
        return evaluate(expr, *columns, *values, inputs=names)[:, None]

    return function
