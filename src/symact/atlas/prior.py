"""The prior of a recommendation: what landmarks said of generated families, and what was true.

The file ``prior.json`` has the landmarks of generated families and the true OOD errors of the
answers there. ``python benchmarks/recommend prior`` writes it. A linear model from landmarks to
true errors predicts the errors on a new table. All answers share its weights. Its errors of
cross-validation on the most similar families say how sure the prediction is.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PATH = Path(__file__).with_name("prior.json")

#: Families that the level of an answer is shrunk by, as if it were 0 in so many.
SHRINKAGE = 10.0
#: Largest distance of landmarks and errors from the median answer, in decades.
LIMIT = 1.5
_ROUNDS = 50
#: Number of similar families that say how sure a prediction is.
NEIGHBOURS = 32
_FOLDS = 12


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted OOD errors of the answers on a table.

    Attributes:
        errors: Log10 of the error relative to the fallback, ``[answer]``: the median of the draws.
        draws: What may be true, ``[draw, answer]``: the error that the model predicts, with its
            errors in the most similar families.
        neighbours: Indices of the most similar families, the most similar first.
    """

    errors: FloatArray
    draws: FloatArray
    neighbours: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Prior:
    """Landmarks and true errors of families.

    Attributes:
        landmarks: Names of the answers that landmarks measure.
        answers: Names of all answers: those of the landmarks, then the fallback.
        families: Names of the families.
        features: ``[family, feature, landmark]``; see :meth:`.Landmarks.features`.
        truth: Log10 of the true OOD error relative to the fallback, ``[family, answer]``.
        proxy: The landmark of the fallback: the function that it is before it is trained.
        source: What was measured, in a sentence.
    """

    landmarks: tuple[str, ...]
    answers: tuple[str, ...]
    families: tuple[str, ...]
    features: FloatArray
    truth: FloatArray
    proxy: str
    source: str = ""

    def predict(self, features: FloatArray, *, neighbours: int = NEIGHBOURS) -> Prediction:
        """Predict the errors on a table.

        Args:
            features: ``[feature, landmark]``.
            neighbours: Number of similar families that say how sure the prediction is.
        """
        own = self._of_answers(features[None])
        distances = np.square(self._known - own).mean(axis=(1, 2))
        near = np.argsort(distances, kind="stable")[:neighbours]
        draws = self._model.predict(own)[0] + self._residuals[near]
        return Prediction(np.median(draws, axis=0), draws, tuple(int(i) for i in near))

    def _of_answers(self, features: FloatArray) -> FloatArray:
        """Return the features of all answers, ``[family, feature, answer]``.

        The fallback has those of the function that it is with its initial parameters.
        """
        proxy = self.landmarks.index(self.proxy)
        return relative(np.concatenate([features, features[..., proxy : proxy + 1]], axis=-1))

    @functools.cached_property
    def _known(self) -> FloatArray:
        return self._of_answers(self.features)

    @functools.cached_property
    def _model(self) -> Model:
        return Model.fit(self._known, self.truth)

    @functools.cached_property
    def _residuals(self) -> FloatArray:
        """True minus predicted errors of each family by a model that was not fitted to it."""
        return self.truth - cross_validated(self._known, self.truth)

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        return {
            "source": self.source,
            "proxy": self.proxy,
            "landmarks": self.landmarks,
            "answers": self.answers,
            "families": self.families,
            "features": np.round(self.features, 3).tolist(),
            "truth": np.round(self.truth, 3).tolist(),
        }

    @classmethod
    def read(cls, path: Path = PATH) -> Prior:
        """Read the prior of the package, or of another file."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            tuple(stored["landmarks"]),
            tuple(stored["answers"]),
            tuple(stored["families"]),
            np.array(stored["features"]),
            np.array(stored["truth"]),
            stored["proxy"],
            stored["source"],
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A linear model from landmarks to errors, whose weights all answers share.

    Attributes:
        weights: ``[feature]``.
        levels: What is added for each answer, ``[answer]``.
    """

    weights: FloatArray
    levels: FloatArray

    @classmethod
    def fit(cls, features: FloatArray, truth: FloatArray) -> Model:
        """Fit the errors of families by alternating least squares.

        Args:
            features: ``[family, feature, answer]``, relative to the median answer.
            truth: Log10 errors, ``[family, answer]``.
        """
        target = relative(truth)
        by_answer = np.moveaxis(features, 1, -1)
        flat = by_answer.reshape(-1, by_answer.shape[-1])
        levels = np.zeros(truth.shape[1])
        for _ in range(_ROUNDS):
            weights = np.linalg.lstsq(flat, (target - levels).reshape(-1), rcond=None)[0]
            levels = (target - by_answer @ weights).sum(axis=0) / (len(truth) + SHRINKAGE)
        return cls(np.asarray(weights, dtype=np.float64), levels)

    def predict(self, features: FloatArray) -> FloatArray:
        """Return log10 errors ``[family, answer]`` relative to the last answer."""
        errors = np.moveaxis(features, 1, -1) @ self.weights + self.levels
        return np.asarray(errors - errors[:, -1:])


def cross_validated(features: FloatArray, truth: FloatArray) -> FloatArray:
    """Return the errors ``[family, answer]`` by models that were fitted to other families."""
    fold = np.arange(len(features)) % _FOLDS
    predicted = np.empty_like(truth)
    for own in range(_FOLDS):
        known = fold != own
        model = Model.fit(features[known], truth[known])
        predicted[~known] = model.predict(features[~known])
    return predicted


def relative(logs: FloatArray) -> FloatArray:
    """Return log10 errors ``[..., answer]`` relative to the median answer, within the limit."""
    centred = logs - np.median(logs, axis=-1, keepdims=True)
    return np.asarray(centred.clip(-LIMIT, LIMIT))


@functools.cache
def prior() -> Prior:
    """Return the prior of the package."""
    return Prior.read()
