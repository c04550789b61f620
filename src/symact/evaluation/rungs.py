"""What the rungs of one search train on, and the trainers made from it.

The draws are arrays and nothing else, so that a worker elsewhere needs neither the task nor the
plan: they travel as the bytes of an ``.npz`` file, which holds no code.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from symact.evaluation.finals import FINALS, Finals
from symact.evaluation.jobs import Finish, Trained
from symact.evaluation.plan import Plan
from symact.evaluation.training.mixed_sizes import Mixed, Part, dealt
from symact.evaluation.training.networks import Data, pack
from symact.expr import Expr, uses_statistics
from symact.tasks import Instance, Task
from symact.tasks.protocol import FULL, FULL_AS_JUDGED, FULL_RATES, MINI, Training

if TYPE_CHECKING:
    from symact.evaluation.training.constants import Tuner
    from symact.evaluation.training.numba_mlp import MiniTrainer
    from symact.evaluation.training.torch_mlp import FullTrainer

#: Constants are tuned in short trainings of few networks.
TUNING = Training(width=16, depth=2, steps=200, points=64, learning_rate=5e-2)
_TUNED_ON = 4


@dataclass(frozen=True, eq=False)
class Draws:
    """The search draws of one run.

    Attributes:
        rungs: For ``"mini"`` and ``"full"`` the draws that are taken in turn; each is dealt to
            networks of several sizes.
        tuning: What constants are tuned on.
        entropy: What the initial weights begin at.
        final_form: The name of the form that finalists are judged in.
        finals: What they are judged on, the same for every search: ``"selection"``, and
            ``"tuning"`` where the form has learning rates to choose from.
    """

    rungs: Mapping[str, tuple[tuple[Part, ...], ...]]
    tuning: Data
    entropy: int
    final_form: str
    finals: Mapping[str, Data]

    @classmethod
    def of(cls, task: Task, seed: int, plan: Plan) -> Draws:
        """Draw from the search split of a task; the rungs see different instances."""
        first = plan.mini_instances * plan.mini_draws
        total = first + plan.full_instances * plan.full_draws
        drawn = by_family(task.draw("search", seed=seed, per_family=total))
        small = [family[:first] for family in drawn]
        large = [family[first:] for family in drawn]
        full = (FULL_AS_JUDGED, FULL_RATES) if plan.as_judged else (FULL, ())
        return cls(
            {
                "mini": tuple(dealt(own, MINI) for own in _cut(small, plan.mini_instances)),
                "full": tuple(dealt(own, *full) for own in _cut(large, plan.full_instances)),
            },
            pack([i for family in drawn for i in family[:_TUNED_ON]], TUNING.points),
            1000 * (seed + 1),  # beyond what the judge's weights have
            plan.final_form,
            _finals(task, plan),
        )

    def families(self, rung: str) -> tuple[str, ...]:
        """Return the family of each instance; the same for every draw."""
        if rung == "selection":
            return self.finals[rung].families
        return tuple(family for part in self.rungs[rung][0] for family in part.data.families)

    def dump(self) -> bytes:
        """Return all of it as the bytes of an ``.npz`` file."""
        arrays: dict[str, np.ndarray] = {}
        sizes: dict[str, list[list[dict[str, Any]]]] = {}
        for rung, draws in self.rungs.items():
            sizes[rung] = [
                [asdict(part.training) | {"rates": part.rates} for part in draw] for draw in draws
            ]
            for place, draw in enumerate(draws):
                for number, part in enumerate(draw):
                    arrays |= _named(f"{rung}/{place}/{number}", part.data)
        arrays |= _named("tuning", self.tuning)
        for use, data in self.finals.items():
            arrays |= _named(f"finals/{use}", data)
        finals = {"final_form": self.final_form, "finals": list(self.finals)}
        head = json.dumps({"sizes": sizes, "entropy": self.entropy, **finals})
        file = io.BytesIO()
        np.savez(file, head=np.array(head), **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def load(cls, content: bytes) -> Draws:
        """Return what :meth:`dump` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            rungs = {
                rung: tuple(
                    tuple(
                        _part(_data(stored, f"{rung}/{place}/{number}"), **size)
                        for number, size in enumerate(draw)
                    )
                    for place, draw in enumerate(draws)
                )
                for rung, draws in head["sizes"].items()
            }
            finals = {use: _data(stored, f"finals/{use}") for use in head["finals"]}
            tuning = _data(stored, "tuning")
            return cls(rungs, tuning, head["entropy"], head["final_form"], finals)


