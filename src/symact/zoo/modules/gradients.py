"""Functions with a substitute derivative (surrogate gradient).

:class:`WithGradient` uses the derivative of another function. :class:`StepGradient` uses a step
function as the derivative and keeps a few bits of each element for the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from symact.backends import evaluate
from symact.backends.torch import lower_in_dtype
from symact.errors import ZooError
from symact.expr import Expr, show
from symact.zoo.catalogue import Known
from symact.zoo.modules.base import KnownModule

Floats = NDArray[np.float64]

_BITS_OF_A_BYTE = 8


class WithGradient(KnownModule):
    """One function forward, the derivative of another backward (a surrogate gradient).

    The value is exactly ``value(x)``. Derivatives of every order are those of ``gradient``. The
    parameters of ``value`` get their true gradients.

    Args:
        value: What is applied.
        gradient: The function whose derivative is used; without trained parameters.
    """

    def __init__(self, value: nn.Module, gradient: nn.Module) -> None:
        super().__init__()
        self.value, self.gradient = value, gradient

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        value: Tensor = self.value(x.detach())
        surrogate: Tensor = self.gradient(x)
        # The difference is 0 and carries the derivative.
        made: Tensor = value + (surrogate - surrogate.detach())
        return made

    def extra_repr(self) -> str:
        return ""  # the two functions print themselves


class _BySlope(torch.autograd.Function):
    """Return a given value, with a given slope as its derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])
        ctx.slope = inputs[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.slope(x), gradient, None

    @staticmethod
    def jvp(ctx: Any, x_tangent: Tensor, value_tangent: Tensor | None, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        own: Tensor = x_tangent * ctx.slope(x)
        return own if value_tangent is None else own + value_tangent


class WithSlope(KnownModule):
    """One function forward, a given slope backward.

    Args:
        value: What is applied.
        slope: The slope as a differentiable function of the input; one that can be pickled, if the
            module is to be.
    """

    def __init__(self, value: nn.Module, slope: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.value, self.slope = value, slope

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        value = self.value(x.detach())
        if _is_traced():
            return _straight(value, self.slope(x.detach()), x)
        made: Tensor = _BySlope.apply(x, value, self.slope)  # type: ignore[no-untyped-call]
        return made

    def extra_repr(self) -> str:
        return f"slope: {getattr(self.slope, '__name__', type(self.slope).__name__)}"


def _is_traced() -> bool:
    """Whether code is being compiled or traced. An ``autograd.Function`` is not supported then."""
    return bool(
        torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


def _straight(value: Tensor, slope: Tensor, x: Tensor) -> Tensor:
    """Return a value with a given first derivative, a constant for automatic differentiation."""
    line = slope * x
    return value + (line - line.detach())


class _Stepped(torch.autograd.Function):
    """An expression whose slope is a step function. It saves the packed indices of the steps."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, borders: Tensor, levels: Tensor, expr: Expr) -> Tensor:
        return lower_in_dtype(expr, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, borders, levels, _ = inputs
        packed = _pack(torch.bucketize(x.detach(), borders), _bits(len(levels)))
        ctx.save_for_backward(packed, levels)
        ctx.save_for_forward(packed, levels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return gradient * _slope(ctx.saved_tensors, gradient), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return tangent * _slope(ctx.saved_tensors, tangent)


def _slope(saved: tuple[Tensor, Tensor], like: Tensor) -> Tensor:
    packed, levels = saved
    return levels[_unpack(packed, like.numel())].view(like.shape)


def _bits(levels: int) -> int:
    return max(1, (levels - 1).bit_length())


def _pack(codes: Tensor, bits: int) -> Tensor:
    """Pack codes below 2**bits, eight to a byte for each bit: [bit, byte]."""
    flat = codes.reshape(-1).to(torch.uint8)
    padding = -flat.shape[0] % _BITS_OF_A_BYTE
    groups = nn.functional.pad(flat, (0, padding)).view(-1, _BITS_OF_A_BYTE)
    places = torch.arange(_BITS_OF_A_BYTE, device=flat.device, dtype=torch.uint8)
    planes = [(((groups >> bit) & 1) << places).sum(1, dtype=torch.uint8) for bit in range(bits)]
    return torch.stack(planes)


def _unpack(packed: Tensor, count: int) -> Tensor:
    """Return the first ``count`` codes that :func:`_pack` packed, as indices."""
    places = torch.arange(_BITS_OF_A_BYTE, device=packed.device, dtype=torch.uint8)
    planes = ((packed.unsqueeze(-1) >> places) & 1).flatten(1)[:, :count].long()
    weights = 2 ** torch.arange(planes.shape[0], device=packed.device)
    return (planes * weights.unsqueeze(1)).sum(0)


class StepGradient(KnownModule):
    """A function whose slope is a step function.

    The module saves only the index of the step, ``ceil(log2(steps))`` bits for each element.
    Traced, compiled or exported code uses plain operations, which save more.

    Args:
        expr: The function.
        borders: Where the slope changes, ascending.
        levels: The slopes, one more than borders; ``levels[0]`` up to the first border included.
        known: The entry of the zoo; None for other functions.
    """

    borders: Tensor
    levels: Tensor

    def __init__(
        self, expr: Expr, borders: Floats, levels: Floats, known: Known | None = None
    ) -> None:
        super().__init__(known)
        self.expr = expr
        self.register_buffer("borders", torch.tensor(borders, dtype=torch.float64), False)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float64), False)

    @property
    def formula(self) -> str:
        return f"{show(self.expr)}, slope of {len(self.levels)} steps"

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        borders, levels = self.borders.to(x.dtype), self.levels.to(x.dtype)
        if _is_traced():
            return self._plain(x, borders, levels)
        made: Tensor = _Stepped.apply(x, borders, levels, self.expr)  # type: ignore[no-untyped-call]
        return made

    def _plain(self, x: Tensor, borders: Tensor, levels: Tensor) -> Tensor:
        slope = levels[0].expand_as(x)
        for border, level in zip(borders, levels[1:], strict=True):
            slope = torch.where(x > border, level, slope)
        return _straight(lower_in_dtype(self.expr, x.detach()), slope, x)

    def extra_repr(self) -> str:
        return self.formula if self.known is None else super().extra_repr()


def three_steps(known: Known, expr: Expr) -> StepGradient:
    """Return ReGELU2 or ReSiLU2: the slope is a1 (x > c1) + a2 (x > c2) + a3 (x > c3)."""
    p = known.parameters
    order = sorted((p[f"c{i}"], p[f"a{i}"]) for i in (1, 2, 3))
    levels = np.cumsum([0.0, *(step for _, step in order)])
    return StepGradient(expr, np.array([border for border, _ in order]), levels, known)


def fit_steps(
    expr: Expr, bits: int, reach: float = 10.0, *, weight: str = "uniform"
) -> tuple[Floats, Floats]:
    """Fit a step function of ``2**bits`` levels to the derivative of a function.

    The fit has the least squared error on [-reach, reach]: dynamic programming over a grid, then
    Lloyd's iteration between its points. Source: G. Novikov et al., "Few-bit backward", 2022,
    arXiv 2202.00441.

    Args:
        expr: A pointwise function of x.
        bits: From 1 to 8.
        reach: Above 0.
        weight: ``"uniform"``, as the source, or ``"normal"`` for inputs that are N(0, 1).

    Returns:
        The borders, ``2**bits - 1``, and the levels, ``2**bits``.

    Raises:
        ZooError: Bits, reach or weight out of range.
    """
    if bits not in range(1, 9):
        raise ZooError(f"the bits of a gradient must be from 1 to 8, got {bits}")
    if weight not in ("uniform", "normal"):
        raise ZooError(f"unknown weight '{weight}'; known: uniform, normal")
    if not 0 < reach < np.inf:
        raise ZooError(f"the reach of a fit must be above 0, got {reach}")
    cells = _Cells.of(expr, reach, weight)
    coarse = cells.merged(_FINER)
    edges = _FINER * _best_steps(coarse, 2**bits)
    for _ in range(_ITERATIONS):
        edges = _moved(cells, edges)
    return cells.left[edges], cells.levels(edges)


#: Cells of the fit, how many make one of the dynamic program, and steps of Lloyd's iteration.
_CELLS, _FINER, _ITERATIONS = 24000, 40, 20


class _Cells:
    """Slopes on a grid with their weights.

    Attributes:
        left: Where each cell begins.
        slope: The mean slope of each cell.
        sums: Of weight times slope to the power 0, 1 and 2, before each cell and at the end.
    """

    def __init__(self, left: Floats, slope: Floats, weight: Floats) -> None:
        self.left, self.slope, self.weight = left, slope, weight
        zero = np.zeros(1)
        self.sums = [np.concatenate([zero, np.cumsum(weight * slope**k)]) for k in (0, 1, 2)]

    @classmethod
    def of(cls, expr: Expr, reach: float, weight: str) -> _Cells:
        x = np.linspace(-reach, reach, _CELLS + 1)
        middle = (x[1:] + x[:-1]) / 2
        density = np.ones_like(middle) if weight == "uniform" else np.exp(-0.5 * middle**2) + 1e-6
        return cls(x[:-1], np.diff(evaluate(expr, x)) / np.diff(x), density)

    def merged(self, count: int) -> _Cells:
        """Return wider cells."""
        weight, slope = (a.reshape(-1, count) for a in (self.weight, self.slope))
        total = weight.sum(axis=1)
        return _Cells(self.left[::count], (weight * slope).sum(axis=1) / total, total)

    def levels(self, edges: NDArray[np.int_]) -> Floats:
        """Return the best constants between edges."""
        starts, ends = np.append(0, edges), np.append(edges, len(self.slope))
        w, wy, _ = self.sums
        means: Floats = (wy[ends] - wy[starts]) / (w[ends] - w[starts])
        return means


def _moved(cells: _Cells, edges: NDArray[np.int_]) -> NDArray[np.int_]:
    """Move each edge, by at most half the way to the next, to the least error of its two levels."""
    levels = cells.levels(edges)
    bounds = np.concatenate([[0], edges, [len(cells.slope)]])
    found = edges.copy()
    for i, edge in enumerate(edges):
        low = max((bounds[i] + edge) // 2 + 1, edge - 2 * _FINER)
        high = min((edge + bounds[i + 2]) // 2, edge + 2 * _FINER)
        errors = np.square(cells.slope[low:high, None] - levels[i : i + 2])
        gain = cells.weight[low:high] * (errors[:, 0] - errors[:, 1])  # of being left of the edge
        found[i] = low + int(np.append(0.0, np.cumsum(gain)).argmin())
    return found


def _best_steps(cells: _Cells, steps: int) -> NDArray[np.int_]:
    """Return the cells where ``steps`` constants that fit best change."""
    w, wy, wyy = cells.sums
    count = len(cells.slope)
    best = np.full((steps + 1, count + 1), np.inf)
    best[0, 0] = 0.0
    before = np.zeros((steps + 1, count + 1), dtype=int)
    for step in range(1, steps + 1):
        for last in range(step, count + 1):
            first = np.arange(step - 1, last)
            total = w[last] - w[first]
            error = wyy[last] - wyy[first] - (wy[last] - wy[first]) ** 2 / total
            sums = best[step - 1, first] + error
            place = int(sums.argmin())
            best[step, last], before[step, last] = sums[place], first[place]
    edges, last = [], count
    for step in range(steps, 0, -1):
        edges.append(before[step, last])
        last = before[step, last]
    return np.array(edges[-2::-1], dtype=int)
