"""Measure how well an activation can be chosen from training data alone.

``python benchmarks/recommend STEP --split SPLIT`` has three steps. Each continues where it was
interrupted. Results are in ``runs/recommend/SPLIT``.

- ``truth``: judge the panel in cells of generated families.
- ``landmarks``: train the panel on pseudo-shifts of the training data of each family.
- ``report``: compare ways to choose a function by the landmarks.

Use the splits ``search`` and ``selection`` to develop a way to choose. The split ``confirmation``
is for the final figures alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from report import report

from symact.atlas.board import judge_all
from symact.atlas.judgements import Judgements
from symact.atlas.landmarks import landmarks
from symact.atlas.panel import FALLBACK, fixed, panel, truth_form
from symact.errors import TaskError
from symact.evaluation.cells import CellJudge
from symact.tasks.families import population

RESULTS = Path("runs/recommend")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["truth", "landmarks", "report"])
    parser.add_argument("--split", default="search")
    parser.add_argument("--families", type=int, default=96)
    parser.add_argument("--threads", type=int, help="Default: the number of cores.")
    asked = parser.parse_args()
    folder = RESULTS / asked.split
    folder.mkdir(parents=True, exist_ok=True)
    if asked.step == "truth":
        truth(asked.split, asked.families, folder, asked.threads)
    elif asked.step == "landmarks":
        measure(asked.split, asked.families, folder, asked.threads)
    else:
        names = population(asked.split, asked.families).families
        print(report(folder, names, FALLBACK))


def truth(split: str, families: int, folder: Path, threads: int | None) -> None:
    """Judge the panel in the cells of the families of a split."""
    judge = CellJudge(population(split, families), truth_form(families), threads=threads)
    store = Judgements(folder / "judgements.jsonl")
    judge_all(judge, store, panel(), lambda i, n, name: print(f"{i + 1}/{n} {name}", flush=True))


def measure(split: str, families: int, folder: Path, threads: int | None) -> None:
    """Measure the landmarks of each family on the training data of its first instance.

    A line of the file has one family and some functions, so that functions can be added later.
    """
    path = folder / "landmarks.jsonl"
    known = _known(path)
    functions = fixed()
    for drawn in population(split, families).draw("test", per_family=1):
        missing = [own for own in functions if own.name not in known.get(drawn.family, ())]
        if not missing:
            continue
        x, y = drawn.x_train.astype(float), drawn.y_train.astype(float)
        row: dict[str, object] = {"family": drawn.family, "functions": [m.name for m in missing]}
        try:
            found = landmarks(x, y, [own.function for own in missing], threads=threads)
        except TaskError as error:
            row["refused"] = str(error)
        else:
            row["shifts"] = found.shifts
            row["errors"] = np.round(found.errors, 4).tolist()
            row["linear"] = np.round(found.linear, 4).tolist()
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(drawn.family, flush=True)


def _known(path: Path) -> dict[str, set[str]]:
    """Return the functions that each family has landmarks of."""
    known: dict[str, set[str]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        known.setdefault(row["family"], set()).update(row["functions"])
    return known


if __name__ == "__main__":
    main()