def _finals(task: Task, plan: Plan) -> dict[str, Data]:
    form = FINALS[plan.final_form]
    sizes = {"selection": plan.selection_instances, "tuning": form.tuning}
    points = form.training(0, 0.0).points
    return {
        use: pack(task.draw("selection", seed=0, per_family=size), points)
        for use, size in sizes.items()
        if use == "selection" or len(form.rates) > 1
    }


def _part(data: Data, *, rates: Sequence[float], **size: Any) -> Part:
    return Part(data, Training(**size), tuple(rates))


def _named(prefix: str, data: Data) -> dict[str, np.ndarray]:
    return {f"{prefix}/{field.name}": np.array(getattr(data, field.name)) for field in fields(data)}


def _data(stored: Mapping[str, Any], prefix: str) -> Data:
    values: dict[str, Any] = {f.name: stored[f"{prefix}/{f.name}"] for f in fields(Data)}
    return Data(**values | {"families": tuple(map(str, values["families"]))})


#: Beyond the entropy of the draws: where the weights of each rung begin.
_ENTROPY = {"mini": 1, "full": 501}
#: What a GPU takes, where there is one; mini-training is compiled for the CPU.
ON_GPU = ("full", "selection")
#: Into how many jobs a candidate is cut for each size of network.
_PARTS = {"mini": 1, "full": 2}


class Rungs:
    """The trainers of both rungs, and the tuner.

    Args:
        draws: What they train on.
        device: Where full training and the judging of finalists run.
    """

    def __init__(self, draws: Draws, device: str) -> None:
        self._draws = draws
        self._finals = Finals(
            draws.finals["selection"], draws.finals.get("tuning"), FINALS[draws.final_form], device
        )
        self._mixed = {
            rung: [
                Mixed(
                    own,
                    functools.partial(
                        _Trainers,
                        entropy=draws.entropy + _ENTROPY[rung] + place,
                        device=device if rung in ON_GPU else "cpu",
                        parts=_PARTS[rung],
                    ),
                )
                for place, own in enumerate(drawn)
            ]
            for rung, drawn in draws.rungs.items()
        }
        self._tuner: Tuner | None = None
        self._own: ThreadPoolExecutor | None = None

    def start(self, pool: Executor, rung: str, exprs: Sequence[Expr], draw: int) -> Finish:
        """Put candidates into a pool; any number names a draw: they are taken in turn.

        The selection draws are always the same.
        """
        if rung == "selection":
            return self._finals.start(pool, exprs)
        draws = self._mixed[rung]
        return draws[draw % len(draws)].start(pool, exprs)

    def train(self, rung: str, exprs: Sequence[Expr], draw: int) -> list[Trained]:
        """Train candidates one after another, each within its limit of time."""
        self._own = self._own or ThreadPoolExecutor(1)
        return self.start(self._own, rung, exprs, draw)()

    def tune(self, expr: Expr, is_stopped: Callable[[], bool] = lambda: False) -> Expr | None:
        """Tune the constants of a function inside training; None where there is nothing to tune."""
        from symact.evaluation.training.constants import Tuner

        if self._tuner is None:
            self._tuner = Tuner(self._draws.tuning, TUNING, self._draws.entropy)
        return self._tuner.tune(expr, is_stopped)


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
            from symact.evaluation.training.numba_mlp import MiniTrainer

            self._compiled = self._compiled or MiniTrainer(*self._arguments)
            own = [exprs[place] for place in plain]
            waiting.append((plain, self._compiled.start(pool, own, self._parts)))
        if other:
            from symact.evaluation.training.torch_mlp import FullTrainer

            self._stacked = self._stacked or FullTrainer(*self._arguments, self._device)
            waiting.append((other, self._stacked.start(pool, [exprs[place] for place in other])))

        def finish() -> list[Trained]:
            found: dict[int, Trained] = {}
            for places, wait in waiting:
                found.update(zip(places, wait(), strict=True))
            return [found[place] for place in range(len(exprs))]

        return finish


def by_family(instances: Sequence[Instance]) -> list[list[Instance]]:
    """Group instances by family, in order of first appearance."""
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.family, []).append(instance)
    return list(groups.values())


def _cut(families: Sequence[Sequence[Instance]], each: int) -> Iterator[list[Sequence[Instance]]]:
    """Cut the instances of each family into draws of equal size."""
    for start in range(0, len(families[0]), each):
        yield [family[start : start + each] for family in families]
