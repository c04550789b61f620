"""Distributions of the initial weights and biases of a layer, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from symact.errors import SymactError, choices

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]
#: Function of ``(rng, fan_in, fan_out)`` that returns weights [fan_out, fan_in] and biases
#: [fan_out].
Initialiser = Callable[[np.random.Generator, int, int], Layer]


def _torch(rng: np.random.Generator, fan_in: int, fan_out: int) -> Layer:
    bound = fan_in**-0.5
    weights = rng.uniform(-bound, bound, (fan_out, fan_in))
    return weights, rng.uniform(-bound, bound, fan_out)


def _glorot(rng: np.random.Generator, fan_in: int, fan_out: int) -> Layer:
    bound = (6 / (fan_in + fan_out)) ** 0.5
    return rng.uniform(-bound, bound, (fan_out, fan_in)), np.zeros(fan_out)


def _normal(rng: np.random.Generator, fan_in: int, fan_out: int, *, gain: float) -> Layer:
    return rng.normal(0.0, (gain / fan_in) ** 0.5, (fan_out, fan_in)), np.zeros(fan_out)


#: The initialisations by name.
#:
#: ========  ==================================================  ==============================
#: name      weights                                             biases
#: ========  ==================================================  ==============================
#: torch     uniform within 1/sqrt(fan_in)                       uniform within 1/sqrt(fan_in)
#: glorot    uniform within sqrt(6/(fan_in + fan_out))           0
#: lecun     normal with variance 1/fan_in                       0
#: he        normal with variance 2/fan_in                       0
#: ========  ==================================================  ==============================
#:
#: Sources: ``torch.nn.Linear``; X. Glorot and Y. Bengio, "Understanding the difficulty of training
#: deep feedforward neural networks", 2010; Y. LeCun et al., "Efficient BackProp", 1998; K. He et
#: al., "Delving deep into rectifiers", 2015.
INITIALISATIONS: dict[str, Initialiser] = {
    "torch": _torch,
    "glorot": _glorot,
    "lecun": functools.partial(_normal, gain=1.0),
    "he": functools.partial(_normal, gain=2.0),
}


def initialiser(name: str) -> Initialiser:
    """Return an initialisation of :data:`INITIALISATIONS`.

    Raises:
        SymactError: The name is unknown.

    >>> weights, biases = initialiser("he")(np.random.default_rng(0), 3, 5)
    >>> weights.shape, biases.shape
    ((5, 3), (5,))
    """
    if name not in INITIALISATIONS:
        hint = choices(name, INITIALISATIONS)
        raise SymactError(f"unknown initialisation '{name}'; {hint}")
    return INITIALISATIONS[name]
