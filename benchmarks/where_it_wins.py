"""Write where each function of the leaderboard wins: its OOD error in each kind of families.

``python benchmarks/where_it_wins.py`` reads the judgements in ``benchmarks/results/leaderboard``
and writes ``src/symact/zoo/where.json``, which ``symact zoo NAME`` shows. It trains nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from symact.atlas import leaderboard
from symact.atlas.board import Leaderboard
from symact.evaluation.hierarchy import mean, resampled
from symact.zoo.where import PATH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default="benchmarks/results/leaderboard")
    folder = parser.parse_args().folder
    entries = json.loads((folder / "leaderboard.json").read_text())["entries"]
    board = leaderboard(*(own["name"] for own in entries), out=folder, on_step=missing)
    PATH.write_text(text(board))


def missing(place: int, count: int, name: str) -> None:
    raise SystemExit(f"'{name}' is not judged; run symact leaderboard first")


def text(board: Leaderboard) -> str:
    """Return the document, with a line for each function but the reference."""
    strata = np.array([name.partition("-")[0] for name in board.families])
    kinds = list(dict.fromkeys(strata))
    parts = [board.differences, *(board.differences[:, strata == kind] for kind in kinds)]
    ratios = np.stack([intervals(own) for own in parts], axis=1)
    facts = {
        "protocol": board.version,
        "families": len(board.families),
        "reference": board.reference,
        "kinds": kinds,
    }
    rows = [
        f"  {json.dumps(own.name)}: {json.dumps(row)}"
        for own, row in zip(board.entries, ratios.tolist(), strict=True)
        if own.name != board.reference
    ]
    head = json.dumps(facts, indent=1)[:-2]
    return head + ',\n "functions": {\n' + ",\n".join(rows) + "\n }\n}\n"


def intervals(differences: np.ndarray) -> np.ndarray:
    """Return ratios with 95% intervals, ``[function, 3]``, of ``[function, family, cell]``."""
    ends = np.quantile(resampled(differences), [0.025, 0.975], axis=-1)
    found = 10 ** np.vstack([mean(differences), ends]).T
    return np.vectorize(lambda value: float(f"{value:.3g}"))(found)


if __name__ == "__main__":
    main()
