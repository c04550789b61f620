"""Found functions and known ones under one judge: the frozen protocol on the test draws.

Nothing else in the package reads the test split. Errors are remembered by (function, protocol
version, instance, seed), so that a second comparison trains only what is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symact import __version__, _files, zoo
from symact.backends import evaluate_with_slopes, to_latex
from symact.engine.result import Result
from symact.errors import ParseError, StoreError, SymactError, choices
from symact.evaluation import check_device, statistics
from symact.evaluation.judge import Judge, baselines
from symact.expr import Expr, parse, show, uses_statistics
from symact.expr.cost import flops
from symact.reporting.competitors import Entrant, Item, entrants, known_as, of_zoo
from symact.reporting.table import Comparison, Row, from_json, to_csv, to_json, to_markdown
from symact.storage.database import Judged, Store, in_memory, open_judged, open_run
from symact.tasks import TASKS, Task
from symact.tasks import scores as stats
from symact.tasks import task as built_in_task
from symact.tasks.protocol import COMPARED, FORMS, REFERENCE, EvaluationProtocol

if TYPE_CHECKING:
    from symact.reporting.figures import Curve

#: Found functions of a run that compete.
BEST = 3
#: Functions drawn where no run is compared.
_DRAWN = 8

#: The figures of a report.
_PICTURES = ("front", "critical", "distance", "families", "functions")

OnStep = Callable[[int, int, str], None]


def compare(
    *items: Item | Sequence[Item],
    task: str | Task | None = None,
    form: str | EvaluationProtocol = "full",
    per_family: int | None = None,
    seeds: int | None = None,
    best: int = BEST,
    device: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
) -> Comparison:
    """Judge functions on the test draws by the protocol (``docs/protocol.md``).

    Args:
        items: Results or run directories, whose best functions compete; names of the zoo; formulas
            in x; expressions; files and folders of programs to import. Without any but runs the
            usual known functions stand beside them.
        task: A name or a Task; None for that of the first run, else the default.
        form: ``"full"`` for the protocol itself, ``"quick"`` for its short form, whose scores are
            never mixed with the full ones.
        per_family: Test instances of each family; None for the form's.
        seeds: Training seeds of each instance; None for the form's.
        best: How many of a run's functions compete.
        device: Where to train; None for the best there is.
        out: A folder that remembers what was judged; None for the first run's own database.
        on_step: Called before a function is trained, with (place, functions in all, name).

    Raises:
        SymactError: An unknown name, a formula that does not parse, or no task to judge on.
    """
    check_device(device)
    if isinstance(form, str) and form not in FORMS:
        raise SymactError(f"unknown form '{form}'; {choices(form, FORMS)}")
    asked = FORMS[form] if isinstance(form, str) else form
    found, runs = entrants(_flat(items), best)
    names = [entrant.name for entrant in found]
    usual = COMPARED if all(entrant.kind == "found" for entrant in found) else (REFERENCE,)
    found += [of_zoo(zoo.find(name)) for name in usual if name not in names]
    target = _task(runs, task)
    judge = Judge(target, asked, per_family, seeds, device)
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(store)) for store in _stores(runs, out)]
        judged = _judge(stores, judge, found, on_step)
        # The same question gets the same answer, without computing it again.
        key = f"comparison:{_digest(judge, found)}"
        known = stores[0].get(key)
        if known is not None:
            return from_json(known)
        answer = _comparison(judge, found, judged)
        with stores[0].transaction():
            stores[0].put(key, to_json(answer))
        return from_json(to_json(answer))


def _flat(items: Iterable[Item | Sequence[Item]]) -> list[Item]:
    flat: list[Item] = []
    for item in items:
        if isinstance(item, list | tuple):
            flat += item
        elif item is not None:
            flat.append(item)  # type: ignore[arg-type]  # no sequence is left
    return flat


def _task(runs: Sequence[Result], task: str | Task | None) -> Task:
    if isinstance(task, Task):
        return task
    if task is not None:
        return built_in_task(task)
    if not runs:
        return built_in_task(TASKS[0])
    name = runs[0].config["task"]
    if name not in TASKS:
        raise StoreError(f"{runs[0].path}: its task '{name}' came from arrays; pass task=")
    return built_in_task(name)


def _stores(runs: Sequence[Result], out: str | Path | None) -> list[Store]:
    """Return where to look for what was judged; what is new goes into the first."""
    stores = [open_run(run.path) for run in runs if run.path is not None]
    folder = None if out is None else Path(out).resolve()
    if folder is not None and all(run.path is None or run.path.resolve() != folder for run in runs):
        stores.insert(0, open_judged(folder))
    return stores or [in_memory()]


def _judge(
    stores: Sequence[Store], judge: Judge, found: Sequence[Entrant], on_step: OnStep | None
) -> list[Judged]:
    # Names of instances are unique within a task, so the task is part of the key.
    keys = [f"{judge.task.name}:{instance.name}" for instance in judge.instances]
    version = judge.form.version
    judged = []
    for place, entrant in enumerate(found):
        known = (store.judged(entrant.key, version, keys, judge.seeds) for store in stores)
        result = next((one for one in known if one is not None), None)
        if result is None:
            if on_step is not None:
                on_step(place, len(found), entrant.name)
            rates = judge.rates([entrant.function])
            (errors,) = judge.errors([entrant.function], rates)
            # Read back, so that the first answer and the remembered one agree to the last digit.
            result = stores[0].add_judged(entrant.key, version, keys, errors, rates[0])
        judged.append(result)
    return judged


def _digest(judge: Judge, found: Sequence[Entrant]) -> str:
    """Return what identifies a comparison: the version, what was trained, and who competes."""
    asked = [
        __version__,
        judge.form.version,
        judge.task.name,
        [instance.name for instance in judge.instances],
        judge.seeds,
        [(entrant.name, entrant.kind, entrant.key, entrant.note) for entrant in found],
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _comparison(judge: Judge, found: Sequence[Entrant], judged: Sequence[Judged]) -> Comparison:
    families = tuple(instance.family for instance in judge.instances)
    inside = [stats.score(one.errors, families).ood for one in judged]
    order = sorted(range(len(found)), key=lambda place: inside[place])
    found, judged = [found[i] for i in order], [judged[i] for i in order]
    base = baselines(judge.data)
    ood = np.array([stats.ood_errors(one.errors, families) for one in judged])
    ranking = statistics.ranking(ood)
    place = next(i for i, entrant in enumerate(found) if entrant.name == REFERENCE)
    p = np.full(len(found), np.nan)
    others = [i for i in range(len(found)) if i != place]
    p[others] = statistics.holm([stats.wilcoxon(ood[i], ood[place]) for i in others])
    p[place] = 1.0
    rows = [
        _row(entrant, one, judged[place], families, base, p[i], ranking.ranks[i])
        for i, (entrant, one) in enumerate(zip(found, judged, strict=True))
    ]
    return Comparison(
        protocol=judge.form.version,
        tasks=[instance.name for instance in judge.instances],
        seeds=list(range(judge.seeds)),
        task=judge.task.name,
        rows=rows,
        reference=REFERENCE,
        sizes=judge.form.sizes,
        pairs=tuple(tuple(map(float, line)) for line in ranking.pairs),
        cliques=ranking.cliques,
        friedman=ranking.friedman,
        baselines={
            name: stats.plain(stats.score(errors[:, None, :], families).ood)
            for name, errors in base.items()
        },
    )


def _row(
    entrant: Entrant,
    judged: Judged,
    reference: Judged,
    families: Sequence[str],
    base: dict[str, NDArray[np.float64]],
    p: float,
    rank: float,
) -> Row:
    errors = judged.errors
    score = stats.score(errors, families)
    interval = statistics.ratio(errors, reference.errors, families)
    near, middle, far = (stats.plain(shell) for shell in score.shells)
    expr = entrant.function if isinstance(entrant.function, Expr) else None
    return Row(
        name=f"{entrant.name}{known_as(expr)}" if entrant.kind == "found" else entrant.name,
        kind=entrant.kind,
        formula=entrant.formula,
        latex=None if expr is None else to_latex(expr),
        ood=stats.plain(score.ood),
        ratio=interval.ratio,
        low=interval.low,
        high=interval.high,
        id_error=stats.plain(score.id_error),
        id_ratio=statistics.id_ratio(errors, reference.errors, families).ratio,
        flops=float("nan") if expr is None else flops(expr),
        families={name: stats.plain(value) for name, value in score.families.items()},
        shells=(near, middle, far),
        diverged=score.diverged,
        statistics=expr is not None and uses_statistics(expr),
        p=float(p),
        rank=rank,
        skill_mean=statistics.skill(errors, base["mean"], families),
        skill_linear=statistics.skill(errors, base["linear"], families),
        rates=judged.rates,
        note=entrant.note,
    )


def write_report(
    runs: Result | Sequence[Result], comparison: Comparison, folder: str | Path
) -> dict[str, Path]:
    """Write table, figures and page of a comparison.

    Args:
        runs: What was compared, for the page to say what ran.
        comparison: What came out.
        folder: Where to; made if need be. Files of an earlier report are replaced.

    Returns:
        The paths written: ``markdown``, ``csv``, ``json``, ``html`` and the figures ``front``,
        ``functions``, ``distance``, ``families``, ``critical`` (SVG; a PNG of the same name lies
        beside each).
    """
    given = [runs] if isinstance(runs, Result) else list(runs)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    facts = [_run_info(run) for run in given]
    document = json.dumps({**to_json(comparison), "runs": facts}, indent=1) + "\n"
    texts = {
        "markdown": ("table.md", to_markdown(comparison)),
        "csv": ("table.csv", to_csv(comparison)),
        "json": ("compare.json", document),
    }
    pictures = {name: target / f"{name}.svg" for name in _PICTURES}
    paths = {**pictures, **{key: target / name for key, (name, _) in texts.items()}}
    paths["html"] = target / "report.html"
    if _is_written(paths, document):
        return paths
    _draw(comparison, target)
    from symact.reporting.html import write_html

    write_html(comparison, facts, pictures, paths["html"])
    # The JSON comes last: it says that everything else is there.
    for key, (_, text) in texts.items():
        _files.write(paths[key], text)
    return paths


def _is_written(paths: Mapping[str, Path], document: str) -> bool:
    """Whether a folder holds this very report already."""
    files = [*paths.values(), *(paths[name].with_suffix(".png") for name in _PICTURES)]
    return all(path.is_file() for path in files) and (
        paths["json"].read_text(encoding="utf-8") == document
    )


def _run_info(result: Result) -> dict[str, object]:
    config = result.config
    return {
        "run": "" if result.path is None else result.path.name,
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
    }


def _draw(comparison: Comparison, folder: Path) -> None:
    from symact.reporting import figures

    rows, reference = comparison.rows, comparison.reference
    found = [row for row in rows if row.kind == "found"]
    known = [figures.Point(row.name, row.flops, row.ood) for row in rows if row.kind != "found"]
    points = [figures.Point(row.name, row.flops, row.ood) for row in found]
    shown = found or [row for row in rows if row.name != reference]
    curves = [curve for row in shown[:_DRAWN] if (curve := _curve(row.formula, row.formula))]
    grey = _curve(reference, next(row.formula for row in rows if row.name == reference))
    for suffix in ("png", "svg"):
        paths = {name: folder / f"{name}.{suffix}" for name in _PICTURES}
        figures.front(points, known, paths["front"])
        figures.critical(
            [row.name for row in rows],
            [row.rank for row in rows],
            comparison.cliques,
            paths["critical"],
            found=[row.name for row in found],
        )
        figures.distance(rows, paths["distance"], reference=reference)
        figures.families(rows, paths["families"], reference=reference)
        figures.functions(curves, paths["functions"], reference=grey)


def draw_function(label: str, expr: Expr, path: Path) -> None:
    """Draw a function above its derivative.

    Raises:
        SymactError: The file exists, cannot be written, or is neither ``.svg`` nor ``.png``.
    """
    from symact.reporting import figures

    if path.exists():
        raise SymactError(f"{path}: exists already; choose another name")
    curve = _curve(label, show(expr))
    try:
        figures.functions([curve] if curve is not None else [], path)
    except OSError as error:
        raise SymactError(f"{path}: cannot be written: {error.strerror}") from None


def _curve(label: str, formula: str) -> Curve | None:
    """Sample a function; None where its formula is no expression of one element."""
    from symact.reporting.figures import Curve

    try:
        expr = parse(formula)
    except ParseError:
        return None
    x = np.linspace(-6, 6, 601)
    value, slope = evaluate_with_slopes(expr, x)
    return Curve(label, x, value, slope)
