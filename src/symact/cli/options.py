"""Options that several commands share, with their meaning in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symact.errors import SymactError

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
Judge = Annotated[
    bool,
    typer.Option(
        "--compare/--no-compare",
        help="At the end, compare the functions found with known ones on the test draws.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where full training runs: cpu or cuda. Default: cuda if there is one."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Candidates to train at the same time. Default: the CPU cores."),
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="How candidates are trained: threads (default), or processes, so that a crash "
        "loses one candidate only."
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(help="Train on a Ray cluster: its address, or auto for one on this machine."),
]


def executor_name(executor: str | None, ray: str | None) -> str:
    """Return the executor that ``--executor`` and ``--ray`` ask for.

    Raises:
        SymactError: Both are given and differ.
    """
    if ray is None:
        return executor or "threads"
    if executor is not None and executor.partition(":")[0] != "ray":
        raise SymactError("--ray and --executor cannot be combined")
    return f"ray:{ray}"


def local_device(device: str | None, executor: str) -> str | None:
    """Return the device of this machine: the one asked for, unless a cluster trains."""
    return None if executor.startswith("ray") else device
