"""The third rung: a whole training loop of small networks inside one numba function.

Networks have two hidden layers; arrays are ``[unit, point]``, so that every inner loop runs over
contiguous points. Nothing is allocated inside a step. Networks are independent and each is trained
by one thread, so the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from symact.expr import Expr
from symact.lower import _tape
from symact.protocol import Training
from symact.score._networks import Data, initial_weights, learning_rates

# Sums may be reordered, which lets them vectorise; NaN and infinity keep their meaning.
_sums = njit(error_model="numpy", fastmath={"reassoc", "contract"})
_compiled = njit(error_model="numpy")

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@_sums
def _affine(weights, biases, h, z):
    """Compute z [out, point] = weights [out, in] @ h [in, point] + biases [out]."""
    inputs = h.shape[0]
    for j in range(z.shape[0]):
        row = z[j]
        for p in range(row.size):
            row[p] = biases[j]
        _accumulate(weights[j], h, row, inputs)


@_sums
def _accumulate(w, h, row, inputs):
    """Add w @ h to row, four inputs at a time so that a row is loaded a quarter as often."""
    i = 0
    while i + 4 <= inputs:
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        h0, h1, h2, h3 = h[i], h[i + 1], h[i + 2], h[i + 3]
        for p in range(row.size):
            row[p] += w0 * h0[p] + w1 * h1[p] + w2 * h2[p] + w3 * h3[p]
        i += 4
    while i < inputs:
        w0, h0 = w[i], h[i]
        for p in range(row.size):
            row[p] += w0 * h0[p]
        i += 1


@_sums
def _gradients(g, h, d_weights, d_biases):
    """d_weights [out, in] = g [out, point] @ h.T, d_biases [out] = sums of g."""
    for j in range(g.shape[0]):
        gj = g[j]
        total = np.float32(0)
        for p in range(gj.size):
            total += gj[p]
        d_biases[j] = total
        for i in range(h.shape[0]):
            hi = h[i]
            total = np.float32(0)
            for p in range(gj.size):
                total += gj[p] * hi[p]
            d_weights[j, i] = total


@_sums
def _pull_back(weights, g, slope, out):
    """Compute out [in, point] = (weights.T @ g) * slope."""
    for i in range(out.shape[0]):
        row = out[i]
        for p in range(row.size):
            row[p] = 0
        _accumulate(weights[:, i], g, row, g.shape[0])
        for p in range(row.size):
            row[p] *= slope[i, p]


@_compiled
def _adam(parameters, gradients, first, second, step, rate):
    one = np.float32(1)
    b1, b2, epsilon = np.float32(BETA1), np.float32(BETA2), np.float32(EPSILON)
    scale = np.float32(rate / (1 - BETA1**step))
    correction = np.float32(1 / (1 - BETA2**step))
    for i in range(parameters.size):
        g = gradients[i]
        first[i] = b1 * first[i] + (one - b1) * g
        second[i] = b2 * second[i] + (one - b2) * g * g
        parameters[i] -= scale * first[i] / (np.sqrt(second[i] * correction) + epsilon)


@_compiled
def _layers(flat, inputs, width, outputs):
    """View a flat vector as three layers of weights and biases."""
    a = width * inputs
    b = a + width
    c = b + width * width
    d = c + width
    e = d + outputs * width
    return (
        flat[:a].reshape(width, inputs),
        flat[a:b],
        flat[b:c].reshape(width, width),
        flat[c:d],
        flat[d:e].reshape(outputs, width),
        flat[e : e + outputs],
    )


@_compiled
def _train_network(code, constants, result, work, area, x, y, parameters, width, rates):
    """Train one network in place; returns whether its loss stayed finite."""
    inputs, points = x.shape
    outputs = y.shape[0]
    w1, b1, w2, b2, w3, b3 = _layers(parameters, inputs, width, outputs)
    gradients = np.empty_like(parameters)
    d1, c1, d2, c2, d3, c3 = _layers(gradients, inputs, width, outputs)
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    z = np.empty((width, points), dtype=np.float32)
    h1, s1, g1 = np.empty_like(z), np.empty_like(z), np.empty_like(z)
    h2, s2, g2 = np.empty_like(z), np.empty_like(z), np.empty_like(z)
    out = np.empty((outputs, points), dtype=np.float32)
    zf, h1f, s1f = z.reshape(-1), h1.reshape(-1), s1.reshape(-1)
    h2f, s2f = h2.reshape(-1), s2.reshape(-1)
    scale = np.float32(2.0 / (points * outputs))
    for step in range(rates.size):
        _affine(w1, b1, x, z)
        _tape.apply(code, constants, result, zf, h1f, s1f, work, _tape.BLOCK, area)
        _affine(w2, b2, h1, z)
        _tape.apply(code, constants, result, zf, h2f, s2f, work, _tape.BLOCK, area)
        _affine(w3, b3, h2, out)
        total = np.float32(0)
        for j in range(outputs):
            for p in range(points):
                residual = out[j, p] - y[j, p]
                total += residual * residual
                out[j, p] = scale * residual
        if not np.isfinite(total):
            return False
        _gradients(out, h2, d3, c3)
        _pull_back(w3, out, s2, g2)
        _gradients(g2, h1, d2, c2)
        _pull_back(w2, g2, s1, g1)
        _gradients(g1, x, d1, c1)
        _adam(parameters, gradients, first, second, step + 1, rates[step])
    return True


@_compiled
def _judge_network(code, constants, result, work, area, x, y, parameters, width):
    """Mean squared error of one trained network on one set of points."""
    inputs, points = x.shape
    outputs = y.shape[0]
    w1, b1, w2, b2, w3, b3 = _layers(parameters, inputs, width, outputs)
    z = np.empty((width, points), dtype=np.float32)
    h = np.empty_like(z)
    out = np.empty((outputs, points), dtype=np.float32)
    zf, hf = z.reshape(-1), h.reshape(-1)
    none = hf[:0]
    _affine(w1, b1, x, z)
    _tape.apply(code, constants, result, zf, hf, none, work, _tape.BLOCK, 0)
    _affine(w2, b2, h, z)
    _tape.apply(code, constants, result, zf, hf, none, work, _tape.BLOCK, 0)
    _affine(w3, b3, h, out)
    total = 0.0
    for j in range(outputs):
        for p in range(points):
            residual = np.float64(out[j, p]) - np.float64(y[j, p])
            total += residual * residual
    return total / (points * outputs)


@njit(nogil=True, cache=True, error_model="numpy")
def _train_all(
    code, constants, result, work, area, x, y, x_judged, y_judged, inputs, parameters, width, rates
):
    """Train every network of one candidate; errors [instance, seed, 4], NaN where one diverged."""
    instances, seeds = parameters.shape[0], parameters.shape[1]
    errors = np.full((instances, seeds, 4), np.nan)
    for instance in range(instances):
        real = inputs[instance]
        for seed in range(seeds):
            count = width * (real + width + 2) + y.shape[1] * (width + 1)
            own = parameters[instance, seed, :count].copy()
            xs, ys = x[instance, :real], y[instance]
            if _train_network(code, constants, result, work, area, xs, ys, own, width, rates):
                for part in range(4):
                    errors[instance, seed, part] = _judge_network(
                        code,
                        constants,
                        result,
                        work,
                        area,
                        x_judged[instance, part, :real],
                        y_judged[instance, part],
                        own,
                        width,
                    )
    return errors


class MiniTrainer:
    """Judges pointwise candidates by training a small network on every instance and seed."""

    def __init__(self, data: Data, training: Training, seeds: Sequence[int], entropy: int) -> None:
        if training.depth != 2:
            raise ValueError("mini-training has two hidden layers")
        self.data = data
        self.training = training
        self.rates = learning_rates(training)
        layers = initial_weights(data, training, seeds, entropy)
        self.parameters = _flatten(layers, data.inputs)

    def judge(self, expr: Expr) -> NDArray[np.float64]:
        """Return errors [instance, seed, 4], normalised by the variance of the targets."""
        program = _tape.to_tape(expr)
        area = program.registers * _tape.BLOCK
        data = self.data
        errors = _train_all(
            program.code,
            program.constants.astype(np.float32),
            program.result,
            np.zeros(2 * area, dtype=np.float32),
            area,
            data.x,
            data.y,
            data.x_judged,
            data.y_judged,
            data.inputs,
            self.parameters,
            self.training.width,
            self.rates,
        )
        normalised: NDArray[np.float64] = errors / data.variance[:, None, :]
        return normalised

    def judge_all(self, exprs: Sequence[Expr], threads: int) -> list[NDArray[np.float64]]:
        """Judge several candidates, ``threads`` at a time, in their order."""
        pool = ThreadPoolExecutor(threads)
        try:
            return list(pool.map(self.judge, exprs))
        finally:
            # After an interrupt the candidates that wait are not started.
            pool.shutdown(cancel_futures=True)


def _flatten(
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], inputs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Lay each network's parameters end to end, without the padding of its inputs."""
    count, seeds = layers[0][0].shape[:2]
    total = sum(w.shape[2] * w.shape[3] + b.shape[2] for w, b in layers)
    flat = np.zeros((count, seeds, total), dtype=np.float32)
    for instance in range(count):
        real = int(inputs[instance])
        for seed in range(seeds):
            parts = []
            for depth, (weights, biases) in enumerate(layers):
                own = weights[instance, seed]
                parts += [
                    (own[:, :real] if depth == 0 else own).reshape(-1),
                    biases[instance, seed],
                ]
            joined = np.concatenate(parts)
            flat[instance, seed, : joined.size] = joined
    return flat
