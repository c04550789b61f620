"""Train multilayer perceptrons with a training loop that numba compiles as one function.

All hidden layers of a network have the same width. Arrays have the shape ``[unit, point]``, and all
inner loops run over contiguous points. A step allocates no memory. Each network is trained by one
thread, so results do not depend on the number of threads.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from symact.backends.numba import tape
from symact.backends.numba.caching import cached
from symact.evaluation.jobs import TIMEOUT, Errors, Trained, raise_on_failure
from symact.evaluation.training.networks import Data, initial_weights, learning_rates
from symact.evaluation.training.parts import Stop, run_parts
from symact.expr import Expr, show
from symact.tasks.protocol import Training

# Reordering of sums is allowed, for vectorisation. NaN and infinity keep their meaning.
_sums = njit(error_model="numpy", fastmath={"reassoc", "contract"})
_compiled = njit(error_model="numpy")

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@_sums
def _affine(weights, biases, h, z):
    """Compute z [out, point] = weights [out, in] @ h [in, point] + biases [out]."""
    for j in range(z.shape[0]):
        row = z[j]
        for p in range(row.size):
            row[p] = biases[j]
    _accumulate(weights, h, z)


@_sums
def _accumulate(weights, h, z):
    """Add weights [out, in] @ h [in, point] to z [out, point].

    Tiles of four outputs and four inputs compute 16 products with 12 loads and stores.
    """
    outputs, inputs = weights.shape
    j = 0
    while j + 4 <= outputs:
        z0, z1, z2, z3 = z[j], z[j + 1], z[j + 2], z[j + 3]
        w0, w1, w2, w3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        i = 0
        while i + 4 <= inputs:
            h0, h1, h2, h3 = h[i], h[i + 1], h[i + 2], h[i + 3]
            a0, a1, a2, a3 = w0[i], w0[i + 1], w0[i + 2], w0[i + 3]
            b0, b1, b2, b3 = w1[i], w1[i + 1], w1[i + 2], w1[i + 3]
            c0, c1, c2, c3 = w2[i], w2[i + 1], w2[i + 2], w2[i + 3]
            d0, d1, d2, d3 = w3[i], w3[i + 1], w3[i + 2], w3[i + 3]
            for p in range(z0.size):
                x0, x1, x2, x3 = h0[p], h1[p], h2[p], h3[p]
                z0[p] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                z1[p] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                z2[p] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                z3[p] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
            i += 4
        while i < inputs:
            hi = h[i]
            a0, b0, c0, d0 = w0[i], w1[i], w2[i], w3[i]
            for p in range(z0.size):
                x0 = hi[p]
                z0[p] += a0 * x0
                z1[p] += b0 * x0
                z2[p] += c0 * x0
                z3[p] += d0 * x0
            i += 1
        j += 4
    while j < outputs:
        z0, w0 = z[j], weights[j]
        i = 0
        while i + 4 <= inputs:
            h0, h1, h2, h3 = h[i], h[i + 1], h[i + 2], h[i + 3]
            a0, a1, a2, a3 = w0[i], w0[i + 1], w0[i + 2], w0[i + 3]
            for p in range(z0.size):
                z0[p] += a0 * h0[p] + a1 * h1[p] + a2 * h2[p] + a3 * h3[p]
            i += 4
        while i < inputs:
            hi, a0 = h[i], w0[i]
            for p in range(z0.size):
                z0[p] += a0 * hi[p]
            i += 1
        j += 1


@_sums
def _gradients(g, h, d_weights, d_biases):
    """Compute d_weights [out, in] = g [out, point] @ h.T and d_biases [out] = sums of g."""
    outputs, inputs = d_weights.shape
    zero = np.float32(0)
    for j in range(outputs):
        gj, total = g[j], zero
        for p in range(gj.size):
            total += gj[p]
        d_biases[j] = total
    j = 0
    while j + 4 <= outputs:
        g0, g1, g2, g3 = g[j], g[j + 1], g[j + 2], g[j + 3]
        i = 0
        while i + 4 <= inputs:
            h0, h1, h2, h3 = h[i], h[i + 1], h[i + 2], h[i + 3]
            a0, a1, a2, a3 = zero, zero, zero, zero
            b0, b1, b2, b3 = zero, zero, zero, zero
            c0, c1, c2, c3 = zero, zero, zero, zero
            d0, d1, d2, d3 = zero, zero, zero, zero
            for p in range(g0.size):
                x0, x1, x2, x3 = h0[p], h1[p], h2[p], h3[p]
                y0, y1, y2, y3 = g0[p], g1[p], g2[p], g3[p]
                a0 += y0 * x0
                a1 += y0 * x1
                a2 += y0 * x2
                a3 += y0 * x3
                b0 += y1 * x0
                b1 += y1 * x1
                b2 += y1 * x2
                b3 += y1 * x3
                c0 += y2 * x0
                c1 += y2 * x1
                c2 += y2 * x2
                c3 += y2 * x3
                d0 += y3 * x0
                d1 += y3 * x1
                d2 += y3 * x2
                d3 += y3 * x3
            r0, r1, r2, r3 = d_weights[j], d_weights[j + 1], d_weights[j + 2], d_weights[j + 3]
            r0[i], r0[i + 1], r0[i + 2], r0[i + 3] = a0, a1, a2, a3
            r1[i], r1[i + 1], r1[i + 2], r1[i + 3] = b0, b1, b2, b3
            r2[i], r2[i + 1], r2[i + 2], r2[i + 3] = c0, c1, c2, c3
            r3[i], r3[i + 1], r3[i + 2], r3[i + 3] = d0, d1, d2, d3
            i += 4
        while i < inputs:
            _four_products(h[i], g0, g1, g2, g3, d_weights[j : j + 4, i])
            i += 1
        j += 4
    while j < outputs:
        gj, row = g[j], d_weights[j]
        i = 0
        while i + 4 <= inputs:
            _four_products(gj, h[i], h[i + 1], h[i + 2], h[i + 3], row[i : i + 4])
            i += 4
        while i < inputs:
            hi, total = h[i], zero
            for p in range(gj.size):
                total += gj[p] * hi[p]
            row[i] = total
            i += 1
        j += 1


@_sums
def _four_products(x, y0, y1, y2, y3, out):
    """Compute the scalar products of x with four vectors."""
    zero = np.float32(0)
    t0, t1, t2, t3 = zero, zero, zero, zero
    for p in range(x.size):
        t0 += x[p] * y0[p]
        t1 += x[p] * y1[p]
        t2 += x[p] * y2[p]
        t3 += x[p] * y3[p]
    out[0], out[1], out[2], out[3] = t0, t1, t2, t3


@_sums
def _pull_back(weights, turned, g, slope, out):
    """Compute out [in, point] = (weights.T @ g) * slope. ``turned`` is a buffer for weights.T."""
    for i in range(turned.shape[0]):
        for j in range(turned.shape[1]):
            turned[i, j] = weights[j, i]
    out[:] = 0
    _accumulate(turned, g, out)
    for i in range(out.shape[0]):
        row, factor = out[i], slope[i]
        for p in range(row.size):
            row[p] *= factor[p]


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


@cached
def adam(parameters, gradients, first, second, step, rate):
    """Apply step number ``step`` of Adam in place. Steps count from 1. Arrays are flat float32."""
    _adam(parameters, gradients, first, second, step, rate)


@_compiled
def _sizes(layer, depth, inputs, width, outputs):
    """Return the rows and columns of a layer's weights, and their offset in the flat vector."""
    if layer == 0:
        return width, inputs, 0
    start = width * (inputs + 1) + (layer - 1) * width * (width + 1)
    return (outputs if layer == depth else width), width, start


