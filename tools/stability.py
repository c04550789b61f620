"""How stable the judging protocol is; docs/protocol.md holds what it printed.

    python tools/stability.py OUT [--json FILE]

Judges every third fixed pointwise function of the zoo and those that ``compare`` shows, by the
protocol and by its quick form, and asks how alike they rank: by two halves of the tasks, by another
training seed, by one size of network or another, by the quick form, and with initial weights fitted
to each function. OUT remembers what was judged (about half a minute a function on two cores).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from symact import zoo
from symact.backends import evaluate
from symact.evaluation import statistics
from symact.evaluation.draws import by_family
from symact.evaluation.training.mixed_sizes import MixedSizeTrainer, TrainingSet
from symact.evaluation.training.networks import ENTROPY, pack
from symact.evaluation.training.stack import Span
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import Expr, show
from symact.reporting.comparison import compare
from symact.storage.repository import open_judged
from symact.tasks import Instance, task
from symact.tasks import scores as stats
from symact.tasks.protocol import COMPARED, FULL_FORM, QUICK_FORM, EvaluationProtocol, Training

SPLITS = 200  # random halves of the tasks
#: The networks of the fitted initial weights. The instances of a family take them in turn.
NETWORKS = (Training(32, 2, 1000, 128, 3e-2), Training(64, 3, 1000, 128, 3e-2))


def names() -> list[str]:
    fixed = [k.name for k in zoo.known() if not k.learnable and not k.statistics]
    return list(dict.fromkeys([*fixed[::3], *(name for name in COMPARED if name in fixed)]))


def _sets(families: Sequence[Sequence[Instance]]) -> list[TrainingSet]:
    turns = [[i for own in families for i in own[k :: len(NETWORKS)]] for k in range(len(NETWORKS))]
    return [
        TrainingSet(pack(own, training.points), training, (training.learning_rate,))
        for own, training in zip(turns, NETWORKS, strict=True)
    ]


class Fitted(TorchMLPTrainer):
    """Starts from weights that keep the variance of every layer at one for each function.

    Biases are zero, weights have variance 1 / (fan-in times E f(z)^2), z normal (K. He et al.,
    "Delving deep into rectifiers", 2015, for any f).
    """

    def initial(self, spans: Sequence[Span], instance: torch.Tensor, seed: torch.Tensor) -> list:
        layers = super().initial(spans, instance, seed)
        gains = torch.ones(len(instance), 1, 1)
        for span in spans:
            gains[span.first : span.last] = _second_moment(span.expr) ** -0.5
        first, *others = layers
        scaled = [(first[0] * 3**0.5, first[1] * 0)]
        return scaled + [(w * 3**0.5 * gains, b * 0) for w, b in others]


def _second_moment(expr: Expr) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    values = evaluate(expr, nodes)
    moment = float((weights * values**2).sum() / weights.sum())
    return moment if 1e-6 < moment < 1e6 else 1.0


def errors_of(
    folder: Path, form: EvaluationProtocol, chosen: list[str]
) -> tuple[np.ndarray, list[str], float]:
    """Return errors [function, instance, size, seed, 4], families, seconds a new function took."""
    seconds: list[float] = []
    last = [time.perf_counter()]

    def step(place: int, total: int, name: str) -> None:
        now = time.perf_counter()
        if place:
            seconds.append(now - last[0])
        last[0] = now
        print(f"  {place + 1}/{total} {name}", flush=True)

    compared = compare(chosen, form=form, out=folder, on_step=step)
    keys = [f"{compared.task}:{name}" for name in compared.tasks]
    store = open_judged(folder)
    judged = [
        store.judged(show(zoo.find(name).expr), form.version, keys, form.seeds) for name in chosen
    ]
    store.close()
    families = [name.split("/")[0] for name in compared.tasks]
    cost = float(np.median(seconds)) if seconds else float("nan")
    return np.stack([one.errors for one in judged]), families, cost


def halves(
    errors: np.ndarray, families: Sequence[str], score: Callable, per_family: int | None = None
) -> list[float]:
    """Return Spearman's correlations between scores on random disjoint halves of each family."""
    rng = np.random.default_rng(0)
    members = {name: np.flatnonzero(np.array(families) == name) for name in sorted(set(families))}
    found = []
    for _ in range(SPLITS):
        sides: tuple[list[int], list[int]] = ([], [])
        for rows in members.values():
            shuffled = rng.permutation(rows)
            half = len(rows) // 2 if per_family is None else per_family
            sides[0].extend(shuffled[:half])
            sides[1].extend(shuffled[half : 2 * half])
        a, b = ([score(own[side], [families[i] for i in side]) for own in errors] for side in sides)
        found.append(statistics.spearman(a, b))
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"median": float(middle), "low": float(low), "high": float(high)}


