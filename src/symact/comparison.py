"""Found functions and known ones under one judge: full training on the test draws.

Nothing else in the package reads the test split. Errors are remembered in the run's database by
(function, protocol, instance, seed), so a second comparison trains only what is new.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symact import stats, zoo
from symact.cost import flops
from symact.errors import ParseError, StoreError, SymactError, ZooError
from symact.expr import Expr, parse, show, uses_statistics
from symact.lower import evaluate, evaluate_with_slopes, to_latex
from symact.protocol import COMPARED, ID_LIMIT, REFERENCE, VERSION
from symact.result import Found, Result, is_pointwise, load
from symact.score import GRID, check_device, fingerprint
from symact.score._ladder import judge_split
from symact.store import Store, in_memory, open_run
from symact.table import Comparison, Row, to_csv, to_json, to_markdown
from symact.tasks import TASKS, Task
from symact.tasks import task as built_in_task

if TYPE_CHECKING:
    from symact.figures import Curve

#: Test instances of a family, training seeds of each, and found functions shown.
PER_FAMILY = 8
SEEDS = 2
BEST = 3

OnStep = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A function to be judged."""

    name: str
    kind: str
    expr: Expr


def compare(
    run: Result | str | Path | None = None,
    functions: Sequence[str] = COMPARED,
    *,
    task: str | Task | None = None,
    per_family: int = PER_FAMILY,
    seeds: int = SEEDS,
    best: int = BEST,
    device: str | None = None,
    on_step: OnStep | None = None,
) -> Comparison:
    """Judge a run's best functions beside known ones on the test draws.

    Args:
        run: A result or a run directory; None to judge only ``functions``.
        functions: Names of the zoo or formulas in x.
        task: A name or a Task; None for the run's own.
        per_family: Test instances of each family.
        seeds: Training seeds of each instance.
        best: How many of the run's functions to show.
        device: Where to train; None for the best there is.
        on_step: Called before a function is trained, with (place, functions in all, name).

    Raises:
        SymactError: An unknown name, a formula that does not parse, or no task to judge on.
    """
    check_device(device)
    result = load(run) if isinstance(run, str | Path) else run
    entrants = _entrants(result, functions, best)
    target = _task(result, task)
    path = None if result is None else result.path
    store = in_memory() if path is None else open_run(path)
    try:
        errors, families, instances = _judge(
            store, target, entrants, (per_family, seeds), device, on_step
        )
    finally:
        store.close()
    reference = errors[next(i for i, e in enumerate(entrants) if e.name == REFERENCE)]
    rows = [
        _row(entrant, own, reference, families)
        for entrant, own in zip(entrants, errors, strict=True)
    ]
    rows.sort(key=lambda row: row.ood)
    return Comparison(
        protocol=VERSION,
        tasks=instances,
        seeds=list(range(seeds)),
        task=target.name,
        rows=rows,
        reference=REFERENCE,
    )


def best_of(result: Result, count: int) -> list[Found]:
    """Return the run's best function, then the front's others that keep the ID limit, by OOD."""
    if not result.front or result.reference is None:
        return []
    limit = ID_LIMIT * result.reference.id_error
    allowed = [found for found in result.front if found.id_error <= limit and is_pointwise(found)]
    ordered = [result.best, *sorted(allowed, key=lambda f: f.ood), *result.front]
    return list({found.id: found for found in ordered}.values())[:count]


def _entrants(result: Result | None, functions: Sequence[str], best: int) -> list[Entrant]:
    found = [] if result is None else best_of(result, best)
    if result is not None and not found:
        raise SymactError("the run has no judged candidate yet; give it a larger budget")
    entrants = [Entrant(_found_name(f), "found", f.expr) for f in found]
    names = list(dict.fromkeys([*functions, REFERENCE]))
    entrants += [_known(name) for name in names]
    unique = {(entrant.name, entrant.kind): entrant for entrant in entrants}
    return list(unique.values())


def _found_name(found: Found) -> str:
    """Return the number of a found function and, where the zoo has its very values, that name."""
    own = fingerprint(evaluate(found.expr, GRID))
    with np.errstate(all="ignore"):
        for known in zoo.known():
            if fingerprint(evaluate(known.expr, GRID)) == own:
                return f"found #{found.id} = {known.name}"
    return f"found #{found.id}"


def _known(text: str) -> Entrant:
    try:
        known = zoo.find(text)
    except ZooError as unknown:
        # A word is meant as a name; anything with structure as a formula.
        if text.replace("-", "").replace("_", "").replace(" ", "").isalnum() and text != "x":
            raise
        try:
            return Entrant(text, "imported", parse(text))
        except ParseError as error:
            raise ParseError(f"{error} ({unknown})") from None
    return Entrant(known.name, "zoo", known.expr)


