"""The file of judgements: one line for each function and form, appended when it is measured.

A line is written in one piece and flushed to the disk. A command that is killed loses at most the
function that it was training. A line that was cut off is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.errors import StoreError
from symact.evaluation.cells import CellErrors
from symact.tasks.protocol2 import VERSION

#: Significant digits of stored errors. The result that is returned is the one that is stored.
_DIGITS = 5


@dataclass(frozen=True, eq=False)
class Judgement:
    """The errors of one function in the cells of a form.

    Attributes:
        name: Name of the function.
        key: Formula, or digest of a module, see :class:`.Competitor`.
        version: Version of the scores, see :class:`.PopulationForm`.
        population: Digest of the families and the form.
        errors: ``[family, cell, 4]``: ID, near, middle and far; NaN where a network diverged.
        rates: Learning rates, ``[family, cell]``.
        seconds: Time that the training took.
    """

    name: str
    key: str
    version: str
    population: str
    errors: NDArray[np.float64]
    rates: NDArray[np.float64]
    seconds: float

    @classmethod
    def of(
        cls, name: str, key: str, version: str, population: str, found: CellErrors, seconds: float
    ) -> Judgement:
        """Return a judgement with its numbers rounded as they are stored."""
        errors = _rounded(found.errors)
        return cls(name, key, version, population, errors, found.rates, round(seconds, 2))


class Judgements:
    """The judgements in a file of JSON lines.

    Args:
        path: The file, which need not exist. None keeps the judgements in memory.
        others: Further files to read.

    Raises:
        StoreError: A file cannot be read, or has judgements by another protocol.
    """

    def __init__(self, path: Path | None, others: Sequence[Path] = ()) -> None:
        self._path = path
        read = [*others, *([] if path is None else [path])]
        self._known = {(own.key, own.population): own for file in read for own in _read(file)}

    def __iter__(self) -> Iterator[Judgement]:
        """Iterate over all judgements, in the order of the files."""
        return iter(self._known.values())

    def get(self, key: str, population: str) -> Judgement | None:
        """Return the judgement of a function, if there is one."""
        return self._known.get((key, population))

    def offer(self, judgements: Iterable[Judgement]) -> None:
        """Take judgements for functions that have none here. They are not written to the file."""
        for own in judgements:
            self._known.setdefault((own.key, own.population), own)

    def prepare(self) -> None:
        """Make the file, before a training whose result could not be stored.

        Raises:
            StoreError: The file cannot be written.
        """
        if self._path is not None:
            _append(self._path, b"")

    def add(self, judgement: Judgement) -> None:
        """Append a judgement.

        Raises:
            StoreError: The file cannot be written.
        """
        if self._path is not None:
            _append(self._path, json.dumps(to_dict(judgement)).encode() + b"\n")
        self._known[judgement.key, judgement.population] = judgement


def _append(path: Path, line: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            # A line that was cut off must not swallow this one.
            is_cut = file.tell() > 0 and not _ends_a_line(path)
            file.write((b"\n" if is_cut and line else b"") + line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from None


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _read(path: Path) -> Iterator[Judgement]:
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(lines, 1):
        try:
            found = from_dict(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
        if str(found.version).partition("-")[0] != VERSION:
            raise StoreError(
                f"{path}: line {number} is a judgement by protocol {found.version}, not {VERSION}; "
                "choose another folder"
            )
        yield found


def to_dict(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as values that JSON can hold."""
    return {
        "name": judgement.name,
        "key": judgement.key,
        "version": judgement.version,
        "population": judgement.population,
        "shape": judgement.errors.shape,
        "errors": [None if np.isnan(e) else float(e) for e in judgement.errors.reshape(-1)],
        "rates": [None if np.isnan(r) else float(r) for r in judgement.rates.reshape(-1)],
        "seconds": judgement.seconds,
    }


def from_dict(stored: dict[str, Any]) -> Judgement:
    """Return the judgement that :func:`to_dict` was called on.

    Raises:
        ValueError, KeyError, TypeError: It is none.
    """
    shape = tuple(stored["shape"])
    return Judgement(
        name=stored["name"],
        key=stored["key"],
        version=stored["version"],
        population=stored["population"],
        errors=np.array(stored["errors"], dtype=np.float64).reshape(shape),
        rates=np.array(stored["rates"], dtype=np.float64).reshape(shape[:2]),
        seconds=stored["seconds"],
    )


def _rounded(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    shown = [f"{value:.{_DIGITS}g}" for value in errors.reshape(-1)]
    return np.array(shown, dtype=np.float64).reshape(errors.shape)
