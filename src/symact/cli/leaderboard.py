"""``symact leaderboard``: judge functions by protocol 2.0 over a population of settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import note, print_json, print_table
from symact.cli.options import Device, Json, Quiet

if TYPE_CHECKING:
    from symact.atlas.board import Leaderboard


def leaderboard(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|FORMULA|RUN|PROGRAM]...",
            help="Functions to judge. Default: the whole zoo.",
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Use the full form of the protocol, not the quick one.")
    ] = False,
    families: Annotated[
        int | None,
        typer.Option(
            min=2, max=1000, help="Number of generated families of targets. Default: protocol."
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Print only so many functions. Default: all.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder of the judgements and of the page.")] = Path(
        "runs/leaderboard"
    ),
    as_json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
) -> None:
    """Judge functions by protocol 2.0 and show where each of them wins.

    Each judgement is stored when it is done. If the command is stopped, the same command goes on.
    """
    from symact.atlas import leaderboard as judge
    from symact.atlas.page import write_page

    board = judge(
        *(items or ()),
        form="full" if full else "quick",
        families=families,
        out=out,
        device=device,
        on_step=None if as_json or quiet else note_step,
    )
    page = write_page(board, out)
    if as_json:
        print_json(board.to_dict())
        return
    print_board(board, top)
    print(f"\npage: {page}")


def note_step(done: int, total: int, name: str) -> None:
    """Report on standard error which function is trained."""
    note(f"judging {done + 1}/{total}: {name}")


def print_board(board: Leaderboard, top: int | None = None) -> None:
    """Print what was trained and the table, at most ``top`` rows of each block."""
    from symact.atlas.board import columns, explanation, table_cells

    print(f"{explanation(board)}\n")
    for block in board.blocks:
        print(f"\n{block.title}\n" if block.title else "", end="")
        print_table(columns(), [table_cells(own) for own in block.rows[:top]])
