"""``symact recommend``: which activation function for which data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import note, print_json, print_table
from symact.cli.options import Json, Quiet
from symact.errors import SymactError
from symact.reporting.text_table import Column, numbers

if TYPE_CHECKING:
    from symact.atlas.recommendation import Recommendation


def recommend(
    data: Annotated[
        Path | None, typer.Argument(metavar="[CSV]", help="Training data with column names.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="A target column; repeat it for several. Default: the last column."),
    ] = None,
    ood: Annotated[
        Path | None,
        typer.Option(help="CSV of rows outside the training range. Rows 1, 3, 5 ... are used."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="A task (symact tasks) in place of data.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write recommendation.json and recommendation.svg here.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the divisions of the rows.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recommend an activation function for data, from the training data alone."""
    from symact import tasks
    from symact.atlas import recommend as choose

    if (data is None) == (task is None):
        raise SymactError("give a CSV file or --task NAME, and not both")
    if task is not None and (target or ood):
        raise SymactError("--target and --ood need a CSV file; a task has its own targets")
    if not (as_json or quiet):
        note("reading the data; small networks are then trained on parts of it")
    if task is not None:
        found = choose(tasks.task(task), seed=seed)
    else:
        found = choose(data, target or None, ood=ood, seed=seed)
    if out is not None:
        from symact.atlas.recommendation import write

        write(found, out)
    if as_json:
        print_json(found.to_dict())
        return
    _print(found)


def _print(found: Recommendation) -> None:
    from symact.atlas.recommendation import cells, headings, summary

    how = "error on the OOD rows" if found.measured else "predicted error"
    print(f"OOD: {how} relative to {found.fallback}; below 1 is better.")
    print("best: probability of the lowest OOD error.")
    print("pseudo-OOD, ID: measured errors relative to the mean answer without the fallback.\n")
    columns = (Column("answer"), *numbers(*headings()))
    print_table(columns, [[own.name, *cells(own)] for own in found.answers])
    print("\n" + "\n".join(summary(found)))
    print(f"\nin torch: symact.activation({found.activation!r})")
