"""Known functions as torch modules, as their sources use them: parameters are trained, gates gated.

A pointwise function without parameters of its own is ``lower.to_torch(known.expr)``;
:func:`module` gives that and everything else by one interface. Modules take tensors whose feature
axis is ``dim``. Parameters have a shape of the caller's choice, so that one module can serve a
layer (``()``), its channels (``(channels,)`` with the features last) or a stack of networks
(``(networks, 1, 1)`` for [network, unit, point]).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symact import zoo
from symact.backends import evaluate_with_slopes
from symact.backends.torch import lower
from symact.errors import ZooError
from symact.expr import Expr, parse
from symact.zoo import Known


def module(
    known: Known | str,
    *,
    shape: tuple[int, ...] = (),
    dim: int = -1,
    axes: tuple[int, ...] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return a known function as a module.

    Args:
        known: An entry of the zoo or its name.
        shape: Of each trainable parameter; it has to broadcast with the input.
        dim: The feature axis, which gated functions halve (the first half is the value, the second
            the gate, as ``torch.nn.functional.glu`` has them) and others mix.
        axes: What a statistic of the whole tensor is taken over; None for all axes.
        seed: Of random choices and random initial weights.

    Raises:
        ZooError: No such function, its formula is not known, or it is no function of a
            pre-activation.
    """
    entry = zoo.find(known) if isinstance(known, str) else known
    if entry.name in _SPECIAL:
        made: nn.Module = _SPECIAL[entry.name](entry, shape, dim, seed)
    elif entry.parametric is not None:
        made = Formula(entry, shape, dim)
    elif entry.formula is not None:
        made = _Plain(entry.expr, axes)
    elif entry.kind == "unknown":
        raise ZooError(f"'{entry.name}': its formula is in no text we have, so there is no module")
    else:
        raise ZooError(f"'{entry.name}' is no function of a pre-activation: {entry.definition}")
    made.known = entry  # type: ignore[assignment]  # for people who meet it in a model
    return made


class _Plain(nn.Module):
    """An expression of x alone."""

    def __init__(self, expr: Expr, axes: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self._expr, self._axes = expr, axes

    def forward(self, x: Tensor) -> Tensor:
        return lower(self._expr, x, self._axes)


class Formula(nn.Module):
    """A formula with parameters; those its source trains are trained, the others are constants."""

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int) -> None:
        super().__init__()
        assert known.parametric is not None
        self._expr = parse(known.parametric, ("x", "g", *known.parameters))
        self._is_gated, self._dim = known.kind == "gated", dim
        self._names = tuple(known.parameters)
        for name, value in known.parameters.items():
            start = torch.full(shape, float(value))
            if name in known.learnable:
                self.register_parameter(name, nn.Parameter(start))
            else:
                self.register_buffer(name, start)

    def forward(self, x: Tensor, g: Tensor | None = None) -> Tensor:
        """Apply the function; a gated one takes its gate, or halves one tensor."""
        bound = {name: getattr(self, name).to(x.dtype) for name in self._names}
        if self._is_gated:
            if g is None:
                x, g = _halves(x, self._dim)
            bound["g"] = g
        return lower(self._expr, x, bound=bound)


