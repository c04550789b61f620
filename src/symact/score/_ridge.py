"""The second rung: two layers of random features, solved in closed form.

Features that no training has shaped extrapolate unlike a trained network: in three searches
the OOD error of this rung agreed with mini-training's by a Spearman of 0.31 to 0.35, its error in
distribution and near it by 0.57 to 0.67. So promotion goes by the latter
(:func:`symact.stats.nearby_errors`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from symact.expr import Expr
from symact.lower import evaluate
from symact.score._networks import Data

FEATURES = 96
PENALTY = 3e-2


class RidgeJudge:
    """Fits random-feature regressions with a candidate's activation.

    Args:
        data: Instances of one draw.
        entropy: Seed of the random features, which all candidates share.
    """

    def __init__(self, data: Data, entropy: int) -> None:
        self.data = data
        count, inputs = data.x.shape[:2]
        generator = np.random.default_rng([entropy, 17])
        normal = generator.standard_normal
        scale = np.sqrt(data.inputs)[:, None, None]
        self._first = (normal((count, FEATURES, inputs)) / scale).astype(np.float32)
        self._first_bias = normal((count, FEATURES, 1)).astype(np.float32)
        self._second = (normal((count, FEATURES, FEATURES)) / FEATURES**0.5).astype(np.float32)
        self._second_bias = normal((count, FEATURES, 1)).astype(np.float32)
        parts = [data.x, *(data.x_judged[:, part] for part in range(4))]
        self._edges = np.cumsum([part.shape[-1] for part in parts])
        self._x = np.concatenate(parts, axis=-1)

    def judge(self, expr: Expr) -> NDArray[np.float64]:
        """Return errors [instance, 1, 4], normalised by the variance of the targets."""
        with np.errstate(all="ignore"):
            features = self._features(expr)
            return self._solve(features)

    def judge_all(self, exprs: Sequence[Expr], threads: int) -> list[NDArray[np.float64]]:
        """Judge several candidates, ``threads`` at a time, in their order.

        A linear-algebra library gains nothing from threads of its own on matrices of this size,
        and waits for them ten times as long where a core is busy.
        """
        pool = ThreadPoolExecutor(threads)
        try:
            with threadpool_limits(1):
                return list(pool.map(self.judge, exprs))
        finally:
            # After an interrupt the candidates that wait are not started.
            pool.shutdown(cancel_futures=True)

    def _features(self, expr: Expr) -> NDArray[np.float64]:
        h = evaluate(expr, self._first @ self._x + self._first_bias)
        h = evaluate(expr, (self._second @ h + self._second_bias).astype(np.float32))
        # One offset for each feature, one scale for all: no function wins or loses here for its
        # scale, and a feature that sleeps inside the range is not blown up outside it.
        known = h[:, :, : int(self._edges[0])]
        mean = known.mean(axis=-1, keepdims=True)
        scale = np.sqrt(((known - mean) ** 2).mean(axis=(1, 2), keepdims=True)) + 1e-6
        features: NDArray[np.float64] = (h - mean) / scale
        return features

    def _solve(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        count, points = self.data.x.shape[0], self._edges[0]
        errors = np.full((count, 1, 4), np.nan)
        usable = np.isfinite(features).all(axis=(1, 2))
        if not usable.any():
            return errors
        f = features[usable].astype(np.float64)
        y = self.data.y[usable].astype(np.float64)
        train = f[:, :, :points]
        offset = y.mean(axis=-1, keepdims=True)
        gram = train @ train.swapaxes(-1, -2) / points + PENALTY * np.eye(FEATURES)
        weights = np.linalg.solve(gram, train @ (y - offset).swapaxes(-1, -2) / points)
        for part in range(4):
            columns = f[:, :, self._edges[part] : self._edges[part + 1]]
            predicted = weights.swapaxes(-1, -2) @ columns + offset
            residual = predicted - self.data.y_judged[usable, part]
            errors[usable, 0, part] = (residual**2).mean(axis=(-2, -1))
        return errors / self.data.variance[:, None, :]
