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
import sys
from pathlib import Path

import numpy as np
from landmarks import Landmarks, landmarks
from panel import FALLBACK, panel, truth_form
from report import report

from symact.atlas.board import judge_all
from symact.atlas.judgements import Judgements
from symact.errors import TaskError
from symact.evaluation.cells import CellJudge
from symact.tasks.families import population

RESULTS = Path("runs/recommend")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["truth", "landmarks", "report"])
    parser.add_argument("--split", default="search")
    parser.add_argument("--families", type=int, default=96)
    asked = parser.parse_args()
    folder = RESULTS / asked.split
    folder.mkdir(parents=True, exist_ok=True)
    if asked.step == "truth":
        truth(asked.split, asked.families, folder)
    elif asked.step == "landmarks":
        measure(asked.split, asked.families, folder)
    else:
        names = population(asked.split, asked.families).families
        print(report(folder, names, FALLBACK))


def truth(split: str, families: int, folder: Path) -> None:
    """Judge the panel in the cells of the families of a split."""
    judge = CellJudge(population(split, families), truth_form(families))
    store = Judgements(folder / "judgements.jsonl")
    judge_all(judge, store, panel(), lambda i, n, name: print(f"{i + 1}/{n} {name}", flush=True))


def measure(split: str, families: int, folder: Path) -> None:
    """Measure the landmarks of each family on the training data of its first instance."""
    path = folder / "landmarks.jsonl"
    known = {json.loads(line)["family"] for line in path.open()} if path.exists() else set()
    functions = panel(trained=False)
    for drawn in population(split, families).draw("test", per_family=1):
        if drawn.family in known:
            continue
        x, y = drawn.x_train.astype(float), drawn.y_train.astype(float)
        try:
            found = landmarks(x, y, [own.function for own in functions])
        except TaskError as error:
            print(f"{drawn.family}: {error}", file=sys.stderr)
            continue
        with path.open("a") as file:
            row = _row(drawn.family, [own.name for own in functions], found)
            file.write(json.dumps(row) + "\n")
        print(drawn.family, flush=True)


def _row(family: str, names: list[str], found: Landmarks) -> dict[str, object]:
    return {
        "family": family,
        "functions": names,
        "shifts": found.shifts,
        "errors": np.round(found.errors, 4).tolist(),
        "linear": np.round(found.linear, 4).tolist(),
    }


if __name__ == "__main__":
    main()
