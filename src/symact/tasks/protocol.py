"""The constants of the judging protocol, each standing once, under one version number.

Every score carries :data:`VERSION`; ``docs/protocol.md`` gives the reasons. Change a constant that
a judged number depends on, and the version changes with it. What only the search uses, to find its
way to the judge, has a version of its own, :data:`LADDER`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

VERSION = "1.0"
LADDER = "6"

SPLITS = ("search", "selection", "test")
SHELLS = ("near", "middle", "far")

#: Points of one instance: training, held out in distribution, and in each OOD shell.
TRAIN_POINTS = 256
HELD_OUT_POINTS = 256
SHELL_POINTS = 256

#: Normalised errors are clipped here before their logarithm; NaN and infinity count as the worst.
WORST_ERROR = 1e6
BEST_ERROR = 1e-8


@dataclass(frozen=True, slots=True)
class Training:
    """How one network is trained: an MLP with equal hidden layers, full-batch Adam.

    Attributes:
        width: Units of a hidden layer.
        depth: Hidden layers.
        steps: Optimiser steps.
        points: Training points used (the first ones of the instance).
        learning_rate: Its maximum; it decays to zero along half a cosine.
    """

    width: int
    depth: int
    steps: int
    points: int
    learning_rate: float


#: The two rungs of a search. Instances of a family take the networks of a rung in turn: two sizes
#: for the price of one, so that ``x**2``, which solves polynomials with two layers and diverges
#: with three, is seen for what it is. Mini-training: many instances in short trainings at a large
#: rate rank as the whole protocol does for the least cost. Full training: a wide deep network
#: breaks what bends too early, which no small one shows (docs/search.md).
MINI = tuple(
    Training(width=24, depth=depth, steps=400, points=64, learning_rate=5e-2) for depth in (2, 3)
)
FULL = tuple(
    Training(width=width, depth=depth, steps=1000, points=128, learning_rate=3e-2)
    for width, depth in ((32, 2), (64, 3))
)
#: Full training nearer to the judge, as an alternative (``as_judged``): all its sizes, and two of
#: its learning rates. It lets each function have, for each size, the rate with the lower error in
#: distribution; with the larger one of these errors far out are some three times as high. What
#: counts is the mean over which of them it would take: their shares follow from the difference of
#: their errors in distribution, in units of so many decades.
FULL_AS_JUDGED = tuple(
    Training(width=width, depth=depth, steps=1000, points=128, learning_rate=3e-2)
    for width, depth in ((32, 2), (64, 2), (32, 3), (64, 3))
)
FULL_RATES = (3e-2, 1e-1)
RATE_DOUBT = 0.07
#: On both rungs an instance counts by its error over the reference's, at most a factor of ten
#: either way: no function shall live on a few tasks that it happens to solve.
CLIP = 1.0
#: Each draw of a rung is easy or hard in its own way. It is told by what these lose or gain on it,
#: so that scores from several draws can be compared.
ANCHORS = ("GELU", "SiLU", "Mish", "tanh")


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """The networks, tasks and seeds that functions are evaluated with.

    Attributes:
        name: Name of the protocol.
        sizes: The networks: ``(width, depth)`` of the hidden layers.
        rates: Learning rates. If there are several, each function gets for each size the one with
            the lowest error held out *in distribution*, on selection draws.
        tuning: Instances of a family for the choice of the learning rate.
        per_family: Instances of a family for the evaluation.
        seeds: Training seeds of each instance and size.
        steps: Optimiser steps.
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
        """The version that its scores carry; scores of two versions are never mixed."""
        return VERSION if self.name == "full" else f"{VERSION}-{self.name}"

    def training(self, size: int, rate: float) -> Training:
        """Return the training of networks of a size, given by its index, at a learning rate."""
        width, depth = self.sizes[size]
        return Training(width, depth, self.steps, TRAIN_POINTS, rate)


#: The protocol itself.
FULL_FORM = EvaluationProtocol(
    name="full",
    sizes=((32, 2), (64, 2), (32, 3), (64, 3)),
    rates=(3e-3, 1e-2, 3e-2, 1e-1),
    tuning=4,
    per_family=16,
    seeds=2,
    steps=1000,
)

#: What ``symact search`` ends with: one size, one learning rate, half of the tasks.
QUICK_FORM = EvaluationProtocol(
    name="quick",
    sizes=((32, 3),),
    rates=(3e-2,),
    tuning=0,
    per_family=8,
    seeds=2,
    steps=1000,
)

#: How the finalists of a search are judged, on selection draws: as the protocol does, with half of
#: the tasks, one seed and fewer rates to choose from.
SELECTION_FORM = EvaluationProtocol(
    name="selection",
    sizes=FULL_FORM.sizes,
    rates=(3e-2, 1e-1),
    tuning=2,
    per_family=8,
    seeds=1,
    steps=1000,
)

#: The same with all tasks that the protocol chooses rates on: it will take the same ones.
TUNED_FORM = replace(SELECTION_FORM, name="tuned", tuning=FULL_FORM.tuning)

FORMS = {form.name: form for form in (FULL_FORM, QUICK_FORM)}


def __getattr__(name: str) -> Any:
    if name == "Form":
        warnings.warn("Form is now EvaluationProtocol", DeprecationWarning, stacklevel=2)
        return EvaluationProtocol
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


#: The function every ratio is to.
REFERENCE = "GELU"

#: The classics and the published language-model functions that found ones stand beside.
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

#: On the rungs of a search the limit is lower: over twelve functions the ratio of ID errors rose by
#: 1.22 from full training on search draws to a judgement on selection draws (docs/search.md).
RUNG_ID_LIMIT = 0.8
#: A found function may have at most this multiple of the reference's ID error to be called best.
ID_LIMIT = 1.0
