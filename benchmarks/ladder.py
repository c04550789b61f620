"""What each rung costs, how well it ranks, and what shares of candidates ought to climb.

A real search runs first (default grammar and task, its own seed). 64 of its mini-trained
candidates, evenly spaced in their order there, are then judged by full training on 24 search draws
and a second time from other initial weights: no rung can agree with full training better than full
training with itself (the ceiling). Ridge and mini-training see the first of these draws, as many
as the plan gives them; in a search the two rungs see different draws, which makes agreement
harder. Intervals are 95% bootstrap intervals over candidates.

The shares are those that find the best function in a given time, in a simulation: true qualities
and what each rung sees of them are normal with the measured rank correlations, costs are the
measured ones. It leaves out that evolution learns from what is mini-trained. The last table is
where the time of that search went.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from symact import stats
from symact.bench import Bench
from symact.engine import search
from symact.expr import Expr, parse
from symact.protocol import FULL, MINI, RIDGE_POINTS, Training
from symact.score import Plan
from symact.score._full import FullTrainer
from symact.score._mini import MiniTrainer
from symact.score._networks import pack
from symact.score._ridge import RidgeJudge
from symact.tasks import Instance, task

SEED = 11
Errors = NDArray[np.float64]


def measure(bench: Bench) -> None:
    count, judged, per_family = (12, 60, 2) if bench.quick else (64, 500, 8)
    plan = Plan() if not bench.quick else Plan(generation=60)
    found = search(budget=judged, seed=SEED, plan=plan_without_selection(plan))
    frame = found.to_frame()
    trained = frame[frame["mini_ood"].notna()].sort_values("mini_ood")
    places = np.linspace(0, len(trained) - 1, count).astype(int)
    exprs = [parse(formula) for formula in trained["formula"].iloc[places]]
    instances = task("ood-suite").draw("search", seed=SEED, per_family=per_family)
    bench.say(f"{count} candidates of a search of {len(frame)}")

    families = [instance.family for instance in instances]
    cores = os.cpu_count() or 1
    data = pack(instances, FULL.points)
    truth, full_cost = _judge(lambda e: FullTrainer(data, FULL, [0], 2).judge(e), exprs)
    again, _ = _judge(lambda e: FullTrainer(data, FULL, [0], 99).judge(e), exprs)
    expected = _ood(truth, families)
    ceiling = _agreement(bench, "full, other weights", again, families, truth, families, full_cost)
    ridge_data = pack(_first(instances, plan.ridge_instances), RIDGE_POINTS, 64)
    judge = RidgeJudge(ridge_data, SEED)
    ridge, ridge_cost = _judge(lambda e: np.stack(judge.judge_all(e, cores)), exprs)
    _agreement(bench, "ridge", ridge, ridge_data.families, truth, families, ridge_cost)
    nearby = stats.nearby_errors(ridge, ridge_data.families)
    by_nearby = stats.spearman(nearby, expected) or 0.0
    mini_spearman = mini_cost = 0.0
    for name, training, number in _minis(plan):
        own = pack(_first(instances, number), training.points)
        trainer = MiniTrainer(own, training, [0], 1)
        trainer.judge(exprs[0])
        errors, cost = _judge(lambda e, t=trainer: np.stack(t.judge_all(e, cores)), exprs)
        value = _agreement(bench, name, errors, own.families, truth, families, cost)
        if name == "mini":
            mini_spearman, mini_cost = value, cost
    bench.ratio("mini_over_ceiling", mini_spearman / ceiling, least=0.95)
    bench.ratio("full_cost_over_mini", full_cost / mini_cost, least=100.0)
    # As the rungs are used, full training sees fewer tasks than it does here.
    share = plan.full_instances / per_family
    bench.row(
        "full training as the rung uses it", **{"cost over mini": share * full_cost / mini_cost}
    )

    bench.row("ridge by its errors inside and near", **{"Spearman with full OOD": by_nearby})
    # Two full trainings agree by the square of what either agrees with the truth.
    with_truth = np.sqrt(ceiling)
    correlations = (
        min(1.0, by_nearby / with_truth),
        min(1.0, mini_spearman / with_truth),
        with_truth,
    )
    shares = _best_shares(correlations, (ridge_cost, mini_cost, full_cost), plan)
    for name, (mini_share, full_share, quality) in shares.items():
        bench.row(
            name, **{"mini share": mini_share, "full share": full_share, "best found (sd)": quality}
        )
    bench.ratio("plan_over_best_shares", shares["plan"][2] / shares["best"][2], least=0.95)
    for part, cost in found.costs.items():
        bench.row(
            f"search: {part}",
            candidates=int(cost["candidates"]),
            **{"ms each": 1e3 * cost["seconds"] / max(1, cost["candidates"])},
            share=cost["seconds"] / sum(c["seconds"] for c in found.costs.values()),
        )
    algebra = sum(found.costs[part]["seconds"] for part in ("screen", "simplify"))
    whole = sum(cost["seconds"] for cost in found.costs.values())
    bench.ratio("algebra_share_of_time", algebra / whole, most=0.2)


def plan_without_selection(plan: Plan) -> Plan:
    """Return a plan that judges next to nothing after the search, which is not wanted here."""
    from dataclasses import replace

    return replace(plan, finalists=1, selection_instances=1)


def _minis(plan: Plan) -> Sequence[tuple[str, Training, int]]:
    """The rung as it is, and others that were or may be considered."""
    return (
        ("mini", MINI, plan.mini_instances),
        ("mini, twice the instances", MINI, 2 * plan.mini_instances),
        ("mini of protocol 0.1", Training(24, 2, 300, 128, 2e-2), 8),
        ("mini, 16 wide, 200 steps", Training(16, 2, 200, 128, 2e-2), 8),
        ("mini, 16 wide, 400 steps", Training(16, 2, 400, 64, 2e-2), plan.mini_instances),
    )


def _first(instances: Sequence[Instance], number: int) -> list[Instance]:
    families = dict.fromkeys(instance.family for instance in instances)
    return [i for f in families for i in [x for x in instances if x.family == f][:number]]


def _judge(judge: Callable[[list[Expr]], Errors], exprs: list[Expr]) -> tuple[Errors, float]:
    """Return errors [candidate, instance, 1, 4] and seconds for each candidate."""
    start = time.perf_counter()
    errors = judge(exprs)
    return errors, (time.perf_counter() - start) / len(exprs)


def _ood(errors: Errors, families: Sequence[str]) -> NDArray[np.float64]:
    return np.array([stats.score(own, families).ood for own in errors])


def _agreement(
    bench: Bench,
    name: str,
    errors: Errors,
    families: Sequence[str],
    truth: Errors,
    true_families: Sequence[str],
    cost: float,
) -> float:
    """Add a row and return the Spearman correlation in OOD error."""
    found, expected = _ood(errors, families), _ood(truth, true_families)
    value = stats.spearman(found, expected) or 0.0
    stream = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        sample = stream.integers(0, len(found), len(found))
        draws.append(stats.spearman(found[sample], expected[sample]) or 0.0)
    id_errors = [
        [stats.score(own, names).id_error for own in group]
        for group, names in ((errors, families), (truth, true_families))
    ]
    bench.row(
        name,
        **{
            "ms each": cost * 1e3,
            "Spearman OOD": value,
            "low": float(np.quantile(draws, 0.025)),
            "high": float(np.quantile(draws, 0.975)),
            "Spearman ID": stats.spearman(*id_errors),
        },
    )
    return value


def _best_shares(
    correlations: tuple[float, float, float], costs: tuple[float, float, float], plan: Plan
) -> dict[str, tuple[float, float, float]]:
    """Simulate five minutes of judging for a grid of shares."""
    stream = np.random.default_rng(0)
    noise = [np.sqrt(1 / max(c, 0.05) ** 2 - 1) for c in correlations]

    def quality(mini_share: float, full_share: float) -> float:
        each = costs[0] + mini_share * (costs[1] + full_share * costs[2])
        count = min(60_000, int(300 / each))
        best = []
        for _ in range(120):
            true = stream.standard_normal(count)
            kept = np.arange(count)
            for share, sd in zip((mini_share, full_share), noise, strict=False):
                seen = true[kept] + sd * stream.standard_normal(len(kept))
                kept = kept[np.argsort(seen)[: max(1, round(share * len(kept)))]]
            seen = true[kept] + noise[2] * stream.standard_normal(len(kept))
            best.append(-true[kept[np.argmin(seen)]])
        return float(np.mean(best))

    grid = itertools.product((0.1, 0.2, 0.3, 0.5, 0.7, 1.0), (0.01, 0.02, 0.05, 0.1, 0.2))
    results = {shares: quality(*shares) for shares in grid}
    best = max(results, key=lambda shares: results[shares])
    own = (plan.mini_share, plan.full_share)
    return {"best": (*best, results[best]), "plan": (*own, quality(*own))}


if __name__ == "__main__":
    report = Bench(quick=False, say=print)
    measure(report)
    print(report.to_text(), end="")
