"""Runs of every method, each into a directory of its own, and what the repository keeps of them."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from methods import Method

from symact import engine, zoo
from symact.cli.benchmark import machine
from symact.engine import Progress
from symact.engine.baselines import penalised_score
from symact.engine.result import Found, Result
from symact.errors import SymactError
from symact.evaluation import Plan
from symact.expr import parse
from symact.expr.cost import flops
from symact.files import replacing
from symact.storage.repository import open_run
from symact.tasks import scores as stats
from symact.tasks.protocol import ID_LIMIT, LADDER, REFERENCE, VERSION

#: A cheap function costs at most twice what GELU does.
CHEAP = 2 * flops(zoo.find(REFERENCE).expr)
#: What two records have to have in common to be compared.
COMMON = ("budget", "protocol", "ladder", "finals")

Say = Callable[[str], None]


def run(
    methods: Sequence[Method],
    seeds: Sequence[int],
    budget: str,
    plan: Plan,
    folder: Path,
    kept: Path,
    say: Say,
) -> None:
    """Run what was not run yet, seed by seed, so that methods can be compared at any time.

    Each run is a process of its own: none profits from what another has loaded or remembered.

    Args:
        methods: Ways to search.
        seeds: Of each.
        budget: As ``symact search`` takes it.
        plan: What all have in common.
        folder: Of the run directories.
        kept: Of the records, one JSON file a run.
        say: Takes a line of progress.

    Raises:
        SymactError: A record is there that was made in another way.
    """
    kept.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for method in methods:
            record = kept / f"{method.name}-{seed}.json"
            if record.exists():
                _check(record, _common(budget, plan))
                continue
            say(f"{method.name}, seed {seed}, {budget}")
            path = _free(folder / f"{method.name}-{seed}")
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn) as alone:
                document = alone.submit(_run, method, seed, budget, plan, path).result()
            with replacing(record) as new:
                new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            say(f"  {document['best']['formula']}")


def _common(budget: str, plan: Plan) -> dict[str, Any]:
    finals = [plan.finalists, plan.selection_networks]
    return {"budget": budget, "protocol": VERSION, "ladder": LADDER, "finals": finals}


def _check(record: Path, wanted: dict[str, Any]) -> None:
    stored = json.loads(record.read_text(encoding="utf-8"))
    for key in COMMON:
        if stored[key] != wanted[key]:
            raise SymactError(
                f"{record}: its {key} is {stored[key]}, asked is {wanted[key]}; "
                "choose other --results, or the same"
            )


def _free(path: Path) -> Path:
    """Put a run that was cut short aside: its wall time would not count."""
    number = 0
    aside = path
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.cut-{number}")
    if aside != path:
        path.rename(aside)
    return path


def _run(method: Method, seed: int, budget: str, plan: Plan, path: Path) -> dict[str, Any]:
    timeline: list[tuple[float, int, int]] = []
    ended = 0.0

    def note(progress: Progress) -> None:
        nonlocal ended
        ended = time.monotonic() if progress.phase == "search" else ended
        counts = progress.counts
        if progress.phase == "search":
            timeline.append((round(progress.seconds, 1), counts["mini"], counts["full"]))

    started = time.monotonic()
    arguments = method.arguments(seed, plan)
    result = engine.search(budget=budget, out=path, on_progress=note, **arguments)
    document = {
        "method": method.name,
        "seed": seed,
        **_common(budget, plan),
        "seconds": timeline[-1][0],
        "seconds_in_all": round(time.monotonic() - started, 1),
        "seconds_of_finals": round(time.monotonic() - ended, 1),
        "counts": result.counts,
        "rung_spearman": result.fidelity_spearman,
        "costs": result.costs,
        "timeline": timeline,
        "incumbents": incumbents(path),
        "quality": quality(path),
        "plan": result.config["plan"],
        "evolution": result.config["evolution"],
        "machine": machine(),
        "commit": _commit(),
    }
    return {**document, **_found(result)}


def _commit() -> str | None:
    """Return what git calls this checkout, None outside of one."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None


def _found(result: Result) -> dict[str, Any]:
    cheap = [own for own in result.front if own.flops <= CHEAP]
    reference = result.reference
    assert reference is not None
    allowed = [own for own in cheap if own.id_error <= ID_LIMIT * reference.id_error]
    frugal = min(allowed or cheap, key=lambda own: own.ood, default=None)
    return {
        "best": _row(result.best),
        "frugal": None if frugal is None else _row(frugal),
        "front": [_row(own) for own in result.front],
        "reference": _row(reference),
    }


def _row(found: Found) -> dict[str, Any]:
    return {
        "id": found.id,
        "formula": found.formula,
        "ood": found.ood,
        "id_error": found.id_error,
        "flops": found.flops,
        "families": found.families,
    }


def quality(path: Path) -> dict[str, float]:
    """Return how good what a run ends with is as a whole: one choice has more luck in it.

    Returns:
        OOD error above the reference's, log10, plus what the ID error exceeds its limit by: under
        ``"full"`` the mean over the three best by full training on every draw, under
        ``"selection"`` the mean over the finalists on the validation draws.
    """
    store = open_run(path)
    try:
        base = store.references()["full"]
        repeated = store.repeated()
        selected = store.reference()
        finalists = store.scores("selection")
    finally:
        store.close()
    limit = float(np.log10(ID_LIMIT))
    full = sorted(penalised_score(own, base) - base[0] for own in repeated.values())
    above = [
        own.ood - selected.ood + max(0.0, own.id_error - selected.id_error - limit)
        for own in finalists
    ]
    return {"full": float(np.mean(full[:3])), "selection": float(np.mean(above))}


def incumbents(path: Path) -> list[dict[str, Any]]:
    """Return each function that full training called the best so far, and when.

    ``full`` counts the full trainings spent until then, that one included.
    """
    store = open_run(path)
    try:
        reference = store.references()["full"]
        formulas = {c.id: c.formula for c in store.candidates()}
        fulls = store.scores("full")
    finally:
        store.close()
    found: list[dict[str, Any]] = []
    lowest = float("inf")
    for place, scored in enumerate(fulls, start=1):
        above = penalised_score((scored.ood, scored.id_error), reference) - reference[0]
        if above < lowest:
            lowest = above
            formula = formulas[scored.candidate]
            found.append(
                {
                    "full": place,
                    "ratio": stats.plain(above),
                    "formula": formula,
                    "flops": flops(parse(formula)),
                }
            )
    return found
