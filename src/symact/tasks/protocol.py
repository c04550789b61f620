"""The constants of the evaluation protocol.

``docs/protocol.md`` explains their values. Every score carries :data:`VERSION`. A change of a
constant that affects final scores requires a new version. Constants that only affect the search
have a separate version, :data:`LADDER`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

VERSION = "1.0"
LADDER = "7"

SPLITS = ("search", "selection", "test")
SHELLS = ("near", "middle", "far")

#: The number of points of an instance: training, held out, and in each OOD shell.
TRAIN_POINTS = 256
HELD_OUT_POINTS = 256
SHELL_POINTS = 256

#: Limits of normalised errors. NaN and infinity become the worst error.
WORST_ERROR = 1e6
BEST_ERROR = 1e-8


@dataclass(frozen=True, slots=True)
class Training:
    """The training of one network with full-batch Adam.

    A plain network is an MLP with equal hidden layers. A residual network computes
    ``h = W0 x + b0``, then for each block ``h = h + W2 f(W1 LayerNorm(h) + b1) + b2``, and the
    outputs ``W3 h + b3``. ``LayerNorm`` is over the units, with epsilon 1e-5, without gain and
    offset.

    Attributes:
        width: The number of units of a hidden layer, or of ``h``.
        depth: The number of hidden layers, or of blocks of a residual network.
        steps: The number of optimiser steps.
        points: The number of training points, taken from the start of the instance.
        learning_rate: The initial learning rate. It decays to zero along half a cosine.
        initialisation: The name of the distribution of the initial weights, see
            :data:`symact.evaluation.training.initialisation.INITIALISATIONS`.
        residual: Whether the network is residual.
    """

    width: int
    depth: int
    steps: int
    points: int
    learning_rate: float
    initialisation: str = "torch"
    residual: bool = False


#: The judge chooses the learning rate with the lower ID error. The finals of a search average over
#: the rates, with weights by the probability of that choice. This is the scale of the weights: a
#: difference of ID errors, in log10.
RATE_DOUBT = 0.07
#: The largest absolute log10 of the error of an instance relative to the reference, at both
#: fidelities. A few instances therefore cannot dominate a score.
CLIP = 1.0
#: Baselines that normalise scores across draws, because draws differ in difficulty.
BASELINES = ("GELU", "SiLU", "Mish", "tanh")


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """The networks, instances and seeds of an evaluation.

    Attributes:
        name: The name of the protocol.
        sizes: ``(width, depth)`` of the hidden layers of each network.
        rates: The learning rates. If there are several, the rate with the lowest held-out
            in-distribution error on validation draws is used, for each function and size.
        tuning: The number of instances of a family for the choice of the learning rate.
        per_family: The number of instances of a family for the evaluation.
        seeds: The number of training seeds for each instance and size.
        steps: The number of optimiser steps.
    """

    name: str
    sizes: tuple[tuple[int, int], ...]
    rates: tuple[float, ...]
    tuning: int
    per_family: int
    seeds: int
    steps: int

    @property
    def version(self) -> str:
        """The version of its scores. Scores of different versions are not comparable."""
        return VERSION if self.name == "full" else f"{VERSION}-{self.name}"

    def training(self, size: int, rate: float) -> Training:
        """Return the training of a network, given the index of its size and a learning rate."""
        width, depth = self.sizes[size]
        return Training(width, depth, self.steps, TRAIN_POINTS, rate)


#: The complete protocol.
FULL_FORM = EvaluationProtocol(
    name="full",
    sizes=((32, 2), (64, 2), (32, 3), (64, 3)),
    rates=(3e-3, 1e-2, 3e-2, 1e-1),
    tuning=4,
    per_family=16,
    seeds=2,
    steps=1000,
)

#: The final evaluation of ``symact search``: one size, one learning rate, half of the tasks.
QUICK_FORM = EvaluationProtocol(
    name="quick",
    sizes=((32, 3),),
    rates=(3e-2,),
    tuning=0,
    per_family=8,
    seeds=2,
    steps=1000,
)

FORMS = {form.name: form for form in (FULL_FORM, QUICK_FORM)}


_EARLIER_NAMES = {
    "ANCHORS": "BASELINES",
    "Form": "EvaluationProtocol",
    "RUNG_ID_LIMIT": "SEARCH_ID_LIMIT",
}


def __getattr__(name: str) -> Any:
    if name in _EARLIER_NAMES:
        present = _EARLIER_NAMES[name]
        warnings.warn(f"{name} is now {present}", DeprecationWarning, stacklevel=2)
        return globals()[present]
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


#: The reference function of all relative errors.
REFERENCE = "GELU"

#: The known functions that reports compare with found functions.
COMPARED = (
    "ReLU",
    "GELU",
    "SiLU",
    "tanh",
    "Mish",
    "Snake",
    "sin",
    "GELUSine",
    "GELU-Sinc-Perturbation",
    "GMTU",
    "Turbulent",
)

#: The largest ID error of the best function, relative to the reference.
ID_LIMIT = 1.0
#: The limit at the fidelities of a search. It is lower, because the relative ID error of twelve
#: functions rose by a factor of 1.22 from full training to the evaluation of finalists
#: (docs/search.md).
SEARCH_ID_LIMIT = 0.8
