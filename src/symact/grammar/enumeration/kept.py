"""Storage of the expressions of an enumeration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The default for the largest number of expressions of a size whose values stay in memory. Values
#: of a larger size are computed when they are needed.
MOST_STORED = 100_000


@dataclass(frozen=True, eq=False)
class Level:
    """The expressions of one size: groups, numbers of arguments, masks and values.

    ``children`` is int32 [expression, 3]. ``values`` is [expression, point], or None if values are
    computed when needed.
    """

    first: int
    group: NDArray[np.int16]
    children: NDArray[np.int32]
    mask: NDArray[np.int64]
    values: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.mask)


class Made:
    """The expressions of the size that is being enumerated.

    Args:
        first: The number of the first one.
        most_stored: The largest number of expressions whose values stay in memory.
    """

    def __init__(self, first: int, most_stored: int) -> None:
        self.first = first
        self._most_stored = most_stored
        self._groups: list[NDArray[np.int16]] = []
        self._children: list[NDArray[np.int32]] = []
        self._masks: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] | None = []
        self._count = 0
        self._level: Level | None = None

    def stores(self, more: int, points: int) -> bool:
        """Whether to keep the values of ``more`` additional expressions in memory."""
        self._count += more
        if self._count > self._most_stored:
            self._values = None
        return self._values is not None

    def add(
        self,
        group: int,
        children: Sequence[NDArray[np.int32]],
        masks: NDArray[np.int64],
        values: NDArray[np.float64] | None,
    ) -> None:
        rows = np.zeros((len(masks), 3), dtype=np.int32)
        for column, own in enumerate(children):
            rows[:, column] = own
        self._level = None
        self._groups.append(np.full(len(masks), group, dtype=np.int16))
        self._children.append(rows)
        self._masks.append(masks)
        if values is not None and self._values is not None:
            self._values.append(values)

    def level(self) -> Level:
        """Return the current expressions."""
        if self._level is None:
            group, children, mask = empty()
            self._level = Level(
                self.first,
                np.concatenate([group, *self._groups]),
                np.concatenate([children, *self._children]),
                np.concatenate([mask, *self._masks]),
                np.concatenate(self._values) if self._values else None,
            )
        return self._level


class Seen:
    """The keys of all values so far, with the types of their expressions.

    Recent keys are in a dictionary and all others in a sorted array. This takes half the memory of
    a single dictionary.
    """

    def __init__(self) -> None:
        self._keys = np.empty(0, dtype=np.uint64)
        self._masks = np.empty(0, dtype=np.int64)
        self._recent: dict[int, int] = {}

    def add(
        self, keys: NDArray[np.uint64], masks: NDArray[np.int64], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of keys that are new for some type, and the masks of these types."""
        old = np.zeros(len(keys), dtype=np.int64)
        if len(self._keys):
            at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            old = np.where(self._keys[at] == keys, self._masks[at], 0)
        fresh: list[int] = []
        new: list[int] = []
        left = masks & ~old
        for i in np.flatnonzero(left).tolist():
            key = int(keys[i])
            known = self._recent.get(key, 0)
            mask = int(left[i]) & ~known
            if mask:
                if len(fresh) >= most:
                    break
                self._recent[key] = known | mask
                fresh.append(i)
                new.append(mask)
        if len(self._recent) > max(100_000, len(self._keys) // 8):
            self._settle()
        return np.array(fresh, dtype=np.int64), np.array(new, dtype=np.int64)

    def _settle(self) -> None:
        count = len(self._recent)
        keys = np.fromiter(self._recent.keys(), dtype=np.uint64, count=count)
        masks = np.fromiter(self._recent.values(), dtype=np.int64, count=count)
        keys, masks = np.concatenate([self._keys, keys]), np.concatenate([self._masks, masks])
        order = np.argsort(keys, kind="stable")
        keys, masks = keys[order], masks[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        self._keys, self._masks = keys[starts], np.bitwise_or.reduceat(masks, starts)
        self._recent = {}


def empty() -> tuple[NDArray[np.int16], NDArray[np.int32], NDArray[np.int64]]:
    """Return empty arrays of productions, arguments and sizes."""
    return (
        np.empty(0, dtype=np.int16),
        np.empty((0, 3), dtype=np.int32),
        np.empty(0, dtype=np.int64),
    )


def runs(children: NDArray[np.int32], levels: Sequence[Level]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of the rows, grouped by the sizes of their arguments."""
    firsts = np.array([level.first for level in levels])
    sizes = np.searchsorted(firsts, children, side="right")
    _, codes = np.unique(sizes, axis=0, return_inverse=True)
    for code in range(int(codes.max()) + 1):
        yield np.flatnonzero(codes.reshape(-1) == code)
