"""The tables and keys of a grammar file, checked by pydantic.

Checks of types and productions are in :mod:`symact.grammar.reader`. Editors can complete grammar
files with the JSON schema from ``GrammarFile.model_json_schema()``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from symact.expr.expression import MAX_INDEX

#: The largest weight and the largest limit on a slope. Sums of weights cannot overflow.
LARGEST = 1e9
#: Limits of the largest parameter of a distribution. Below them, every draw rounds to 0.
CONSTANT_RANGE = (1e-4, 1e9)
#: Limit of numbers before their conversion: an integer of 400 digits overflows a float.
_HUGE = 1e300


def _is_number(value: Any) -> bool:
    """Whether a TOML value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_HUGE <= value <= _HUGE


def _positive_number(value: Any) -> float:
    if not _is_number(value) or not 0 < value <= LARGEST:
        raise ValueError(f"expected a number above 0, got {value!r:.40}")
    return float(value)


def _positive_integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a whole number above 0, got {value!r:.40}")
    return value


def _digits(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 15:
        raise ValueError(f"expected 1 to 15, got {value!r:.40}")
    return value


def _indices(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_INDEX + 1:
        raise ValueError(f"expected 1 to {MAX_INDEX + 1}, got {value!r:.40}")
    return value


def _type_names(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ValueError(f"expected a type or a list of types, got {value!r:.40}")
    return tuple(listed)


def _seeds(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(seed, str) for seed in value):
        raise ValueError("expected a list of names or formulas")
    return tuple(value)


PositiveNumber = Annotated[float, BeforeValidator(_positive_number), Field(gt=0, le=LARGEST)]
PositiveInteger = Annotated[int, BeforeValidator(_positive_integer), Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ConstantsTable(_Table):
    """``[constants]``: the distribution of numeric literals."""

    distribution: Literal["normal", "uniform", "log-uniform", "choice"] = "normal"
    parameters: tuple[float, ...] = (0.0, 1.0)
    digits: Annotated[int, BeforeValidator(_digits), Field(ge=1, le=15)] = 2

    @field_validator("parameters", mode="before")
    @classmethod
    def _check_parameters(cls, value: Any, info: ValidationInfo) -> tuple[float, ...]:
        kind = info.data.get("distribution", "choice")
        listed = list(value) if isinstance(value, list | tuple) else []
        if (
            not listed
            or not all(map(_is_number, listed))
            or (kind != "choice" and len(listed) != 2)
        ):
            raise ValueError(f"expected {'numbers' if kind == 'choice' else 'two numbers'}")
        if kind == "log-uniform" and listed[0] <= 0:
            raise ValueError("the first number must be above 0 (log-uniform)")
        if kind != "choice" and listed[1] <= (0 if kind == "normal" else listed[0]):
            raise ValueError(
                "the second number must be larger (log-uniform, uniform) or above 0 (normal)"
            )
        low, high = CONSTANT_RANGE
        if not low <= max(map(abs, listed)) <= high:
            raise ValueError(f"the largest absolute value must be from {low:g} to {high:g}")
        return tuple(map(float, listed))


class TrainedTable(ConstantsTable):
    """``[trained]``: the distribution of the initial values of trained parameters."""

    indices: Annotated[int, BeforeValidator(_indices), Field(ge=1, le=MAX_INDEX + 1)] = 1


class RuleTable(_Table):
    """``[[rules]]``: a template of one to three typed arguments a, b, c."""

    rule: str
    args: Annotated[list[str], Field(min_length=1, max_length=3)]
    result: str = "Real"
    weight: PositiveNumber = 1.0


class LimitsTable(_Table):
    """``[limits]``: the largest size, depth and cost of a candidate."""

    nodes: PositiveInteger = 24
    depth: PositiveInteger = 9
    flops: PositiveInteger = 150


class SeedsTable(_Table):
    """``[seeds]``: the functions that a search starts from."""

    zoo: Annotated[tuple[str, ...], BeforeValidator(_seeds)] = ()


class ConstraintsTable(_Table):
    """``[constraints]``: limits that the screen checks."""

    max_slope: PositiveNumber = 1e3


class GrammarFile(_Table):
    """A grammar file."""

    name: str | None = None
    description: str = ""
    start: str = "Real"
    types: dict[str, Annotated[tuple[str, ...], BeforeValidator(_type_names)]] = {}
    terminals: Annotated[dict[str, str], Field(min_length=1)] = {"x": "Real"}
    constants: ConstantsTable | None = None
    trained: TrainedTable | None = None
    productions: dict[str, PositiveNumber] = {}
    rules: list[RuleTable] = []
    limits: LimitsTable = LimitsTable()
    seeds: SeedsTable = SeedsTable()
    constraints: ConstraintsTable = ConstraintsTable()
