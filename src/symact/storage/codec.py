"""Errors as JSON texts, for the database and for workers elsewhere: nine digits of each."""

from __future__ import annotations

import json
import re

import numpy as np
from numpy.typing import NDArray


def to_text(errors: NDArray[np.float64], **more: object) -> str:
    """Return errors as a JSON text, with null for non-finite values (JSON has no NaN)."""
    text = _digits(errors)
    if not np.isfinite(errors).all():
        text = re.sub("-?(nan|inf)", "null", text)
    head = json.dumps({"shape": list(errors.shape), **more})
    return f'{head[:-1]}, "values": [{text}]}}'


def _digits(errors: NDArray[np.float64]) -> str:
    """Return nine digits of each error."""
    return ", ".join(["%.9g"] * errors.size) % tuple(errors.reshape(-1).tolist())


def from_text(text: str) -> NDArray[np.float64]:
    """Return the errors of a text."""
    stored = json.loads(text)
    values = np.array([np.nan if v is None else v for v in stored["values"]], dtype=np.float64)
    return values.reshape(stored["shape"])


def as_stored(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return errors as they come back from the database: with nine digits."""
    values = np.fromstring(_digits(errors), sep=",").reshape(errors.shape)
    values[~np.isfinite(values)] = np.nan
    return values
