"""``symact bench``: measure speed on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from symact.cli.console import note
from symact.cli.options import Json


def bench(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A benchmark. Default: list all.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Finish within 45 s, with less precise figures.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure the speed of symact and of alternatives."""
    from symact.cli import benchmark

    if name is None:
        print("\n".join(benchmark.scripts()))
        return
    measured = benchmark.run(name, quick=quick, say=lambda line: note(f"measured: {line}"))
    print(benchmark.dump(measured) if as_json else measured.to_text().rstrip("\n"))
