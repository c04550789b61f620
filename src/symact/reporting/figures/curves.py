"""Best so far over the budget, one line for each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from symact.reporting.figures.style import (
    COLOURS,
    DASHES,
    INK,
    end_labels,
    error_axis,
    nothing,
    save,
    short,
    styled,
)


class Progress(Protocol):
    """The data of a line, as :class:`symact.reporting.curves.BestSoFar` holds them."""

    @property
    def run(self) -> str: ...

    @property
    def proposer(self) -> str: ...

    @property
    def judged(self) -> tuple[int, ...]: ...

    @property
    def ratio(self) -> tuple[float, ...]: ...


def curves(runs: Sequence[Progress], path: Path) -> None:
    """Draw the best ratio so far over judged candidates; one colour for each proposer.

    Args:
        runs: Lines to draw.
        path: Where to write, ``.svg`` or ``.png``.
    """
    kinds = list(dict.fromkeys(run.proposer for run in runs))
    with styled((6.6, 3.6)) as figure:
        axes = figure.add_axes((0.095, 0.13, 0.62, 0.83))
        ends = []
        turns = dict.fromkeys(kinds, 0)
        for run in runs:
            colour = COLOURS[kinds.index(run.proposer) % len(COLOURS)]
            dash = DASHES[turns[run.proposer] % len(DASHES)]
            turns[run.proposer] += 1
            axes.step(run.judged, run.ratio, where="post", color=colour, linestyle=dash, lw=1.4)
            label = short(f"{run.proposer.split(':')[0]}: {Path(run.run).name}", 26)
            ends.append((float(run.judged[-1]), float(run.ratio[-1]), label, colour))
        if not runs:
            nothing(axes)
            save(figure, path)
            return
        values = np.concatenate([run.ratio for run in runs])
        error_axis(axes, min(values.min(), 0.95) / 1.1, max(values.max(), 1.05) * 1.1)
        axes.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xscale("log")
        first = max(1, min(run.judged[0] for run in runs))
        axes.set_xlim(first, max(first + 1, *(run.judged[-1] for run in runs)))
        axes.set_xlabel("judged candidates")
        axes.set_ylabel("best OOD error so far, relative to GELU (search draws)")
        axes.grid(axis="y", color="#ececec", linewidth=0.6)
        end_labels(axes, ends)
        save(figure, path)
