"""Measure how far judgements by protocol 2.0 agree: halves of families, settings, forms.

``python benchmarks/stability.py FOLDER [FOLDER]`` reads the judgements of ``symact leaderboard``.
With a second folder, of ``symact leaderboard --full``, it also compares the two forms. It prints
tables in Markdown. Functions of batch statistics are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.atlas.board import population_digest
from symact.atlas.judgements import Judgements
from symact.evaluation.cells import CellJudge
from symact.evaluation.hierarchy import families_needed, halves_agree, ood
from symact.evaluation.statistics import spearman
from symact.reporting.competitors import Competitor, of_zoo
from symact.tasks.families import population
from symact.tasks.protocol2 import ARCHITECTURES, FORMS, INITIALISATIONS, REFERENCE, Setting

Floats = NDArray[np.float64]
_SIZES = (6, 12, 24, 48)
#: Number of the best functions that are also looked at alone: among all, poor ones are easily told.
_BEST = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("quick", type=Path, help="the folder of the quick form")
    parser.add_argument("full", type=Path, nargs="?", help="the folder of the full form")
    asked = parser.parse_args()
    judge, names, differences, seconds = judged(asked.quick, "quick")
    lines = [f"{len(names)} pointwise functions by the quick form.", ""]
    lines += _halves(differences) + _variance(differences)
    lines += _settings(judge, differences) + _kinds(judge, names, differences)
    lines += ["| | s |", "|---|---:|", f"| a function, median | {np.median(seconds):.0f} |", ""]
    if asked.full is not None:
        lines += _forms(names, differences, *judged(asked.full, "full")[1:])
    print("\n".join(lines))


def judged(folder: Path, form: str) -> tuple[CellJudge, list[str], Floats, Floats]:
    """Return the pointwise functions that were judged.

    Args:
        folder: The folder of the leaderboard.
        form: The form.

    Returns:
        The judge, the names, log10 ratios to the reference ``[function, family, cell]`` and the
        seconds ``[function]`` that a judgement took.
    """
    asked = FORMS[form]
    judge = CellJudge(population("test", asked.families), asked)
    store, digest = Judgements(folder / "judgements.jsonl"), population_digest(judge)
    found = {}
    for own in _pointwise():
        known = store.get(own.key, digest)
        if known is not None:
            found[own.name] = known
    errors = np.stack([ood(own.errors) for own in found.values()])
    differences = errors - errors[list(found).index(REFERENCE)]
    return judge, list(found), differences, np.array([own.seconds for own in found.values()])


def _pointwise() -> list[Competitor]:
    return [of_zoo(own) for own in zoo.catalogue() if own.kind == "pointwise"]


def _halves(differences: Floats) -> list[str]:
    """Return the agreement of judgements on disjoint sets of families."""
    best = differences[differences.mean(axis=(1, 2)).argsort()[:_BEST]]
    lines = [
        f"| families in each half | Spearman, all functions [5%, 95%] | the best {_BEST} |",
        "|---:|---:|---:|",
    ]
    for size in _SIZES:
        cells = []
        for own in (differences, best):
            found = halves_agree(own, size)
            cells.append(f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]")
        lines.append(f"| {size} | {cells[0]} | {cells[1]} |")
    needed = [
        families_needed(halves_agree(own, _SIZES[-1]).median, _SIZES[-1])
        for own in (differences, best)
    ]
    return [*lines, f"| for 0.9 (Spearman-Brown) | {needed[0]:.0f} | {needed[1]:.0f} |", ""]


def _variance(differences: Floats) -> list[str]:
    """Return the shares of variance: function, function x family, and the rest."""
    best = differences[differences.mean(axis=(1, 2)).argsort()[:_BEST]]
    lines = [f"| part | share of variance | of the best {_BEST} |", "|---|---:|---:|"]
    whole, few = _shares(differences), _shares(best)
    lines += [f"| {name} | {whole[name]:.0%} | {few[name]:.0%} |" for name in whole]
    return [*lines, ""]


def _shares(differences: Floats) -> dict[str, float]:
    centred = differences - differences.mean(axis=0)
    functions = centred.mean(axis=(1, 2))
    families = centred.mean(axis=2) - functions[:, None]
    rest = centred - centred.mean(axis=2, keepdims=True)
    parts = {
        "function": np.square(functions).mean(),
        "function x family": np.square(families).mean(),
        "function x cell, rest": np.square(rest).mean(),
    }
    total = sum(parts.values())
    return {name: float(value / total) for name, value in parts.items()}


def _settings(judge: CellJudge, differences: Floats) -> list[str]:
    """Return how far the rankings of single settings agree with those of all others."""
    lines = ["| cells | Spearman with the other cells |", "|---|---:|"]
    names = [own.name for own in ARCHITECTURES]
    groups = [(f"initialisation {name}", 0, i) for i, name in enumerate(INITIALISATIONS)]
    groups += [(f"architecture {name}", 1, i) for i, name in enumerate(names)]
    for name, place, index in groups:
        inside = np.array([[_is(own, place, index) for own in row] for row in judge.settings])
        here = differences[:, inside].mean(axis=1)
        there = differences[:, ~inside].mean(axis=1)
        lines.append(f"| {name} | {spearman(here, there) or 0:.2f} |")
    return [*lines, ""]


def _kinds(judge: CellJudge, names: Sequence[str], differences: Floats) -> list[str]:
    """Return the best functions in each kind of families, with their ratios to the reference."""
    kinds = np.array([name.partition("-")[0] for name in judge.families])
    lines = ["| families | the best three |", "|---|---|"]
    for kind in dict.fromkeys(kinds):
        means = differences[:, kinds == kind].mean(axis=(1, 2))
        best = [f"{names[i]} {10 ** means[i]:.2f}" for i in means.argsort()[:3]]
        lines.append(f"| {kind} | {', '.join(best)} |")
    return [*lines, ""]


def _is(setting: Setting, place: int, index: int) -> bool:
    return (setting.initialisation, setting.architecture)[place] == index


def _forms(
    names: Sequence[str], quick: Floats, full_names: Sequence[str], full: Floats, seconds: Floats
) -> list[str]:
    """Return the agreement of the quick form with the full one over the functions of both."""
    both = [name for name in full_names if name in names]
    here = quick[[names.index(name) for name in both]].mean(axis=(1, 2))
    there = full[[full_names.index(name) for name in both]].mean(axis=(1, 2))
    return [
        "| forms | |",
        "|---|---:|",
        f"| functions by both forms | {len(both)} |",
        f"| Spearman of quick and full | {spearman(here, there) or 0:.2f} |",
        f"| a function by the full form, median, s | {np.median(seconds):.0f} |",
    ]


if __name__ == "__main__":
    main()
