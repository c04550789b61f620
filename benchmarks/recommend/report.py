"""Compare ways to choose a function by the landmarks of its training data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.hierarchy import ood

Floats = NDArray[np.float64]
_FOLDS = 10


def report(folder: Path, families: Sequence[str], fallback: str) -> str:
    """Return a table of ways to choose.

    Args:
        folder: The folder with ``judgements.jsonl`` and ``landmarks.jsonl``.
        families: The families in the order of the judgements.
        fallback: The function that errors are relative to.
    """
    judged = [json.loads(line) for line in (folder / "judgements.jsonl").open()]
    truth = {
        own["name"]: ood(np.array(own["errors"], float).reshape(own["shape"])).mean(-1)
        for own in judged
    }
    measured = [json.loads(line) for line in (folder / "landmarks.jsonl").open()]
    names = measured[0]["functions"]
    places = [families.index(own["family"]) for own in measured]
    errors = np.array([truth[name][places] for name in names]).T
    base = truth[fallback][places]
    lines = [
        f"{len(measured)} families; OOD errors relative to {fallback}, geometric means",
        f"{'way to choose':32s} {'OOD':>6s} {'better':>7s} {'regret 50%':>11s} {'90%':>6s}",
    ]
    for name, scores in _ways(measured, errors, names).items():
        lines.append(f"{name:32s} {_figures(scores, errors, base)}")
    return "\n".join(lines)


def _ways(measured: Sequence[dict], errors: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Return the scores ``[family, function]`` of each way; the lowest is chosen."""
    logs = [np.array(own["errors"]) for own in measured]
    pseudo = np.array([own[:, :, 1:, 1:].mean(axis=(1, 2, 3)) for own in logs])
    inside = np.array([own[:, :, 0, 0].mean(axis=1) for own in logs])
    shell = np.array(
        [
            own[:, :, found["shifts"].index("shell"), 1:].mean(axis=(1, 2))
            for own, found in zip(logs, measured, strict=True)
        ]
    )
    both = _centred(pseudo + 0.3 * inside)
    ridge = _ridge(np.hstack([_centred(pseudo), _centred(inside)]), _centred(errors))
    return {
        "oracle": errors,
        **{
            f"always {name}": np.ones_like(errors) - np.eye(len(names))[names.index(name)]
            for name in ("SiLU", "GELU", "Softplus")
        },
        "lowest ID error": inside,
        "pseudo-OOD, all shifts": pseudo,
        "pseudo-OOD, shell": shell,
        "pseudo-OOD + 0.3 ID": both,
        "ridge on all landmarks": ridge,
        "ridge + half of the former": ridge + 0.5 * both,
    }


def _ridge(features: Floats, errors: Floats, strength: float = 1.0) -> Floats:
    """Return errors predicted for families that a ridge regression was not fitted to."""
    fold = np.random.default_rng(0).permutation(len(features)) % _FOLDS
    predicted = np.zeros_like(errors)
    for own in range(_FOLDS):
        known, asked = fold != own, fold == own
        mean, level = features[known].mean(axis=0), errors[known].mean(axis=0)
        x = features[known] - mean
        weights = np.linalg.solve(
            x.T @ x + strength * np.eye(x.shape[1]), x.T @ (errors[known] - level)
        )
        predicted[asked] = (features[asked] - mean) @ weights + level
    return predicted


def _figures(scores: Floats, errors: Floats, base: Floats) -> str:
    chosen = errors[np.arange(len(errors)), scores.argmin(axis=1)]
    regret = 10 ** (chosen - np.minimum(errors.min(axis=1), base))
    ratio, better = 10 ** (chosen - base).mean(), (chosen < base).mean()
    low, high = np.quantile(regret, [0.5, 0.9])
    return f"{ratio:6.3f} {better:7.0%} {low:11.2f} {high:6.2f}"


def _centred(values: Floats) -> Floats:
    return values - values.mean(axis=1, keepdims=True)
