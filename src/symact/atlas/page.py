"""Write the page of a leaderboard: the where-it-wins matrix and the table, as HTML and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symact import files
from symact.atlas.board import Leaderboard, cells, explanation, headings
from symact.reporting.html import Chosen, Page, Picture, picture

_CAPTION = (
    "Where each function wins: its OOD error relative to {reference} in each family, a geometric "
    "mean over initialisations and architectures. Blue is better than {reference}, red is worse. "
    "Similar functions and similar families are neighbours. Rows: the best {most} functions."
)

_READING = (
    "Every function was trained in the same networks, on the same data, from the same initial "
    "weights. The learning rate of each network was chosen by the error on validation points of "
    "the training distribution. OOD is the error outside the training range relative to "
    "{reference}, a geometric mean over families and cells. Its 95% interval is a hierarchical "
    "bootstrap: it resamples families, and then the cells of each. p is two-sided, of the same "
    "bootstrap, with Holm's correction over the {looked_at} functions looked at. Won is the share "
    "of cells with a lower error than {reference}. The worst family was chosen for its ratio, so "
    "its ratio is too large by chance. ID is the error inside the range relative to {reference}. "
    "A linear model has {linear:.3g} of {reference}'s OOD error."
)
_MOST = 60


def write_page(board: Leaderboard, folder: Path) -> Path:
    """Write ``leaderboard.html``, ``leaderboard.json`` and ``matrix.svg``.

    Args:
        board: The leaderboard.
        folder: The folder to write to. It is made if it does not exist.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(board.to_dict(), indent=1) + "\n"
    files.write(folder / "leaderboard.json", document)
    drawing, path = folder / "matrix.svg", folder / "leaderboard.html"
    draw_matrix(board, drawing)
    title = f"Leaderboard of activation functions, protocol {board.version}"
    page_of(board, title, drawing).write(path)
    return path


def draw_matrix(board: Leaderboard, path: Path) -> None:
    """Draw the where-it-wins matrix of the best pointwise functions."""
    from symact.reporting.figures.matrix import matrix

    kept = [i for i, own in enumerate(board.entries) if not own.statistics][:_MOST]
    names = [board.entries[i].title for i in kept]
    matrix(board.matrix[kept], names, board.families, path, reference=board.reference)


def page_of(
    board: Leaderboard,
    title: str,
    drawing: Path,
    *,
    pictures: Sequence[Picture] = (),
    chosen: Sequence[Chosen] = (),
    facts: Sequence[Mapping[str, Any]] = (),
) -> Page:
    """Return the page of a leaderboard.

    Args:
        board: The leaderboard.
        title: The heading of the page.
        drawing: The file of the matrix.
        pictures: Pictures after the table.
        chosen: The function that each run chose.
        facts: Facts about each run.
    """
    return Page(
        title=title,
        trained=explanation(board),
        blocks=board.blocks,
        headings=["function", *headings(), "formula"],
        cells=cells,
        reading=_READING.format(
            reference=board.reference, looked_at=board.looked_at, linear=board.linear
        ),
        lead=[picture(_CAPTION.format(reference=board.reference, most=_MOST), drawing)],
        pictures=pictures,
        chosen=chosen,
        facts=facts,
    )
