"""Functions that mix the features of a sample, and the matrix exponential."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from symact.errors import ZooError
from symact.zoo.catalogue import Known
from symact.zoo.modules.base import KnownModule
from symact.zoo.modules.learnable import Parametric


class OfFeatures(KnownModule):
    """A function of one tensor and its feature axis.

    Args:
        known: The entry.
        function: Tensor and feature axis to a tensor.
        dim: The feature axis.
    """

    def __init__(
        self, known: Known, function: Callable[[Tensor, int], Tensor], dim: int = -1
    ) -> None:
        super().__init__(known)
        self._function, self._dim = function, dim

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        return self._function(x, self._dim)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Return the exponentials over their sum."""
    return x.softmax(dim)


def sparsemax(x: Tensor, dim: int = -1) -> Tensor:
    """Project on the simplex (A. Martins and R. Astudillo, 2016, algorithm 1)."""
    z = x.transpose(dim, -1)
    ordered = z.sort(dim=-1, descending=True).values
    ranks = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    sums = ordered.cumsum(-1)
    support = (1 + ranks * ordered > sums).sum(-1, keepdim=True)
    threshold = (sums.gather(-1, support - 1) - 1) / support
    return (z - threshold).clamp(min=0).transpose(dim, -1)


def crelu(x: Tensor, dim: int = -1) -> Tensor:
    """Return relu(x) and relu(-x) side by side."""
    return torch.cat([x.relu(), (-x).relu()], dim)


def top_k(x: Tensor, k: int, dim: int = -1) -> Tensor:
    """Keep the k largest features and set the others to 0.

    Args:
        x: A tensor.
        k: From 1; all features are kept where there are no more. Ties at the threshold are kept.
        dim: The feature axis.

    Raises:
        ZooError: ``k`` is below 1.
    """
    if k < 1:
        raise ZooError(f"k of top_k must be at least 1, got {k}")
    least = x.topk(min(k, x.shape[dim]), dim).values.amin(dim, keepdim=True)
    return torch.where(x >= least, x, torch.zeros_like(x))


def top_afa(x: Tensor, norm: Tensor | float, dim: int = -1) -> Tensor:
    """Keep as many of the largest features as match a norm best (top-AFA).

    The features are ordered by falling squares. The number kept is the one whose norm is nearest to
    ``norm``. Source: S. Lee et al., 2025, the authors' code.

    Args:
        x: Features of a sparse autoencoder, each times the norm of its decoder row.
        norm: Of the dense input, for each sample; it broadcasts with ``x`` without the axis.
        dim: The feature axis.

    >>> top_afa(torch.tensor([3.0, 2.0, 1.0]), 3.5)
    tensor([3., 2., 0.])
    """
    target = torch.as_tensor(norm, dtype=x.dtype, device=x.device).unsqueeze(dim)
    order = x.square().argsort(dim=dim, descending=True)
    ordered = x.gather(dim, order)
    gap = (ordered.square().cumsum(dim).sqrt() - target).abs()
    ranks = order.argsort(dim=dim)
    return torch.where(ranks <= gap.argmin(dim, keepdim=True), x, torch.zeros_like(x))


class TopK(KnownModule):
    """Keep the k largest features of a function's output and set the others to 0.

    Args:
        k: From 1. Ties at the threshold are kept.
        function: Applied first; None for the identity.
        dim: The feature axis.
        known: The entry of the zoo.

    Raises:
        ZooError: ``k`` is no whole number from 1.
    """

    def __init__(
        self,
        k: float,
        function: torch.nn.Module | None = None,
        dim: int = -1,
        known: Known | None = None,
    ) -> None:
        super().__init__(known)
        if isinstance(k, bool) or k != int(k) or k < 1:
            raise ZooError(f"k must be a whole number from 1, got {k}")
        self.k, self._dim, self.function = int(k), dim, function

    @property
    def formula(self) -> str:
        return f"x where it is one of the {self.k} largest features, else 0"

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        return top_k(x if self.function is None else self.function(x), self.k, self._dim)


