"""The prior of a recommendation: what landmarks said of generated families, and what was true.

The file ``prior.json`` has the landmarks of generated families and the true OOD errors of the
answers there. ``python benchmarks/recommend prior`` writes it. A ridge regression from landmarks to
true errors predicts the errors on a new table. Its errors of cross-validation on the most similar
families say how sure the prediction is.
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

#: Weight of the penalty of the ridge regression, in families.
RIDGE = 3.0
#: Number of similar families that say how sure a prediction is.
NEIGHBOURS = 48
_FOLDS = 12


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted OOD errors of the answers on a table.

    Attributes:
        errors: Log10 of the error relative to the fallback, ``[answer]``.
        draws: What may be true, ``[draw, answer]``.
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
        answers: Names of all answers. The last is the fallback.
        families: Names of the families.
        features: ``[family, feature, landmark]``; see :meth:`.Landmarks.features`.
        truth: Log10 of the true OOD error relative to the fallback, ``[family, answer]``.
        source: What was measured, in a sentence.
    """

    landmarks: tuple[str, ...]
    answers: tuple[str, ...]
    families: tuple[str, ...]
    features: FloatArray
    truth: FloatArray
    source: str = ""

    def predict(self, features: FloatArray, *, neighbours: int = NEIGHBOURS) -> Prediction:
        """Predict the errors on a table.

        Args:
            features: ``[feature, landmark]``.
            neighbours: Number of similar families that say how sure the prediction is.
        """
        errors = self._model.predict(features[None])[0]
        near = self._nearest(features)[:neighbours]
        return Prediction(errors, errors + self._residuals[near], tuple(int(i) for i in near))

    def _nearest(self, features: FloatArray) -> NDArray[np.intp]:
        """Return the indices of the families by the distance of their landmarks."""
        known, own = _centred(self.features), _centred(features[None])
        return np.argsort(np.square(known - own).mean(axis=(1, 2)), kind="stable")

    @functools.cached_property
    def _model(self) -> Model:
        return Model.fit(self.features, self.truth)

    @functools.cached_property
    def _residuals(self) -> FloatArray:
        """True minus predicted errors of each family by a model that was not fitted to it."""
        return self.truth - cross_validated(self.features, self.truth)

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        return {
            "source": self.source,
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
            stored["source"],
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A ridge regression from landmarks to the errors of all answers.

    Attributes:
        centre: Mean of the features, ``[feature * landmark]``.
        level: Mean of the errors, ``[answer]``.
        weights: ``[feature * landmark, answer]``.
    """

    centre: FloatArray
    level: FloatArray
    weights: FloatArray

    @classmethod
    def fit(cls, features: FloatArray, truth: FloatArray, *, ridge: float = RIDGE) -> Model:
        """Fit the errors of families.

        Args:
            features: ``[family, feature, landmark]``.
            truth: ``[family, answer]``.
            ridge: Weight of the penalty, in families.
        """
        flat = _centred(features).reshape(len(features), -1)
        centre, level = flat.mean(axis=0), truth.mean(axis=0)
        x = flat - centre
        gram = x @ x.T + ridge * np.eye(len(x))
        return cls(centre, level, x.T @ np.linalg.solve(gram, truth - level))

    def predict(self, features: FloatArray) -> FloatArray:
        """Return the errors ``[family, answer]`` of families, from their features."""
        flat = _centred(features).reshape(len(features), -1)
        return np.asarray((flat - self.centre) @ self.weights + self.level)


def cross_validated(features: FloatArray, truth: FloatArray, *, ridge: float = RIDGE) -> FloatArray:
    """Return the errors ``[family, answer]`` by models that were fitted to other families."""
    fold = np.arange(len(features)) % _FOLDS
    predicted = np.empty_like(truth)
    for own in range(_FOLDS):
        known = fold != own
        model = Model.fit(features[known], truth[known], ridge=ridge)
        predicted[~known] = model.predict(features[~known])
    return predicted


def _centred(features: FloatArray) -> FloatArray:
    """Return features relative to their mean over the landmarks: the level says nothing."""
    return np.asarray(features - features.mean(axis=-1, keepdims=True))


@functools.cache
def prior() -> Prior:
    """Return the prior of the package."""
    return Prior.read()
