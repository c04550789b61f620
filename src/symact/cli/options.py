"""Options that several commands share."""

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
        help="Finally, compare the functions found with known ones on the test draws.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Device of full training: cpu or cuda. Default: cuda if available."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of candidates to train at the same time. Default: the number of CPU cores.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="Workers that train candidates: threads (default) or processes. With processes, "
        "a crash loses one candidate only."
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        help="Address of a Ray cluster that trains candidates; auto for one on this machine."
    ),
]


def executor_name(executor: str | None, ray: str | None) -> str:
    """Return the name of the executor that ``--executor`` and ``--ray`` select.

    Raises:
        SymactError: Both options are given and differ.
    """
    if ray is None:
        return executor or "threads"
    if executor is not None and executor.partition(":")[0] != "ray":
        raise SymactError("--ray and --executor cannot be combined")
    return f"ray:{ray}"


def local_device(device: str | None, executor: str) -> str | None:
    """Return the device for work on this machine; None if a cluster trains."""
    return None if executor.startswith("ray") else device