def _task(result: Result | None, task: str | Task | None) -> Task:
    if isinstance(task, Task):
        return task
    if task is not None:
        return built_in_task(task)
    if result is None:
        return built_in_task(TASKS[0])
    name = result.config["task"]
    if name not in TASKS:
        raise StoreError(f"{result.path}: its task '{name}' came from arrays; pass task=")
    return built_in_task(name)


def _judge(
    store: Store,
    task: Task,
    entrants: Sequence[Entrant],
    size: tuple[int, int],
    device: str | None,
    on_step: OnStep | None,
) -> tuple[list[NDArray[np.float64]], tuple[str, ...], list[str]]:
    """Return errors [instance, seed, 4] of each entrant, families and names of instances."""
    per_family, seeds = size
    instances = task.draw("test", seed=0, per_family=per_family)
    names = [instance.name for instance in instances]
    families = tuple(instance.family for instance in instances)
    errors = []
    for place, entrant in enumerate(entrants):
        formula = show(entrant.expr)
        # Names of instances are unique within a task, so the task is part of the key.
        keys = [f"{task.name}:{name}" for name in names]
        known = store.judged(formula, VERSION, keys, seeds)
        if known is None:
            if on_step is not None:
                on_step(place, len(entrants), entrant.name)
            _, (fresh,) = judge_split(task, "test", [entrant.expr], per_family, seeds, device)
            # Read back, so that the first answer and the remembered one agree to the last digit.
            known = store.add_judged(formula, VERSION, keys, fresh)
        errors.append(known)
    return errors, families, names


def _row(
    entrant: Entrant,
    errors: NDArray[np.float64],
    reference: NDArray[np.float64],
    families: Sequence[str],
) -> Row:
    score = stats.score(errors, families)
    interval = stats.ratio(errors, reference, families)
    near, middle, far = (stats.plain(shell) for shell in score.shells)
    return Row(
        name=entrant.name,
        kind=entrant.kind,
        formula=show(entrant.expr),
        latex=to_latex(entrant.expr),
        ood=stats.plain(score.ood),
        ratio=interval.ratio,
        low=interval.low,
        high=interval.high,
        id_error=stats.plain(score.id_error),
        id_ratio=stats.id_ratio(errors, reference, families).ratio,
        flops=flops(entrant.expr),
        families={name: stats.plain(value) for name, value in score.families.items()},
        shells=(near, middle, far),
        diverged=score.diverged,
        statistics=uses_statistics(entrant.expr),
    )


def write_report(result: Result, comparison: Comparison, folder: str | Path) -> dict[str, Path]:
    """Write table, figures and page of a comparison.

    Args:
        result: The run.
        comparison: Of that run.
        folder: Where to; made if need be. Files of an earlier report are replaced.

    Returns:
        The paths written: ``markdown``, ``csv``, ``json``, ``html`` and the figures ``front``,
        ``functions``, ``distance`` (SVG; a PNG of the same name lies beside each).
    """
    import json

    from symact.report import write_html

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pictures = _draw(result, comparison, target)
    texts = {
        "markdown": ("table.md", to_markdown(comparison)),
        "csv": ("table.csv", to_csv(comparison)),
        "json": ("compare.json", json.dumps(to_json(comparison), indent=1) + "\n"),
    }
    paths = dict(pictures)
    for key, (name, text) in texts.items():
        paths[key] = target / name
        _replace(paths[key], text)
    paths["html"] = target / "report.html"
    write_html(comparison, _run_info(result), pictures, paths["html"])
    return paths


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never half of one."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def _run_info(result: Result) -> dict[str, object]:
    config = result.config
    return {
        "grammar": config["grammar"],
        "task": config["task"],
        "seed": config["seed"],
        "budget": config["budget"],
        "proposer": config["proposer"],
        "protocol": config["protocol"],
        "counts": result.counts,
        "outcomes": result.outcomes,
        "rung_spearman": result.rung_spearman,
        "versions": config["versions"],
        "front": result.to_json()["front"],
    }


def _draw(result: Result, comparison: Comparison, folder: Path) -> dict[str, Path]:
    from symact import figures

    known = [
        figures.Point(row.name, row.flops, row.ood)
        for row in comparison.rows
        if row.kind != "found"
    ]
    found = [row for row in comparison.rows if row.kind == "found"]
    points = [figures.Point(row.name, row.flops, row.ood) for row in found]
    curves = [_curve(row.formula, parse(row.formula)) for row in found]
    reference = _curve(REFERENCE, zoo.find(REFERENCE).expr)
    paths = {}
    for suffix in ("png", "svg"):
        paths = {name: folder / f"{name}.{suffix}" for name in ("front", "functions", "distance")}
        figures.front(points, known, paths["front"])
        figures.functions(curves, paths["functions"], reference=reference)
        figures.distance(comparison.rows, paths["distance"], reference=comparison.reference)
    return paths


def _curve(label: str, expr: Expr) -> Curve:
    from symact.figures import Curve

    x = np.linspace(-6, 6, 601)
    value, slope = evaluate_with_slopes(expr, x)
    return Curve(label, x, value, slope)