@_compiled
def _weights(flat, layer, depth, inputs, width, outputs):
    """Return a view of the weights [out, in] of a layer. Layer ``depth`` is the output layer."""
    rows, columns, start = _sizes(layer, depth, inputs, width, outputs)
    return flat[start : start + rows * columns].reshape(rows, columns)


@_compiled
def _biases(flat, layer, depth, inputs, width, outputs):
    """Return a view of the biases [out] of a layer."""
    rows, columns, start = _sizes(layer, depth, inputs, width, outputs)
    start += rows * columns
    return flat[start : start + rows]


@_compiled
def _matrix(w, row, units, points):
    """Return a view [unit, point] of the workspace, beginning at ``row``."""
    start = row * tape.BLOCK
    return w[start : start + units * points].reshape(units, points)


@_compiled
def _train_network(address, code, result, v, t, w, at, x, y, parameters, width, depth, rates, stop):
    """Train one network in place. Return whether its loss stayed finite and it was not stopped.

    The workspace ``w`` is free from row ``at`` on. A step allocates no memory.
    """
    inputs, points = x.shape
    outputs = y.shape[0]
    sizes = (depth, inputs, width, outputs)
    gradients = np.empty_like(parameters)
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    turned = np.empty((width, width), dtype=np.float32)
    turned_out = np.empty((width, outputs), dtype=np.float32)
    # Sums z and gradients alternate between two buffers. Each layer stores its values and slopes.
    blocks = -(-width * points // tape.BLOCK)
    rooms = (at, at + blocks)
    values = at + 2 * blocks  # values of hidden layer i at 2 i, followed by its slopes
    out = np.empty((outputs, points), dtype=np.float32)
    scale = np.float32(2.0 / (points * outputs))
    for step in range(rates.size):
        for i in range(depth):
            z = _matrix(w, rooms[0], width, points)
            weights, biases = _weights(parameters, i, *sizes), _biases(parameters, i, *sizes)
            own = values + 2 * i * blocks
            if i == 0:
                _affine(weights, biases, x, z)
            else:
                _affine(weights, biases, _matrix(w, own - 2 * blocks, width, points), z)
            tape.apply_rows(address, code, result, w, v, t, rooms[0], own, own + blocks, blocks)
        last = _matrix(w, values + 2 * (depth - 1) * blocks, width, points)
        weights = _weights(parameters, depth, *sizes)
        _affine(weights, _biases(parameters, depth, *sizes), last, out)
        total = np.float32(0)
        for j in range(outputs):
            for p in range(points):
                residual = out[j, p] - y[j, p]
                total += residual * residual
                out[j, p] = scale * residual
        if stop[0] or not np.isfinite(total):
            return False
        _gradients(out, last, _weights(gradients, depth, *sizes), _biases(gradients, depth, *sizes))
        g = _matrix(w, rooms[depth % 2], width, points)
        slopes = values + (2 * (depth - 1) + 1) * blocks
        _pull_back(weights, turned_out, out, _matrix(w, slopes, width, points), g)
        for i in range(depth - 1, -1, -1):
            own_weights, own_biases = _weights(gradients, i, *sizes), _biases(gradients, i, *sizes)
            if i == 0:
                _gradients(g, x, own_weights, own_biases)
                continue
            below = values + 2 * (i - 1) * blocks
            _gradients(g, _matrix(w, below, width, points), own_weights, own_biases)
            target = _matrix(w, rooms[i % 2], width, points)
            slopes = _matrix(w, below + blocks, width, points)
            _pull_back(_weights(parameters, i, *sizes), turned, g, slopes, target)
            g = target
        _adam(parameters, gradients, first, second, step + 1, rates[step])
    return True


@_compiled
def _judge_network(address, code, result, v, t, w, at, x, y, parameters, width, depth):
    """Return the mean squared error of a trained network on one set of points."""
    inputs, points = x.shape
    outputs = y.shape[0]
    sizes = (depth, inputs, width, outputs)
    blocks = -(-width * points // tape.BLOCK)
    z, h = _matrix(w, at, width, points), _matrix(w, at + blocks, width, points)
    out = np.empty((outputs, points), dtype=np.float32)
    for i in range(depth):
        weights, biases = _weights(parameters, i, *sizes), _biases(parameters, i, *sizes)
        if i == 0:
            _affine(weights, biases, x, z)
        else:
            _affine(weights, biases, h, z)
        tape.apply_rows(address, code, result, w, v, t[:0], at, at + blocks, 0, blocks)
    _affine(_weights(parameters, depth, *sizes), _biases(parameters, depth, *sizes), h, out)
    total = 0.0
    for j in range(outputs):
        for p in range(points):
            residual = np.float64(out[j, p]) - np.float64(y[j, p])
            total += residual * residual
    return total / (points * outputs)


@cached
def _train_some(
    address,
    code,
    constants,
    registers,
    result,
    x,
    y,
    x_judged,
    y_judged,
    inputs,
    parameters,
    width,
    depth,
    rates,
    errors,
    w,
    at,
    first,
    last,
    stop,
):
    """Train the networks ``first`` to ``last`` of a candidate, counted over instances and seeds.

    Results are written to errors [instance, seed, part]. They stay NaN for diverged networks.
    Training stops soon after ``stop[0]`` becomes nonzero.
    """
    v, t = np.empty(registers, dtype=np.intp), np.empty(registers, dtype=np.intp)
    tape.lay_out(1, 0, constants, w, 0, tape.CHUNK, v, t)
    seeds = parameters.shape[1]
    for network in range(first, last):
        instance, seed = network // seeds, network % seeds
        real = inputs[instance]
        count = _sizes(depth, depth, real, width, 0)[2] + y.shape[1] * (width + 1)
        own = parameters[instance, seed, :count].copy()
        xs, ys = x[instance, :real], y[instance]
        if _train_network(
            address, code, result, v, t, w, at, xs, ys, own, width, depth, rates, stop
        ):
            for part in range(x_judged.shape[1]):
                errors[instance, seed, part] = _judge_network(
                    address,
                    code,
                    result,
                    v,
                    t,
                    w,
                    at,
                    x_judged[instance, part, :real],
                    y_judged[instance, part],
                    own,
                    width,
                    depth,
                )


class NumbaMLPTrainer:
    """Trains one network for each instance and seed with compiled loops on the CPU.

    It supports pointwise functions only. :class:`TorchMLPTrainer` does the same computation for all
    functions and devices.

    Args:
        data: The instances of one draw.
        training: Size of the networks and length of the training.
        seeds: Training seeds.
        entropy: Seed of the initial weights, different for each fidelity and split.

    Raises:
        SymactError: The initialisation is unknown.
    """

    def __init__(self, data: Data, training: Training, seeds: Sequence[int], entropy: int) -> None:
        self.data = data
        self.training = training
        self.rates = learning_rates(training)
        layers = initial_weights(data, training, seeds, entropy)
        self.parameters = _flatten(layers, data.inputs)

    def judge(self, expr: Expr) -> Errors:
        """Return errors [instance, seed, part], normalised by the variance of the targets."""
        return self.judge_all([expr], 1)[0]

    def judge_all(self, exprs: Sequence[Expr], threads: int) -> list[Errors]:
        """Return the errors [instance, seed, part] of several candidates.

        The threads work on different candidates. With few candidates, several threads train the
        networks of each candidate.

        Raises:
            SymactError: A candidate cannot be trained.
        """
        parts = 1 if len(exprs) >= 4 * threads else threads
        pool = ThreadPoolExecutor(threads)
        try:
            futures = self.start(pool, exprs, parts)
            names = [show(expr) for expr in exprs]
            return raise_on_failure([future.result() for future in futures], names)
        finally:
            # After an interrupt, waiting candidates are not started.
            pool.shutdown(cancel_futures=True)

    def start(
        self, pool: Executor, exprs: Sequence[Expr], parts: int = 1, timeout: float = TIMEOUT
    ) -> list[Future[Trained]]:
        """Start to train candidates; each future has errors [instance, seed, part].

        Args:
            pool: A pool of threads.
            exprs: The candidates.
            parts: Number of pieces of work for each candidate.
            timeout: Time limit of each candidate in seconds.
        """
        return [self._start(pool, expr, parts, timeout) for expr in exprs]

    def _start(self, pool: Executor, expr: Expr, parts: int, timeout: float) -> Future[Trained]:
        instances, seeds = self.parameters.shape[:2]
        networks = instances * seeds
        cuts = np.linspace(0, networks, min(parts, networks) + 1).astype(int)
        errors = np.full((instances, seeds, self.data.variance.shape[1]), np.nan)
        work = [
            functools.partial(self._train, expr, errors, first, last)
            for first, last in itertools.pairwise(cuts)
        ]
        return run_parts(pool, work, timeout, lambda: errors / self.data.variance[:, None, :])

    def _train(self, expr: Expr, errors: Errors, first: int, last: int, stop: Stop) -> None:
        program, data = tape.to_tape(expr), self.data
        width, depth = self.training.width, self.training.depth
        rows = tape.rows_needed(program)
        training, judged = (
            -(-width * array.shape[-1] // tape.BLOCK) for array in (data.x, data.x_judged)
        )
        _train_some(
            tape.interpreter(np.dtype(np.float32)),
            program.code,
            program.constants.astype(np.float32),
            program.registers,
            program.result,
            data.x,
            data.y,
            data.x_judged,
            data.y_judged,
            data.inputs,
            self.parameters,
            width,
            depth,
            self.rates,
            errors,
            tape.workspace(
                rows + max((2 + 2 * depth) * training, 2 * judged), np.dtype(np.float32)
            ),
            rows,
            first,
            last,
            stop,
        )


def _flatten(
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], inputs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Concatenate the parameters of each network, without those of padded inputs."""
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
