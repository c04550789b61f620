"""The prior: errors predicted from landmarks, and how sure the prediction is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from symact.atlas.panel import FALLBACK, FIXED, LINEAR, UNTRAINED_FALLBACK
from symact.atlas.prior import SHRINKAGE, Model, Prior, cross_validated, prior, relative


def measured(families=200, noise=0.04, seed=0):
    """Return features and errors of families whose landmarks measure the errors with noise."""
    rng = np.random.default_rng(seed)
    truth = 0.4 * rng.normal(size=(families, 6))
    truth[:, 5] = truth[:, 0]  # the fallback is the first function before it is trained
    features = truth[:, None, :5] + noise * rng.normal(size=(families, 2, 5))
    return features, truth - truth[:, 5:]


def made(features, truth):
    names = tuple("abcdef")
    families = tuple(f"family-{i}" for i in range(len(truth)))
    return Prior(names[:5], names, families, features, truth, proxy="a")


def test_landmarks_that_measure_the_errors_predict_their_order():
    features, truth = measured()
    own = made(features[:150], truth[:150])
    new = [own.predict(one).errors for one in features[150:]]
    chosen = np.array([errors[:5].argmin() for errors in new])
    regret = truth[150:][np.arange(50), chosen] - truth[150:, :5].min(axis=1)
    assert regret.mean() < 0.1 * (truth[150:, :5].mean() - truth[150:, :5].min(axis=1).mean())


def test_intervals_hold_as_often_as_they_say():
    features, truth = measured(noise=0.2)
    own = made(features[:120], truth[:120])
    inside = []
    for one, true in zip(features[120:], truth[120:], strict=True):
        low, high = np.quantile(own.predict(one).draws[:, 1:5], [0.1, 0.9], axis=0)
        inside.append(((low < true[1:5]) & (true[1:5] < high)).mean())
    assert np.mean(inside) == pytest.approx(0.8, abs=0.08)


def test_landmarks_of_noise_predict_no_difference():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 6))
    features = rng.normal(size=(200, 2, 6))
    predicted = cross_validated(features, truth)
    assert np.abs(predicted).mean() < 0.2 * np.abs(truth - truth[:, -1:]).mean()


def test_the_level_of_the_errors_on_a_table_says_nothing():
    features, truth = measured()
    own = made(features, truth)
    shifted = features[7] + np.array([[2.0], [-1.0]])
    np.testing.assert_allclose(
        own.predict(features[7]).errors, own.predict(shifted).errors, atol=1e-9
    )


def test_the_fit_is_the_least_squares_solution_of_its_penalty():
    rng = np.random.default_rng(1)
    truth, features = rng.normal(size=(40, 6)), rng.normal(size=(40, 2, 6))
    target = relative(truth)

    def loss(values):
        errors = target - np.einsum("fka,k->fa", features, values[:2]) - values[2:]
        return np.square(errors).sum() + SHRINKAGE * np.square(values[2:]).sum()

    best = minimize(loss, np.zeros(8), tol=1e-12).x
    model = Model.fit(features, truth)
    np.testing.assert_allclose(np.append(model.weights, model.levels), best, atol=1e-4)


def test_errors_are_relative_to_the_last_answer():
    features, truth = measured(families=30)
    assert made(features, truth).predict(features[3]).errors[-1] == 0


def test_the_nearest_family_to_its_own_landmarks_is_itself():
    features, truth = measured(families=30)
    own = made(features, truth)
    assert own.predict(features[11]).neighbours[0] == 11


def test_a_prior_is_read_as_it_was_written(tmp_path):
    import json

    features, truth = measured(families=20)
    own = made(features, truth)
    path = tmp_path / "prior.json"
    path.write_text(json.dumps(own.to_dict()))
    again = Prior.read(path)
    np.testing.assert_allclose(again.truth, own.truth, atol=6e-4)
    assert (again.families, again.answers) == (own.families, own.answers)


def test_the_prior_of_the_package_has_the_panel():
    own = prior()
    assert own.landmarks == (*FIXED, LINEAR)
    assert own.answers == (*FIXED, LINEAR, FALLBACK)
    assert own.proxy == UNTRAINED_FALLBACK
    assert (own.truth[:, -1] == 0).all()
    assert np.isfinite(own.features).all()
    assert np.isfinite(own.truth).all()
    assert len(own.families) >= 90
