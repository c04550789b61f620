"""The plan of a search: sizes of the fidelities and switches of the loop."""

from __future__ import annotations

from dataclasses import InitVar
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from symact._validation import one_line_errors
from symact.evaluation.surrogate import LEAST

#: Earlier names of modes, in stored configurations and on command lines.
MODE_ALIASES = {"asked": "synchronous", "arrival": "asynchronous"}


def _share(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 <= value <= 1:
        raise ValueError(f"expected 0 to 1, got {value}")
    return value


def _mode(value: Any) -> Any:
    return MODE_ALIASES.get(value, value) if isinstance(value, str) else value


Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, BeforeValidator(_share)]
Mode = Annotated[Literal["synchronous", "asynchronous"], BeforeValidator(_mode)]


@one_line_errors("plan")
@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Plan:
    """The sizes of the fidelities and the switches of the loop.

    Each field is a setting of the command line (``--set NAME=VALUE``), of job files and of
    :class:`symact.SearchConfig`.

    Raises:
        SymactError: A value is of the wrong type or out of range, or a name is unknown.

    Example:
        >>> plan = Plan(finalists=3, full_share=0.1)
        >>> plan.mini_networks, plan.full_networks
        (24, 192)
    """

    mini_networks: Count = Field(
        default=24, description="networks of mini-training, shared evenly by the families"
    )
    mini_draws: Count = Field(
        default=8, description="draws for mini-training, which generations use in turn"
    )
    full_networks: Count = Field(
        default=192, description="networks of full training, shared evenly by the families"
    )
    full_draws: Count = Field(
        default=3, description="draws for full training, which candidates use in turn"
    )
    full_share: Share = Field(
        default=0.06,
        description="share of mini-trained candidates that is promoted to full training",
    )
    generation: Count = Field(default=16, description="candidates of a generation")
    pool: Count = Field(
        default=48,
        description="proposals for each trained candidate; 1 for no surrogate",
    )
    start: Literal["known", "seeds"] = Field(
        default="known",
        description="first candidates: the seeds of the grammar, then known functions; or seeds",
    )
    refine_share: Share = Field(
        default=0.01, description="share of mini-trained candidates that is refined"
    )
    finalists: Count = Field(
        default=10, description="candidates that are judged on the validation draws at the end"
    )
    selection_networks: Count = Field(
        default=96, description="networks in which finalists are judged, shared by the families"
    )
    objective: Literal["mean", "worst"] = Field(
        default="mean",
        description="OOD error to minimise, relative to the reference: mean or worst family",
    )
    ladder: bool = Field(
        default=True,
        description="promote by mini-training; without it every candidate is fully trained",
    )
    dedupe: bool = Field(
        default=True, description="reject functions with the values of an earlier one"
    )
    dedupe_mirrors: bool = Field(
        default=True,
        description="reject mirror images -f(x), f(-x) and -f(-x) of earlier functions too",
    )
    tune: bool = Field(default=True, description="tune constants when refining")
    prune: bool = Field(default=True, description="prune branches when refining")
    lookahead: bool = Field(
        default=True, description="open the next generation before the last one is closed"
    )
    mode: Mode = Field(
        default="synchronous",
        description="synchronous (reproducible) or asynchronous (no worker waits)",
    )
    surrogate_after: Count = Field(
        default=LEAST, description="trained candidates from which on the surrogate predicts"
    )
    #: The earlier name of ``mode``, with the values "asked" and "arrival".
    order: InitVar[str | None] = None

    def __post_init__(self, order: str | None) -> None:
        if order is not None:
            object.__setattr__(self, "mode", MODE_ALIASES.get(order, order))
