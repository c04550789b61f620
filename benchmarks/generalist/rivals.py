"""Compare ways to search one activation function for many tasks, at equal time.

``python benchmarks/generalist/rivals.py STEP`` has three steps. Each continues where it was
interrupted. Results are in ``benchmarks/results/generalist/rivals``.

- ``run --seconds T``: each method and seed in a process of T seconds. Methods train on the split
  ``search`` and choose on the split ``selection``.
- ``judge``: judge what they chose by the quick form of protocol 2.0, once, on the split ``test``.
- ``report``: print the table.

``run --methods symact one-island no-archive`` shows what parts of the search are worth.
``ABLATIONS`` in methods_of_rivals.py lists them.

To try it out, judge and report with ``--split search --first 96``. These families are in no draw
of a method.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contest import RESULTS, Judged, Method, Run, in_words, interval, markdown, records, run_all
from methods_of_rivals import ABLATIONS, METHODS

from symact.atlas.board import form_of
from symact.errors import SymactError, choices
from symact.evaluation import ActivationProblem
from symact.evaluation.cells import CellJudge
from symact.tasks import GENERALIST, task
from symact.tasks.families import FAMILY_SPLITS, population
from symact.tasks.protocol2 import PopulationForm

#: Known functions that methods are compared with. The last one has a trained parameter.
REFERENCES = ("GELU", "SiLU", "Swish-beta")


def main() -> None:
    given = parser_of(__doc__, METHODS, RESULTS / "generalist" / "rivals").parse_args()
    try:
        methods = methods_of(given.methods, (*METHODS, *ABLATIONS))
        if given.step == "run":
            runs = [Run(own, seed, generalist) for seed in given.seeds for own in methods]
            run_all(runs, given.seconds, given.results / "runs", say)
            return
        form = form_of("quick", given.families)
        found = records(given.results / "runs", given.methods)
        judged = judged_on(given.split, given.first, form, given.results)
        if given.step == "judge":
            judged.add([*REFERENCES, *(own["formula"] for own in found)], say)
        else:
            print(report(found, judged))
    except SymactError as error:
        raise SystemExit(f"error: {error}") from None


def generalist() -> ActivationProblem:
    """Return the problem of the default search."""
    return ActivationProblem(task(GENERALIST))


def parser_of(text: str, methods: Sequence[Method], results: Path) -> argparse.ArgumentParser:
    """Return the parser of the command line of a comparison."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("step", choices=["run", "judge", "report"])
    names = [own.name for own in methods]
    parser.add_argument("--methods", nargs="+", default=names, help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=300.0, help="of each process")
    parser.add_argument("--split", default="test", choices=FAMILY_SPLITS)
    parser.add_argument("--first", type=int, default=0, help="number of the first family")
    parser.add_argument("--families", type=int, help="fewer families, to try it out")
    parser.add_argument("--results", type=Path, default=results)
    return parser


def methods_of(names: Sequence[str], methods: Sequence[Method]) -> list[Method]:
    """Return methods by their names.

    Raises:
        SymactError: A name is unknown.
    """
    by_name = {own.name: own for own in methods}
    for name in names:
        if name not in by_name:
            raise SymactError(f"unknown method '{name}'; {choices(name, by_name)}")
    return [by_name[name] for name in names]


def judged_on(split: str, first: int, form: PopulationForm, folder: Path) -> Judged:
    """Return the judgements on generated families of a split, from a first one on."""
    families = population(split, form.families, first=first)
    # As on the leaderboard: the test families have no name, so their judgements are shared.
    return Judged(CellJudge(families, form), folder, "" if split == "test" else families.name)


def report(found: Sequence[dict[str, Any]], judged: Judged) -> str:
    """Return the table: each method relative to known functions, means over its seeds."""
    base = {name: judged.ood(name) for name in REFERENCES}
    rows = []
    for method in dict.fromkeys(own["method"] for own in found):
        own = [run for run in found if run["method"] == method]
        errors = np.stack([judged.ood(run["formula"]) for run in own])  # [seed, family, cell]
        means = 10 ** (errors - base[REFERENCES[0]]).mean(axis=(1, 2))
        rows.append(
            [
                method,
                " ".join(str(run["seed"]) for run in own),
                *(interval(errors.mean(axis=0) - known) for known in base.values()),
                f"{means.min():.2f} to {means.max():.2f}",
                in_words([run["evaluations"] for run in own]),
                f"{np.mean([run['process_seconds'] for run in own]):.0f}",
            ]
        )
    relative = [f"OOD error of {name}'s" for name in REFERENCES]
    seeds = f"single seeds, of {REFERENCES[0]}'s"
    return markdown(["method", "seeds", *relative, seeds, "evaluations", "seconds"], rows)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()
