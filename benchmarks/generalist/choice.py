"""Measure how well a search chooses among its best trials.

``python benchmarks/generalist/choice.py RUN`` judges the finalists of a finished run by the quick
form of protocol 2.0, on 96 templates of the split ``search`` that no search draws from. It prints
the rank correlation of this judgement with each measurement of the search and with all of them
pooled, and the regret of each choice: the judged OOD error of the chosen finalist over that of the
best one. The results are in ``benchmarks/results/generalist/choice``. Without runs it prints the
table of the stored results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from contest import RESULTS
from numpy.typing import NDArray
from scipy.stats import spearmanr

from symact import zoo
from symact.evaluation.cells import CellJudge
from symact.evaluation.hierarchy import ood
from symact.expr import parse
from symact.storage.repository import Repository, open_run
from symact.tasks import scores as stats
from symact.tasks.families import population
from symact.tasks.protocol2 import QUICK, REFERENCE

FOLDER = RESULTS / "generalist" / "choice"
#: The first template that no search draws from. Searches use eight of each stratum.
FIRST = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*", help="finished runs")
    for run in parser.parse_args().runs:
        found = measured(run)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{run.name}.json").write_text(json.dumps(found) + "\n")
    print(report([json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]))


def measured(path: Path) -> dict:
    """Judge the finalists of a run; return what the search measured of them beside it."""
    run = open_run(path)
    selected = run.selected()
    assert selected is not None, f"{path} has no finalists; finish the run"
    formulas = run.simplified()
    rows = {"id": list(selected.ids), "formula": [formulas[i] for i in selected.ids]}
    rows |= {name: list(own) for name, own in _measurements(run, selected.ids).items()}
    run.close()
    judge = CellJudge(population("search", QUICK.families, first=FIRST), QUICK)
    reference = ood(judge.judge([zoo.find(REFERENCE).expr])[0].errors)
    judged = []
    for formula in rows["formula"]:
        above = ood(judge.judge([parse(formula)])[0].errors) - reference
        judged.append(float(above.mean()))
        print(f"{10 ** judged[-1]:.3f}", formula, flush=True)
    return rows | {"judged": judged}


def _measurements(run: Repository, ids: tuple[int, ...]) -> Mapping[str, NDArray[np.float64]]:
    """Return OOD errors above the reference's, in log10, of each finalist."""
    references, repeated, selected = run.references(), run.repeated(), run.selected()
    found = {}
    for name, reference in references.items():
        scores = {own.candidate: own.ood for own in run.scores(name)}
        found[name] = np.array([scores.get(i, np.nan) - reference[0] for i in ids])
    highest = list(references)[-1]
    found["all draws"] = np.array(
        [repeated.get(i, (np.nan, 0.0))[0] - references[highest][0] for i in ids]
    )
    validated = {own.candidate: own for own in run.scores("selection")}
    scores = [stats.score(validated[i].errors, selected.reference.families) for i in ids]
    found["validation"] = np.array([own.ood - selected.reference.ood for own in scores])
    return found


def report(runs: list[dict]) -> str:
    """Return the table of correlations and regrets, medians over runs."""
    lines = ["| measurement | Spearman | regret |", "|---|---:|---:|"]
    for name in ("mini", "full", "all draws", "validation", "pooled"):
        pairs = [_quality(run, name) for run in runs]
        correlation, regret = np.median(pairs, axis=0)
        lines.append(f"| {name} | {correlation:.2f} | {regret:.3f} |")
    return "\n".join(lines)


def _quality(run: dict, name: str) -> tuple[float, float]:
    truth = np.array(run["judged"])
    if name == "pooled":
        measured = (np.array(run["all draws"]) + np.array(run["validation"])) / 2
    else:
        measured = np.array(run[name])
    chosen = truth[int(np.nanargmin(measured))]
    correlation = spearmanr(measured, truth, nan_policy="omit")[0]
    return float(correlation), float(10 ** (chosen - truth.min()))


if __name__ == "__main__":
    main()
