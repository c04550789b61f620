"""Errors as JSON texts, for the database and for workers elsewhere: nine digits of each."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray


def to_text(errors: NDArray[np.float64], **more: object) -> str:
    """Return errors as a JSON text, with null for what is not finite (JSON has no NaN)."""
    flat = errors.reshape(-1)
    texts = (",".join(["%.9g"] * len(flat)) % tuple(flat.tolist())).split(",") if len(flat) else []
    for place in np.flatnonzero(~np.isfinite(flat)):
        texts[place] = "null"
    head = json.dumps({"shape": list(errors.shape), **more})
    return f'{head[:-1]}, "values": [{", ".join(texts)}]}}'


def from_text(text: str) -> NDArray[np.float64]:
    """Return the errors of a text."""
    stored = json.loads(text)
    values = np.array([np.nan if v is None else v for v in stored["values"]], dtype=np.float64)
    return values.reshape(stored["shape"])
