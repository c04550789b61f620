"""Trained parameters of functions in the compiled trainers.

A network has one value of each parameter for each hidden layer. The values follow the weights in
the flat vector of the network, layer by layer, so Adam updates both. The derivative of a function
by a parameter is the tangent of the function's program with that parameter's register as the seed.
The gradient is its product with the gradient of the function's values, summed over units and
points.

``trained`` is None for functions without parameters, so that numba compiles no code for them.
Otherwise it is a pair: the register of the first parameter, and the rows of the tangents of all
registers for each parameter, intp ``[parameter, register]``.
"""

from __future__ import annotations

import numpy as np

from symact.backends.numba import tape
from symact.evaluation.training.numba_layers import (
    compiled,
    matrix,
    scale,
    sums,
    transposed_product,
)


@compiled
def seeds_of(t, first, count):
    """Return the rows of tangents for each parameter, given those for the input, ``t``.

    The input has register 0. Its tangents are the row of ones, those of parameters that of zeros.
    """
    seeds = np.empty((count, t.size), dtype=np.intp)
    for j in range(count):
        seeds[j] = t
        seeds[j, 0], seeds[j, first + j] = t[first + j], t[0]
    return seeds


@compiled
def count_of(trained):
    """Return the number of parameters."""
    _, seeds = trained
    return seeds.shape[0]


@compiled
def with_initial(weights, initial, layers):
    """Return the flat vector of a network: its weights, then the parameters of each layer."""
    flat = np.empty(weights.size + layers * initial.size, dtype=np.float32)
    flat[: weights.size] = weights
    for layer in range(layers):
        start = weights.size + layer * initial.size
        flat[start : start + initial.size] = initial
    return flat


@compiled
def layer_parameters(flat, layer, layers, count):
    """Return a view of the parameters of a layer. ``flat`` has weights or gradients."""
    start = flat.size - (layers - layer) * count
    return flat[start : start + count]


@compiled
def set_parameters(w, v, trained, flat, layer, layers):
    """Set the registers of the parameters to the values of a layer."""
    first, seeds = trained
    own = layer_parameters(flat, layer, layers, seeds.shape[0])
    for j in range(own.size):
        tape.fill(w, v[first + j], tape.CHUNK, own[j])


@compiled
def differentiate(address, code, result, w, v, trained, z, values, at, blocks):
    """Compute the derivatives by the parameters for arguments from row ``z``, from row ``at`` on.

    The rows from ``values`` receive the function's values.
    """
    _, seeds = trained
    for j in range(seeds.shape[0]):
        tape.apply_rows(address, code, result, w, v, seeds[j], z, values, at + j * blocks, blocks)


@compiled
def pull_back_trained(weights, turned, g, slope, out, w, at, blocks, gradients):
    """Compute out [in, point] = (weights.T @ g) * slope and the gradients of a layer's parameters.

    The derivatives by the parameters are in the rows from ``at`` on, ``blocks`` rows each.
    """
    transposed_product(weights, turned, g, out)
    for j in range(gradients.size):
        partial = matrix(w, at + j * blocks, out.shape[0], out.shape[1])
        gradients[j] = _product(out, partial)
    scale(out, slope)


@sums
def _product(a, b):
    """Return the sum of the products of two matrices. Rows are summed in float32."""
    total = np.float64(0)
    for i in range(a.shape[0]):
        row, other = a[i], b[i]
        own = np.float32(0)
        for p in range(row.size):
            own += row[p] * other[p]
        total += np.float64(own)
    return np.float32(total)
