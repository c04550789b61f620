"""The rungs of one search, each with its own draws, built once and used for every candidate.

Mini-training and full training see different instances of the search split: what is promoted for
luck on one set of tasks has to prove itself on another. All work goes into one pool of threads, one
candidate a job or two, so that no core waits for another; a candidate's errors depend neither on
its neighbours nor on the number of threads.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symact.errors import SymactError, choices
from symact.expr import Expr, uses_statistics
from symact.protocol import FULL, MINI, QUICK_FORM, SELECTION_FORM, Training
from symact.score._judge import Judge
from symact.score._mixed import Finish, Mixed
from symact.score._networks import Data, pack
from symact.tasks import Instance, Task

if TYPE_CHECKING:
    from symact.score._full import FullTrainer
    from symact.score._mini import MiniTrainer
    from symact.score._tune import Tuner

Errors = NDArray[np.float64]

#: Constants are tuned in short trainings of few networks.
TUNING = Training(width=16, depth=2, steps=200, points=64, learning_rate=5e-2)
_TUNED_ON = 4


#: How finalists can be judged.
FINALS = {form.name: form for form in (SELECTION_FORM, QUICK_FORM)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How many instances each rung sees in a family, what share climbs on, and which parts work.

    Attributes:
        mini_instances: Instances of a family for mini-training.
        mini_draws: Generations take so many draws of them in turn, with other initial weights
            too: no function lives on the luck of one draw, and a forecast averages over all.
        full_instances: Instances of a family for full training.
        full_draws: Candidates take so many draws of those in turn.
        full_share: Share of mini-trained candidates that is fully trained.
        generation: Candidates trained at a time.
        pool: Proposals for each of them; which are trained is forecast by a model of fitness that
            learns during the run. 1 for no forecast.
        refine_share: Share of mini-trained candidates that is refined: constants tuned inside
            training and rounded, branches pruned.
        finalists: Candidates judged on the selection draws at the end.
        selection_instances: Instances of a family there.
        final_form: The form they are judged in: ``"selection"``, which is nearly the protocol
            (20 s a function on two cores), or ``"quick"``.
        ladder: Whether mini-training decides who is fully trained; without it all are.
        dedupe: Whether functions with the values of an earlier one are rejected.
        tune: Whether refining tunes constants.
        prune: Whether refining prunes branches.
        lookahead: Whether the next candidates are prepared and trained while the last ones still
            train. Proposals then know of all but the generation that is under way.
    """

    mini_instances: int = 8
    mini_draws: int = 8
    full_instances: int = 8
    full_draws: int = 3
    full_share: float = 0.06
    generation: int = 16
    pool: int = 48
    refine_share: float = 0.01
    finalists: int = 8
    selection_instances: int = 8
    final_form: str = "selection"
    ladder: bool = True
    dedupe: bool = True
    tune: bool = True
    prune: bool = True
    lookahead: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "final_form":
                if value not in FINALS:
                    raise SymactError(
                        f"plan, final_form: unknown '{value}'; {choices(value, FINALS)}"
                    )
                continue
            least = 1 if field.type == "int" else 0
            if value < least or (field.type == "float" and value > 1):
                expected = f"at least {least}" if field.type == "int" else "0 to 1"
                raise SymactError(f"plan, {field.name}: expected {expected}, got {value}")


