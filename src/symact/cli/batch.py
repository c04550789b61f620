"""``symact batch``: many searches from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symact.cli.options import Training, trains


@trains
def batch(
    jobs: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file of jobs.")],
    *,
    training: Training,
) -> None:
    """Run many searches without a terminal; the exit status is 1 if any failed."""
    from symact.cli.jobs import load_batch, run_batch

    loaded = load_batch(jobs)
    failed = run_batch(loaded, lambda line: print(line, flush=True), **training.arguments)
    done = len(loaded.jobs) - failed
    print(f"{done} of {len(loaded.jobs)} jobs done, {failed} failed; see {loaded.out}", flush=True)
    if failed:
        raise typer.Exit(1)
