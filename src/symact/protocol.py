"""The constants of the judging protocol, each standing once, under one version number.

Every score carries :data:`VERSION`. Change a constant that a judged number depends on, and the
version changes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "0.2"

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


#: Training points of the ridge rung: more than its features, or it would interpolate.
RIDGE_POINTS = 128

#: What ranks best for its cost among some 70 sizes (``symact bench ladder``; docs/speed.md says how
#: far it is from full training). Steps matter most: too short a training favours what fits fast.
MINI = Training(width=16, depth=2, steps=600, points=64, learning_rate=1.5e-2)
FULL = Training(width=64, depth=2, steps=1000, points=TRAIN_POINTS, learning_rate=3e-3)

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

#: A found function may have at most this multiple of the reference's ID error to be called best.
ID_LIMIT = 1.5
