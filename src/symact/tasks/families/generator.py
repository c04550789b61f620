"""The generator of families: strata in turn, disjoint splits, boxes, noise, and tasks.

A template belongs to the split that a hash of its key selects (:attr:`Family.key`). A proposal of
another split is drawn again. All arrays are functions of the arguments by PCG64 streams and
SHA-256.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from symact.errors import TaskError, choices
from symact.tasks.families import formulas
from symact.tasks.families.form import is_linear
from symact.tasks.families.systems import dynamical
from symact.tasks.families.teachers import teacher
from symact.tasks.families.template import Box, Sketch, Template
from symact.tasks.instance import Raw, Source, is_usable, standardise
from symact.tasks.registry import Task, whole_number
from symact.tasks.synthetic import on_box

#: The splits of families. No search, tuning or choice reads ``confirmation``; it serves final
#: claims only.
FAMILY_SPLITS = ("search", "selection", "test", "confirmation")

#: The largest standard deviation of the targets of a shell, in training standard deviations. An
#: instance above it is drawn again: its normalised error would measure one cliff.
MAX_GROWTH = 100.0

#: One family in ``NOISE_PERIOD`` of each stratum has noise. Its standard deviation, as a share of
#: that of the training targets, is log-uniform on ``NOISE``.
NOISE_PERIOD = 3
NOISE = (0.01, 0.1)

#: The numbers of the random streams of templates and of instances. No task family has them.
_TEMPLATE_STREAM = 16
_INSTANCE_STREAM = 17

#: The number of templates drawn for a family, how many of them may not repeat an earlier form of
#: the split, and the number of trial instances that a template must pass, of all that are drawn.
_ATTEMPTS = 2000
_FRESH_ATTEMPTS = 200
_TRIALS = (3, 6)

#: The probability of one to six inputs.
_INPUTS = (0.22, 0.3, 0.2, 0.13, 0.09, 0.06)

#: The range of the scale of an input, log-uniform.
_SCALES = (0.3, 3.0)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A family of regression targets: a template whose constants each instance draws.

    Attributes:
        name: The stratum and the number, such as ``"rational-03"``. It is unique in its split.
        stratum: One of :data:`STRATA`.
        split: One of :data:`FAMILY_SPLITS`.
        number: The number of the family in its split, from 0.
        box: The training range.
        noise: The standard deviation of the noise on the training targets, as a share of theirs.
        template: The formula, its form and its constants.
    """

    name: str
    stratum: str
    split: str
    number: int
    box: Box
    noise: float
    template: Template = field(repr=False)

    @property
    def inputs(self) -> int:
        """The number of inputs, from 1 to 6."""
        return self.box.inputs

    @property
    def formula(self) -> str:
        """The formula over inputs ``x1``, ``x2``, ... and named constants."""
        return self.template.formula

    @property
    def key(self) -> str:
        """The text that assigns the template to a split.

        It is the form of the template (:func:`~symact.tasks.families.form.form_of`). Linear
        templates have few forms. Their key adds the number of inputs, the range and the noise.
        """
        form = self.template.form
        if self.stratum != "linear":
            return form
        kind = "centred" if self.box.centred else "one-sided"
        return f"{form}, {self.inputs} inputs, {kind} range, {'noise' if self.noise else 'exact'}"

    def source(self) -> Source:
        """Return the generator of the instances of this family."""
        return Source(
            self.name, self._draw, growth_limit=MAX_GROWTH, advice="choose other families"
        )

    def _draw(self, split: str, seed: int, index: int, attempt: int) -> Raw:
        """Draw the constants and the points of an instance."""
        own, drawn = FAMILY_SPLITS.index(self.split), FAMILY_SPLITS.index(split)
        rng = _stream(_INSTANCE_STREAM, own, self.number, drawn, index, attempt, seed)
        function = self.template.draw(rng)
        low, high = np.array(self.box.low), np.array(self.box.high)
        raw = on_box(f"{split}-{index}", function, low, high, rng, centred=self.box.centred)
        if not self.noise:
            return raw
        noise = self.noise * raw.y_train.std() * rng.standard_normal(raw.y_train.shape)
        return raw._replace(y_train=raw.y_train + noise)


def population(split: str, count: int = 64, *, first: int = 0) -> Task:
    """Return generated families as a task.

    :meth:`Task.draw` accepts all splits of :data:`FAMILY_SPLITS`. Its split selects constants and
    points, not families: ``population("search").draw("test")`` has new instances of the families of
    the search. Instances of different splits never share a random stream. A claim about new
    families needs ``population("test").draw("test")``.

    Noise is only on training targets. Held-out points and shells are exact.

    Args:
        split: One of :data:`FAMILY_SPLITS`. No two splits share a template.
        count: The number of families, at least 1.
        first: The number of the first family. Families do not depend on ``count`` and ``first``.

    Raises:
        TaskError: The split is unknown, a number is out of range, or a family cannot be drawn.

    Example:
        >>> task = population("search", 3)
        >>> task.families
        ('linear-00', 'piecewise-01', 'polynomial-02')
        >>> task.draw("search", per_family=1)[2].name
        'polynomial-02/search-0'
    """
    found = families(split, count, first=first)
    sources = tuple(family.source() for family in found)
    return Task(f"families-{split}", sources, splits=FAMILY_SPLITS)


