"""Write the judgements of the usual known functions: ``src/symact/atlas/known.json``.

    python tools/judge_known.py [FILE]

Run it after a change of protocol 2.0, of the generated families, of a known function or of the
kernels. It takes two minutes on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

from symact import zoo
from symact.atlas.board import form_of, judge_all
from symact.atlas.comparison import BRIEF_FAMILIES
from symact.atlas.judgements import Judgements
from symact.atlas.known import PATH, write_known
from symact.evaluation.cells import CellJudge
from symact.reporting.competitors import of_zoo
from symact.tasks.families import population
from symact.tasks.protocol import COMPARED


def main(path: Path) -> None:
    form = form_of("quick", BRIEF_FAMILIES)
    judge = CellJudge(population("test", BRIEF_FAMILIES), form, device="cpu")
    functions = [of_zoo(zoo.find(name)) for name in COMPARED]
    judged = judge_all(judge, Judgements(None), functions, lambda *step: print(*step, flush=True))
    write_known(path, judge, judged)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else PATH)
