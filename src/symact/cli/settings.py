"""Describe the settings of a search, from the classes that hold them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields

from symact.evaluation import Plan
from symact.proposers import Evolution


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as ``--set NAME=VALUE`` takes it."""

    name: str
    default: str
    meaning: str


def described_settings() -> list[Setting]:
    """Return every setting with its default and its meaning, in the order of the classes."""
    found = []
    for kind in (Plan, Evolution):
        meanings = _attributes(inspect.getdoc(kind) or "")
        for field in fields(kind):
            default = str(field.default)
            shown = default.lower() if isinstance(field.default, bool) else default
            found.append(Setting(field.name, shown, meanings.get(field.name, "")))
    return found


def _attributes(docstring: str) -> dict[str, str]:
    """Return the entries of the section "Attributes" of a docstring in Google's convention."""
    section = docstring.partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.replace("``", "").split()) for name, text in entries}
