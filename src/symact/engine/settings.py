"""Sizes and switches of a search by name, as the command line and job files write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from symact.errors import SymactError, choices
from symact.evaluation import Plan
from symact.proposers import Evolution

#: Earlier names of settings.
_ALIASES = {"order": "mode"}
#: Texts that stand for yes and no.
_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def settings(changes: Sequence[str] | Mapping[str, Any]) -> tuple[Plan, Evolution]:
    """Return the default sizes with some changed.

    Args:
        changes: ``"islands=1"`` and so on, or a mapping of names to values. Names are those of
            the fields of :class:`symact.evaluation.Plan` and :class:`symact.proposers.Evolution`.

    Raises:
        SymactError: An unknown name, or a value of the wrong kind or out of range.
    """
    pairs = dict(changes) if isinstance(changes, Mapping) else dict(map(_split, changes))
    kinds = {
        field.name: (kind, str(field.type)) for kind in (Plan, Evolution) for field in fields(kind)
    }
    values: dict[type, dict[str, Any]] = {Plan: {}, Evolution: {}}
    for name, value in pairs.items():
        name = _ALIASES.get(name, name)
        if name not in kinds:
            raise SymactError(f"unknown setting '{name}'; {choices(name, kinds)}")
        kind, type_ = kinds[name]
        values[kind][name] = _value(name, value, type_)
    return Plan(**values[Plan]), Evolution(**values[Evolution])


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SymactError(f"setting '{text}': expected NAME=VALUE, such as islands=1")
    return name.strip(), value.strip()


def _value(name: str, value: Any, type_: str) -> Any:
    """Return a value of a field's type; texts are read as one."""
    wanted = {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(type_)
    if wanted is None:
        return str(value)
    try:
        if type_ == "bool":
            return value if isinstance(value, bool) else _SWITCHES[str(value).lower()]
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if type_ == "int" and number != int(number):
            raise ValueError
        return int(number) if type_ == "int" else number
    except (KeyError, ValueError, TypeError, OverflowError):
        raise SymactError(f"setting '{name}': expected {wanted}, got '{value}'") from None
