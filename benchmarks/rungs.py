"""How well each cheap rung ranks candidates as full training does, and at what cost.

Known functions and random sentences of the default grammar are judged on the search draws by every
rung; printed is the Spearman correlation with full training, overall and by family, and seconds per
candidate on this machine. The choice of ``protocol.MINI`` and of the ridge rung rests on it.

Run: ``python benchmarks/rungs.py [FUNCTIONS]`` (46 functions take about 4 minutes on 2 cores).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from symact import stats, zoo
from symact.expr import Expr
from symact.grammar import Grammar
from symact.propose import random
from symact.protocol import FULL, MINI, Training
from symact.score import Outcome, screen
from symact.score._full import FullTrainer
from symact.score._mini import MiniTrainer
from symact.score._networks import pack
from symact.score._ridge import RidgeJudge
from symact.tasks import task

KNOWN = (
    "ReLU",
    "GELU",
    "SiLU",
    "tanh",
    "Mish",
    "Snake",
    "sin",
    "GELUSine",
    "GELU-Sinc-Perturbation",
    "GMTU",
    "Softsign",
    "Softplus",
    "ELU",
    "Arctan",
)

Judge = Callable[[Expr], NDArray[np.float64]]


def functions(count: int) -> list[Expr]:
    found = [zoo.find(name).expr for name in KNOWN]
    proposer = random(Grammar.load("pointwise"), seed=3)
    while len(found) < count:
        for proposal in proposer.ask(20):
            if screen(proposal.expr).outcome is Outcome.PASSED and proposal.expr not in found:
                found.append(proposal.expr)
    return found[:count]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 46
    exprs = functions(count)
    instances = task("ood-suite").draw("search", seed=0, per_family=8)
    families = [instance.family for instance in instances]

    def scores(judge: Judge) -> tuple[list[stats.Score], NDArray[np.float64], float]:
        judge(exprs[0])  # compiles
        start = time.perf_counter()
        errors = np.stack([judge(expr) for expr in exprs])
        seconds = (time.perf_counter() - start) / len(exprs)
        nearby = stats.nearby_errors(errors, families)
        return [stats.score(own, families) for own in errors], nearby, seconds

    full = FullTrainer(pack(instances, FULL.points), FULL, [0], entropy=2)
    again = FullTrainer(pack(instances, FULL.points), FULL, [0], entropy=99)
    truth, _, seconds = scores(lambda expr: full.judge([expr])[0])
    print(f"{count} functions, {os.cpu_count()} cores, search draws of seed 0, 24 networks each")
    print(f"full training {seconds:.2f} s per candidate\n")
    print(f"{'judge':34}{'ms':>7}{'OOD':>7}{'nearby':>7}{'ID':>7}  by family")

    def report(name: str, judge: Judge) -> None:
        found, nearby, cost = scores(judge)
        target = [score.ood for score in truth]
        by_family = {
            family: stats.spearman(
                [s.families[family] for s in found], [s.families[family] for s in truth]
            )
            for family in sorted(set(families))
        }
        columns = (
            stats.spearman([s.ood for s in found], target),
            stats.spearman(nearby, target),
            stats.spearman([s.id_error for s in found], [s.id_error for s in truth]),
        )
        text = "".join(f"{value:7.2f}" for value in columns if value is not None)
        shares = ", ".join(f"{name} {value:.2f}" for name, value in by_family.items() if value)
        print(f"{name:34}{cost * 1e3:7.0f}{text}  {shares}", flush=True)

    report("full, other weights (ceiling)", lambda expr: again.judge([expr])[0])
    report("ridge", RidgeJudge(pack(instances, MINI.points, 64), 1).judge)
    for training in (
        Training(16, 2, 200, 128, 1e-2),
        Training(16, 2, 400, 128, 2e-2),
        MINI,
        Training(24, 2, 400, 128, 2e-2),
    ):
        name = (
            f"mini {training.width} wide, {training.steps} steps, rate {training.learning_rate:g}"
        )
        report(name, MiniTrainer(pack(instances, training.points), training, [0], 1).judge)


if __name__ == "__main__":
    main()
