"""Genetic programming without its brakes: microseconds a candidate at a population of 10,000.

Generations of 10,000 proposals get random objectives, which is the worst case for selection:
nothing is ever cut short. What is timed is asking (parents, crossover, mutation, limits) and
telling (non-dominated sorting and crowding), from the third generation on; the first is random
trees. DEAP's own selection of the same individuals is timed beside it, and the same with all parts
of evolution that a search has: islands, age, and the archive, which evaluates every function to
see how it behaves.
"""

from __future__ import annotations

import random
import statistics
import time

from deap import tools

from symact.cli.benchmark import Bench
from symact.grammar import Grammar
from symact.proposers import AbstractProposer, EvaluatedProposal, Evolution, GeneticProposer
from symact.proposers.population import survivors


def measure(bench: Bench) -> None:
    count = 200 if bench.quick else 10_000
    turns = 3 if bench.quick else 7
    plain = Evolution(population=count, islands=1, diversity="none", archive=False)
    asked, told, proposer = _generations(plain, count, turns)
    ask, tell = statistics.median(asked[2:]), statistics.median(told[2:])
    column = f"us a candidate, population {count}"
    bench.row("first generation, random trees", **{column: asked[0]})
    bench.row("ask: selection of parents, variation", **{column: ask})
    bench.row("tell: selection of survivors", **{column: tell})
    asked, told, _ = _generations(Evolution(population=count, migration_every=count), count, turns)
    bench.row("ask, all parts", **{column: statistics.median(asked[2:])})
    bench.row("tell, all parts", **{column: statistics.median(told[2:])})
    (pool,) = proposer._islands
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


def _generations(
    evolution: Evolution, count: int, turns: int
) -> tuple[list[float], list[float], AbstractProposer]:
    """Return microseconds a candidate of each generation, asked and told, and the proposer."""
    stream = random.Random(1)
    proposer = GeneticProposer(Grammar.load("pointwise"), seed=0, evolution=evolution)
    asked: list[float] = []
    told: list[float] = []
    for _ in range(turns):
        start = time.perf_counter()
        proposals = proposer.ask(count)
        asked.append((time.perf_counter() - start) / count * 1e6)
        results = [
            EvaluatedProposal(
                p.expr,
                (stream.gauss(0, 1), stream.gauss(0, 1), float(stream.randint(1, 80))),
                tag=p.tag,
            )
            for p in proposals
        ]
        start = time.perf_counter()
        proposer.tell(results)
        told.append((time.perf_counter() - start) / count * 1e6)
    return asked, told, proposer


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
