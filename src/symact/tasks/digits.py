"""Handwritten digits under corruptions of rising severity: the one task with real inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from symact.tasks.instance import FloatArray, Raw, Source, stream
from symact.tasks.protocol import HELD_OUT_POINTS, SHELL_POINTS, SHELLS, SPLITS, TRAIN_POINTS

#: The number of the random streams; no other family has it.
_DIGITS_STREAM = 3

_SIDE = 8
_CLASSES = 10

#: Pixels that hardly vary in training would make any corruption look enormous, so no input is
#: divided by less than this (pixels lie in [0, 1]).
_PIXEL_FLOOR = 0.1

#: The index of the stream that orders a split's corruptions; no instance has it.
_ORDER = 2**32 - 1

assert HELD_OUT_POINTS == SHELL_POINTS  # the shells are the held-out images, corrupted


def _gaussian_noise(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    return images + 0.15 * severity * rng.standard_normal(images.shape)


def _salt_and_pepper(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    hit = rng.random(images.shape) < 0.08 * severity
    return np.where(hit, rng.integers(2, size=images.shape), images)


def _dropout(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    return np.where(rng.random(images.shape) < 0.15 * severity, 0.0, images)


def _contrast(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    mean: FloatArray = images.mean(axis=(1, 2), keepdims=True)
    return mean + (images - mean) * (1.0 - 0.25 * severity)


def _brightness(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    return images + 0.2 * severity


def _blur(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    offsets = np.subtract.outer(np.arange(_SIDE), np.arange(_SIDE))
    kernel = np.exp(-0.5 * (offsets / (0.4 * severity)) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    return np.asarray(kernel @ images @ kernel.T)


def _shift(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    angle = rng.uniform(0.0, 2 * math.pi, len(images))[:, None, None]
    rows, columns = np.indices((_SIDE, _SIDE))
    reach = 0.6 * severity
    return _sampled(images, rows + reach * np.sin(angle), columns + reach * np.cos(angle))


def _rotation(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    sign = rng.choice((-1.0, 1.0), size=len(images))[:, None, None]
    angle = sign * math.radians(15.0 * severity)
    centre = (_SIDE - 1) / 2
    rows, columns = np.indices((_SIDE, _SIDE)) - centre
    turned = (
        np.cos(angle) * rows - np.sin(angle) * columns + centre,
        np.sin(angle) * rows + np.cos(angle) * columns + centre,
    )
    return _sampled(images, *turned)


def _occlusion(images: FloatArray, severity: int, rng: np.random.Generator) -> FloatArray:
    corner = rng.random((len(images), 2, 1, 1)) * (_SIDE - severity)
    inside = (np.indices((_SIDE, _SIDE)) >= np.floor(corner)) & (
        np.indices((_SIDE, _SIDE)) <= np.floor(corner) + severity
    )
    return np.where(inside.all(axis=1), 0.5, images)


def _sampled(images: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Read ``images [image, row, column]`` between pixels, bilinearly; outside is 0."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    which = np.arange(len(images))[:, None, None]
    top, left = (np.clip(place + 1, 0, _SIDE + 1) for place in (rows, columns))
    row, column = (np.minimum(place.astype(int), _SIDE) for place in (top, left))
    down, right = top - row, left - column
    upper = framed[which, row, column] * (1 - right) + framed[which, row, column + 1] * right
    row = row + 1
    lower = framed[which, row, column] * (1 - right) + framed[which, row, column + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


Corruption = Callable[[FloatArray, int, np.random.Generator], FloatArray]

#: ``(images [image, row, column], severity 1 to 3, stream)`` to images; each split has one
#: pixelwise, one photometric and one spatial kind of its own.
CORRUPTIONS: dict[str, dict[str, Corruption]] = {
    "search": {"gaussian-noise": _gaussian_noise, "contrast": _contrast, "shift": _shift},
    "selection": {
        "salt-and-pepper": _salt_and_pepper,
        "brightness": _brightness,
        "occlusion": _occlusion,
    },
    "test": {"pixel-dropout": _dropout, "blur": _blur, "rotation": _rotation},
}


@lru_cache(maxsize=1)
def _images() -> tuple[FloatArray, FloatArray]:
    """Return images in [0, 1] ``[image, row, column]`` and one-hot targets, in a fixed mix."""
    from sklearn.datasets import load_digits  # has no stubs

    bunch = load_digits()
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(bunch.images))
    images = np.asarray(bunch.images, dtype=np.float64)[order] / 16.0
    return images, np.eye(_CLASSES)[np.asarray(bunch.target)[order]]


def _digits(split: str, seed: int, index: int, attempt: int) -> Raw:
    """Draw images of a split; its shells are the held-out images, corrupted in one way."""
    images, targets = (part[SPLITS.index(split) :: len(SPLITS)] for part in _images())
    kinds = list(CORRUPTIONS[split])
    order = stream(_DIGITS_STREAM, split, seed, _ORDER).permutation(len(kinds))
    kind = kinds[order[index % len(kinds)]]
    rng = stream(_DIGITS_STREAM, split, seed, index, attempt)
    chosen = rng.permutation(len(images))
    train, held_out = np.split(chosen[: TRAIN_POINTS + HELD_OUT_POINTS], [TRAIN_POINTS])
    noise = int(rng.integers(2**32))

    def corrupted(severity: int) -> FloatArray:
        # One stream for all severities: what is hit stays hit, only harder.
        same = np.random.Generator(np.random.PCG64(noise))
        changed = CORRUPTIONS[split][kind](images[held_out], severity, same)
        return np.clip(changed, 0.0, 1.0).reshape(len(held_out), -1)

    lap = index // len(kinds)
    return Raw(
        f"{kind}-{lap + 1}" if lap else kind,
        images[train].reshape(len(train), -1),
        targets[train],
        images[held_out].reshape(len(held_out), -1),
        targets[held_out],
        np.stack([corrupted(severity) for severity in range(1, len(SHELLS) + 1)]),
        np.stack([targets[held_out]] * len(SHELLS)),
    )


DIGITS = Source("digits", _digits, input_floor=_PIXEL_FLOOR)
