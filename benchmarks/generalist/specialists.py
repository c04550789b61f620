"""Compare ways to find an activation function for one family of targets, at equal time.

``python benchmarks/generalist/specialists.py STEP`` has the steps of ``rivals.py``. Results are in
``benchmarks/results/generalist/specialists``. Twenty-four families of the split ``test`` are drawn
by lot, two of each stratum.

- ``run --seconds T``: each method and family in a process of T seconds. Methods train on the search
  draws of the family and choose on its validation draws.
- ``judge``: judge what they chose once, on the test draws of the family, in all initialisations
  and architectures.
- ``report``: print the tables.

To try it out, use ``--split search --first 96 --families 1`` and another folder of results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contest import (
    RESULTS,
    FloatArray,
    Judged,
    Method,
    Run,
    in_words,
    interval,
    markdown,
    records,
    run_all,
)
from methods_of_rivals import best_known, search
from rivals import methods_of, parser_of, say
from spline import meta_learned

from symact import zoo
from symact.errors import SymactError
from symact.evaluation import ActivationProblem
from symact.evaluation.cells import CellJudge
from symact.expr import Expr
from symact.tasks import Task
from symact.tasks.families import STRATA, population
from symact.tasks.protocol2 import QUICK, REFERENCE

#: The seed of the lot, and the number of families of each stratum that it draws from eight.
LOT, OF_STRATUM, TEMPLATES = 20, 2, 8
#: Test draws of a family that are judged. Each is learned by four networks, one in each
#: initialisation and architecture, at three learning rates.
DRAWS = 16
FORM = replace(QUICK, name="quick-family", families=DRAWS, instances=1)


def pointwise_zoo() -> dict[str, Expr]:
    """Return all pointwise functions of the zoo."""
    return {own.name: own.expr for own in zoo.known() if own.kind == "pointwise"}


METHODS = (
    Method("symact", "the search on this family", search),
    Method("zoo", "the best of all pointwise known functions", partial(best_known, pointwise_zoo)),
    Method("spline", "a linear spline, meta-learned by gradients", meta_learned),
)


def main() -> None:
    parser = parser_of(__doc__, METHODS, RESULTS / "generalist" / "specialists")
    parser.set_defaults(seeds=[0])
    given = parser.parse_args()
    try:
        methods = methods_of(given.methods, METHODS)
        numbers = lot(given.first)[: given.families]
        if given.step == "run":
            runs = [
                Run(own, seed, partial(family_problem, given.split, number), name)
                for number, name in zip(numbers, names(given.split, numbers), strict=True)
                for seed in given.seeds
                for own in methods
            ]
            run_all(runs, given.seconds, given.results / "runs", say)
            return
        found = records(given.results / "runs", given.methods)
        judges = judges_of(given.split, numbers, given.results)
        if given.step == "judge":
            for case, judged in judges.items():
                say(case)
                judged.add([REFERENCE, *(r["formula"] for r in found if r["case"] == case)], say)
        else:
            print(report(found, judges))
    except SymactError as error:
        raise SystemExit(f"error: {error}") from None


def lot(first: int) -> list[int]:
    """Return the numbers of the families that the lot has drawn, in the order of the draw.

    Args:
        first: Number of the first family that can be drawn.
    """
    rng = np.random.default_rng(LOT)
    drawn = [rng.choice(TEMPLATES, OF_STRATUM, replace=False) for _ in STRATA]
    numbers = [
        first + place + len(STRATA) * int(lap) for place, own in enumerate(drawn) for lap in own
    ]
    return [numbers[place] for place in rng.permutation(len(numbers))]


def names(split: str, numbers: Sequence[int]) -> list[str]:
    """Return the names of families in files."""
    return [f"{split}-{family(split, number).families[0]}" for number in numbers]


def family(split: str, number: int) -> Task:
    """Return a generated family as a task. Its draws have a split of their own."""
    return population(split, 1, first=number)


def family_problem(split: str, number: int) -> ActivationProblem:
    """Return the search for a specialist of a family."""
    return ActivationProblem(family(split, number))


def judges_of(split: str, numbers: Sequence[int], folder: Path) -> dict[str, Judged]:
    """Return the judgements on test draws of each family, by its name in files."""
    found = {}
    for number, name in zip(numbers, names(split, numbers), strict=True):
        drawn = family(split, number).by_instance("test", DRAWS)
        found[name] = Judged(CellJudge(drawn, FORM), folder, name)
    return found


def report(found: Sequence[dict[str, Any]], judges: Mapping[str, Judged]) -> str:
    """Return a table of methods and one of families, over the families with all methods."""
    methods = list(dict.fromkeys(own["method"] for own in found))
    errors = {method: _errors(found, method, judges) for method in methods}
    cases = [case for case in judges if all(case in own for own in errors.values())]
    if not cases:
        raise SymactError("no family has a run of all methods; choose fewer --methods")
    base = np.stack([judges[case].ood(REFERENCE).reshape(-1) for case in cases])
    stacked = {method: np.stack([own[case] for case in cases]) for method, own in errors.items()}
    return f"{_of_methods(found, stacked, base)}\n\n{_of_families(cases, stacked, base)}"


def _errors(
    found: Sequence[dict[str, Any]], method: str, judges: Mapping[str, Judged]
) -> dict[str, FloatArray]:
    """Return log10 of the OOD errors of a method in each family, ``[cell]``, mean over seeds."""
    by_case: dict[str, list[FloatArray]] = {}
    for own in found:
        if own["method"] == method and own["case"] in judges:
            errors = judges[own["case"]].ood(own["formula"])
            by_case.setdefault(own["case"], []).append(errors.reshape(-1))
    return {case: np.mean(own, axis=0) for case, own in by_case.items()}


def _of_methods(
    found: Sequence[dict[str, Any]], errors: Mapping[str, FloatArray], base: FloatArray
) -> str:
    """Return the table of methods.

    Args:
        found: The runs.
        errors: Log10 of the errors of each method, ``[family, cell]``.
        base: Those of the reference.
    """
    known = {REFERENCE: base} | dict(errors)
    rows = []
    for method, own in errors.items():
        runs = [run for run in found if run["method"] == method]
        others = ["" if name == method else interval(own - other) for name, other in known.items()]
        trained = in_words([run["evaluations"] for run in runs])
        seconds = f"{np.mean([run['process_seconds'] for run in runs]):.0f}"
        rows.append([method, str(len(own)), *others, trained, seconds])
    relative = [f"OOD error of {name}'s" for name in known]
    return markdown(["method", "families", *relative, "evaluations", "seconds"], rows)


def _of_families(cases: Sequence[str], errors: Mapping[str, FloatArray], base: FloatArray) -> str:
    ratios = {name: 10 ** (own - base).mean(axis=1) for name, own in errors.items()}
    rows = [
        [case, *(f"{own[place]:.2f}" for own in ratios.values())]
        for place, case in enumerate(cases)
    ]
    return markdown([f"OOD error of {REFERENCE}'s", *ratios], rows)


if __name__ == "__main__":
    main()
