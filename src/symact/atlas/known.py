"""Judgements of the usual known functions that are part of the package.

Their errors in the test families at the end of a search are the same each time. The file
``known.json`` has them, so only the found functions are trained. ``tools/judge_known.py`` writes
it. Judgements of other families, of another form or of other data are not used.

Other processors round differently in the last digit, and training amplifies that. A judgement of
this machine differs from one in the file by chance, not on average.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from symact import files
from symact.atlas.board import population_digest
from symact.atlas.judgements import Judgement, from_dict, to_dict
from symact.evaluation.cells import CellJudge

#: The file of the package.
PATH = Path(__file__).with_name("known.json")


def known_judgements(judge: CellJudge) -> tuple[Judgement, ...]:
    """Return the judgements of the package in the generated test families of a judge.

    Args:
        judge: Has the families and the form.

    Returns:
        The judgements; none if those of the package are of other families, form or data.
    """
    stored = _stored()
    if (stored["population"], stored["data"]) != (population_digest(judge), judge.data):
        return ()
    return tuple(from_dict(own) for own in stored["judgements"])


def write_known(path: Path, judge: CellJudge, judged: Sequence[Judgement]) -> None:
    """Write judgements to a file, one a line.

    Args:
        path: The file.
        judge: Has the families and the form.
        judged: Judgements by it.
    """
    head = {"population": population_digest(judge), "data": judge.data}
    rows = ",\n".join(json.dumps(to_dict(own), separators=(",", ":")) for own in judged)
    text = f'{json.dumps(head)[:-1]}, "judgements": [\n{rows}\n]}}\n'
    with files.replacing(path) as new:
        new.write_text(text, encoding="utf-8")


@cache
def _stored() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return stored