def _halves(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    if x.shape[dim] % 2:
        raise ZooError(f"a gated function halves the feature axis; {x.shape[dim]} is odd")
    first, second = x.chunk(2, dim)
    return first, second


# Gradients of their own.
class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, value: Callable[..., Tensor], slope: Callable[..., Tensor]) -> Tensor:
        return value(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.slope = inputs[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.slope(x), None, None


class WithGradient(nn.Module):
    """One function forward, the derivative of another backward (a surrogate gradient).

    Args:
        forward: What is applied.
        gradient: Whose derivative is used: a name, an expression; or the slope itself, a function
            of the input.
    """

    def __init__(
        self, forward: str | Expr, gradient: str | Expr | Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        value = _expr(forward)
        self._value = lambda x: lower(value, x)
        if isinstance(gradient, str | Expr):
            rule = _expr(gradient)
            self._slope: Callable[[Tensor], Tensor] = lambda x: _slope(rule, x)
        else:
            self._slope = gradient

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = _WithGradient.apply(x, self._value, self._slope)  # type: ignore[no-untyped-call]
        return made


def with_gradient(
    forward: str | Expr, gradient: str | Expr | Callable[[Tensor], Tensor]
) -> WithGradient:
    """Return a module that applies one function and back-propagates through another.

    Args:
        forward: A name of the zoo or an expression.
        gradient: The same, or the slope as a function of the input.
    """
    return WithGradient(forward, gradient)


def _expr(function: str | Expr) -> Expr:
    return function if isinstance(function, Expr) else zoo.function(function)[1]


def _slope(expr: Expr, x: Tensor) -> Tensor:
    with torch.enable_grad():
        own = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(lower(expr, own).sum(), own, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope


def _helu(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    alpha = known.parameters["alpha"]
    return WithGradient("ReLU", lambda x: (x > -alpha).to(x.dtype))


def _three_steps(base: str) -> Callable[..., nn.Module]:
    def make(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
        p = known.parameters

        def slope(x: Tensor) -> Tensor:
            steps = ((x > p[f"c{i}"]).to(x.dtype) * p[f"a{i}"] for i in (1, 2, 3))
            return torch.stack(list(steps)).sum(0)

        return WithGradient(base, slope)

    return make


def few_bit(function: str | Expr, bits: int = 3, reach: float = 6.0) -> WithGradient:
    """Return a function whose derivative takes 2**bits values, the best piecewise-constant fit.

    By dynamic programming over a grid, weighted by the normal density: G. Novikov et al., "Few-bit
    backward", 2022, arXiv 2202.00441.

    Args:
        function: A name of the zoo or an expression.
        bits: Of each stored element.
        reach: The fit is on [-reach, reach].
    """
    x = np.linspace(-reach, reach, 601)
    _, slope = evaluate_with_slopes(_expr(function), x)
    weight = np.exp(-0.5 * x * x) + 1e-6
    edges, levels = _best_steps(slope, weight, 2**bits)
    borders = torch.tensor((x[edges - 1] + x[edges]) / 2)
    values = torch.tensor(levels)

    def step(z: Tensor) -> Tensor:
        places = torch.bucketize(z.double(), borders.to(z.device))
        return values.to(z.device)[places].to(z.dtype)

    return WithGradient(function, step)


def _best_steps(y: Any, weight: Any, steps: int) -> tuple[Any, Any]:
    """Return where ``steps`` constants that fit y best change, and the constants."""
    zero = np.zeros(1)
    w, wy, wyy = (np.concatenate([zero, np.cumsum(weight * y**k)]) for k in (0, 1, 2))

    def cost(first: Any, last: int) -> Any:
        total = w[last] - w[first]
        return wyy[last] - wyy[first] - (wy[last] - wy[first]) ** 2 / total

    count = len(y)
    best = np.full((steps + 1, count + 1), np.inf)
    best[0, 0] = 0.0
    before = np.zeros((steps + 1, count + 1), dtype=int)
    for step in range(1, steps + 1):
        for last in range(step, count + 1):
            first = np.arange(step - 1, last)
            sums = best[step - 1, first] + cost(first, last)
            place = int(sums.argmin())
            best[step, last], before[step, last] = sums[place], first[place]
    edges, last = [], count
    for step in range(steps, 0, -1):
        edges.append(before[step, last])
        last = before[step, last]
    starts = np.array(edges[::-1])
    ends = np.append(starts[1:], count)
    return starts[1:], (wy[ends] - wy[starts]) / (w[ends] - w[starts])


# Random choices.
class Stochastic(nn.Module):
    """Chooses at random in training and is one fixed function at inference.

    Args:
        draw: ``(x, generator)`` to what is applied in training.
        fixed: What is applied at inference, and in training once :meth:`settle` was called.
        seed: Of the choices; each device has a stream of its own.
    """

    def __init__(
        self,
        draw: Callable[[Tensor, torch.Generator], Tensor],
        fixed: Callable[[Tensor], Tensor],
        seed: int,
    ) -> None:
        super().__init__()
        self._draw, self._fixed, self._seed = draw, fixed, seed
        self._generators: dict[torch.device, torch.Generator] = {}
        self.settled = False

    def settle(self) -> None:
        """Stop choosing: late in training the network gets used to what it will be run with."""
        self.settled = True

    def forward(self, x: Tensor) -> Tensor:
        if self.settled or not self.training:
            return self._fixed(x)
        if x.device not in self._generators:
            generator = torch.Generator(x.device)
            self._generators[x.device] = generator.manual_seed(self._seed)
        return self._draw(x, self._generators[x.device])


def _rrelu(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    low, high = known.parameters["lo"], known.parameters["hi"]

    def draw(x: Tensor, generator: torch.Generator) -> Tensor:
        slope = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return torch.where(x > 0, x, (low + (high - low) * slope) * x)

    return Stochastic(draw, lambda x: torch.where(x > 0, x, (low + high) / 2 * x), seed)


def _either(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    p = known.parameters["p"]

    def draw(x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.rand(x.shape, generator=generator, device=x.device) < p
        return torch.where(chosen, x.relu(), nn.functional.silu(x))

    return Stochastic(draw, torch.relu, seed)


# Functions of several features.
class _Function(nn.Module):
    """A function without parameters."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *x: Tensor) -> Tensor:
        return self._function(*x)


def _of_features(
    function: Callable[[Tensor, int], Tensor],
) -> Callable[..., nn.Module]:
    def make(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
        return _Function(lambda x: function(x, dim))

    return make


def _sparsemax(x: Tensor, dim: int) -> Tensor:
    """Project on the simplex (A. Martins and R. Astudillo, 2016, algorithm 1)."""
    z = x.transpose(dim, -1)
    ordered = z.sort(dim=-1, descending=True).values
    ranks = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    sums = ordered.cumsum(-1)
    support = (1 + ranks * ordered > sums).sum(-1, keepdim=True)
    threshold = (sums.gather(-1, support - 1) - 1) / support
    return (z - threshold).clamp(min=0).transpose(dim, -1)


def top_k(x: Tensor, k: int, dim: int = -1) -> Tensor:
    """Keep the k largest features, the others become 0; ties at the threshold are kept."""
    least = x.topk(min(k, x.shape[dim]), dim).values.amin(dim, keepdim=True)
    return torch.where(x >= least, x, torch.zeros_like(x))


def _adaptive(x: Tensor, dim: int) -> Tensor:
    p = x.softmax(dim)
    entropy = torch.special.entr(p).sum(dim, keepdim=True)
    theta = torch.zeros_like(entropy)
    for coefficient in (-0.037, 0.481, -2.3, 4.917, -1.791):
        theta = theta * entropy + coefficient
    theta = torch.where(entropy > 0.5, theta.clamp(min=1), torch.ones_like(theta))
    return (theta * x).softmax(dim)


class _PolyNorm(nn.Module):
    w0: Tensor
    w1: Tensor
    w2: Tensor
    b: Tensor

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int, seed: int) -> None:
        super().__init__()
        self._dim = dim
        for name, value in known.parameters.items():
            self.register_parameter(name, nn.Parameter(torch.full(shape, float(value))))

    def _scaled(self, u: Tensor) -> Tensor:
        return u * (u.square().mean(self._dim, keepdim=True) + 1e-6).rsqrt()

    def forward(self, x: Tensor) -> Tensor:
        cube, square, line = (self._scaled(x**power) for power in (3, 2, 1))
        return self.w0 * cube + self.w1 * square + self.w2 * line + self.b


class _Neighbours(nn.Module):
    t1: Tensor
    b: Tensor
    c: Tensor

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int, seed: int) -> None:
        super().__init__()
        self._dim = dim
        for name, value in known.parameters.items():
            self.register_parameter(name, nn.Parameter(torch.full(shape, float(value))))

    def forward(self, x: Tensor) -> Tensor:
        after, before = x.roll(-1, self._dim), x.roll(1, self._dim)
        return self.t1 * x + self.b * after.relu() + self.c * before.relu()


# Bases.
class _HermitePade(nn.Module):
    """OPAU: K. Biswas et al., "Orthogonal-Pade activation functions", 2021, arXiv 2106.09693."""

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int, seed: int) -> None:
        super().__init__()
        # Least squares to leaky ReLU with the denominator at 1, in the normalised basis.
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        target = np.where(nodes > 0, nodes, 0.01 * nodes)
        basis = _hermite(torch.tensor(nodes), 5).numpy()
        start = (basis * target * weights).sum(axis=1) / weights.sum()
        self.c = nn.ParameterList([nn.Parameter(torch.full(shape, float(v))) for v in start])
        self.d = nn.ParameterList([nn.Parameter(torch.full(shape, 0.0)) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        basis = _hermite(x, 5)
        top = sum(c * h for c, h in zip(self.c, basis, strict=True))
        bottom = 1 + sum((d * h).abs() for d, h in zip(self.d, basis[1:5], strict=True))
        return torch.as_tensor(top / bottom)


def _hermite(x: Tensor, degree: int) -> Tensor:
    """Return the probabilists' Hermite polynomials 0 to ``degree`` over sqrt(n!), stacked."""
    found = [torch.ones_like(x), x]
    for n in range(1, degree):
        found.append(x * found[n] - n * found[n - 1])
    return torch.stack([h / math.sqrt(math.factorial(n)) for n, h in enumerate(found)])


class _Spline(nn.Module):
    """KAN's edge: w_b silu(x) + w_s sum c_i B_i(x) (Z. Liu et al., 2024, arXiv 2404.19756)."""

    GRID, ORDER = 5, 3

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int, seed: int) -> None:
        super().__init__()
        step = 2.0 / self.GRID
        first, last = -self.ORDER, self.GRID + self.ORDER
        self._knots = [-1 + step * place for place in range(first, last + 1)]
        generator = torch.Generator().manual_seed(seed)
        count = self.GRID + self.ORDER
        noise = 0.1 / self.GRID * (torch.rand(count, generator=generator) - 0.5)
        self.c = nn.ParameterList([nn.Parameter(torch.full(shape, float(v))) for v in noise])
        self.w_b = nn.Parameter(torch.full(shape, 1.0))
        self.w_s = nn.Parameter(torch.full(shape, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        knots = self._knots
        basis = [((x >= low) & (x < high)).to(x.dtype) for low, high in itertools.pairwise(knots)]
        for order in range(1, self.ORDER + 1):
            basis = [
                (x - knots[i]) / (knots[i + order] - knots[i]) * basis[i]
                + (knots[i + order + 1] - x) / (knots[i + order + 1] - knots[i + 1]) * basis[i + 1]
                for i in range(len(basis) - 1)
            ]
        spline = torch.stack([c * b for c, b in zip(self.c, basis, strict=True)]).sum(0)
        return self.w_b * nn.functional.silu(x) + self.w_s * spline


class Series(nn.Module):
    """A sum of shifted, scaled copies of a function (PanGu-pi, 2023, arXiv 2312.17276).

    Args:
        function: A name of the zoo or an expression.
        scales: Initial factors, trained.
        shifts: Initial shifts, trained; as many.
        shape: Of each parameter.
    """

    def __init__(
        self,
        function: str | Expr,
        scales: Sequence[float] = (1.0, 0.1),
        shifts: Sequence[float] = (0.0, 1.0),
        shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self._expr = _expr(function)
        self.scales = nn.ParameterList([nn.Parameter(torch.full(shape, v)) for v in scales])
        self.shifts = nn.ParameterList([nn.Parameter(torch.full(shape, v)) for v in shifts])

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            scale * lower(self._expr, x + shift)
            for scale, shift in zip(self.scales, self.shifts, strict=True)
        ]
        return torch.stack(parts).sum(0)


class Smoothed(nn.Module):
    """A function convolved with a normal density: E f(x + width Z), Gauss-Hermite quadrature.

    SAU is this of leaky ReLU in closed form (K. Biswas et al., 2021, arXiv 2109.13210); here any
    function, kinks smeared over ``width``.

    Args:
        function: A name of the zoo or an expression.
        width: Standard deviation of the density, above 0.
        nodes: Of the quadrature.
    """

    _places: Tensor
    _weights: Tensor

    def __init__(self, function: str | Expr, width: float, nodes: int = 64) -> None:
        super().__init__()
        if not width > 0:
            raise ZooError(f"the width of a smoothing must be above 0, got {width}")
        self._expr = _expr(function)
        places, weights = np.polynomial.hermite_e.hermegauss(nodes)
        self.register_buffer("_places", torch.tensor(width * places))
        self.register_buffer("_weights", torch.tensor(weights / weights.sum()))

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for place, weight in zip(self._places, self._weights, strict=True):
            total = total + weight.to(x.dtype) * lower(self._expr, x + place.to(x.dtype))
        return total


def siren_init(layer: nn.Linear, *, first: bool, w0: float = 30.0) -> None:
    """Draw the weights of a layer before ``sin(w0 x)`` (V. Sitzmann et al., 2020, section 3.2).

    Args:
        layer: Weights are replaced in place, uniformly within 1/fan-in for the first layer and
            sqrt(6/fan-in)/w0 for the others.
        first: Whether the layer reads the network's input.
        w0: The frequency of the sine.
    """
    bound = 1 / layer.in_features if first else math.sqrt(6 / layer.in_features) / w0
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound)


def _and(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    def value(x: Tensor, g: Tensor | None = None) -> Tensor:
        if g is None:
            x, g = _halves(x, dim)
        both = (x > 0) & (g > 0)
        product = torch.where(both, x * g, torch.ones_like(x))  # no root of 0, whose slope is inf
        return torch.where(both, product.sqrt(), torch.zeros_like(x))

    return _Function(value)


def _gelu_few_bit(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    return few_bit("GELU", int(known.parameters["bits"]))


def _top_k(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    return _Function(lambda x: top_k(x, int(known.parameters["k"]), dim))


def _matrix(known: Known, shape: tuple[int, ...], dim: int, seed: int) -> nn.Module:
    return _Function(torch.linalg.matrix_exp)


#: What a formula cannot say.
_SPECIAL: dict[str, Callable[..., nn.Module]] = {
    "mAND": _and,
    "HeLU": _helu,
    "ReGELU2": _three_steps("GELU"),
    "ReSiLU2": _three_steps("SiLU"),
    "Few-bit GELU": _gelu_few_bit,
    "RReLU": _rrelu,
    "S|R": _either,
    "PolyNorm": _PolyNorm,
    "Softmax": _of_features(lambda x, dim: x.softmax(dim)),
    "Sparsemax": _of_features(_sparsemax),
    "Top-k": _top_k,
    "CReLU": _of_features(lambda x, dim: torch.cat([x.relu(), (-x).relu()], dim)),
    "TMAF tridiagonal": _Neighbours,
    "Adaptive-temperature softmax": _of_features(_adaptive),
    "Matrix exponential": _matrix,
    "OPAU": _HermitePade,
    "KAN B-spline": _Spline,
}
