"""Compare judged functions with one of them, paired by cells.

``python benchmarks/generalist/pairs.py FOLDER NAME`` reads the judgements of ``symact compare`` or
``symact leaderboard`` in the quick form, and prints the OOD error of each function relative to the
named one: the geometric mean over families and cells, with the 95% interval of the hierarchical
bootstrap, and the means over the cells of each initialisation and architecture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from symact.atlas.board import JUDGEMENTS
from symact.atlas.judgements import Judgements
from symact.evaluation import hierarchy
from symact.tasks.protocol2 import ARCHITECTURES, INITIALISATIONS, QUICK

FAMILIES = range(QUICK.families)


def main(folder: str, name: str) -> None:
    judged = Judgements(Path(folder) / JUDGEMENTS)
    errors = {own.name: hierarchy.ood(own.errors) for own in judged}
    if name not in errors:
        raise SystemExit(f"{folder}: no judgement of '{name}'; it has {', '.join(errors)}")
    kinds = {
        own: np.array([[own in s.name.split(", ") for s in QUICK.settings_of(f)] for f in FAMILIES])
        for own in (*INITIALISATIONS, *(own.name for own in ARCHITECTURES))
    }
    print(f"| OOD error relative to {name} | all | {' | '.join(kinds)} |")
    print("|---|---:|" + "---:|" * len(kinds))
    for other, own in errors.items():
        above = own - errors[name]
        low, high = np.percentile(hierarchy.resampled(above), [2.5, 97.5])
        cells = [f"{10 ** above[cells].mean():.2f}" for cells in kinds.values()]
        whole = f"{10 ** above.mean():.2f} [{10**low:.2f}, {10**high:.2f}]"
        print(f"| {other} | {whole} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
