"""The rungs of one search, each with its own draws, built once and used for every candidate.

Mini-training and full training see different instances of the search split: what is promoted for
luck on one set of tasks has to prove itself on another. The reference function climbs first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symact import stats
from symact.errors import SymactError, choices
from symact.expr import Expr, uses_statistics
from symact.protocol import FULL, MINI, RIDGE_POINTS
from symact.score._networks import ENTROPY, Data, pack
from symact.tasks import Instance, Task

if TYPE_CHECKING:
    from symact.score._full import FullTrainer
    from symact.score._mini import MiniTrainer
    from symact.score._ridge import RidgeJudge

Errors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many instances each rung sees in a family, and what share climbs on.

    Attributes:
        ridge_instances: Instances of a family on the ridge rung.
        mini_instances: The same for mini-training; the first ones of the search draw.
        full_instances: The same for full training; the ones that follow those.
        mini_share: Share of ridge-judged candidates that is mini-trained.
        full_share: Share of mini-trained candidates that is fully trained.
        generation: Proposals of a generation.
        population: Individuals that evolution keeps.
        finalists: Candidates judged on the selection draws at the end.
        selection_instances: Instances of a family there.
    """

    ridge_instances: int = 4
    mini_instances: int = 4
    full_instances: int = 6
    mini_share: float = 0.5
    full_share: float = 0.03
    generation: int = 150
    population: int = 80
    finalists: int = 8
    selection_instances: int = 24


class Ladder:
    """Judges for one task and search seed.

    Args:
        task: What to judge on.
        seed: Of the search draws.
        plan: Sizes.
        threads: Candidates judged at once by ridge and mini-training; None for the number of cores.
        device: Where full training runs; None for the best there is.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        plan: Plan,
        *,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        self.task = task
        self.plan = plan
        self.seed = seed
        self.threads = threads or os.cpu_count() or 1
        self.device = device
        first, total = plan.mini_instances, plan.mini_instances + plan.full_instances
        drawn = by_family(task.draw("search", seed=seed, per_family=total))
        self.mini_data = pack([i for family in drawn for i in family[:first]], MINI.points)
        self.full_data = pack([i for family in drawn for i in family[first:]], FULL.points)
        self._ridge_data = pack(
            [i for family in drawn for i in family[: plan.ridge_instances]], RIDGE_POINTS, 64
        )
        self._ridge: RidgeJudge | None = None
        self._mini: tuple[MiniTrainer, FullTrainer] | None = None
        self._full: FullTrainer | None = None

    def ridge(self, exprs: Sequence[Expr]) -> list[Errors]:
        """Return errors [instance, 1, 4] of each candidate by random-feature regression."""
        from symact.score._ridge import RidgeJudge

        self._ridge = self._ridge or RidgeJudge(self._ridge_data, self.seed)
        return self._ridge.judge_all(exprs, self.threads)

    def ridge_order(self, errors: Sequence[Errors]) -> NDArray[np.float64]:
        """Return what ridge-judged candidates are promoted by; low is best."""
        return stats.nearby_errors(errors, self._ridge_data.families)

    @property
    def ridge_families(self) -> tuple[str, ...]:
        return self._ridge_data.families

    def mini(self, exprs: Sequence[Expr]) -> list[Errors]:
        """Return errors [instance, 1, 4] of each candidate by mini-training.

        Functions of batch statistics take the same small networks through torch, because their
        gradient is not pointwise.
        """
        from symact.score._full import FullTrainer
        from symact.score._mini import MiniTrainer

        if self._mini is None:
            entropy = self.seed * 10 + 1
            self._mini = (
                MiniTrainer(self.mini_data, MINI, [0], entropy),
                FullTrainer(self.mini_data, MINI, [0], entropy, self.device),
            )
        pointwise, stacked = self._mini
        plain = [expr for expr in exprs if not uses_statistics(expr)]
        results = dict(zip(plain, pointwise.judge_all(plain, self.threads), strict=True))
        others = [expr for expr in exprs if uses_statistics(expr)]
        if others:
            results.update(zip(others, stacked.judge(others), strict=True))
        return [results[expr] for expr in exprs]

    def full(self, exprs: Sequence[Expr]) -> list[Errors]:
        """Return errors [instance, 1, 4] of each candidate by full training."""
        from symact.score._full import FullTrainer

        entropy = self.seed * 10 + 2
        self._full = self._full or FullTrainer(self.full_data, FULL, [0], entropy, self.device)
        return list(self._full.judge(exprs)) if exprs else []

    def selection(self, exprs: Sequence[Expr]) -> tuple[Data, list[Errors]]:
        """Return the selection draws and the errors [instance, 1, 4] on them."""
        from symact.score._full import FullTrainer

        drawn = self.task.draw("selection", seed=0, per_family=self.plan.selection_instances)
        data = pack(drawn, FULL.points)
        trainer = FullTrainer(data, FULL, [0], ENTROPY["selection"], self.device)
        return data, list(trainer.judge(exprs)) if exprs else []


def check_device(device: str | None) -> None:
    """Refuse a device that full training cannot run on; None is always fine.

    Raises:
        SymactError: It is neither ``cpu`` nor ``cuda``, or there is no CUDA device.
    """
    if device is None or device == "cpu":
        return
    if device != "cuda":
        raise SymactError(f"unknown device '{device}'; {choices(device, ('cpu', 'cuda'))}")
    from symact.score._full import has_cuda

    if not has_cuda():
        raise SymactError("device 'cuda': torch finds no CUDA device here; use cpu")


def by_family(instances: Sequence[Instance]) -> list[list[Instance]]:
    """Group instances by family, in order of first appearance."""
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.family, []).append(instance)
    return list(groups.values())