def ood(errors: np.ndarray, families: Sequence[str]) -> float:
    return stats.score(errors, families).ood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = names()
    full, families, cost = errors_of(options.out, FULL_FORM, chosen)
    quick, quick_families, quick_cost = errors_of(options.out, QUICK_FORM, chosen)
    scores = [ood(own, families) for own in full]
    usual = [
        place for place, name in enumerate(chosen) if scores[place] < 0
    ]  # better than the mean
    result: dict[str, object] = {
        "functions": chosen,
        "ood": [stats.plain(s) for s in scores],
        "id": [stats.plain(stats.score(own, families).id_error) for own in full],
        "plain_mean": [float(np.minimum(own[..., 1:], 1e6).mean()) for own in full],
        "usual": [chosen[place] for place in usual],
        "seconds": cost,
        "quick_seconds": quick_cost,
    }
    sizes = [f"{w}x{d}" for w, d in FULL_FORM.sizes]
    for label, rows in (("all", list(range(len(chosen)))), ("usual", usual)):
        some = full[rows]
        own = [scores[row] for row in rows]
        by_size = [[ood(e[:, [s]], families) for e in some] for s in range(len(sizes))]
        by_seed = [[ood(e[:, :, [s]], families) for e in some] for s in range(some.shape[3])]
        result[label] = {
            "count": len(rows),
            "halves": summary(halves(some, families, ood)),
            "tasks": {str(3 * n): summary(halves(some, families, ood, n)) for n in (1, 2, 4, 8)},
            "one seed, tasks": {
                str(3 * n): summary(halves(some[:, :, :, :1], families, ood, n))
                for n in (1, 2, 4, 8)
            },
            "one size, tasks": {
                str(3 * n): summary(halves(some[:, :, [1]], families, ood, n)) for n in (1, 2, 4, 8)
            },
            "seeds": statistics.spearman(by_seed[0], by_seed[1]),
            "sizes": {
                f"{sizes[a]} and {sizes[b]}": statistics.spearman(by_size[a], by_size[b])
                for a, b in itertools.combinations(range(len(sizes)), 2)
            },
            "quick": statistics.spearman([ood(e, quick_families) for e in quick[rows]], own),
            "families": {
                family: summary(
                    halves(
                        some[:, [i for i, f in enumerate(families) if f == family]],
                        [family] * families.count(family),
                        ood,
                    )
                )
                for family in sorted(set(families))
            },
            "id": summary(halves(some, families, lambda e, f: stats.score(e, f).id_error)),
        }
    drawn = by_family(task("ood-suite").draw("test", seed=0, per_family=8))
    exprs = [zoo.find(name).expr for name in chosen]
    ways = {}
    for label, kind in (("linear", TorchMLPTrainer), ("fitted", Fitted)):
        make = partial(kind, seeds=[0], entropy=ENTROPY["test"], device="cpu")
        trainer = MixedSizeTrainer(_sets(drawn), make)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ways[label] = [
                ood(future.result(), trainer.families) for future in trainer.start(pool, exprs)
            ]
    result["fitted"] = {
        "all": statistics.spearman(ways["linear"], ways["fitted"]),
        "usual": statistics.spearman(*([ways[w][i] for i in usual] for w in ("linear", "fitted"))),
        "linear ood": [stats.plain(v) for v in ways["linear"]],
        "fitted ood": [stats.plain(v) for v in ways["fitted"]],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
