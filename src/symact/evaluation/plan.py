"""The plan of a search: sizes of the fidelities and switches of the loop."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, fields

from symact.errors import SymactError, choices
from symact.evaluation.fidelity import FINAL_TIMEOUT, Fidelity
from symact.evaluation.finals import FINALS
from symact.tasks.protocol import FULL, FULL_AS_JUDGED, FULL_RATES, MINI

#: Settings that are one of several words.
_CHOICES = {"final_form": tuple(FINALS), "mode": ("synchronous", "asynchronous")}
#: Earlier names of modes, in stored configurations and on command lines.
MODE_ALIASES = {"asked": "synchronous", "arrival": "asynchronous"}


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
            (20 s a function on two cores), ``"tuned"``, with all tasks that the protocol chooses
            learning rates on (27 s), or ``"quick"``.
        as_judged: Whether full training takes all sizes of networks that judge, at two learning
            rates, instead of two sizes at one; half as dear again.
        ladder: Whether mini-training decides who is fully trained; without it all are.
        dedupe: Whether functions with the values of an earlier one are rejected.
        dedupe_mirrors: Whether ``dedupe`` also rejects mirror images of earlier functions:
            -f(x), f(-x) and -f(-x) train as f does.
        tune: Whether refining tunes constants.
        prune: Whether refining prunes branches.
        mode: When results are taken: ``"synchronous"``, in the order of asking, so that a run with
            a budget of candidates is the same each time; or ``"asynchronous"``, as they arrive, so
            that no worker waits for another.
        lookahead: Whether the next candidates are prepared and trained while the last ones still
            train. Proposals then know of all but the generation that is under way.
        order: The deprecated name of ``mode``; its values were ``"asked"`` and ``"arrival"``.
    """

    mini_instances: int = 8
    mini_draws: int = 8
    full_instances: int = 8
    full_draws: int = 3
    full_share: float = 0.06
    generation: int = 16
    pool: int = 48
    refine_share: float = 0.01
    finalists: int = 10
    selection_instances: int = 8
    final_form: str = "selection"
    ladder: bool = True
    dedupe: bool = True
    dedupe_mirrors: bool = True
    tune: bool = True
    prune: bool = True
    lookahead: bool = True
    mode: str = "synchronous"
    as_judged: bool = False
    order: InitVar[str | None] = None

    def __post_init__(self, order: str | None) -> None:
        mode = self.mode if order is None else order
        object.__setattr__(self, "mode", MODE_ALIASES.get(mode, mode))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _CHOICES:
                known = _CHOICES[field.name]
                if value not in known:
                    raise SymactError(
                        f"plan, {field.name}: unknown '{value}'; {choices(value, known)}"
                    )
                continue
            least = 1 if field.type == "int" else 0
            if value < least or (field.type == "float" and value > 1):
                expected = f"at least {least}" if field.type == "int" else "0 to 1"
                raise SymactError(f"plan, {field.name}: expected {expected}, got {value}")

    def fidelities(self) -> tuple[Fidelity, ...]:
        """Return the ladder: mini-training, which every candidate takes, and full training."""
        networks, rates = (FULL_AS_JUDGED, FULL_RATES) if self.as_judged else (FULL, ())
        return (
            Fidelity("mini", self.mini_instances, MINI, draws=self.mini_draws, entropy=1),
            Fidelity(
                "full",
                self.full_instances,
                networks,
                rates,
                draws=self.full_draws,
                share=self.full_share,
                parts=2,
                entropy=501,
                uses_gpu=True,
            ),
        )

    def final_fidelity(self) -> Fidelity:
        """Return how finalists are evaluated: by a protocol, on the selection split."""
        return Fidelity(
            "selection",
            self.selection_instances,
            protocol=FINALS[self.final_form],
            uses_gpu=True,
            timeout=FINAL_TIMEOUT,
        )
