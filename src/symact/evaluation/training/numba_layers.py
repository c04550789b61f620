"""The layers of networks and Adam, compiled by numba.

Arrays have the shape ``[unit, point]`` and the dtype float32. All inner loops run over contiguous
points. No function allocates memory. The parameters of a network are one flat vector: the weights
and biases of the first layer, then those of the next.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import register_jitable

from symact.backends.numba import tape
from symact.backends.numba.caching import cached

# Reordering of sums is allowed, for vectorisation. NaN and infinity keep their meaning.
sums = njit(error_model="numpy", fastmath={"reassoc", "contract"})
compiled = njit(error_model="numpy")

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@sums
def affine(weights, biases, h, z):
    """Compute z [out, point] = weights [out, in] @ h [in, point] + biases [out]."""
    for j in range(z.shape[0]):
        row = z[j]
        for p in range(row.size):
            row[p] = biases[j]
    accumulate(weights, h, z)


@sums
def accumulate(weights, h, z):
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


@sums
def layer_gradients(g, h, d_weights, d_biases):
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


@sums
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


@sums
def transposed_product(weights, turned, g, out):
    """Compute out [in, point] = weights.T @ g. ``turned`` is a buffer for weights.T."""
    for i in range(turned.shape[0]):
        for j in range(turned.shape[1]):
            turned[i, j] = weights[j, i]
    out[:] = 0
    accumulate(turned, g, out)


@sums
def pull_back(weights, turned, g, slope, out):
    """Compute out [in, point] = (weights.T @ g) * slope. ``turned`` is a buffer for weights.T."""
    transposed_product(weights, turned, g, out)
    scale(out, slope)


@sums
def scale(out, slope):
    """Multiply out [unit, point] by slope, element by element, in place."""
    for i in range(out.shape[0]):
        row, factor = out[i], slope[i]
        for p in range(row.size):
            row[p] *= factor[p]


@compiled
def loss_gradient(out, y):
    """Replace outputs [output, point] by the gradient of their mean squared error.

    Returns:
        The sum of the squared errors.
    """
    outputs, points = y.shape
    scale, total = np.float32(2.0 / (points * outputs)), np.float32(0)
    for j in range(outputs):
        for p in range(points):
            residual = out[j, p] - y[j, p]
            total += residual * residual
            out[j, p] = scale * residual
    return total


@compiled
def mean_squared_error(out, y):
    """Return the mean squared error of outputs [output, point], summed in float64."""
    outputs, points = y.shape
    total = 0.0
    for j in range(outputs):
        for p in range(points):
            residual = np.float64(out[j, p]) - np.float64(y[j, p])
            total += residual * residual
    return total / (points * outputs)


@compiled
def adam_step(parameters, gradients, first, second, step, rate):
    """Apply step number ``step`` of Adam in place, as :func:`adam`."""
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
    adam_step(parameters, gradients, first, second, step, rate)


@compiled
def layer_sizes(layer, depth, inputs, width, outputs):
    """Return the rows and columns of a layer's weights, and their offset in the flat vector."""
    if layer == 0:
        return width, inputs, 0
    start = width * (inputs + 1) + (layer - 1) * width * (width + 1)
    return (outputs if layer == depth else width), width, start


@compiled
def layer_weights(flat, layer, depth, inputs, width, outputs):
    """Return a view of the weights [out, in] of a layer. Layer ``depth`` is the output layer."""
    rows, columns, start = layer_sizes(layer, depth, inputs, width, outputs)
    return flat[start : start + rows * columns].reshape(rows, columns)


@compiled
def layer_biases(flat, layer, depth, inputs, width, outputs):
    """Return a view of the biases [out] of a layer."""
    rows, columns, start = layer_sizes(layer, depth, inputs, width, outputs)
    start += rows * columns
    return flat[start : start + rows]


@compiled
def layer_views(flat, layer, depth, inputs, width, outputs):
    """Return views of the weights [out, in] and the biases [out] of a layer."""
    sizes = (depth, inputs, width, outputs)
    return layer_weights(flat, layer, *sizes), layer_biases(flat, layer, *sizes)


@register_jitable
def tensor_rows(width, points):
    """Return the number of rows of the workspace that a tensor [width, point] takes."""
    return -(-width * points // tape.BLOCK)


@compiled
def matrix(w, row, units, points):
    """Return a view [unit, point] of the workspace, beginning at ``row``."""
    start = row * tape.BLOCK
    return w[start : start + units * points].reshape(units, points)
