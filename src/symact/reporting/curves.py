"""Best-so-far curves, which compare proposers at an equal budget.

The budget counts trained candidates. The time of the proposer does not count. Errors come from full
training on the search draws, as in the selection of a run. The curves show which proposer improves
faster. :func:`symact.reporting.comparison.compare` shows which function generalises better.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from symact.engine.baselines import penalised_score
from symact.errors import StoreError, SymactError
from symact.reporting.table import shortened
from symact.reporting.text_table import Column, numbers, plain
from symact.storage.repository import open_run
from symact.tasks import scores as stats

#: Characters of a proposer's command in the table.
_LONGEST_PROPOSER = 24


@dataclass(frozen=True, slots=True)
class BestSoFar:
    """The progress of one run.

    Attributes:
        run: The run directory.
        proposer: The proposer of the run.
        task: The task of the run.
        judged: Number of evaluated candidates at each improvement, and at the end.
        ratio: Best penalised OOD error at these points, divided by the OOD error of the reference;
            see :func:`symact.tasks.scores.penalise`.
        formula: Formula of the best candidate at these points, as proposed.
    """

    run: str
    proposer: str
    task: str
    judged: tuple[int, ...]
    ratio: tuple[float, ...]
    formula: tuple[str, ...]


def best_so_far(path: str | Path) -> BestSoFar:
    """Read the progress of a run.

    Raises:
        StoreError: There is no run, or it has no fully trained candidate yet.
    """
    run = open_run(path)
    try:
        config = run.config()
        references = run.references()
        progress = run.progress()
        formulas = {c.id: c.formula for c in run.candidates()}
        highest = run.fidelities()[-1]
    finally:
        run.close()
    if not references or not progress:
        raise StoreError(f"{path}: this run has no fully trained candidate yet")
    reference = references[highest]
    places: list[int] = []
    ratios: list[float] = []
    found: list[str] = []
    for judged, scored in progress:
        ratio = stats.plain(
            penalised_score((scored.ood, scored.id_error), reference) - reference[0]
        )
        if not ratios or ratio < ratios[-1]:
            places.append(judged)
            ratios.append(ratio)
            found.append(formulas[scored.candidate])
    total = progress[-1][0]
    if places[-1] < total:
        places.append(total)
        ratios.append(ratios[-1])
        found.append(found[-1])
    return BestSoFar(
        str(path),
        config.proposer,
        config.task,
        tuple(places),
        tuple(ratios),
        tuple(found),
    )


def curves_report(paths: Sequence[str | Path], out: str | Path) -> tuple[list[BestSoFar], Path]:
    """Draw the progress of runs in one figure and write it as CSV and JSON.

    Args:
        paths: Run directories, all of one task.
        out: The folder for ``curves.svg``, ``curves.png``, ``curves.csv`` and ``curves.json``.
            Existing files are replaced.

    Returns:
        The curves, and the path of the SVG.

    Raises:
        SymactError: There are no runs, or the runs have different tasks.
    """
    from symact.reporting import figures

    if not paths:
        raise SymactError("--curves needs runs; such as: symact compare --curves runs/a runs/b")
    found = [best_so_far(path) for path in dict.fromkeys(map(str, paths))]
    tasks = sorted({one.task for one in found})
    if len(tasks) > 1:
        raise SymactError(f"the runs have different tasks: {', '.join(tasks)}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        figures.curves(found, folder / f"curves.{suffix}")
    (folder / "curves.csv").write_text(to_csv(found), encoding="utf-8")
    document = json.dumps([asdict(one) for one in found], indent=1)
    (folder / "curves.json").write_text(document + "\n", encoding="utf-8")
    return found, folder / "curves.svg"


def to_csv(found: Sequence[BestSoFar]) -> str:
    """Return one line for each improvement of each run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "proposer", "judged", "ratio", "formula"])
    for one in found:
        for row in zip(one.judged, one.ratio, one.formula, strict=True):
            writer.writerow([one.run, one.proposer, *row])
    return out.getvalue()


def to_text(found: Sequence[BestSoFar]) -> str:
    """Return the best ratio of each run at budgets that all runs reached, and at the end."""
    common = min(one.judged[-1] for one in found)
    budgets = sorted({max(1, common // 8), max(1, common // 4), max(1, common // 2), common})
    columns = [Column("run"), Column("proposer"), *numbers(*(f"at {b}" for b in budgets), "end")]
    rows = [
        [
            one.run,
            shortened(one.proposer, _LONGEST_PROPOSER, "..."),
            *(_at(one, budget) for budget in budgets),
            f"{one.ratio[-1]:.3g} ({one.judged[-1]})",
        ]
        for one in found
    ]
    return plain(columns, rows)


def _at(one: BestSoFar, budget: int) -> str:
    reached = [ratio for place, ratio in zip(one.judged, one.ratio, strict=True) if place <= budget]
    return f"{reached[-1]:.3g}" if reached else "-"
