"""What the scores of a rung are measured from: known functions, trained on the very same draws.

Draws differ in difficulty, which the anchors measure. Scores are what a candidate's errors exceed
theirs by, added to what the reference has over all draws; so those of different draws compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.evaluation import Ladder, Trained, from_text, raise_on_failure, to_text
from symact.storage.database import Store
from symact.tasks import scores as stats
from symact.tasks.protocol import ANCHORS, CLIP, REFERENCE

Errors = NDArray[np.float64]
#: OOD and ID error in log10.
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Base:
    """What the scores of a rung are measured from, whatever draw they come from.

    Attributes:
        families: The family of each instance.
        anchors: For each draw what measures against the geometric mean of the anchors' errors.
        offset: OOD and ID error of the reference above the anchors, in log10, mean over draws.
        reference: OOD and ID error of the reference, in log10, mean over draws.
    """

    families: tuple[str, ...]
    anchors: tuple[stats.Yardstick, ...]
    offset: Pair
    reference: Pair

    def above(self, errors: Errors, draw: int) -> tuple[Pair, tuple[float, ...]]:
        """Return OOD and ID error above the reference's, and each family's above the anchors'."""
        ood, inside, cases = self.anchors[draw % len(self.anchors)].above(errors)
        return (ood - self.offset[0], inside - self.offset[1]), cases


def bases(store: Store, ladder: Ladder) -> dict[str, Base]:
    """Train the anchors on every draw of each fidelity, unless that is stored.

    Returns:
        What the scores of each fidelity are measured from.
    """
    exprs = [zoo.find(name).expr for name in ANCHORS]
    known = store.get("anchors")
    if known is None:
        started = {
            own.name: [ladder.start(own.name, exprs, draw) for draw in range(own.draws)]
            for own in ladder.fidelities
        }
        known = {
            name: [[to_text(errors) for errors in _trained(futures)] for futures in draws]
            for name, draws in started.items()
        }
        with store.transaction():
            store.put("anchors", known)
    return {
        name: base([[from_text(text) for text in draw] for draw in draws], ladder.families(name))
        for name, draws in known.items()
    }


def _trained(futures: Sequence[Future[Trained]]) -> list[Errors]:
    return raise_on_failure([future.result() for future in futures], ANCHORS)


def base(draws: Sequence[Sequence[Errors]], families: tuple[str, ...]) -> Base:
    """Return the base of errors [draw][anchor], anchors in the order of ``ANCHORS``."""
    place = ANCHORS.index(REFERENCE)
    means = [10.0 ** np.mean(stats.log_errors(np.array(own)), axis=0) for own in draws]
    anchors = tuple(stats.Yardstick(mean, families, CLIP) for mean in means)
    above = [anchor.above(own[place]) for own, anchor in zip(draws, anchors, strict=True)]
    scores = [stats.score(own[place], families) for own in draws]
    return Base(
        families,
        anchors,
        offset=(float(np.mean([a[0] for a in above])), float(np.mean([a[1] for a in above]))),
        reference=(
            float(np.mean([s.ood for s in scores])),
            float(np.mean([s.id_error for s in scores])),
        ),
    )
