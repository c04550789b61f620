"""The ladder of one search: its fidelities, and the executor that trains candidates at them.

Fidelities see different instances of the search split. A candidate that was promoted for luck on
some tasks has to prove itself on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import cast

from symact.errors import SymactError, choices
from symact.evaluation.executors import Executor
from symact.evaluation.executors.named import is_ray
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.jobs import TUNING, Job, Trained, Tuned
from symact.evaluation.plan import Plan
from symact.evaluation.problem import Problem
from symact.expr import Expr


class Ladder:
    """Evaluates candidates at the fidelities of one search.

    Args:
        problem: What is searched; it gives the data and the executor.
        seed: Seed of the search draws.
        plan: The plan of the search.
        threads: Number of workers of an executor that is given by name; None for the number of
            cores.
        device: Where fidelities train that use a GPU; None for the best there is.
        executor: An executor, or the name of one, see :data:`.EXECUTORS`.
        fidelities: The fidelities that candidates climb, cheapest first; None for the
            problem's.

    Attributes:
        fidelities: The fidelities that candidates climb, cheapest first.
        final: The fidelity of finalists.

    Raises:
        SymactError: The executor is unknown, not installed, or in use.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        plan: Plan,
        *,
        threads: int | None = None,
        device: str | None = None,
        executor: str | Executor = "threads",
        fidelities: Sequence[Fidelity] | None = None,
    ) -> None:
        self.problem, self.plan = problem, plan
        self.fidelities = tuple(problem.fidelities(plan) if fidelities is None else fidelities)
        self.final = problem.final_fidelity(plan)
        self._executor = problem.executor(executor, threads)
        self.draws = problem.draws(seed, (*self.fidelities, self.final))
        self._executor.open(self.draws, device)

    @property
    def workers(self) -> int:
        """How many candidates train at a time."""
        return self._executor.workers

    def families(self, fidelity: str) -> tuple[str, ...]:
        """Return the family of each instance of a fidelity; the same for every draw."""
        return self.draws.families(fidelity)

    def error_shape(self, fidelity: str) -> tuple[int, ...]:
        """Return the shape of a candidate's errors at a fidelity."""
        return self.draws.error_shape(fidelity)

    def start(self, fidelity: str, exprs: Sequence[Expr], draw: int = 0) -> list[Future[Trained]]:
        """Start to train candidates.

        Args:
            fidelity: Name of a fidelity, that of finalists included.
            exprs: The candidates.
            draw: Number of the draw, any integer of at least 0.

        Returns:
            A future for each candidate: its errors, of the shape :meth:`error_shape`, or
            :class:`~symact.evaluation.jobs.Failed`.

        Raises:
            SymactError: There is no such fidelity.
        """
        self.draws.fidelity(fidelity)
        jobs = [Job(fidelity, expr, draw) for expr in exprs]
        return cast("list[Future[Trained]]", self._executor.submit_all(jobs))

    def train(self, fidelity: str, exprs: Sequence[Expr], draw: int = 0) -> list[Trained]:
        """Train candidates and return their results."""
        return [future.result() for future in self.start(fidelity, exprs, draw)]

    def start_tuning(self, expr: Expr) -> Future[Tuned]:
        """Start to tune the constants of a function inside training."""
        return cast("Future[Tuned]", self._executor.submit(Job(TUNING, expr)))

    def close(self) -> None:
        """Cancel all pending jobs and release the workers."""
        self._executor.close()


def check_device(device: str | None, executor: str | Executor = "threads") -> None:
    """Refuse a device that is not there; None is always fine.

    Args:
        device: The requested device.
        executor: The executor. One of Ray looks for devices when it is opened.

    Raises:
        SymactError: It is neither ``cpu`` nor ``cuda``, or there is no CUDA device.
    """
    if device is None or device == "cpu":
        return
    if device != "cuda":
        raise SymactError(f"unknown device '{device}'; {choices(device, ('cpu', 'cuda'))}")
    if not isinstance(executor, str) or is_ray(executor):
        return
    from symact.evaluation.training.torch_mlp import has_cuda

    if not has_cuda():
        raise SymactError("device 'cuda': torch finds no CUDA device here; use cpu")
