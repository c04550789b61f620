"""Functions with trained parameters: formulas, expansions in a basis, and the B-spline of KAN."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from symact.backends.torch import lower_in_dtype, shortest
from symact.expr import parse
from symact.zoo.catalogue import Known, find
from symact.zoo.modules.base import KnownModule, Numbers, halves, is_analytic, shown


class Parametric(KnownModule):
    """A module with parameters, each a number or a tensor of one shape.

    Args:
        known: The entry.
        shape: Of each parameter.
        start: Trained parameters with their initial values; None for those of the entry, of which
            the learnable ones are trained and the others are buffers.
    """

    def __init__(
        self, known: Known, shape: tuple[int, ...], start: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(known)
        starts = known.parameters if start is None else start
        self._names = tuple(starts)
        for name, number in starts.items():
            value = torch.full(shape, float(number))
            if start is not None or name in known.learnable:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def values(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name in the type of x."""
        return {name: getattr(self, name).to(x.dtype) for name in self._names}

    def extra_repr(self) -> str:
        own = [f"{name} = {shown(getattr(self, name))}" for name in self._names]
        return ", ".join([super().extra_repr(), *own])


class Formula(Parametric):
    """A formula with parameters. It trains the parameters that its source trains.

    Args:
        known: An entry with a parametric formula.
        shape: Of each parameter; it has to broadcast with the input.
        dim: The feature axis, which a gated function halves where it gets one tensor.
    """

    def __init__(self, known: Known, shape: tuple[int, ...] = (), dim: int = -1) -> None:
        super().__init__(known, shape)
        assert known.parametric is not None
        self._expr = parse(known.parametric, ("x", "g", *known.parameters))
        self._is_gated, self._dim = known.kind == "gated", dim

    @property
    def is_complex(self) -> bool:
        return is_analytic(self._expr)

    @property
    def formula(self) -> str:
        """The formula with the present values of its parameters, where each is one number."""
        assert self.known is not None
        own = {name: getattr(self, name) for name in self._names}
        if self._is_gated or any(p.dim() or p.device.type == "meta" for p in own.values()):
            return self.known.parametric or ""
        return self.known.written_with({name: shortest(p) for name, p in own.items()})

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        bound = self.values(x)
        if self._is_gated:
            x, bound["g"] = halves(x, self._dim) if gate is None else (x, gate)
        return lower_in_dtype(self._expr, x, bound=bound)

    def extra_repr(self) -> str:
        assert self.known is not None
        text = f"{self.known.name}: {self.known.parametric}"
        own = [f"{name} = {shown(getattr(self, name))}" for name in self._names]
        return ", ".join([text, *own])


# Expansions of any size.


@dataclass(frozen=True, slots=True)
class Basis:
    """A family of functions with as many parameters as one wants.

    Attributes:
        start: A size to the initial parameters by name.
        values: Input, parameters by name and size to the output.
        text: The formula in words.
    """

    start: Callable[[int], dict[str, float]]
    values: Callable[[Tensor, Mapping[str, Tensor], int], Tensor]
    text: str


class Expansion(Parametric):
    """An expansion with another number of terms than the formula in the zoo has.

    Args:
        known: An entry of :data:`BASES`; its size says how many terms.
        shape: Of each parameter.
    """

    def __init__(self, known: Known, shape: tuple[int, ...] = ()) -> None:
        (size,) = known.sizes.values()
        start, usual = BASES[known.name].start(size), find(known.name).parameters
        given = {name: v for name, v in known.parameters.items() if v != usual[name]}
        super().__init__(known, shape, {name: given.get(name, v) for name, v in start.items()})
        self._size = size

    @property
    def formula(self) -> str:
        return f"{BASES[self.name].text}, {self._size} terms"

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        return BASES[self.name].values(x, self.values(x), self._size)

    def extra_repr(self) -> str:
        return KnownModule.extra_repr(self)


def _chebyshev(x: Tensor, p: Mapping[str, Tensor], degree: int) -> Tensor:
    t = torch.tanh(x)
    before, now = torch.ones_like(t), t
    total = p["c0"] + p["c1"] * t
    for k in range(2, degree + 1):
        before, now = now, 2 * t * now - before
        total = total + p[f"c{k}"] * now
    return total


def _hermite(x: Tensor, p: Mapping[str, Tensor], degree: int) -> Tensor:
    before, now = torch.ones_like(x), x
    total = p["c0"] + p["c1"] * x
    for k in range(2, degree + 1):  # of the normalised polynomials
        before, now = now, (x * now - math.sqrt(k - 1) * before) / math.sqrt(k)
        total = total + p[f"c{k}"] * now
    return total


def _fourier(x: Tensor, p: Mapping[str, Tensor], count: int) -> Tensor:
    total = p["a0"].expand_as(x)
    for k in range(1, count + 1):
        total = total + p[f"a{k}"] * torch.cos(k * p["w"] * x - p[f"p{k}"])
    return total


