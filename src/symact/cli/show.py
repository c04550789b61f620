"""``symact show``: print the results of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import note, print_json, print_table, quoted
from symact.cli.options import Json
from symact.errors import StoreError
from symact.reporting.text_table import Column, numbers, one_line
from symact.storage.schema import SELECTION
from symact.tasks.protocol import LADDER

if TYPE_CHECKING:
    from symact.engine.result import Found, Result

#: The participles of the fidelities of an activation search.
_TRAINED = {"mini": "mini-trained", "full": "fully trained"}
#: Maximum number of failed candidates to list.
_LISTED_FAILURES = 5


def show(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="A run directory. Default: the newest in runs/."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the results of a run."""
    from symact.engine.result import load

    result = load(run or _newest())
    if as_json:
        print_json(result.to_json())
        return
    print_run(result)


def _newest() -> Path:
    """Return the run below ``runs`` with the latest change of its database.

    Raises:
        StoreError: There is no run.
    """
    databases = sorted(Path("runs").glob("*/run.db"), key=lambda path: path.stat().st_mtime)
    if not databases:
        raise StoreError("no run directory given, and no run in runs/; use: symact show RUN")
    note(f"newest run: {databases[-1].parent}")
    return databases[-1].parent


def print_run(result: Result) -> None:
    """Print counts, costs, the Pareto front and the chosen function."""
    _print_counts(result)
    _print_failures(result)
    _print_costs(result)
    if not result.finished and result.config["ladder"] == LADDER:
        print(f"not finished; continue with: symact resume {quoted(result.path)}")
    elif not result.finished:
        print("not finished; only the version that made it can continue it")
    if result.front:
        _print_front(result)
        _print_best(result)


def _print_counts(result: Result) -> None:
    counts = dict(result.counts)
    seen, screened = counts.pop("seen"), counts.pop("screened")
    trained = [f"{count} {_TRAINED.get(name, f'evaluated at {name!r}')}"
               for name, count in counts.items()]  # fmt: skip
    print("\n" + ", ".join([f"{seen} candidates seen, {seen - screened} screened out", *trained]))
    agreement = ", ".join(
        f"{pair} {'-' if value is None else f'{value:.2f}'}"
        for pair, value in result.fidelity_spearman.items()
    )
    print(f"Spearman correlation between fidelities: {agreement}")


def _print_failures(result: Result) -> None:
    for failed in result.quarantined[:_LISTED_FAILURES]:
        reason = one_line(failed["reason"])
        print(f"#{failed['id']} failed and counts as diverged ({failed['place']}): {reason}")
    rest = len(result.quarantined) - _LISTED_FAILURES
    if rest > 0:
        print(f"and {rest} more; 'symact show --json' lists all")


def _print_costs(result: Result) -> None:
    total = sum(cost["seconds"] for cost in result.costs.values())
    if total:
        shares = [_share(part, cost, total) for part, cost in result.costs.items()]
        print(f"Time: {', '.join(shares)}")


def _share(part: str, cost: dict[str, float], total: float) -> str:
    text = f"{part} {cost['seconds'] / total:.0%}"
    if not cost["candidates"]:
        return text
    return f"{text} ({cost['seconds'] / cost['candidates'] * 1e3:.3g} ms each)"


def _print_front(result: Result) -> None:
    is_pooled = result.front[0].pooled is not None
    heads = ("id", "pooled", "OOD", "ID", "FLOPs") if is_pooled else ("id", "OOD", "ID", "FLOPs")
    rows = [_cells(str(found.id), found, is_pooled=is_pooled) for found in result.front]
    if result.reference is not None:
        rows.append(_cells("", result.reference, is_pooled=is_pooled))
    if result.fidelity == SELECTION:
        print("\nPareto front, errors on the validation draws; last row: GELU")
        if is_pooled:
            is_worst = result.config["plan"].get("objective") == "worst"
            which = " of the worst family" if is_worst else ""
            print(f"pooled: OOD error{which} over GELU's, on the draws of search and validation")
    else:
        print(f"\nbest so far, errors of fidelity '{result.fidelity}'; last row: GELU")
    print_table([*numbers(*heads), Column("formula", wraps=True)], rows)


def _cells(number: str, found: Found, *, is_pooled: bool) -> list[str]:
    pooled = "1" if found.pooled is None else f"{found.pooled[0]:.3f}"
    errors = (f"{found.ood:.3g}", f"{found.id_error:.2e}")
    return [number, *([pooled] if is_pooled else []), *errors, str(found.flops), found.formula]


def _print_best(result: Result) -> None:
    best, first = result.chosen, result.front[0]
    if best is None:
        print("no best function: all functions of the front depend on batch statistics")
        return
    print(f"best: #{best.id}  {best.formula}")
    if best.id != first.id:
        print(f"(#{first.id} is not chosen: its ID error is too high, or it uses batch statistics)")
    if result.path is not None:
        print(f"use it: symact.load({str(result.path)!r}).best.to_torch()")