def families(split: str, count: int = 64, *, first: int = 0) -> tuple[Family, ...]:
    """Return the families of :func:`population` with their formulas.

    Args:
        split: One of :data:`FAMILY_SPLITS`.
        count: The number of families, at least 1.
        first: The number of the first family.

    Raises:
        TaskError: As for :func:`population`.

    Example:
        >>> families("search", 1)[0].formula
        'c1*x2 + c2'
    """
    if split not in FAMILY_SPLITS:
        raise TaskError(f"unknown split '{split}'; {choices(split, FAMILY_SPLITS)}")
    count, first = whole_number("count", count, 1), whole_number("first", first, 0)
    return tuple(nth_family(split, number) for number in range(first, first + count))


def _stream(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


@cache
def nth_family(split: str, number: int) -> Family:
    """Draw templates until one belongs to the split, is new and can be drawn."""
    stratum = tuple(STRATA)[number % len(STRATA)]
    earlier = {nth_family(split, n).key for n in range(number % len(STRATA), number, len(STRATA))}
    for attempt in range(_ATTEMPTS):
        family = _proposed(stratum, split, number, attempt)
        is_new = attempt >= _FRESH_ATTEMPTS or family.key not in earlier
        if is_new and _belongs(family) and _is_drawable(family):
            return family
    raise TaskError(
        f"family '{stratum}-{number:02d}' of split '{split}': no usable template in {_ATTEMPTS} "
        "draws; choose other families"
    )


def _belongs(family: Family) -> bool:
    """Whether the key of a family assigns it to its split, and its form to its stratum."""
    digest = hashlib.sha256(family.key.encode()).digest()
    own = FAMILY_SPLITS[int.from_bytes(digest[:8], "big") % len(FAMILY_SPLITS)]
    return own == family.split and is_linear(family.template.form) == (family.stratum == "linear")


def _is_drawable(family: Family) -> bool:
    """Whether at least half of a few trial instances are usable."""
    needed, trials = _TRIALS
    source, last = family.source(), 2**32 - 1  # no instance has this index
    drawn = (source.draw(family.split, 0, last, trial) for trial in range(trials))
    usable = (raw for raw in drawn if is_usable(standardise(source, raw), MAX_GROWTH))
    return len(list(itertools.islice(usable, needed))) == needed


def _proposed(stratum: str, split: str, number: int, attempt: int) -> Family:
    rng = _stream(_TEMPLATE_STREAM, FAMILY_SPLITS.index(split), number, attempt)
    place, lap = number % len(STRATA), number // len(STRATA)
    level = float(np.exp(rng.uniform(*np.log(NOISE))))
    noise = level if (place + lap) % NOISE_PERIOD == 0 else 0.0
    box, template = STRATA[stratum](rng)
    return Family(f"{stratum}-{number:02d}", stratum, split, number, box, noise, template)


def _box(rng: np.random.Generator, least: int) -> Box:
    """Draw a centred box, or a one-sided box of positive inputs. Scales differ in half of them."""
    weights = np.array(_INPUTS[least - 1 :])
    inputs = int(rng.choice(np.arange(least, len(_INPUTS) + 1), p=weights / weights.sum()))
    low_scale, high_scale = np.log(_SCALES)
    size = inputs if rng.random() < 0.5 else 1
    scale = np.broadcast_to(np.exp(rng.uniform(low_scale, high_scale, size)), inputs)
    if rng.random() < 0.5:
        return Box.between(-scale, scale, centred=True)
    low = scale * rng.uniform(0.3, 1.0, inputs)
    return Box.between(low, low + scale * rng.uniform(1.0, 3.0, inputs), centred=False)


def _written(write: formulas.Part, least: int = 1) -> Callable[..., tuple[Box, Template]]:
    """Return the stratum of templates that a function writes."""

    def drawn(rng: np.random.Generator) -> tuple[Box, Template]:
        sketch = Sketch(rng, _box(rng, least))
        inputs: Sequence[int] = range(sketch.box.inputs)
        used = inputs if sketch.chance(0.8) else sketch.some(inputs, least)
        return sketch.box, sketch.template(write(sketch, used))

    return drawn


def _teacher(rng: np.random.Generator) -> tuple[Box, Template]:
    sketch = Sketch(rng, _box(rng, 1))
    return sketch.box, teacher(sketch)


def _dynamical(rng: np.random.Generator) -> tuple[Box, Template]:
    return dynamical(Sketch(rng, Box((), (), centred=True)))


#: The strata, in the order of the numbers of families.
STRATA: dict[str, Callable[[np.random.Generator], tuple[Box, Template]]] = {
    "linear": _written(formulas.linear),
    "piecewise": _written(formulas.piecewise),
    "polynomial": _written(formulas.polynomial),
    "rational": _written(formulas.rational),
    "exponential": _written(formulas.exponential),
    "periodic": _written(formulas.periodic),
    "saturating": _written(formulas.saturating),
    "multiplicative": _written(formulas.multiplicative, least=2),
    "norm": _written(formulas.norm, least=2),
    "teacher": _teacher,
    "dynamical": _dynamical,
    "mixed": _written(formulas.mixed),
}