class Ladder:
    """Judges for one task and search seed.

    Args:
        task: What to judge on.
        seed: Of the search draws.
        plan: Sizes.
        threads: Jobs that are worked on at once; None for the number of cores.
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
        self.device = device or _best_device()
        first = plan.mini_instances * plan.mini_draws
        total = first + plan.full_instances * plan.full_draws
        drawn = by_family(task.draw("search", seed=seed, per_family=total))
        self._tuned_on = [i for family in drawn for i in family[:_TUNED_ON]]
        small = [family[:first] for family in drawn]
        large = [family[first:] for family in drawn]
        # Mini-training is compiled for the CPU; a GPU, where there is one, takes full training.
        self._mini = [
            Mixed(
                own,
                MINI,
                functools.partial(
                    _Trainers, entropy=_entropy(seed) + 1 + place, device="cpu", parts=1
                ),
            )
            for place, own in enumerate(_dealt(small, plan.mini_instances))
        ]
        self._full = [
            Mixed(
                own,
                FULL,
                functools.partial(
                    _Trainers, entropy=_entropy(seed) + 501 + place, device=self.device, parts=2
                ),
            )
            for place, own in enumerate(_dealt(large, plan.full_instances))
        ]
        self._tuner: Tuner | None = None
        self._pool = ThreadPoolExecutor(self.threads)

    @property
    def mini_families(self) -> tuple[str, ...]:
        """The family of each instance; the same for every draw."""
        return self._mini[0].families

    @property
    def full_families(self) -> tuple[str, ...]:
        """The family of each instance; the same for every draw."""
        return self._full[0].families

    def start_mini(self, exprs: Sequence[Expr], draw: int = 0) -> Finish:
        """Start mini-training; the result waits for errors [instance, 1, 4] of each candidate.

        Any number names a draw: they are taken in turn. Functions of batch statistics take the
        same small networks through torch, because their gradient is not pointwise.
        """
        return self._mini[draw % len(self._mini)].start(self._pool, exprs)

    def start_full(self, exprs: Sequence[Expr], draw: int = 0) -> Finish:
        """Start full training; the result waits for errors [instance, 1, 4] of each candidate."""
        return self._full[draw % len(self._full)].start(self._pool, exprs)

    def mini(self, exprs: Sequence[Expr]) -> list[Errors]:
        """Return errors [instance, 1, 4] of each candidate by mini-training on the first draw."""
        return self.start_mini(exprs)()

    def start_tuning(self, expr: Expr) -> Future[Expr | None]:
        """Start to tune the constants of a function inside training, on a few mini-training tasks.

        The result is None where there is nothing to tune.
        """
        from symact.score._tune import Tuner

        if self._tuner is None:
            self._tuner = Tuner(pack(self._tuned_on, TUNING.points), TUNING, _entropy(self.seed))
        return self._pool.submit(self._tuner.tune, expr)

    def selection(self, exprs: Sequence[Expr]) -> tuple[Data, list[Errors]]:
        """Return the selection draws and the errors [instance, size, 1, 4] on them.

        As the protocol judges, with a learning rate for each function and size.
        """
        judge = Judge(
            self.task,
            FINALS[self.plan.final_form],
            self.plan.selection_instances,
            seeds=1,
            device=self.device,
            split="selection",
        )
        return judge.data, judge.errors(exprs, judge.rates(exprs)) if exprs else []

    def close(self) -> None:
        """Let the threads go; candidates that wait are not started."""
        self._pool.shutdown(cancel_futures=True)


class _Trainers:
    """Trains what is pointwise by compiled loops on the CPU, anything else and anywhere by torch.

    Both are the same computation. The loops hold no lock that another thread waits for; torch is
    imported where it is needed, since that takes seconds.
    """

    def __init__(
        self, data: Data, training: Training, *, entropy: int, device: str | None, parts: int
    ) -> None:
        self._arguments = (data, training, [0], entropy)
        self._device, self._parts = device, parts
        self._compiled: MiniTrainer | None = None
        self._stacked: FullTrainer | None = None

    def start(self, pool: Executor, exprs: Sequence[Expr]) -> Finish:
        is_plain = [not uses_statistics(expr) and self._device == "cpu" for expr in exprs]
        plain = [place for place, yes in enumerate(is_plain) if yes]
        other = [place for place, yes in enumerate(is_plain) if not yes]
        waiting: list[tuple[list[int], Finish]] = []
        if plain:
            from symact.score._mini import MiniTrainer

            self._compiled = self._compiled or MiniTrainer(*self._arguments)
            own = [exprs[place] for place in plain]
            waiting.append((plain, self._compiled.start(pool, own, self._parts)))
        if other:
            from symact.score._full import FullTrainer

            self._stacked = self._stacked or FullTrainer(*self._arguments, self._device)
            waiting.append((other, self._stacked.start(pool, [exprs[place] for place in other])))

        def finish() -> list[Errors]:
            found: dict[int, Errors] = {}
            for places, wait in waiting:
                found.update(zip(places, wait(), strict=True))
            return [found[place] for place in range(len(exprs))]

        return finish


def _entropy(seed: int) -> int:
    """Return what a seed's initial weights begin at, beyond what the judge's have."""
    return 1000 * (seed + 1)


def _dealt(families: Sequence[Sequence[Instance]], each: int) -> Iterator[list[Sequence[Instance]]]:
    """Cut the instances of each family into draws of equal size."""
    for start in range(0, len(families[0]), each):
        yield [family[start : start + each] for family in families]


def _best_device() -> str:
    """Return ``cuda`` where there is one; torch is asked only where a driver is."""
    if not (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        return "cpu"
    from symact.score._full import has_cuda

    return "cuda" if has_cuda() else "cpu"


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
