"""Genetic programming without its brakes: microseconds a candidate at a population of 10,000.

Generations of 10,000 proposals get random objectives, which is the worst case for selection:
nothing is ever cut short. What is timed is asking (parents, crossover, mutation, limits) and
telling (non-dominated sorting and crowding), from the third generation on; the first is random
trees. DEAP's own selection of the same individuals is timed beside it.
"""

from __future__ import annotations

import random
import statistics
import time

from deap import tools

from symact.bench import Bench
from symact.grammar import Grammar
from symact.propose import Told, gp
from symact.propose._gp import survivors


def measure(bench: Bench) -> None:
    count = 2_000 if bench.quick else 10_000
    stream = random.Random(1)
    proposer = gp(Grammar.load("pointwise"), seed=0, population=count, seeds=())
    asked: list[float] = []
    told: list[float] = []
    for _ in range(4 if bench.quick else 7):
        start = time.perf_counter()
        proposals = proposer.ask(count)
        asked.append((time.perf_counter() - start) / count * 1e6)
        results = [
            Told(p.expr, (stream.gauss(0, 1), stream.gauss(0, 1), float(stream.randint(1, 80))))
            for p in proposals
        ]
        start = time.perf_counter()
        proposer.tell(results)
        told.append((time.perf_counter() - start) / count * 1e6)
    ask, tell = statistics.median(asked[2:]), statistics.median(told[2:])
    column = f"us a candidate, population {count}"
    bench.row("first generation, random trees", **{column: asked[0]})
    bench.row("ask: selection of parents, variation", **{column: ask})
    bench.row("tell: selection of survivors", **{column: tell})
    pool = proposer._population
    half = len(pool) // 2
    taken = bench.times(
        {
            "symact": lambda: survivors(list(pool), half),
            "DEAP": lambda: tools.selNSGA2(list(pool), half, nd="log"),
        },
        rounds=5,
    )
    bench.row("survivors of half as many, symact", **{column: taken["symact"] / len(pool) * 1e6})
    bench.row("survivors of half as many, DEAP", **{column: taken["DEAP"] / len(pool) * 1e6})
    bench.ratio("us_a_candidate", ask + tell, most=60.0)
    bench.ratio("selection_over_deap", taken["DEAP"] / taken["symact"], least=1.0)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
