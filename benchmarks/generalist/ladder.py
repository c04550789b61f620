"""Measure how well the fidelities of a search for a generalist rank functions.

``python benchmarks/generalist/ladder.py`` judges the best known functions of the leaderboard by the
quick form of protocol 2.0 on the 96 families of the split ``selection``, and trains them on the
draws of mini-training and full training, which use the split ``search``. It prints the rank
correlation of the two. Results are in ``benchmarks/results/generalist/ladder.json``; with
``--report`` they are read from there.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from contest import RESULTS
from numpy.typing import NDArray
from scipy.stats import spearmanr

from symact import zoo
from symact.evaluation import ActivationProblem, Ladder, Plan
from symact.evaluation.cells import CellJudge
from symact.evaluation.hierarchy import ood
from symact.expr import Expr
from symact.tasks import GENERALIST, task
from symact.tasks import scores as stats
from symact.tasks.families import population
from symact.tasks.protocol import CLIP
from symact.tasks.protocol2 import QUICK, REFERENCE

BOARD, OUT = RESULTS / "leaderboard" / "leaderboard.json", RESULTS / "generalist" / "ladder.json"
FIDELITIES = ("mini", "full")
#: How many of the best functions are compared, and the numbers of draws that are pooled.
BEST, POOLED = (40, 20), (1, 2, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="Print what was measured before.")
    if not parser.parse_args().report:
        measure(known_functions())
    print(report(json.loads(OUT.read_text())))


def known_functions() -> dict[str, Expr]:
    """Return the best pointwise functions of the leaderboard."""
    rows = json.loads(BOARD.read_text())["entries"]
    names = [row["name"] for row in rows if zoo.find(row["name"]).kind == "pointwise"]
    return {name: zoo.find(name).expr for name in names[: max(BEST)]}


def measure(functions: dict[str, Expr]) -> None:
    """Judge and train the functions, and write the errors relative to the reference."""
    judge = CellJudge(population("selection", QUICK.families), QUICK)
    judged = {}
    for name, expr in functions.items():
        judged[name] = ood(judge.judge([expr])[0].errors)
        print("judged", name, flush=True)
    above = {name: (own - judged[REFERENCE]).mean(axis=1) for name, own in judged.items()}
    ladder = Ladder(ActivationProblem(task(GENERALIST)), 0, Plan())
    found = {
        "functions": list(functions),
        "judged": [np.round(above[name], 4).tolist() for name in functions],
        **{own.name: trained(ladder, own.name, own.draws, functions) for own in ladder.fidelities},
    }
    ladder.close()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found) + "\n")


def trained(ladder: Ladder, name: str, draws: int, functions: dict[str, Expr]) -> list:
    """Return the OOD errors [draw][function][network] above the reference, in log10, clipped."""
    found = []
    for draw in range(draws):
        errors = np.stack(ladder.train(name, list(functions.values()), draw))
        logs = stats.log_errors(errors)[:, :, 0, 1:].mean(axis=-1)
        above = np.clip(logs - logs[list(functions).index(REFERENCE)], -CLIP, CLIP)
        found.append(np.round(above, 3).tolist())
        print("trained", name, draw, flush=True)
    return found


def report(found: dict) -> str:
    """Return the table of rank correlations."""
    judged = np.array(found["judged"])  # [function, family]
    truth = judged.mean(axis=1)
    order = np.argsort(truth)
    lines = ["| | networks | " + " | ".join(f"best {k}" for k in BEST) + " |"]
    lines.append("|---|---:|" + "---:|" * len(BEST))
    for name in FIDELITIES:
        errors = np.array(found[name])  # [draw, function, network]
        for pooled in POOLED:
            if pooled <= len(errors):
                cells = [f"{correlation(errors, truth, order[:k], pooled):.2f}" for k in BEST]
                networks = pooled * errors.shape[2]
                lines.append(f"| {name}, {pooled} draws | {networks} | " + " | ".join(cells) + " |")
    halves = [f"{agreement(judged[order[:k]]):.2f}" for k in BEST]
    lines.append(f"| halves of the judge's families | | {' | '.join(halves)} |")
    return "\n".join(lines)


def correlation(
    errors: NDArray[np.float64],
    truth: NDArray[np.float64],
    rows: NDArray[np.intp],
    pooled: int,
) -> float:
    """Return the Spearman correlation of pooled draws with the judge, mean over sets of draws."""
    sets = [errors[first : first + pooled] for first in range(0, len(errors) - pooled + 1, pooled)]
    found = [spearmanr(own.mean(axis=(0, 2))[rows], truth[rows])[0] for own in sets]
    return float(np.mean(found))


def agreement(judged: NDArray[np.float64]) -> float:
    """Return the mean correlation of judgements on two disjoint halves of the families."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        first, second = np.split(rng.permutation(judged.shape[1]), 2)
        found.append(spearmanr(judged[:, first].mean(axis=1), judged[:, second].mean(axis=1))[0])
    return float(np.mean(found))


if __name__ == "__main__":
    main()
