"""Functions that choose at random in training and are one fixed function at inference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from symact.zoo.catalogue import Known
from symact.zoo.modules.base import KnownModule

# The finaliser of SplitMix64 (G. Steele et al., 2014) in signed 64-bit arithmetic, which wraps.
_GAMMA, _MIX_1, _MIX_2 = (
    value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shift right without copies of the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mixed(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * _MIX_1
    z = (z ^ _shifted(z, 27)) * _MIX_2
    return z ^ _shifted(z, 31)


class Stochastic(KnownModule):
    """Chooses at random in training and is one fixed function at inference.

    The numbers are a function of the seed, of the count of calls in training and of the place in
    the tensor. Seed and count are buffers, so that ``state_dict`` keeps them, and the module can
    be compiled, copied and pickled.

    In training each call changes the count. Transforms such as ``torch.func.grad`` allow that for
    no module (``BatchNorm`` is refused too); use ``eval()`` or ``settle()`` there.

    Args:
        known: The entry.
        seed: Of the choices.

    Attributes:
        settled: Whether training uses the fixed function too; a buffer.
    """

    settled: Tensor
    _seed: Tensor
    _calls: Tensor

    def __init__(self, known: Known, seed: int) -> None:
        super().__init__(known)
        self.register_buffer("settled", torch.tensor(False))
        self.register_buffer("_seed", torch.tensor(seed % 2**63))
        self.register_buffer("_calls", torch.tensor(0))

    def settle(self) -> None:
        """Use the fixed function in training too, so that late training matches inference."""
        self.settled.fill_(True)

    def draw(self, x: Tensor, uniform: Tensor) -> Tensor:
        """Return what training applies; ``uniform`` holds a number in [0, 1) for each element."""
        raise NotImplementedError

    def fixed(self, x: Tensor) -> Tensor:
        """Return what inference applies."""
        raise NotImplementedError

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        if not self.training:
            return self.fixed(x)
        chosen = self.draw(x, self._uniform(x))
        return torch.where(self.settled, self.fixed(x), chosen)

    def _uniform(self, x: Tensor) -> Tensor:
        stream = _mixed(_mixed(self._seed + _GAMMA) + self._calls * _GAMMA)
        self._calls.add_(1)
        places = torch.arange(x.numel(), device=x.device).view(x.shape)
        bits = _shifted(_mixed(stream + places * _GAMMA), 40)  # 24: all that float32 resolves
        return bits.to(x.dtype) * 2.0**-24

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # Earlier versions stored nothing.
        for name, own in self.named_buffers(recurse=False):
            state_dict.setdefault(prefix + name, own)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class RandomLeaky(Stochastic):
    """RReLU: the slope on the left is uniform in [lo, hi]."""

    def __init__(self, known: Known, seed: int) -> None:
        super().__init__(known, seed)
        self._low, self._high = known.parameters["lo"], known.parameters["hi"]

    def draw(self, x: Tensor, uniform: Tensor) -> Tensor:
        return torch.where(x > 0, x, (self._low + (self._high - self._low) * uniform) * x)

    def fixed(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, (self._low + self._high) / 2 * x)


class RandomChoice(Stochastic):
    """S|R: ReLU with probability p, else SiLU; ReLU at inference."""

    def __init__(self, known: Known, seed: int) -> None:
        super().__init__(known, seed)
        self._share = known.parameters["p"]

    def draw(self, x: Tensor, uniform: Tensor) -> Tensor:
        return torch.where(uniform < self._share, x.relu(), nn.functional.silu(x))

    def fixed(self, x: Tensor) -> Tensor:
        return x.relu()