class ActivationShaping(KnownModule):
    """ASH-P: set the share p of the features of a sample, the smallest ones, to 0."""

    def __init__(self, known: Known, dim: int) -> None:
        super().__init__(known)
        self._share, self._dim = known.parameters["p"], dim
        if not 0 <= self._share < 1:
            raise ZooError(f"constant 'p' of 'ASH' must be in [0, 1), got {self._share}")

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        count = int(x.shape[self._dim])
        return top_k(x, max(1, count - round(self._share * count)), self._dim)


#: Coefficients of the inverse temperature in the entropy, highest power first.
_TEMPERATURE = (-0.037, 0.481, -2.3, 4.917, -1.791)


def adaptive_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Return softmax at an inverse temperature that is a quartic of the entropy, at least 1."""
    p = x.softmax(dim)
    entropy = -(p * torch.where(p > 0, p, torch.ones_like(p)).log()).sum(dim, keepdim=True)
    theta = torch.zeros_like(entropy)
    for coefficient in _TEMPERATURE:
        theta = theta * entropy + coefficient
    theta = torch.where(entropy > 0.5, theta.clamp(min=1), torch.ones_like(theta))
    return (theta * x).softmax(dim)


def matrix_exponential(x: Tensor, dim: int = -1) -> Tensor:
    """Return the exponential of square matrices in the last two axes; ``dim`` has no effect."""
    exponential: Tensor = torch.linalg.matrix_exp(x)
    return exponential


class PolyNorm(Parametric):
    """The sum of the first three powers, each normalised over the features."""

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int) -> None:
        super().__init__(known, shape)
        self._dim = dim

    def _scaled(self, u: Tensor) -> Tensor:
        return u * (u.square().mean(self._dim, keepdim=True) + 1e-6).rsqrt()

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        p = self.values(x)
        cube, square, line = (self._scaled(x**power) for power in (3, 2, 1))
        return p["w0"] * cube + p["w1"] * square + p["w2"] * line + p["b"]


class Neighbours(Parametric):
    """TMAF, tridiagonal: a feature with the active parts of its neighbours."""

    def __init__(self, known: Known, shape: tuple[int, ...], dim: int) -> None:
        super().__init__(known, shape)
        self._dim = dim

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        p = self.values(x)
        after, before = x.roll(-1, self._dim), x.roll(1, self._dim)
        return p["t1"] * x + p["b"] * after.relu() + p["c"] * before.relu()


class PhaseFlip(KnownModule):
    """Phase-flip chaos, found by AlphaEvolve (A. Vitvitskyi et al., 2026, arXiv 2602.05688)."""

    def __init__(self, known: Known, dim: int) -> None:
        super().__init__(known)
        self._dim = dim

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        assert self.known is not None
        p = self.known.parameters
        u = (x / p["C"]) ** 2
        size = p["beta"] * u * torch.exp(-u / 2)
        wave = (1 + p["gamma_meta"] * u * torch.exp(-u / 1.5)) * size * torch.sin(self._phase(x))
        decay = torch.exp(-((x.abs() / (p["k_decay"] * p["C"])) ** 4))
        turn = p["freq_switch"] * (x / p["C"]) ** p["power_switch"]
        flips = torch.cos(turn + p["A_sw"] * torch.sin(p["freq_sw"] * x / p["C"])) > 0
        signed = torch.where(flips, wave, -wave)
        bounded: Tensor = p["M"] * torch.tanh((decay * x + signed) / p["M"])
        return bounded

    def _phase(self, x: Tensor) -> Tensor:
        assert self.known is not None
        p = self.known.parameters
        before, after = x.roll(1, self._dim), x.roll(-1, self._dim)
        bend = x - 0.5 * (before + after)
        energy = x**2 + 0.25 * (before**2 + after**2) - p["C"] ** 2
        agitated = torch.sigmoid(
            p["k_blend"] * energy / p["C"] ** 2 + p["lap"] * (bend / p["C"]) ** 2
        )
        chirp = p["freq"] * x + p["chirp_k"] * x**2 * torch.sign(x) / p["C"]
        calm = (1 - agitated) * p["A_disrupt"] * torch.sin(p["freq_disrupt"] * x)
        wild = agitated * p["A_agit"] * torch.sin(p["freq_agit"] * x + p["lap"] * bend)
        return chirp + calm + wild + p["coupling"] * (0.5 * before - after) / p["C"]
