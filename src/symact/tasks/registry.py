"""The task: a name and the families it draws from."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import index as as_integer

from numpy.typing import ArrayLike

from symact.errors import TaskError, choices
from symact.tasks.arrays import arrays_source
from symact.tasks.digits import DIGITS
from symact.tasks.feynman import FEYNMAN
from symact.tasks.instance import Instance, Source, instance
from symact.tasks.protocol import SPLITS
from symact.tasks.synthetic import HARMONIC, POLYNOMIAL


@dataclass(frozen=True, slots=True)
class Task:
    """What candidates are judged on.

    Attributes:
        name: The name, as :func:`task` takes it or :meth:`from_arrays` was given it.
    """

    name: str
    _sources: tuple[Source, ...] = field(repr=False)

    @property
    def families(self) -> tuple[str, ...]:
        """The families that instances are aggregated by, in the order they are drawn."""
        return tuple(source.family for source in self._sources)

    def draw(self, split: str, *, seed: int = 0, per_family: int = 8) -> tuple[Instance, ...]:
        """Draw instances, family by family; a pure function of its arguments.

        No two splits share a random function, an equation, an image or a row that errors are
        measured on, whatever the seeds. A smaller ``per_family`` gives the first instances of
        each family of a larger one.

        Args:
            split: ``"search"``, ``"selection"`` or ``"test"``.
            seed: At least 0. Only the search varies it.
            per_family: Instances of each family, at least 1.

        Raises:
            TaskError: An unknown split, a seed or number out of range.
        """
        if split not in SPLITS:
            raise TaskError(f"unknown split '{split}'; {choices(split, SPLITS)}")
        first, many = _whole("seed", seed, 0), _whole("per_family", per_family, 1)
        return tuple(
            instance(source, split, first, index)
            for source in self._sources
            for index in range(many)
        )

    @staticmethod
    def from_arrays(
        X_train: ArrayLike,
        y_train: ArrayLike,
        X_ood: ArrayLike,
        y_ood: ArrayLike,
        *,
        name: str = "arrays",
    ) -> Task:
        """Make a task of one's own measurements, with one family that is called ``name``.

        Which row serves in which split is fixed by the rows, whatever the seed. Of the distinct
        rows of ``X_train`` five eighths are trained on, in all splits; the rest is held out, a
        third in each split. The rows of ``X_ood`` are ranked by how far they leave the training
        range and cut into thirds: near, middle, far; each third is dealt to the three splits.
        An instance takes a random subset, at most four fifths, of its split's rows and repeats
        it where it has fewer rows than the protocol has points.

        Args:
            X_train: Inputs ``[row, feature]`` or ``[row]``; at least 64 distinct rows.
            y_train: Targets ``[row]`` or ``[row, output]``.
            X_ood: Inputs outside the training distribution, with as many features; at least 72
                distinct rows.
            y_ood: Their targets, with as many outputs.
            name: What reports call it.

        Raises:
            TaskError: Arrays that do not fit each other, are too few, not finite or constant.
        """
        return Task(name, (arrays_source(X_train, y_train, X_ood, y_ood, name),))


def _whole(name: str, value: int, least: int) -> int:
    try:
        whole = as_integer(value)
    except TypeError:
        raise TaskError(f"{name} must be a whole number, got {value!r}") from None
    if whole < least:
        raise TaskError(f"{name} must be at least {least}, got {whole}")
    return whole


_BUILT_IN: dict[str, tuple[tuple[Source, ...], str]] = {
    "ood-suite": (
        (POLYNOMIAL, HARMONIC, FEYNMAN),
        "Polynomials, sums of sines and Feynman equations, measured out to twice the training "
        "range.",
    ),
    "polynomial": (
        (POLYNOMIAL,),
        "Random cubic polynomials of two variables on [-1, 1], measured out to 2.",
    ),
    "harmonic": (
        (HARMONIC,),
        "Random sums of three sines on [-pi, pi], measured out to 2 pi.",
    ),
    "feynman": (
        (FEYNMAN,),
        "Equations of the Feynman Lectures on parts of their published ranges, measured out to "
        "twice their width.",
    ),
    "digits": (
        (DIGITS,),
        "Handwritten digits (8 by 8 pixels), measured under corruptions of three severities.",
    ),
}

#: The names that :func:`task` knows, the default first.
TASKS: tuple[str, ...] = tuple(_BUILT_IN)


def task(name: str) -> Task:
    """Return a built-in task.

    Raises:
        TaskError: No task of that name.
    """
    return Task(name, _built_in(name)[0])


def describe(name: str) -> str:
    """Return one sentence about a built-in task.

    Raises:
        TaskError: No task of that name.
    """
    return _built_in(name)[1]


def _built_in(name: str) -> tuple[tuple[Source, ...], str]:
    if name not in _BUILT_IN:
        raise TaskError(f"unknown task '{name}'; {choices(name, TASKS)}")
    return _BUILT_IN[name]
