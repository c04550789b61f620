"""The constants of protocol 2.0: a population of settings instead of one.

``docs/protocol.md`` explains the values. A *cell* is a target family, an initialisation and an
architecture. All functions see the same networks, weights and points in each cell. Every score
carries :data:`VERSION`. A change of a constant that affects scores requires a new version.
:mod:`symact.tasks.protocol` has the constants of protocol 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symact.tasks.protocol import HELD_OUT_POINTS, Training

VERSION = "2.0"

#: The reference function of all relative errors.
REFERENCE = "GELU"

#: How weights are drawn: torch's default, Keras' default, JAX' default, and the usual one of
#: convolutional networks.
INITIALISATIONS = ("torch", "glorot", "lecun", "he")

#: The first held-out points choose the learning rate. The others measure the ID error.
VALIDATION_POINTS = HELD_OUT_POINTS // 2

#: Limits of normalised errors. Below the first, predictions are exact for any use. Above the
#: second, they are useless. NaN and infinity become the worst error.
BEST_ERROR = 1e-6
WORST_ERROR = 1e3


@dataclass(frozen=True, slots=True)
class Architecture:
    """The kind of a network.

    Attributes:
        name: The name, such as ``"plain-3"``.
        depth: The number of hidden layers, or of residual blocks.
        residual: Whether it has residual blocks with LayerNorm.
    """

    name: str
    depth: int
    residual: bool = False


ARCHITECTURES = (
    Architecture("plain-2", 2),
    Architecture("plain-3", 3),
    Architecture("plain-4", 4),
    Architecture("residual-2", 2, residual=True),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """An initialisation and an architecture, by their indices.

    A setting and a family are a cell.

    Attributes:
        initialisation: The index in :data:`INITIALISATIONS`.
        architecture: The index in :data:`ARCHITECTURES`.
    """

    initialisation: int
    architecture: int

    @property
    def name(self) -> str:
        """The name, such as ``"he, plain-3"``."""
        architecture = ARCHITECTURES[self.architecture].name
        return f"{INITIALISATIONS[self.initialisation]}, {architecture}"


#: All settings.
SETTINGS = tuple(
    Setting(initialisation, architecture)
    for initialisation in range(len(INITIALISATIONS))
    for architecture in range(len(ARCHITECTURES))
)


@dataclass(frozen=True, slots=True)
class PopulationForm:
    """The extent of an evaluation by protocol 2.0.

    Attributes:
        name: The name of the form.
        families: The number of generated families.
        cells: The number of cells of a family: a divisor of the number of settings.
        instances: The number of instances of a family. The cells of a family take them in turn.
        width: The number of units of a hidden layer.
        steps: The number of optimiser steps.
        points: The number of training points.
        judged_points: The number of validation points, ID points and points of each shell.
        rates: The learning rates. The rate of a network is chosen by the error on the validation
            points.
    """

    name: str
    families: int
    cells: int
    instances: int
    width: int
    steps: int
    points: int
    judged_points: int
    rates: tuple[float, ...]

    @property
    def version(self) -> str:
        """The version of its scores. Scores of different versions are not comparable."""
        if self == FULL:
            return VERSION
        whole = FORMS.get(self.name)
        fewer = "" if whole is None or whole.families == self.families else f"-{self.families}"
        return f"{VERSION}-{self.name}{fewer}"

    def training(self, setting: Setting, rate: float) -> Training:
        """Return the training of the networks of a setting."""
        architecture = ARCHITECTURES[setting.architecture]
        return Training(
            self.width,
            architecture.depth,
            self.steps,
            self.points,
            rate,
            initialisation=INITIALISATIONS[setting.initialisation],
            residual=architecture.residual,
        )

    def settings_of(self, family: int) -> tuple[Setting, ...]:
        """Return the settings of a family.

        A form with fewer cells than settings takes them by chance, so that no kind of family has
        settings of its own. Successive cells of a family differ in initialisation and
        architecture, and 16 successive families have all settings equally often.

        Args:
            family: The index of the family.
        """
        if self.cells == len(SETTINGS):
            return SETTINGS
        first = SETTINGS[_shuffled(family // len(SETTINGS))[family % len(SETTINGS)]]
        return tuple(
            Setting(
                (first.initialisation + cell) % len(INITIALISATIONS),
                (first.architecture + cell) % len(ARCHITECTURES),
            )
            for cell in range(self.cells)
        )

    def instance_of(self, family: int, setting: Setting) -> int:
        """Return the index of the instance of a cell.

        With four instances, each occurs once with each initialisation and each architecture.
        """
        return (setting.initialisation + setting.architecture + family) % self.instances


def _shuffled(block: int) -> list[int]:
    """Return the order of the settings in a block of 16 families."""
    order = np.random.Generator(np.random.PCG64([2, block])).permutation(len(SETTINGS))
    return [int(index) for index in order]


#: The complete form.
FULL = PopulationForm(
    name="full",
    families=96,
    cells=16,
    instances=4,
    width=32,
    steps=600,
    points=128,
    judged_points=128,
    rates=(3e-3, 1e-2, 3e-2),
)

#: The short form: the same families, fewer cells, shorter trainings of smaller networks.
QUICK = replace(FULL, name="quick", cells=4, width=24, steps=400, points=64)

FORMS = {form.name: form for form in (FULL, QUICK)}


def _networks(rates: tuple[float, ...]) -> tuple[Training, ...]:
    """Return the trainings of all settings of the quick form, at all rates."""
    return tuple(QUICK.training(setting, rate) for rate in rates for setting in SETTINGS)


#: The networks of a search: every setting at two rates.
SEARCHED = _networks((1e-2, 3e-2))
#: The networks of finalists: every setting. The rates of the protocol are weighted by ID error.
JUDGED = _networks((1e-2,))
