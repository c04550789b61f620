"""Residual networks with layer normalisation, compiled by numba.

A network computes ``h = W0 x + b0``, for each block ``h = h + W2 f(W1 u + b1) + b2`` with
``u = LayerNorm(h)``, and the outputs ``W3 h + b3``. ``LayerNorm`` subtracts the mean over the units
and divides by their standard deviation, for each point (J. L. Ba et al., "Layer normalization",
2016), without gain and offset.

Tensors are in the workspace, in this order: h, z = W1 u + b1, the gradient of h, and for each block
u, f(z) and f'(z). Derivatives by trained parameters follow, block by block. A step allocates no
memory. ``trained`` is that of :mod:`.numba_parameters`.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from symact.backends.numba import tape
from symact.evaluation.training.numba_layers import (
    accumulate,
    adam_step,
    affine,
    compiled,
    layer_gradients,
    layer_views,
    layer_weights,
    loss_gradient,
    matrix,
    mean_squared_error,
    pull_back,
    sums,
    tensor_rows,
    transposed_product,
)
from symact.evaluation.training.numba_parameters import (
    count_of,
    differentiate,
    layer_parameters,
    pull_back_trained,
    set_parameters,
)

#: Added to the variance of the units, as in ``torch.nn.LayerNorm``.
EPSILON = 1e-5


@register_jitable
def residual_tensors(blocks, parameters=0):
    """Return the number of tensors [unit, point] in the workspace."""
    return 3 + (3 + parameters) * blocks


@sums
def _normalise(h, u, mean, inverse):
    """Compute u = LayerNorm(h) and the inverse deviation of each point. ``mean`` is a buffer."""
    share, one, epsilon = np.float32(1 / h.shape[0]), np.float32(1), np.float32(EPSILON)
    mean[:] = 0
    inverse[:] = 0
    for j in range(h.shape[0]):
        row = h[j]
        for p in range(row.size):
            mean[p] += row[p]
    for p in range(mean.size):
        mean[p] *= share
    for j in range(h.shape[0]):
        row, own = h[j], u[j]
        for p in range(row.size):
            own[p] = row[p] - mean[p]
            inverse[p] += own[p] * own[p]
    for p in range(inverse.size):
        inverse[p] = one / np.sqrt(inverse[p] * share + epsilon)
    for j in range(u.shape[0]):
        own = u[j]
        for p in range(own.size):
            own[p] *= inverse[p]


@sums
def _add_normalised(d, u, inverse, mean, product, g):
    """Add the gradient of h to g, given the gradient d of u = LayerNorm(h).

    It is ``inverse * (d - mean(d) - u * mean(d * u))`` with means over the units. ``mean`` and
    ``product`` are buffers.
    """
    share = np.float32(1 / d.shape[0])
    mean[:] = 0
    product[:] = 0
    for j in range(d.shape[0]):
        dj, uj = d[j], u[j]
        for p in range(dj.size):
            mean[p] += dj[p]
            product[p] += dj[p] * uj[p]
    for p in range(mean.size):
        mean[p] *= share
        product[p] *= share
    for j in range(d.shape[0]):
        dj, uj, gj = d[j], u[j], g[j]
        for p in range(dj.size):
            gj[p] += inverse[p] * (dj[p] - mean[p] - uj[p] * product[p])


@sums
def _add_affine(weights, biases, h, z):
    """Add weights [out, in] @ h [in, point] + biases [out] to z [out, point]."""
    for j in range(z.shape[0]):
        row, bias = z[j], biases[j]
        for p in range(row.size):
            row[p] += bias
    accumulate(weights, h, z)


@compiled
def _forward(
    address, code, result, v, t, w, at, x, parameters, width, depth, scratch, out, trained
):
    """Compute the outputs of a network.

    ``scratch`` [block + 2, point] receives the inverse deviations of each block. Its last two rows
    are buffers. Slopes are computed unless ``t`` is empty.
    """
    inputs, points = x.shape
    sizes = (depth, inputs, width, out.shape[0])
    blocks, rows = (depth - 1) // 2, tensor_rows(width, points)
    h, z = matrix(w, at, width, points), matrix(w, at + rows, width, points)
    weights, biases = layer_views(parameters, 0, *sizes)
    affine(weights, biases, x, h)
    for block in range(blocks):
        own = at + residual_tensors(block) * rows
        u, values = matrix(w, own, width, points), matrix(w, own + rows, width, points)
        _normalise(h, u, scratch[blocks], scratch[block])
        weights, biases = layer_views(parameters, 1 + 2 * block, *sizes)
        affine(weights, biases, u, z)
        if trained is not None:
            set_parameters(w, v, trained, parameters, block, blocks)
            if t.size:
                partial = _partials(at, rows, blocks, block, trained)
                differentiate(
                    address, code, result, w, v, trained, at + rows, own + rows, partial, rows
                )
        tape.apply_rows(address, code, result, w, v, t, at + rows, own + rows, own + 2 * rows, rows)
        weights, biases = layer_views(parameters, 2 + 2 * block, *sizes)
        _add_affine(weights, biases, values, h)
    weights, biases = layer_views(parameters, depth, *sizes)
    affine(weights, biases, h, out)


@compiled
def _partials(at, rows, blocks, block, trained):
    """Return the first row of the derivatives by the parameters of a block."""
    return at + (residual_tensors(blocks) + block * count_of(trained)) * rows


@compiled
def _backward(
    w, at, x, parameters, gradients, width, depth, scratch, turned, turned_out, out, trained
):
    """Compute the gradients of all parameters, given the gradient ``out`` of the outputs.

    The workspace and ``scratch`` are those of :func:`_forward`. ``turned`` and ``turned_out`` are
    buffers for transposed weights.
    """
    inputs, points = x.shape
    sizes = (depth, inputs, width, out.shape[0])
    blocks, rows = (depth - 1) // 2, tensor_rows(width, points)
    h, z = matrix(w, at, width, points), matrix(w, at + rows, width, points)
    g = matrix(w, at + 2 * rows, width, points)
    layer_gradients(out, h, *layer_views(gradients, depth, *sizes))
    transposed_product(layer_weights(parameters, depth, *sizes), turned_out, out, g)
    for block in range(blocks - 1, -1, -1):
        first, second = 1 + 2 * block, 2 + 2 * block
        own = at + residual_tensors(block) * rows
        u, values = matrix(w, own, width, points), matrix(w, own + rows, width, points)
        slopes = matrix(w, own + 2 * rows, width, points)
        layer_gradients(g, values, *layer_views(gradients, second, *sizes))
        weights = layer_weights(parameters, second, *sizes)
        if trained is None:
            pull_back(weights, turned, g, slopes, z)
        else:
            partial = _partials(at, rows, blocks, block, trained)
            own_parameters = layer_parameters(gradients, block, blocks, count_of(trained))
            pull_back_trained(weights, turned, g, slopes, z, w, partial, rows, own_parameters)
        layer_gradients(z, u, *layer_views(gradients, first, *sizes))
        # The values are no longer needed. Their tensor receives the gradient of u.
        transposed_product(layer_weights(parameters, first, *sizes), turned, z, values)
        _add_normalised(values, u, scratch[block], scratch[blocks], scratch[blocks + 1], g)
    layer_gradients(g, x, *layer_views(gradients, 0, *sizes))


@compiled
def train_residual(
    address, code, result, v, t, w, at, x, y, parameters, width, depth, rates, stop, trained
):
    """Train one network in place. Return whether its loss stayed finite and it was not stopped.

    ``depth`` is the index of the output layer. The workspace ``w`` is free from row ``at`` on.
    """
    outputs, points = y.shape
    gradients = np.empty_like(parameters)
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    turned = np.empty((width, width), dtype=np.float32)
    turned_out = np.empty((width, outputs), dtype=np.float32)
    scratch = np.empty(((depth - 1) // 2 + 2, points), dtype=np.float32)
    out = np.empty((outputs, points), dtype=np.float32)
    for step in range(rates.size):
        _forward(
            address, code, result, v, t, w, at, x, parameters, width, depth, scratch, out, trained
        )
        if stop[0] or not np.isfinite(loss_gradient(out, y)):
            return False
        _backward(
            w, at, x, parameters, gradients, width, depth, scratch, turned, turned_out, out, trained
        )
        adam_step(parameters, gradients, first, second, step + 1, rates[step])
    return True


@compiled
def judge_residual(address, code, result, v, t, w, at, x, y, parameters, width, depth, trained):
    """Return the mean squared error of a trained network on one set of points."""
    outputs, points = y.shape
    scratch = np.empty(((depth - 1) // 2 + 2, points), dtype=np.float32)
    out = np.empty((outputs, points), dtype=np.float32)
    _forward(
        address, code, result, v, t[:0], w, at, x, parameters, width, depth, scratch, out, trained
    )
    return mean_squared_error(out, y)
