"""Tasks and the registry of built-in tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from operator import index as as_integer

from numpy.typing import ArrayLike

from symact.errors import TaskError, choices
from symact.tasks.arrays import arrays_source, shifted_sources
from symact.tasks.digits import DIGITS
from symact.tasks.feynman import FEYNMAN
from symact.tasks.instance import Instance, Raw, Source, instance
from symact.tasks.protocol import SPLITS
from symact.tasks.synthetic import HARMONIC, POLYNOMIAL


@dataclass(frozen=True, slots=True)
class Task:
    """A set of families of regression problems on which candidates are evaluated.

    Attributes:
        name: The name of the task.
        splits: The splits that :meth:`draw` accepts. A task for claims has ``"test"`` only.
    """

    name: str
    _sources: tuple[Source, ...] = field(repr=False)
    splits: tuple[str, ...] = field(default=SPLITS, repr=False)

    @property
    def families(self) -> tuple[str, ...]:
        """The names of the families, in the order of :meth:`draw`."""
        return tuple(source.family for source in self._sources)

    def draw(self, split: str, *, seed: int = 0, per_family: int = 8) -> tuple[Instance, ...]:
        """Draw instances, family by family. The result is a pure function of the arguments.

        For any seeds, no two splits share a random function, an equation, an image or a row on
        which errors are measured. A smaller ``per_family`` returns the first instances of each
        family.

        Args:
            split: One of :attr:`splits`: ``"search"``, ``"selection"`` or ``"test"``.
            seed: The seed, at least 0. Only the search varies it.
            per_family: The number of instances of each family, at least 1.

        Raises:
            TaskError: The split is unknown or not one of the task, or a number is out of range.

        Example:
            >>> first, *_ = task("polynomial").draw("search", per_family=2)
            >>> first.name, first.x_train.shape, first.x_ood.shape
            ('polynomial/search-0', (256, 2), (3, 256, 2))
        """
        if split not in self.splits:
            raise TaskError(
                f"task '{self.name}': unknown split '{split}'; {choices(split, self.splits)}"
            )
        seed = whole_number("seed", seed, 0)
        per_family = whole_number("per_family", per_family, 1)
        return tuple(
            instance(source, split, seed, index)
            for source in self._sources
            for index in range(per_family)
        )

    def by_instance(self, split: str, count: int) -> Task:
        """Return a task in which each of the first instances of a draw is a family.

        A statistic over families then describes new draws of this task.

        Args:
            split: One of :attr:`splits`. The families are the instances of this split, seed 0.
            count: The number of instances, rounded up to a multiple of the number of families.

        Raises:
            TaskError: The split is unknown, ``count`` is below 1, or an instance cannot be drawn.

        Example:
            >>> task("polynomial").by_instance("test", 2).families
            ('polynomial/test-0', 'polynomial/test-1')
        """
        count = whole_number("count", count, 1)
        per_family = -(-count // len(self._sources))
        drawn = self.draw(split, per_family=per_family)
        own = [(source, index) for source in self._sources for index in range(per_family)]
        sources = tuple(
            replace(source, family=found.name, draw=partial(_redrawn, source, split, index))
            for (source, index), found in zip(own, drawn, strict=True)
        )
        return Task(self.name, sources, splits=(split,))

    @staticmethod
    def from_arrays(
        X_train: ArrayLike,
        y_train: ArrayLike,
        X_ood: ArrayLike | None = None,
        y_ood: ArrayLike | None = None,
        *,
        name: str = "arrays",
    ) -> Task:
        """Make a task from measured data. The task has one family, called ``name``.

        Without ``X_ood`` and ``y_ood`` the task has one family for each pseudo-shift: networks are
        trained on an inner part of the training rows and measured on the outer part. At least 240
        distinct rows are needed. See :func:`symact.tasks.shifts.pseudo_shifts`.

        The assignment of rows to splits depends only on the rows, not on a seed:

        - Five eighths of the distinct rows of ``X_train`` are the training rows of all splits.
          Each split holds out a third of the other rows.
        - The rows of ``X_ood`` are sorted by their distance from the training range and divided
          into three shells: near, middle and far. Each split gets a third of each shell.

        An instance uses a random subset of at most four fifths of these rows. Rows are repeated if
        there are fewer than the protocol needs.

        Args:
            X_train: Inputs ``[row, feature]`` or ``[row]``, at least 64 distinct rows.
            y_train: Targets ``[row]`` or ``[row, output]``.
            X_ood: Inputs outside the training distribution, at least 72 distinct rows, with the
                features of ``X_train``.
            y_ood: Targets of ``X_ood``, with the outputs of ``y_train``.
            name: The name of the task and of its family; not that of a built-in task.

        Raises:
            TaskError: The arrays do not match, have too few rows, or are not finite or constant;
                or a built-in task has the name.

        Example:
            >>> import numpy as np
            >>> x, far = np.linspace(-1, 1, 100), np.linspace(1.1, 2, 100)
            >>> mine = Task.from_arrays(x, np.sin(3 * x), far, np.sin(3 * far), name="sine")
            >>> mine.draw("test", per_family=1)[0].name
            'sine/test-0'
        """
        if name in TASKS:
            raise TaskError(f"'{name}' is the name of a built-in task; choose another name")
        if X_ood is None and y_ood is None:
            return Task(name, shifted_sources(X_train, y_train, name))
        if X_ood is None or y_ood is None:
            missing = "X_ood" if X_ood is None else "y_ood"
            raise TaskError(f"{missing} is missing; give both X_ood and y_ood, or neither")
        return Task(name, (arrays_source(X_train, y_train, X_ood, y_ood, name),))


def _redrawn(
    source: Source, drawn: str, place: int, _: str, seed: int, __: int, attempt: int
) -> Raw:
    """Draw the instance of a split and a place, whatever split and index are asked for."""
    return source.draw(drawn, seed, place, attempt)


def whole_number(name: str, value: int, least: int) -> int:
    """Return an argument as an integer.

    Raises:
        TaskError: The value is not a whole number or is below ``least``.
    """
    try:
        number = as_integer(value)
    except TypeError:
        raise TaskError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise TaskError(f"{name} must be at least {least}, got {number}")
    return number


#: The task whose instances come from all generated families, see :mod:`.families.generalist`.
GENERALIST = "generalist"
#: The task of protocol 1.0.
OOD_SUITE = "ood-suite"


def _strata() -> tuple[Source, ...]:
    # Imported here because the families are tasks themselves.
    from symact.tasks.families.generalist import strata

    return strata()


#: The sources of each task, or a function that returns them, and a description.
_BUILT_IN: dict[str, tuple[tuple[Source, ...] | Callable[[], tuple[Source, ...]], str]] = {
    GENERALIST: (
        _strata,
        "Generated targets of twelve kinds, with the networks of protocol 2.0: four "
        "initialisations and four architectures.",
    ),
    OOD_SUITE: (
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

#: The names of the built-in tasks, the default first.
TASKS: tuple[str, ...] = tuple(_BUILT_IN)


def task(name: str) -> Task:
    """Return a built-in task.

    Args:
        name: One of :data:`TASKS`.

    Raises:
        TaskError: The name is unknown.

    Example:
        >>> task("ood-suite").families
        ('polynomial', 'harmonic', 'feynman')
    """
    sources = _built_in(name)[0]
    return Task(name, sources() if callable(sources) else sources)


def describe(name: str) -> str:
    """Return a description of a built-in task in one sentence.

    Raises:
        TaskError: The name is unknown.
    """
    return _built_in(name)[1]


def _built_in(name: str) -> tuple[tuple[Source, ...] | Callable[[], tuple[Source, ...]], str]:
    if name not in _BUILT_IN:
        raise TaskError(f"unknown task '{name}'; {choices(name, TASKS)}")
    return _BUILT_IN[name]