def _fkan(x: Tensor, p: Mapping[str, Tensor], count: int) -> Tensor:
    total = p["a0"].expand_as(x)
    for k in range(1, count + 1):
        total = total + p[f"a{k}"] * torch.cos(k * x) + p[f"b{k}"] * torch.sin(k * x)
    return total


def _tropical(x: Tensor, p: Mapping[str, Tensor], degree: int) -> Tensor:
    total = p["t0"].expand_as(x)
    for k in range(1, degree + 1):
        total = torch.maximum(total, p[f"t{k}"] + k * x)
    return total


def _poly_relu(x: Tensor, p: Mapping[str, Tensor], degree: int) -> Tensor:
    active = torch.relu(x)
    total = p[f"a{degree}"].expand_as(x)
    for k in range(degree - 1, -1, -1):
        total = total * active + p[f"a{k}"]
    return total


def _numbered(letter: str, values: list[float], first: int = 0) -> dict[str, float]:
    return {f"{letter}{k}": value for k, value in enumerate(values, first)}


def _hermite_start(degree: int) -> dict[str, float]:
    scale = math.sqrt(6) / math.pi
    return _numbered("c", [0.66549 * scale, *(scale * k**-1.5 for k in range(1, degree + 1))])


def _fourier_start(count: int) -> dict[str, float]:
    amplitudes = _numbered("a", [0.0, *(k**-2.0 for k in range(1, count + 1))])
    phases = [math.pi / 2, *([math.pi / 4] * (count - 1))]
    return {**amplitudes, "w": 1.0, **_numbered("p", phases, 1)}


def _fkan_start(count: int) -> dict[str, float]:
    tenths = [0.1] * count
    return {"a0": 0.0, **_numbered("a", tenths, 1), **_numbered("b", tenths, 1)}


#: Functions whose number of terms can be set.
BASES: dict[str, Basis] = {
    "Chebyshev": Basis(
        lambda n: _numbered("c", [0.0, 1.0, *([0.1] * (n - 1))]),
        _chebyshev,
        "sum of c_k T_k(tanh(x))",
    ),
    "Hermite": Basis(_hermite_start, _hermite, "sum of c_k He_k(x)/sqrt(k!)"),
    "Fourier": Basis(_fourier_start, _fourier, "a0 + sum of a_k cos(k w x - p_k)"),
    "FKAN": Basis(_fkan_start, _fkan, "a0 + sum of a_k cos(k x) + b_k sin(k x)"),
    "Tropical": Basis(
        lambda n: _numbered("t", [-0.5 * k * (k - 1) for k in range(n + 1)]),
        _tropical,
        "max over k of t_k + k x",
    ),
    "PolyReLU": Basis(
        lambda n: _numbered("a", [0.0, *([1 / n] * n)]), _poly_relu, "sum of a_k relu(x)**k"
    ),
}


class Spline(KnownModule):
    """KAN's edge: w_b silu(x) + w_s sum c_i B_i(x) (Z. Liu et al., 2024, arXiv 2404.19756).

    Args:
        known: The entry; its sizes are the intervals of the grid on [-1, 1] and the order.
        shape: Of each parameter.
        seed: Of the initial coefficients.

    Attributes:
        knots: The knots of the B-splines, ascending.
    """

    def __init__(self, known: Known, shape: tuple[int, ...], seed: int) -> None:
        super().__init__(known)
        grid, self._order = known.sizes["grid"], known.sizes["order"]
        step = 2.0 / grid
        self.knots = [-1 + step * place for place in range(-self._order, grid + self._order + 1)]
        generator = torch.Generator().manual_seed(seed)
        noise = 0.1 / grid * (torch.rand(grid + self._order, generator=generator) - 0.5)
        self.c = Numbers(noise.tolist(), shape)
        self.w_b = nn.Parameter(torch.full(shape, 1.0))
        self.w_s = nn.Parameter(torch.full(shape, 1.0))

    @property
    def formula(self) -> str:
        return (
            f"w_b*silu(x) + w_s*(sum of {len(self.c)} B-splines of order {self._order} on [-1, 1])"
        )

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        terms = zip(self.c, self._basis(x), strict=True)
        spline = torch.stack([c.to(x.dtype) * b for c, b in terms]).sum(0)
        straight = self.w_b.to(x.dtype) * nn.functional.silu(x)
        return straight + self.w_s.to(x.dtype) * spline

    def _basis(self, x: Tensor) -> list[Tensor]:
        """Return the B-splines at x, by the recursion of Cox and de Boor."""
        knots = self.knots
        basis = [((x >= low) & (x < high)).to(x.dtype) for low, high in itertools.pairwise(knots)]
        for order in range(1, self._order + 1):
            basis = [
                (x - knots[i]) / (knots[i + order] - knots[i]) * basis[i]
                + (knots[i + order + 1] - x) / (knots[i + order + 1] - knots[i + 1]) * basis[i + 1]
                for i in range(len(basis) - 1)
            ]
        return basis
