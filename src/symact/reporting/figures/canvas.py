"""Import matplotlib for any value of ``MPLBACKEND``.

Notebooks set ``MPLBACKEND`` to their own backend, also for the commands that they start. Where
that backend is not installed, ``import matplotlib`` fails. Figures here are drawn on an Agg canvas
and need no backend, so this module hides the variable during the import. A valid backend takes
effect afterwards, as the user's process expects.
"""

from __future__ import annotations

import contextlib
import os
import sys

_VARIABLE = "MPLBACKEND"


def _import_matplotlib() -> None:
    if "matplotlib" in sys.modules:  # the user's process has chosen its backend
        return
    wanted = os.environ.pop(_VARIABLE, None)
    try:
        import matplotlib
    finally:
        if wanted is not None:
            os.environ[_VARIABLE] = wanted
    if wanted:
        with contextlib.suppress(ValueError):  # it is not installed
            matplotlib.rcParams["backend"] = wanted


_import_matplotlib()
