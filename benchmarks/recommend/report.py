"""Compare ways to choose a function by the landmarks of its training data."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from symact.atlas.landmarks import Landmarks
from symact.atlas.panel import FALLBACK, LINEAR, UNTRAINED_FALLBACK
from symact.atlas.prior import Prior
from symact.atlas.recommendation import Recommendation, of_landmarks

Floats = NDArray[np.float64]
_FOLDS = 12
_RESAMPLES = 4_000


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in the families of a split.

    Attributes:
        families: Names of the families.
        answers: Names of the answers. The last is the fallback.
        cells: Log10 of the true OOD errors, ``[family, answer, cell]``.
        landmarks: Landmarks of each family.
    """

    families: tuple[str, ...]
    answers: tuple[str, ...]
    cells: Floats
    landmarks: tuple[Landmarks, ...]

    @property
    def truth(self) -> Floats:
        """Log10 of the OOD errors relative to the fallback, ``[family, answer]``."""
        means = self.cells.mean(axis=-1)
        return np.asarray(means - means[:, -1:])

    @property
    def features(self) -> Floats:
        """``[family, feature, landmark]``."""
        return np.stack([own.features for own in self.landmarks])

    def prior(self, source: str) -> Prior:
        """Return the prior that was measured here."""
        return Prior(
            landmarks=self.answers[:-1],
            answers=self.answers,
            families=self.families,
            features=self.features,
            truth=self.truth,
            proxy=UNTRAINED_FALLBACK,
            source=source,
        )


def report(measured: Measured, prior: Prior | None) -> str:
    """Return a table of ways to choose.

    Args:
        measured: The families to choose for.
        prior: The prior of other families; None for cross-validation among these families.
    """
    found = list(_recommendations(measured, prior))
    lines = [
        f"{len(measured.families)} families; OOD errors relative to {FALLBACK}, geometric means",
        "",
        f"{'way to choose':34s} {'OOD':>6s} {'95% interval':>14s} {'better':>7s} "
        f"{'regret 50%':>11s} {'90%':>6s}",
    ]
    chosen = {
        "recommend": _places(measured, [own.choice for own in found]),
        "recommend, activations only": _places(measured, [own.activation for own in found]),
        **_ways(measured),
    }
    for name, places in chosen.items():
        lines.append(f"{name:34s} {_figures(measured.truth, places)}")
    lines.append(f"{'chosen by half of the cells':34s} {_halves(measured):6.3f}")
    networks = [i for i, own in enumerate(measured.answers) if own != LINEAR]
    lines.append(f"{'the same, activations only':34s} {_halves(measured, networks):6.3f}")
    lines += ["", f"recommended: {_counts(measured, chosen['recommend'])}"]
    lines += [f"best answer: {_counts(measured, measured.truth.argmin(axis=1))}"]
    lines += ["", *_sureness(measured, found), "", *_by_kind(measured, chosen["recommend"])]
    return "\n".join(lines)


def _counts(measured: Measured, places: NDArray[np.intp], most: int = 5) -> str:
    """Return how often the most frequent answers occur."""
    found = Counter(measured.answers[place] for place in places).most_common(most)
    return ", ".join(f"{name} {count}" for name, count in found)


def _by_kind(measured: Measured, places: NDArray[np.intp]) -> list[str]:
    """Return the error of the recommended answers in each kind of families."""
    chosen = measured.truth[np.arange(len(places)), places]
    kinds = np.array([name.partition("-")[0] for name in measured.families])
    if len(set(kinds)) == len(kinds):
        return []
    lines = [f"{'kind of families':34s} {'recommended':>11s} {'best answer':>11s}"]
    for kind in dict.fromkeys(kinds):
        own = kinds == kind
        best = measured.truth[own].min(axis=1).mean()
        lines.append(f"{kind:34s} {10 ** chosen[own].mean():11.3f} {10**best:11.3f}")
    others = kinds != "linear"
    best = measured.truth[others].min(axis=1).mean()
    return [*lines, f"{'all but linear':34s} {10 ** chosen[others].mean():11.3f} {10**best:11.3f}"]


def _recommendations(measured: Measured, prior: Prior | None) -> Iterator[Recommendation]:
    whole = measured.prior("")
    for i, own in enumerate(measured.landmarks):
        yield of_landmarks(prior or _others(whole, i % _FOLDS), [own])


