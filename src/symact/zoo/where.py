"""Where a function wins: its OOD error in each kind of generated families, by protocol 2.0.

The file ``where.json`` in this folder has the results. ``python benchmarks/where_it_wins.py``
writes it from the judgements of the leaderboard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from symact.zoo.catalogue import find

PATH = Path(__file__).with_name("where.json")


class Ratio(NamedTuple):
    """A ratio of errors with its 95% interval. Below 1 is better than the reference."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class WhereItWins:
    """The OOD errors of a function in each kind of generated families.

    Attributes:
        name: The name of the function.
        protocol: Version of the protocol.
        families: The number of families of all kinds together.
        reference: The function that ratios are to.
        ood: The ratio of OOD errors over all families.
        kinds: The ratio in each kind of families. Their intervals are not corrected for the number
            of kinds.
    """

    name: str
    protocol: str
    families: int
    reference: str
    ood: Ratio
    kinds: Mapping[str, Ratio]


def where_it_wins(name: str) -> WhereItWins | None:
    """Return where a function wins; None if it was not judged, or is the reference.

    Args:
        name: A name or alias of the zoo.

    Raises:
        ZooError: The name is unknown.

    Example:
        >>> found = where_it_wins("swish")
        >>> found.name, found.reference, len(found.kinds)
        ('SiLU', 'GELU', 12)
    """
    return _judged().get(find(name).name)


@cache
def _judged() -> dict[str, WhereItWins]:
    stored = json.loads(PATH.read_text(encoding="utf-8"))
    return {
        name: WhereItWins(
            name,
            stored["protocol"],
            stored["families"],
            stored["reference"],
            Ratio(*row[0]),
            {kind: Ratio(*own) for kind, own in zip(stored["kinds"], row[1:], strict=True)},
        )
        for name, row in stored["functions"].items()
    }
