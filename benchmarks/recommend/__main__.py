"""Measure how well an activation can be chosen from training data alone.

``python benchmarks/recommend STEP --split SPLIT`` has four steps. Each continues where it was
interrupted. Results are in ``benchmarks/results/recommend/SPLIT``.

- ``truth``: judge the panel in cells of the families of a split.
- ``landmarks``: train the panel on pseudo-shifts of the training data of each family.
- ``prior``: write the prior of the package, ``src/symact/atlas/prior.json``.
- ``report``: compare ways to choose. Families of the prior are cross-validated.

The splits ``search`` and ``selection`` serve to develop a way to choose. The split ``confirmation``
and the real data sets (``real``) serve for the final figures alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from report import Measured, report

from symact.atlas.board import judge_all, population_digest
from symact.atlas.judgements import Judgements
from symact.atlas.landmarks import Landmarks, landmarks
from symact.atlas.panel import FALLBACK, FIXED, LINEAR, fixed, panel, truth_form
from symact.atlas.prior import PATH, prior
from symact.errors import TaskError
from symact.evaluation.cells import CellJudge
from symact.evaluation.hierarchy import ood
from symact.tasks import Task
from symact.tasks.families import FAMILY_SPLITS, population
from symact.tasks.real import real_task

#: The split of the real data sets, and those that the prior may have been measured on.
REAL, OWN = "real", ("search", "selection")
SOURCE = "python benchmarks/recommend, generated families of the split {split}, protocol 2.0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["truth", "landmarks", "prior", "report"])
    parser.add_argument("--split", default="search", choices=[*FAMILY_SPLITS, REAL])
    parser.add_argument("--families", type=int, default=96)
    parser.add_argument("--threads", type=int, help="Default: the number of cores.")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/recommend"))
    asked = parser.parse_args()
    folder = asked.results / asked.split
    folder.mkdir(parents=True, exist_ok=True)
    task = families_of(asked.split, asked.families)
    if asked.step == "truth":
        truth(task, folder, asked.threads)
    elif asked.step == "landmarks":
        measure(task, folder, asked.threads)
    elif asked.step == "prior":
        made = measured(task, folder).prior(SOURCE.format(split=asked.split))
        PATH.write_text(json.dumps(made.to_dict()) + "\n")
    else:
        print(report(measured(task, folder), None if asked.split in OWN else prior()))


def families_of(split: str, families: int) -> Task:
    """Return the families of a split."""
    return real_task() if split == REAL else population(split, families)


def truth(task: Task, folder: Path, threads: int | None) -> None:
    """Judge the panel in the cells of the families."""
    judge = CellJudge(task, truth_form(len(task.families)), threads=threads)
    store = Judgements(folder / "judgements.jsonl")
    judge_all(judge, store, panel(), lambda i, n, name: print(f"{i + 1}/{n} {name}", flush=True))


def measured(task: Task, folder: Path) -> Measured:
    """Return what was measured in the families whose landmarks are known."""
    judge = CellJudge(task, truth_form(len(task.families)))
    digest = population_digest(judge)
    store = Judgements(folder / "judgements.jsonl")
    judged = []
    for own in panel():
        known = store.get(own.key, digest)
        if known is None:
            raise SystemExit(f"'{own.name}' is not judged; run the step truth first")
        judged.append(ood(known.errors))
    linear = ood(judge.baselines()["linear"])
    cells = np.stack([*judged[:-1], linear, judged[-1]], axis=1)
    found = _landmarks(folder / "landmarks.jsonl")
    kept = [i for i, name in enumerate(task.families) if name in found]
    names = tuple(task.families[i] for i in kept)
    answers = (*FIXED, LINEAR, FALLBACK)
    return Measured(names, answers, cells[kept], tuple(found[name] for name in names))


def _landmarks(path: Path) -> dict[str, Landmarks]:
    """Return the landmarks of each family that has those of all functions."""
    rows: dict[str, list[dict]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if "refused" not in row:
            rows.setdefault(row["family"], []).append(row)
    found = {}
    for name, own in rows.items():
        errors = {
            function: np.array(values)
            for row in own
            for function, values in zip(row["functions"], row["errors"], strict=True)
        }
        if all(function in errors for function in FIXED):
            stacked = np.stack([errors[function] for function in FIXED])
            found[name] = Landmarks(tuple(own[0]["shifts"]), stacked, np.array(own[0]["linear"]))
    return found


def measure(task: Task, folder: Path, threads: int | None) -> None:
    """Measure the landmarks of each family on the training data of its first instance.

    A line of the file has one family and some functions, so that functions can be added later.
    """
    path = folder / "landmarks.jsonl"
    known = _known(path)
    functions = fixed()
    for drawn in task.draw("test", per_family=1):
        missing = [own for own in functions if own.name not in known.get(drawn.family, ())]
        if not missing:
            continue
        # As in recommend: real sets with few rows have some of them twice.
        rows = np.unique(np.hstack([drawn.x_train, drawn.y_train]).astype(float), axis=0)
        x, y = np.split(rows, [drawn.x_train.shape[1]], axis=1)
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
