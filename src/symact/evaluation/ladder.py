"""The rungs of one search: what they are made of, and who works on them.

Mini-training and full training see different instances of the search split: what is promoted for
luck on one set of tasks has to prove itself on another. All work goes to one set of workers, one
candidate a job or two, so that no core waits for another; a candidate's errors depend neither on
its neighbours nor on the number or kind of workers.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable, Sequence

from symact.errors import SymactError, choices
from symact.evaluation.executors.workers import Processes, Threads, Workers
from symact.evaluation.finals import FINALS
from symact.evaluation.jobs import Failed, Finish, Once, Trained
from symact.evaluation.plan import Plan
from symact.evaluation.rungs import Draws, Rungs
from symact.expr import Expr
from symact.tasks import Task
from symact.tasks.protocol import Form


class Ladder:
    """Judges for one task and search seed.

    Args:
        task: What to judge on.
        seed: Of the search draws.
        plan: Sizes.
        threads: Workers, each with a job at a time; None for the number of cores.
        device: Where full training runs; None for the best there is.
        executor: Who trains, see :data:`EXECUTORS`.

    Raises:
        SymactError: An executor that is not known, or not installed.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        plan: Plan,
        *,
        threads: int | None = None,
        device: str | None = None,
        executor: str = "threads",
    ) -> None:
        self.task = task
        self.plan = plan
        self.seed = seed
        self.threads = threads or os.cpu_count() or 1
        self.device = device or _best_device()
        draws = Draws.of(task, seed, plan)
        self._families = {rung: draws.families(rung) for rung in (*draws.rungs, "selection")}
        self.workers = _workers(executor, draws, device, self.device, self.threads)

    @property
    def mini_families(self) -> tuple[str, ...]:
        """The family of each instance; the same for every draw."""
        return self._families["mini"]

    @property
    def full_families(self) -> tuple[str, ...]:
        """The family of each instance; the same for every draw."""
        return self._families["full"]

    def start_mini(self, exprs: Sequence[Expr], draw: int = 0) -> Finish:
        """Start mini-training; the result waits for errors [instance, 1, 4] of each candidate.

        Any number names a draw: they are taken in turn. Functions of batch statistics take the
        same small networks through torch, because their gradient is not pointwise.
        """
        return self.workers.start("mini", exprs, draw)

    def start_full(self, exprs: Sequence[Expr], draw: int = 0) -> Finish:
        """Start full training; the result waits for errors [instance, 1, 4] of each candidate."""
        return self.workers.start("full", exprs, draw)

    def mini(self, exprs: Sequence[Expr]) -> list[Trained]:
        """Return errors [instance, 1, 4] of each candidate by mini-training on the first draw."""
        return self.start_mini(exprs)()

    def start_tuning(self, expr: Expr) -> Callable[[], Expr | Failed | None]:
        """Start to tune the constants of a function inside training, on a few mini-training tasks.

        The result is None where there is nothing to tune.
        """
        return self.workers.tune(expr)

    @property
    def final_form(self) -> Form:
        """How finalists are judged."""
        return FINALS[self.plan.final_form]

    @property
    def selection_families(self) -> tuple[str, ...]:
        """The family of each instance that finalists are judged on."""
        return self._families["selection"]

    def start_each(
        self, rung: str, exprs: Sequence[Expr], draw: int = 0
    ) -> list[Callable[[], Trained]]:
        """Start to train candidates that are waited for one by one.

        Args:
            rung: ``"full"``, or ``"selection"`` for finalists, whose errors are [instance, size, 1,
                4].
            exprs: The candidates.
            draw: Of the rung.
        """
        if self.workers.device != "cpu":  # a GPU takes all as one stack
            together = Once(self.workers.start(rung, exprs, draw))
            return [functools.partial(_place, together, place) for place in range(len(exprs))]
        started = [self.workers.start(rung, [expr], draw) for expr in exprs]
        return [functools.partial(_place, finish, 0) for finish in started]

    def close(self) -> None:
        """Let the workers go; candidates that wait are not started."""
        self.workers.close()


def _place(finish: Finish, place: int) -> Trained:
    return finish()[place]


#: Who trains candidates. Results are the same.
EXECUTORS = {
    "threads": "threads of this process",
    "processes": "processes of their own, replaced when a candidate ends one",
    "ray": "a Ray cluster: 'ray' for one on this machine, 'ray:ADDRESS' for another",
}


def check_executor(executor: str) -> None:
    """Refuse an executor that is not known, or not installed.

    Raises:
        SymactError: It is so.
    """
    kind = executor.partition(":")[0]
    if kind not in EXECUTORS or (":" in executor and kind != "ray"):
        raise SymactError(f"unknown executor '{executor}'; {choices(kind, EXECUTORS)}")
    if kind == "ray" and importlib.util.find_spec("ray") is None:
        raise SymactError("executor 'ray': Ray is not installed; pip install 'symact[cluster]'")


def _workers(executor: str, draws: Draws, asked: str | None, device: str, count: int) -> Workers:
    check_executor(executor)
    kind, _, address = executor.partition(":")
    if kind == "ray":
        from symact.evaluation.executors.ray import RayWorkers

        return RayWorkers(draws, asked, count, address)
    if kind == "processes":
        return Processes(draws, device, count)
    return Threads(Rungs(draws, device), device, count)


def _best_device() -> str:
    """Return ``cuda`` where there is one; torch is asked only where a driver is."""
    if not (shutil.which("nvidia-smi") or os.path.exists("/dev/nvidia0")):
        return "cpu"
    from symact.evaluation.training.torch_mlp import has_cuda

    return "cuda" if has_cuda() else "cpu"


def check_device(device: str | None, executor: str = "threads") -> None:
    """Refuse a device that full training cannot run on; None is always fine.

    Args:
        device: Asked for.
        executor: Who trains. What a Ray cluster has is known when it is there.

    Raises:
        SymactError: It is neither ``cpu`` nor ``cuda``, or there is no CUDA device.
    """
    if device is None or device == "cpu":
        return
    if device != "cuda":
        raise SymactError(f"unknown device '{device}'; {choices(device, ('cpu', 'cuda'))}")
    if executor.startswith("ray"):
        return
    from symact.evaluation.training.torch_mlp import has_cuda

    if not has_cuda():
        raise SymactError("device 'cuda': torch finds no CUDA device here; use cpu")
