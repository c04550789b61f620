"""The task of a search for a generalist: its families are the strata of the generator."""

from __future__ import annotations

from functools import partial

from symact.tasks.families.generator import MAX_GROWTH, STRATA, nth_family
from symact.tasks.instance import Raw, Source

#: The number of templates of each stratum that a split has. Instances take them in turn. With
#: eight, a split has the 96 families of protocol 2.0.
TEMPLATES = 8


def strata() -> tuple[Source, ...]:
    """Return a source of instances for each stratum.

    Instance ``i`` of a stratum belongs to template ``i mod 8`` of the stratum in the split that is
    drawn from, with constants of its own. The splits share no template. The templates of the split
    ``test`` are the 96 families of the leaderboard.

    Example:
        >>> [source.family for source in strata()][:3]
        ['linear', 'piecewise', 'polynomial']
    """
    return tuple(_source(stratum) for stratum in STRATA)


def _source(stratum: str) -> Source:
    draw = partial(_draw, list(STRATA).index(stratum))
    return Source(stratum, draw, growth_limit=MAX_GROWTH, advice="choose another seed")


def _draw(place: int, split: str, seed: int, index: int, attempt: int) -> Raw:
    own = nth_family(split, place + len(STRATA) * (index % TEMPLATES))
    return own.source().draw(split, seed, index, attempt)
