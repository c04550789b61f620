"""The strata whose templates are formulas: from linear functions to norms, and mixtures of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from symact.tasks.families.template import Sketch, variable

#: Writes a part of a formula over some inputs.
Part = Callable[[Sketch, Sequence[int]], str]


def linear(s: Sketch, inputs: Sequence[int]) -> str:
    """Write an affine function of all or some of the inputs."""
    return s.affine(inputs if s.chance(0.6) else s.some(inputs))


def _sum_of(s: Sketch, inputs: Sequence[int], parts: Sequence[Part], most: int) -> list[str]:
    """Write up to ``most`` parts, each over a subset of the inputs."""
    return [s.one_of(parts)(s, s.some(inputs, most=3)) for _ in range(s.count(1, most))]


def _with_trend(s: Sketch, inputs: Sequence[int], parts: list[str], probability: float) -> str:
    """Write the sum of parts, sometimes with an affine function."""
    return s.total(parts + [s.affine(s.some(inputs))] * s.chance(probability))


# Piecewise linear functions.


def _hinge(s: Sketch, inputs: Sequence[int]) -> str:
    return f"relu({s.affine(inputs)})"


def _fold(s: Sketch, inputs: Sequence[int]) -> str:
    return f"abs({s.affine(inputs)})"


def _largest(s: Sketch, inputs: Sequence[int]) -> str:
    first, second = s.affine(inputs), s.affine(s.some(inputs))
    if s.chance(0.4):
        first = f"max({first}, {s.affine(s.some(inputs))})"
    return f"{s.one_of(('max', 'min'))}({first}, {second})"


def _clipped(s: Sketch, inputs: Sequence[int]) -> str:
    return (
        f"max(min({s.affine(inputs, (1.0, 2.5))}, {s.uniform(0.6, 1.2)}), {s.uniform(-1.2, -0.6)})"
    )


def _folded_fold(s: Sketch, inputs: Sequence[int]) -> str:
    return f"abs({_fold(s, inputs)} - {s.uniform(0.3, 0.8)})"


def piecewise(s: Sketch, inputs: Sequence[int]) -> str:
    """Write a continuous piecewise linear function."""
    units = (_hinge, _fold, _largest, _largest, _clipped, _folded_fold)
    return _with_trend(s, inputs, _sum_of(s, inputs, units, 3), 0.4)


# Polynomials, rational functions and products.


def _monomial(s: Sketch, powers: dict[int, int]) -> str:
    """Write a product of powers of at most 4 whose largest value in training is about 1."""
    size = 1.0
    for index, power in powers.items():
        size *= s.box.size(index) ** power
    return f"{s.signed(0.5 / size, 1.5 / size)}*{'*'.join(_power(i, p) for i, p in powers.items())}"


def _power(index: int, power: int) -> str:
    x = variable(index)
    return {1: x, 2: f"{x}**2", 3: f"{x}**3", 4: f"({x}**2)**2"}[power]


def polynomial(s: Sketch, inputs: Sequence[int]) -> str:
    """Write a sparse polynomial of degree 2 to 4."""
    degree = s.count(2, 4)
    used = s.some(inputs, most=4)
    powers = [
        {i: p for i, p in zip(used, row, strict=True) if p}
        for row in itertools.product(range(degree + 1), repeat=len(used))
        if 0 < sum(row) <= degree
    ]
    leading = [row for row in powers if sum(row.values()) == degree]
    others = [row for row in powers if row not in leading]
    chosen = [s.one_of(leading), *(s.one_of(others) for _ in range(s.count(1, 5)))]
    distinct = {tuple(row.items()): row for row in chosen}
    return " + ".join([*(_monomial(s, row) for row in distinct.values()), s.signed(0.0, 0.5)])


def _peak(s: Sketch, inputs: Sequence[int]) -> str:
    return f"1/{s.positive(inputs)}"


def _ratio(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.affine(inputs)}/{s.positive(s.some(inputs))}"


def _product_ratio(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.affine(inputs)}*{s.affine(s.some(inputs))}/{s.positive(s.some(inputs))}"


def _cubic_ratio(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.affine(inputs)}**3/({s.uniform(0.3, 1.2)} + {s.affine(inputs)}**2)"


def _pole_pair(s: Sketch, inputs: Sequence[int]) -> str:
    return f"1/({s.positive(inputs)}*{s.positive(s.some(inputs))})"


def rational(s: Sketch, inputs: Sequence[int]) -> str:
    """Write a quotient of polynomials without poles, or a sum of two."""
    units = (_peak, _ratio, _product_ratio, _cubic_ratio, _pole_pair)
    return _with_trend(s, inputs, _sum_of(s, inputs, units, 2), 0.25)


def _factor(s: Sketch, index: int) -> str:
    """Write a factor of a product: a power of an input, or an affine function of it."""
    x = variable(index)
    if s.box.centred:
        return s.one_of((x, s.affine([index]), s.affine([index]), f"{x}**2", f"{x}**3"))
    law = f"exp({s.signed(0.4, 2.5)}*log({x}))"
    shifted = f"({x} + {s.uniform(0.2, 1.0)})"
    return s.one_of((x, x, f"{x}**2", f"1/{x}", f"1/{x}**2", f"sqrt({x})", law, shifted))


def _product(s: Sketch, inputs: Sequence[int]) -> str:
    return "*".join(f"({_factor(s, index)})" for index in inputs)


def multiplicative(s: Sketch, inputs: Sequence[int]) -> str:
    """Write a product of powers of inputs, or a sum of two, as in the laws of physics."""
    products = [_product(s, s.some(inputs, least=2, most=5)) for _ in range(s.count(1, 2))]
    if s.chance(0.25):
        return f"{s.affine(inputs)}*{s.affine(s.some(inputs))}"
    return s.total(list(dict.fromkeys(products)))


# Exponentials, waves and saturation.


def _exponential(s: Sketch, inputs: Sequence[int]) -> str:
    return f"exp({s.affine(inputs, (0.5, 1.6))})"


def _bell(s: Sketch, inputs: Sequence[int]) -> str:
    return f"exp(-{s.affine(inputs)}**2)"


def _logarithm(s: Sketch, inputs: Sequence[int]) -> str:
    return f"log({s.positive(inputs)})"


def _decay(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.affine(s.some(inputs))}*exp({s.affine(inputs, (0.4, 1.0))})"


def _root(s: Sketch, inputs: Sequence[int]) -> str:
    return f"sqrt({s.positive(inputs)})"


def _power_law(s: Sketch, inputs: Sequence[int]) -> str:
    return f"exp({s.signed(0.4, 2.2)}*log({s.positive(inputs)}))"


def _entropy(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.affine(s.some(inputs))}*log({s.positive(inputs)})"


def exponential(s: Sketch, inputs: Sequence[int]) -> str:
    """Write a sum of exponentials, logarithms and powers."""
    units = (_exponential, _exponential, _bell, _logarithm, _decay, _root, _power_law, _entropy)
    return _with_trend(s, inputs, _sum_of(s, inputs, units, 2), 0.2)


def _argument(s: Sketch, inputs: Sequence[int]) -> str:
    """Write the argument of a wave: up to 7.5 radians over half the width of one input."""
    return s.affine(inputs, (1.5, 1.5 + 6.0 / s.box.inputs), 3.1)


def _wave(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.one_of(('sin', 'cos'))}({_argument(s, inputs)})"


def _wave_product(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{_wave(s, inputs)}*{_wave(s, s.some(inputs))}"


def _chirp(s: Sketch, inputs: Sequence[int]) -> str:
    return f"sin({s.affine(inputs, (0.8, 1.6))}**2 + {_argument(s, inputs)})"


def _modulated(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.affine(s.some(inputs))}*{_wave(s, inputs)}"


def _damped(s: Sketch, inputs: Sequence[int]) -> str:
    return f"exp({s.affine(s.some(inputs), (0.3, 0.9))})*{_wave(s, inputs)}"


def _phase_modulated(s: Sketch, inputs: Sequence[int]) -> str:
    return f"sin({s.affine(inputs, (1.0, 3.0))} + {s.uniform(0.5, 1.5)}*{_wave(s, s.some(inputs))})"


def periodic(s: Sketch, inputs: Sequence[int]) -> str:
    """Write sums and products of waves, chirps, and waves with a trend."""
    units = (_wave, _wave, _wave_product, _chirp, _modulated, _damped, _phase_modulated)
    parts = _sum_of(s, inputs, units, 3)
    if s.chance(0.2):
        parts.append(f"{s.affine(s.some(inputs))}**2")
    return _with_trend(s, inputs, parts, 0.25)


_STEEP = (0.7, 2.5)


def _step(s: Sketch, inputs: Sequence[int]) -> str:
    function = s.one_of(("tanh", "sigmoid", "atan", "erf", "softsign"))
    return f"{function}({s.affine(inputs, _STEEP)})"


def _hill(s: Sketch, inputs: Sequence[int]) -> str:
    dose = s.affine(inputs, _STEEP) if s.box.centred else _dose(s, inputs)
    power = "**2" if s.box.centred else s.one_of(("", "**2", "**3"))
    return f"{dose}{power}/({s.uniform(0.3, 1.5)} + {dose}{power})"


def _dose(s: Sketch, inputs: Sequence[int]) -> str:
    """Write a positive combination of inputs without an offset, on a one-sided box."""
    slopes = [s.uniform(0.5 / s.box.size(i), 1.5 / s.box.size(i)) for i in inputs]
    return f"({' + '.join(f'{c}*{variable(i)}' for c, i in zip(slopes, inputs, strict=True))})"


def _growth(s: Sketch, inputs: Sequence[int]) -> str:
    return f"1/(1 + {s.uniform(0.3, 2.0)}*exp({s.affine(inputs, _STEEP)}))"


def _gompertz(s: Sketch, inputs: Sequence[int]) -> str:
    return f"exp(-exp({s.affine(inputs, (0.7, 1.8))}))"


def _approach(s: Sketch, inputs: Sequence[int]) -> str:
    return f"(1 - exp(-{s.positive(inputs)}))"


def _step_product(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{_step(s, inputs)}*{_step(s, s.some(inputs))}"


def _bent_step(s: Sketch, inputs: Sequence[int]) -> str:
    return f"tanh({s.affine(inputs)}*{s.affine(s.some(inputs))})"


def saturating(s: Sketch, inputs: Sequence[int]) -> str:
    """Write sums and products of functions that level off."""
    units = (_step, _step, _hill, _growth, _gompertz, _approach, _step_product, _bent_step)
    return s.total(_sum_of(s, inputs, units, 3))


# Norms and extrema.


def _squares(s: Sketch, inputs: Sequence[int]) -> str:
    return " + ".join(f"{s.affine([index])}**2" for index in inputs)


def _euclidean(s: Sketch, inputs: Sequence[int]) -> str:
    return f"sqrt({_squares(s, inputs)})"


def _smooth_norm(s: Sketch, inputs: Sequence[int]) -> str:
    return f"sqrt({s.uniform(0.1, 0.6)} + {_squares(s, inputs)})"


def _extremum(s: Sketch, inputs: Sequence[int]) -> str:
    name = s.one_of(("max", "min"))
    inner = s.one_of(("", "", "abs"))
    text = f"{inner}{s.affine([inputs[0]])}"
    for index in inputs[1:]:
        text = f"{name}({text}, {inner}{s.affine([index])})"
    return text


def _manhattan(s: Sketch, inputs: Sequence[int]) -> str:
    return f"({' + '.join(f'abs{s.affine([index])}' for index in inputs)})"


def _log_sum_exp(s: Sketch, inputs: Sequence[int]) -> str:
    return f"log({' + '.join(f'exp{s.affine([index], (0.8, 2.5))}' for index in inputs)})"


def _soft_choice(s: Sketch, inputs: Sequence[int]) -> str:
    gates = [f"exp{s.affine([index])}" for index in inputs]
    values = [f"{s.affine([index])}*{gate}" for index, gate in zip(inputs, gates, strict=True)]
    return f"({' + '.join(values)})/({' + '.join(gates)})"


def _inverse_norm(s: Sketch, inputs: Sequence[int]) -> str:
    return f"1/{_smooth_norm(s, inputs)}"


def _norm_or_line(s: Sketch, inputs: Sequence[int]) -> str:
    return f"{s.one_of(('max', 'min'))}({_euclidean(s, inputs)}, {s.affine(inputs)})"


def norm(s: Sketch, inputs: Sequence[int]) -> str:
    """Write norms, extrema and smooth extrema of inputs, or a sum of two."""
    units = (
        *(_euclidean, _smooth_norm, _extremum, _extremum, _manhattan),
        *(_log_sum_exp, _soft_choice, _inverse_norm, _norm_or_line),
    )
    parts = [s.one_of(units)(s, s.some(inputs, least=2)) for _ in range(s.count(1, 2))]
    return _with_trend(s, inputs, parts, 0.2)


# Mixtures.


def _outer(s: Sketch, inner: str) -> str:
    """Apply a function of one variable."""
    scaled = f"({s.uniform(0.6, 1.6)}*({inner}) + {s.signed(0.0, 0.5)})"
    return s.one_of(
        (
            *(f"sin({scaled})", f"tanh({scaled})", f"softplus({scaled})", f"abs({scaled})"),
            *(f"sqrt({s.uniform(0.2, 1.0)} + {scaled}**2)", f"atan({scaled})", f"relu({scaled})"),
            *(f"1/({s.uniform(0.5, 1.5)} + {scaled}**2)", f"exp(-{scaled}**2)"),
        )
    )


_MIXED: tuple[Part, ...] = (
    *(linear, piecewise, polynomial, rational, exponential, periodic, saturating, multiplicative),
    norm,
)


def mixed(s: Sketch, inputs: Sequence[int]) -> str:
    """Write sums, products and compositions of two or three parts of other strata."""
    text = s.one_of(_MIXED[1:])(s, s.some(inputs, most=3))
    for _ in range(s.count(1, 2)):
        part = s.one_of(_MIXED)(s, s.some(inputs, most=3))
        text = s.one_of(
            (
                *(f"{s.signed(0.5, 1.5)}*({text}) + {part}", f"({text})*({part})"),
                *(_outer(s, text), _outer(s, f"{text} + {part}")),
            )
        )
    return text