def _others(whole: Prior, fold: int) -> Prior:
    """Return the prior without the families of a fold."""
    kept = [i for i in range(len(whole.families)) if i % _FOLDS != fold]
    names = tuple(whole.families[i] for i in kept)
    return replace(whole, families=names, features=whole.features[kept], truth=whole.truth[kept])


def _ways(measured: Measured) -> dict[str, NDArray[np.intp]]:
    """Return the answer ``[family]`` that each simple way chooses."""
    pseudo, inside = measured.features[:, 0], measured.features[:, 1]
    shell = np.array([_of_shift(own, "shell") for own in measured.landmarks])
    always = {
        f"always {name}": np.full(len(measured.families), measured.answers.index(name))
        for name in ("SiLU", "GELU", "ReLU", "Softplus", LINEAR)
    }
    return {
        "best answer (oracle)": measured.truth.argmin(axis=1),
        "lowest ID error": inside.argmin(axis=1),
        "pseudo-OOD, all shifts": pseudo.argmin(axis=1),
        "pseudo-OOD, shell": shell.argmin(axis=1),
        "pseudo-OOD + 0.3 ID": (pseudo + 0.3 * inside).argmin(axis=1),
        **always,
    }


def _of_shift(own: Landmarks, name: str) -> Floats:
    shifts = own.pseudo_shifts
    return own.by_shift[shifts.index(name)] if name in shifts else own.features[0]


def _places(measured: Measured, names: Sequence[str]) -> NDArray[np.intp]:
    return np.array([measured.answers.index(name) for name in names])


def _figures(truth: Floats, places: NDArray[np.intp]) -> str:
    chosen = truth[np.arange(len(truth)), places]
    regret = 10 ** (chosen - truth.min(axis=1))
    rng = np.random.default_rng(0)
    drawn = chosen[rng.integers(0, len(chosen), (_RESAMPLES, len(chosen)))].mean(axis=1)
    low, high = 10 ** np.quantile(drawn, [0.025, 0.975])
    median, most = np.quantile(regret, [0.5, 0.9])
    interval = f"{low:.2f} to {high:.2f}"
    return (
        f"{10 ** chosen.mean():6.3f} {interval:>14s} {(chosen < 0).mean():7.0%} "
        f"{median:11.2f} {most:6.2f}"
    )


def _halves(measured: Measured, answers: Sequence[int] | None = None) -> float:
    """Return the error of answers chosen by half of the cells, measured in the other half.

    It bounds what knowledge of the family can give: the oracle also profits from chance.
    """
    cells = measured.cells if answers is None else measured.cells[:, answers]
    count, rows = cells.shape[-1], np.arange(len(cells))
    found = []
    for half in itertools.combinations(range(count), count // 2):
        other = [i for i in range(count) if i not in half]
        best = cells[..., list(half)].mean(axis=-1).argmin(axis=1)
        judged = cells[..., other].mean(axis=-1)
        found.append((judged[rows, best] - judged[:, -1]).mean())
    return float(10 ** np.mean(found))


def _sureness(measured: Measured, found: Sequence[Recommendation]) -> list[str]:
    places = _places(measured, [own.choice for own in found])
    logs = measured.truth[np.arange(len(found)), places]
    regret = 10 ** (logs - measured.truth.min(axis=1))
    abstained = np.array([bool(own.abstained) for own in found])
    sure = np.array([own.sure for own in found])
    better = np.array([own.better for own in found])
    differs = np.array([own.choice != FALLBACK for own in found])
    lines = [f"abstained in {abstained.mean():.0%}; sure in {sure.mean():.0%}"]
    if sure.any():
        lines.append(f"90% regret where sure: {np.quantile(regret[sure], 0.9):.2f}")
    lines.append(
        f"another answer than the fallback in {differs.mean():.0%}; probability of being better: "
        f"said {better[differs].mean():.0%}, true {(logs[differs] < 0).mean():.0%}"
    )
    inside = [
        own.ood.low <= 10 ** measured.truth[i, measured.answers.index(own.name)] <= own.ood.high
        for i, one in enumerate(found)
        for own in one.answers
        if own.name != FALLBACK
    ]
    return [*lines, f"80% intervals hold in {np.mean(inside):.0%}"]
