"""Tables and figures from what the runs and the judge have left, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from judging import BATCH, CLASSICS, PUBLISHED, WIDE, Judgements, records
from methods import ABLATIONS, METHODS
from runs import CHEAP

from symact.backends import evaluate_with_slopes
from symact.evaluation import statistics
from symact.expr import parse
from symact.expr.cost import flops
from symact.reporting.figures import Curve, functions
from symact.reporting.figures.style import COLOURS, GREY, INK, LABEL_SIZE, error_axis, save, styled
from symact.tasks import scores as stats
from symact.tasks.protocol import REFERENCE, SHELLS

#: What was aimed at before the search was made: the ratio to the best published function, the upper
#: end of its interval, and the ratio at a cheap function's cost.
GOAL, GOAL_HIGH, GOAL_CHEAP = 0.50, 0.60, 0.60
#: The seed of the grammar that a search has to beat; published long before.
SEED = "SiLU"
#: Shares of the reference's error whose reaching is counted.
REACHED = (0.9, 0.8, 0.7)
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A function in the final table."""

    label: str
    name: str
    formula: str


def report(results: Path) -> None:
    """Write ``report.md`` and the figures beside the results."""
    runs = records(results / "runs")
    parts = [
        "# Benchmark of the search",
        "",
        "All scores are of protocol 1.0.",
        "",
        *_runs_table(runs),
    ]
    chosen = _of(runs, ["symact"])
    wide = records(results / WIDE)
    for own, name in ((chosen, "chosen"), (wide, "chosen-wide")):
        for suffix in ("png", "svg") if own else ():
            _draw_chosen(own, results / f"{name}.{suffix}")
    finals = results / "finals.json"
    if finals.exists():
        known = Judgements(finals, "full")
        parts += ["", *_finals(runs, known)]
    fresh = results / "fresh.json"
    others = Judgements(fresh, "full", draw=1) if fresh.exists() else None
    if finals.exists() and wide:
        parts += ["", *_wide(wide, known, others)]
    if others is not None:
        parts += ["", *_fresh(runs, others)]
    curves = results / "curves.json"
    if curves.exists():
        quick = Judgements(curves, "quick")
        parts += ["", *_reaching(runs, quick)]
        for suffix in ("png", "svg") if REFERENCE in quick else ():
            _draw_curves(runs, quick, results / f"curves.{suffix}")
        parts += ["", "![Test error of the best so far](curves.png)"]
    shorter = results / "ablations"
    if (shorter / "chosen.json").exists():
        quick = Judgements(shorter / "chosen.json", "quick")
        parts += ["", *_ablations(records(shorter / "runs"), quick)]
    (results / "report.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def _draw_chosen(runs: Sequence[Record], path: Path) -> None:
    """Draw what each search chose, mirrored so that it rises to the right.

    Networks take f(x), f(-x), -f(x) and -f(-x) for the same: weights change their signs.
    """
    x = np.linspace(-10, 10, 801)
    curves = []
    for own in runs:
        expr = parse(own["best"]["formula"])
        value, slope = evaluate_with_slopes(expr, x)
        if abs(value[0]) > abs(value[-1]):
            value, slope = value[::-1], -slope[::-1]
        if value[-1] < value[0]:
            value, slope = -value, -slope
        curves.append(Curve(f"seed {own['seed']}", x, value, slope))
    functions(curves, path)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    rule = [":---" if place == 0 else "---:" for place in range(len(head))]
    lines = [head, rule, *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def _of(runs: Sequence[Record], methods: Iterable[str]) -> list[Record]:
    return [own for name in methods for own in runs if own["method"] == name]


def _runs_table(runs: Sequence[Record]) -> list[str]:
    head = ("run", "search s", "in all s", "mini", "full", "mini-full", "chosen", "FLOPs")
    rows = []
    for own in _of(runs, [m.name for m in METHODS]):
        agreement = own["rung_spearman"].get("mini-full")
        rows.append(
            (
                f"{own['method']} {own['seed']}",
                f"{own['seconds']:.0f}",
                f"{own['seconds_in_all']:.0f}",
                own["counts"]["mini"],
                own["counts"]["full"],
                "-" if agreement is None else f"{agreement:.2f}",
                f"`{own['best']['formula']}`",
                own["best"]["flops"],
            )
        )
    return ["## Runs", "", *_table(head, rows)]


def _finals(runs: Sequence[Record], known: Judgements) -> list[str]:
    missing = [name for name in (REFERENCE, *PUBLISHED) if name not in known]
    if missing:
        return ["## On the test draws", "", f"Not judged yet: {', '.join(missing)}."]
    lines = _lines(runs, known)
    rival = _best_published(known)
    tasks, seeds = len(known.families), known.seeds
    return [
        f"## On the test draws: {tasks} tasks x {seeds} training seeds x "
        f"{len(known.form.sizes)} sizes of network",
        "",
        "Ratios of geometric-mean errors with 95% intervals of a paired bootstrap over tasks; p of "
        "Wilcoxon's test against the function before it, Holm's correction over the different "
        "functions. *Cheap* is the best of those that cost at most twice GELU's "
        f"{CHEAP // 2} FLOPs, where the run has one. For Turbulent one reading of its formula was "
        "found, in one source (`symact zoo Turbulent`).",
        "",
        *_ratios(lines, known, rival),
        "",
        "### Families and distances, of GELU",
        "",
        *_parts(lines, known),
        "",
        *_methods(runs, known, rival),
        "",
        *_goals(runs, known, rival),
    ]


def _fresh(runs: Sequence[Record], known: Judgements) -> list[str]:
    """Compare what this search chose once more, on other test instances."""
    if not all(name in known for name in (REFERENCE, SEED, *PUBLISHED)):
        return ["## On fresh test instances", "", "Not judged yet."]
    rival = _best_published(known)
    lines = [line for line in _lines(runs, known) if "(cheap)" not in line.label]
    chosen = [line for line in lines if line.label.startswith("symact ")]
    over = _over([line.name for line in chosen], known, rival)
    return [
        f"## On fresh test instances: {len(known.families)} others x {known.seeds} training seeds",
        "",
        "The same functions, judged once on instances that nothing was judged on before: other "
        "polynomials, other sums of sines, other draws from the test equations. Over the runs: "
        f"{over}.",
        "",
        *_ratios(lines, known, rival),
    ]


def _wide(runs: Sequence[Record], known: Judgements, fresh: Judgements | None) -> list[str]:
    """Compare what searches chose that judged more finalists, on the same test draws."""
    chosen = [own["best"]["formula"] for own in runs if own["best"]["formula"] in known]
    if not chosen or not all(name in known for name in (REFERENCE, SEED, *PUBLISHED)):
        return ["## Searches with more finalists", "", "Not judged yet."]
    rival = _best_published(known)
    lines = [line for line in _lines(runs, known) if line.name not in (*BATCH, *CLASSICS)]
    (budget, (finalists, _, form)), *others = {(r["budget"], tuple(r["finals"])) for r in runs}
    assert not others, "runs of one kind"
    parts = [
        f"## Searches of {budget} with {finalists} finalists",
        "",
        f"Other seeds, on another machine; finalists in the form `{form}`. The same test tasks. "
        f"Over the runs: {_over(chosen, known, rival)}.",
        "",
        *_runs_table(runs)[2:],
        "",
        "![What they chose](chosen-wide.png)",
        "",
        *_ratios(lines, known, rival),
        "",
        *_parts(lines, known),
        "",
        *_goals(runs, known, rival)[2:],
    ]
    if fresh is not None and all(formula in fresh for formula in chosen):
        lines = [line for line in lines if line.name in fresh]
        parts += [
            "",
            f"On the fresh test instances of below. Over the runs: {_over(chosen, fresh, rival)}.",
            "",
            *_ratios(lines, fresh, rival),
        ]
    return parts


def _over(chosen: Sequence[str], known: Judgements, rival: str) -> str:
    """Say what some functions have together of the reference, a rival and SiLU."""
    joined = _joined(map(known.errors, chosen))
    return "; ".join(
        f"{_interval(statistics.ratio(joined, known.errors(name), known.families))} of {name}"
        for name in (REFERENCE, rival, SEED)
    )


def _lines(runs: Sequence[Record], known: Judgements) -> list[Line]:
    """Return what runs chose and what is known, as far as it is judged."""
    lines = [
        Line(f"{own['method']} {own['seed']}{mark}", f, f)
        for own in _of(runs, [m.name for m in METHODS])
        for mark, key in (("", "best"), (" (cheap)", "frugal"))
        if own[key] is not None and (f := own[key]["formula"]) in known
    ]
    for name in (*PUBLISHED, *BATCH, *CLASSICS):
        if name in known:
            lines.append(Line(name, name, known.document["functions"][name]["formula"]))
    return lines


def _best_published(known: Judgements) -> str:
    return min(PUBLISHED, key=lambda name: stats.score(known.errors(name), known.families).ood)


def _ratios(lines: Sequence[Line], known: Judgements, rival: str) -> list[str]:
    """Compare with the reference, the best published function and SiLU."""
    families, gelu = known.families, known.errors(REFERENCE)
    others = [name for name in (rival, SEED) if name in known]
    p = {name: _tests(lines, known, name) for name in others}
    rows = []
    for line in lines:
        errors = known.errors(line.name)
        cells = [line.label, _interval(statistics.ratio(errors, gelu, families))]
        for name in others:
            own = p[name].get(line.formula)
            cells.append(_interval(statistics.ratio(errors, known.errors(name), families)))
            cells.append("-" if own is None else _p(own))
        cells.append(_interval(statistics.id_ratio(errors, gelu, families)))
        rows.append((*cells, flops(parse(line.formula))))
    head = [cell for name in others for cell in (f"of {name}", "p")]
    return _table(("function", "of GELU", *head, "ID of GELU", "FLOPs"), rows)


def _tests(lines: Sequence[Line], known: Judgements, rival: str) -> dict[str, float]:
    """Return p against a function by formula, corrected for the number of formulas."""
    families = known.families
    logs = stats.ood_errors(known.errors(rival), families)
    names = {line.formula: line.name for line in lines}
    names.pop(known.document["functions"][rival]["formula"], None)
    values = [
        statistics.wilcoxon(stats.ood_errors(known.errors(n), families), logs)
        for n in names.values()
    ]
    return dict(zip(names, statistics.holm(values).tolist(), strict=True))


def _parts(lines: Sequence[Line], known: Judgements) -> list[str]:
    base = stats.score(known.errors(REFERENCE), known.families)
    rows = []
    for line in lines:
        score = stats.score(known.errors(line.name), known.families)
        own = [*score.families.values(), *score.shells]
        theirs = [*base.families.values(), *base.shells]
        cells = [f"{stats.plain(a - b):.2f}" for a, b in zip(own, theirs, strict=True)]
        rows.append((line.label, *cells, f"`{line.formula}`"))
    return _table(("function", *base.families, *SHELLS, "formula"), rows)


def _methods(runs: Sequence[Record], known: Judgements, rival: str) -> list[str]:
    """Compare methods by what they chose, geometric means over seeds, on the same test draws."""
    families = known.families
    chosen = {
        method.name: {
            own["seed"]: known.errors(own["best"]["formula"])
            for own in _of(runs, [method.name])
            if own["best"]["formula"] in known
        }
        for method in METHODS
    }
    mine = chosen["symact"]
    pairs = {
        name: [(mine[seed], own[seed]) for seed in own if seed in mine]
        for name, own in chosen.items()
        if name != "symact"
    }
    joined = {
        n: [_joined(side) for side in zip(*both, strict=True)] for n, both in pairs.items() if both
    }
    values = [
        statistics.wilcoxon(*(stats.ood_errors(side, families) for side in both))
        for both in joined.values()
    ]
    p = dict(zip(joined, statistics.holm(values).tolist(), strict=True))
    others = [name for name in (REFERENCE, rival, SEED) if name in known]
    rows = []
    for name, own in chosen.items():
        if not own:
            continue
        cells = [name, len(own)]
        for other in map(known.errors, others):
            each = [statistics.ratio(errors, other, families).ratio for errors in own.values()]
            whole = statistics.ratio(_joined(own.values()), other, families)
            cells.append(f"{_interval(whole)}, {min(each):.2f} to {max(each):.2f}")
        if name in joined:
            cells += [_interval(statistics.ratio(*joined[name], families)), _p(p[name])]
        else:
            cells += ["-", "-"]
        rows.append(cells)
    against = [f"of {name}, least to most" for name in others]
    head = ("method", "seeds", *against, "symact over it", "p")
    return [
        "### What methods chose, over search seeds",
        "",
        "Intervals are over tasks, with these runs as they are; p as above, Holm's correction over "
        "the methods.",
        "",
        *_table(head, rows),
    ]


def _joined(errors: Iterable[Any]) -> Any:
    """Put runs beside sizes of network, so that logarithms are averaged over both."""
    return np.concatenate(list(errors), axis=1)


def _goals(runs: Sequence[Record], known: Judgements, rival: str) -> list[str]:
    """Say for each run of the search which goals its functions meet."""
    families, gelu, against = known.families, known.errors(REFERENCE), known.errors(rival)
    rows = []
    for own in _of(runs, ["symact"]):
        if own["best"]["formula"] not in known:
            continue
        errors = known.errors(own["best"]["formula"])
        ratio = statistics.ratio(errors, against, families)
        inside = statistics.id_ratio(errors, gelu, families).ratio
        number = len(set(families))
        wins = [_wins(errors, known.errors(name), families) for name in PUBLISHED]
        batch = [
            statistics.ratio(errors, known.errors(n), families).ratio for n in BATCH if n in known
        ]
        cheap = own["frugal"]
        cheap_ratio = (
            statistics.ratio(known.errors(cheap["formula"]), against, families).ratio
            if cheap is not None and cheap["formula"] in known
            else None
        )
        rows.append(
            (
                f"symact {own['seed']}",
                _mark(ratio.ratio, ratio.ratio <= GOAL),
                _mark(ratio.high, ratio.high < GOAL_HIGH),
                _mark(inside, inside <= 1.0),
                "none: not met"
                if cheap_ratio is None
                else _mark(cheap_ratio, cheap_ratio <= GOAL_CHEAP),
                ", ".join(f"{count}/{number}" for count in wins),
                "-" if not batch else _mark(batch[0], batch[0] < 1.0),
            )
        )
    head = (
        "run",
        f"of {rival}, at most {GOAL}",
        f"upper end, below {GOAL_HIGH}",
        "ID of GELU, at most 1",
        f"with {CHEAP} FLOPs, at most {GOAL_CHEAP}",
        "families won against " + ", ".join(PUBLISHED),
        f"of {BATCH[0]}, below 1",
    )
    return ["### Goals", "", "By point estimates; intervals are above.", "", *_table(head, rows)]


def _wins(errors: Any, against: Any, families: Sequence[str]) -> int:
    own, other = (stats.score(e, families).families for e in (errors, against))
    return sum(own[name] < other[name] for name in own)


def _mark(value: float, met: bool) -> str:
    return f"{value:.2f} {'met' if met else 'not met'}"


def _interval(own: statistics.Interval) -> str:
    return f"{own.ratio:.2f} [{own.low:.2f}, {own.high:.2f}]"


def _p(p: float) -> str:
    return "<0.001" if p < 1e-3 else f"{p:.2g}"


# Progress.
def _progress(own: Record, quick: Judgements) -> tuple[list[int], list[float]]:
    """Return full trainings spent and log10 test error of what was the best so far then.

    Nothing for a run of which some is not judged yet.
    """
    steps = own["incumbents"]
    if not all(step["formula"] in quick for step in steps):
        return [], []
    logs = [stats.score(quick.errors(s["formula"]), quick.families).ood for s in steps]
    return [step["full"] for step in steps], logs


def _reaching(runs: Sequence[Record], quick: Judgements) -> list[str]:
    """Count the full trainings until the best so far has a test error, such as a published one."""
    if not all(name in quick for name in (REFERENCE, *PUBLISHED)):
        return ["## Progress", "", "Not judged yet."]
    goals = {name: stats.score(quick.errors(name), quick.families).ood for name in PUBLISHED}
    base = stats.score(quick.errors(REFERENCE), quick.families).ood
    goals |= {f"{share:g} of {REFERENCE}": base + np.log10(share) for share in REACHED}
    head = ("run", "full trainings in all", *goals, "at the end, of GELU", "ID of GELU")
    rows = []
    for own in _of(runs, [m.name for m in METHODS]):
        spent, logs = _progress(own, quick)
        reached = [
            next((n for n, log in zip(spent, logs, strict=True) if log <= goal), None)
            for goal in goals.values()
        ]
        label = f"{own['method']} {own['seed']}"
        counted = ["-" if r is None else r for r in reached]
        rows.append((label, own["counts"]["full"], *counted, *_end(own, quick, logs)))
    return [
        "## Full trainings until a test error",
        "",
        f"The seeds of the grammar come first, {REFERENCE} among them: what it beats is reached "
        "with it. Of what full training on search draws called the best so far; quick form of the "
        "protocol. The search spends mini-trainings beside them (some twelve in the time of one); "
        "the curves over seconds count all. No ID error keeps a function from being the best so "
        "far here; what a run chooses in the end has to have at most GELU's, and took up to "
        "4 full trainings a finalist beyond those counted. Bands in the figure are from the "
        "lowest to the highest seed.",
        "",
        *_table(head, rows),
    ]


def _end(own: Record, quick: Judgements, logs: Sequence[float]) -> list[str]:
    """Return OOD and ID error of the last best so far, relative to the reference."""
    if not logs:
        return ["-", "-"]
    families = quick.families
    last = quick.errors(own["incumbents"][-1]["formula"])
    gelu = quick.errors(REFERENCE)
    found = (statistics.ratio(last, gelu, families), statistics.id_ratio(last, gelu, families))
    return [f"{interval.ratio:.2f}" for interval in found]


def _draw_curves(runs: Sequence[Record], quick: Judgements, path: Path) -> None:
    base = stats.score(quick.errors(REFERENCE), quick.families).ood
    with styled((7.2, 3.4)) as figure:
        panels = [figure.add_axes((x, 0.14, 0.3, 0.8)) for x in (0.075, 0.42)]
        lowest, highest = 0.9, 1.1
        for axes, unit in zip(panels, ("full", "seconds"), strict=True):
            for place, method in enumerate(METHODS):
                own = _of(runs, [method.name])
                lines = [_steps(run, quick, unit, base) for run in own]
                lines = [line for line in lines if len(line[0])]
                if not lines:
                    continue
                colour = COLOURS[place % len(COLOURS)]
                grid, low, middle, high = _band(lines)
                axes.fill_between(grid, low, high, step="post", color=colour, alpha=0.15, lw=0)
                # Later ones are thinner, since medians of several methods are the same at times.
                width = 2.6 - 0.5 * place
                axes.step(grid, middle, where="post", color=colour, lw=width, label=method.name)
                lowest, highest = min(lowest, low.min()), max(highest, np.nanmax(high))
        for axes, unit in zip(panels, ("full trainings", "seconds of search"), strict=True):
            for name, dash in zip(PUBLISHED, ("--", ":", "-."), strict=True):
                ratio = stats.plain(stats.score(quick.errors(name), quick.families).ood - base)
                axes.axhline(ratio, color=GREY, lw=0.8, ls=dash, label=name)
            axes.axhline(1.0, color=INK, lw=0.8, label="GELU")
            axes.set_xscale("log")
            axes.set_xlabel(unit)
            error_axis(axes, lowest / 1.1, min(highest, 5.0) * 1.1)
        panels[0].set_ylabel("test OOD error of the best so far, of GELU")
        panels[1].legend(
            loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=LABEL_SIZE
        )
        save(figure, path)


def _steps(
    own: Record, quick: Judgements, unit: str, base: float
) -> tuple[list[float], list[float], float]:
    """Return where the best so far changed, its ratio to GELU, and where the run ended."""
    spent, logs = _progress(own, quick)
    ratios = [stats.plain(log - base) for log in logs]
    if unit == "full":
        return list(map(float, spent)), ratios, float(own["counts"]["full"])
    at = [next((s for s, _, full in own["timeline"] if full >= n), own["seconds"]) for n in spent]
    return [max(1.0, float(second)) for second in at], ratios, float(own["seconds"])


def _band(lines: Sequence[tuple[list[float], list[float], float]]) -> tuple[Any, Any, Any, Any]:
    """Return a grid with the lowest, the median and the highest line, while all have begun."""
    start = max(line[0][0] for line in lines)
    end = min(line[2] for line in lines)
    inner = {x for line in lines for x in line[0] if start < x < end}
    grid = np.array(sorted({start, *inner, max(end, start)}))
    values = np.array(
        [np.asarray(ys)[np.searchsorted(xs, grid, side="right") - 1] for xs, ys, _ in lines]
    )
    return grid, values.min(axis=0), np.median(values, axis=0), values.max(axis=0)


# Ablations.
def _ablations(runs: Sequence[Record], quick: Judgements) -> list[str]:
    families = quick.families
    gelu = quick.errors(REFERENCE)
    ood: dict[str, dict[int, float]] = {}
    inside: dict[str, list[float]] = {}
    for own in runs:
        if own["best"]["formula"] in quick:
            errors = quick.errors(own["best"]["formula"])
            ratio = statistics.ratio(errors, gelu, families).ratio
            ood.setdefault(own["method"], {})[own["seed"]] = float(np.log10(ratio))
            inside.setdefault(own["method"], []).append(
                statistics.id_ratio(errors, gelu, families).ratio
            )
    whole = {own["seed"]: own.get("quality") for own in runs if own["method"] == "whole"}
    rows = []
    for method in ABLATIONS:
        logs = ood.get(method.name, {})
        if not logs:
            continue
        each = 10 ** np.array(list(logs.values()))
        both = [logs[seed] - ood["whole"][seed] for seed in logs if seed in ood.get("whole", {})]
        mean = 10 ** float(np.mean(list(logs.values())))
        rows.append(
            (
                method.name,
                method.says,
                len(logs),
                f"{mean:.2f} ({each.min():.2f} to {each.max():.2f})",
                "-" if method.name == "whole" else _effect(both),
                *_qualities(_of(runs, [method.name]), whole),
                ", ".join(f"{value:.2f}" for value in inside[method.name]),
            )
        )
    budget = {own["budget"] for own in runs}
    measured = sum(quality is not None for quality in whole.values())
    head = (
        "without", "what", "seeds", "chosen, of GELU", "chosen", "finalists",
        "best by full training", "ID of GELU, by seed",
    )  # fmt: skip
    note = (
        f"Runs of {' or '.join(sorted(budget))} judged candidates, with `migration_every=75` and "
        "`refine_share=0.04`, so that what is rare happens in them too. What each chose, by the "
        "quick form on the test draws, and the same of the whole search's. One choice has luck in "
        f"it; so, of {measured} of the seeds, what the finalists have on the validation draws, and "
        "what the three best by full training have on search draws, of the whole search's: means, "
        "an ID error above its limit counted as OOD error. These three columns are paired by seed, "
        "with 95% intervals by Student's t over seeds."
    )
    return ["## Ablations", "", note, "", *_table(head, rows)]


def _qualities(runs: Sequence[Record], whole: dict[int, Any]) -> list[str]:
    """Compare what runs ended with as a whole."""
    if runs[0]["method"] == "whole":
        return ["-", "-"]
    pairs = [(own["quality"], whole[own["seed"]]) for own in runs if own.get("quality")]
    return [_effect([a[key] - b[key] for a, b in pairs]) for key in ("selection", "full")]


def _effect(paired: Sequence[float]) -> str:
    """Return the geometric mean of paired ratios with a 95% interval by Student's t."""
    if len(paired) < 2 or not any(paired):
        return "-"
    from scipy import stats as scipy_stats

    mean = float(np.mean(paired))
    reach = float(scipy_stats.t.ppf(0.975, len(paired) - 1) * scipy_stats.sem(paired))
    return f"{10**mean:.2f} [{10 ** (mean - reach):.2f}, {10 ** (mean + reach):.2f}]"
