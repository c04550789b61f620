"""A small table that tests of recommendations share."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def written(path: Path) -> Path:
    """Write a CSV file of 60 rows: the inputs ``a`` and ``b``, and the target ``y``."""
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    rows = np.column_stack([x, x[:, 0] ** 2 + x[:, 1]])
    np.savetxt(path, rows, delimiter=",", header="a,b,y", comments="")
    return path
