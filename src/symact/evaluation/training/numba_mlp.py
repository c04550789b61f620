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
from numpy.typing import NDArray

from symact.backends.numba import tape
from symact.backends.numba.caching import cached
from symact.evaluation.jobs import TIMEOUT, Errors, Trained, raise_on_failure
from symact.evaluation.training.networks import Data, initial_weights, learning_rates
from symact.evaluation.training.numba_layers import (
    adam_step,
    affine,
    compiled,
    layer_biases,
    layer_gradients,
    layer_sizes,
    layer_weights,
    loss_gradient,
    matrix,
    mean_squared_error,
    pull_back,
    tensor_rows,
)
from symact.evaluation.training.numba_parameters import (
    count_of,
    differentiate,
    layer_parameters,
    pull_back_trained,
    seeds_of,
    set_parameters,
    with_initial,
)
from symact.evaluation.training.numba_residual import (
    judge_residual,
    residual_tensors,
    train_residual,
)
from symact.evaluation.training.parts import Stop, run_parts
from symact.expr import Expr, show
from symact.tasks.protocol import Training


@compiled
def _train_plain(
    address, code, result, v, t, w, at, x, y, parameters, width, depth, rates, stop, trained
):
    """Train a plain network in place. Return whether its loss stayed finite and it was not stopped.

    The workspace ``w`` is free from row ``at`` on. A step allocates no memory. ``trained`` is that
    of :mod:`.numba_parameters`.
    """
    inputs, points = x.shape
    outputs = y.shape[0]
    sizes = (depth, inputs, width, outputs)
    gradients = np.empty_like(parameters)
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    turned = np.empty((width, width), dtype=np.float32)
    turned_out = np.empty((width, outputs), dtype=np.float32)
    # Sums z and gradients alternate between two buffers. Each layer stores its values and slopes.
    blocks = tensor_rows(width, points)
    rooms = (at, at + blocks)
    values = at + 2 * blocks  # values of hidden layer i at 2 i, followed by its slopes
    partials = values + 2 * depth * blocks  # derivatives by the parameters, layer by layer
    out = np.empty((outputs, points), dtype=np.float32)
    for step in range(rates.size):
        for i in range(depth):
            z = matrix(w, rooms[0], width, points)
            weights, biases = (
                layer_weights(parameters, i, *sizes),
                layer_biases(parameters, i, *sizes),
            )
            own = values + 2 * i * blocks
            if i == 0:
                affine(weights, biases, x, z)
            else:
                affine(weights, biases, matrix(w, own - 2 * blocks, width, points), z)
            if trained is not None:
                set_parameters(w, v, trained, parameters, i, depth)
                partial = partials + i * count_of(trained) * blocks
                differentiate(address, code, result, w, v, trained, rooms[0], own, partial, blocks)
            tape.apply_rows(address, code, result, w, v, t, rooms[0], own, own + blocks, blocks)
        last = matrix(w, values + 2 * (depth - 1) * blocks, width, points)
        weights = layer_weights(parameters, depth, *sizes)
        affine(weights, layer_biases(parameters, depth, *sizes), last, out)
        if stop[0] or not np.isfinite(loss_gradient(out, y)):
            return False
        layer_gradients(
            out,
            last,
            layer_weights(gradients, depth, *sizes),
            layer_biases(gradients, depth, *sizes),
        )
        g = matrix(w, rooms[depth % 2], width, points)
        slopes = matrix(w, values + (2 * (depth - 1) + 1) * blocks, width, points)
        if trained is None:
            pull_back(weights, turned_out, out, slopes, g)
        else:
            count = count_of(trained)
            partial = partials + (depth - 1) * count * blocks
            own_parameters = layer_parameters(gradients, depth - 1, depth, count)
            pull_back_trained(
                weights, turned_out, out, slopes, g, w, partial, blocks, own_parameters
            )
        for i in range(depth - 1, -1, -1):
            own_weights, own_biases = (
                layer_weights(gradients, i, *sizes),
                layer_biases(gradients, i, *sizes),
            )
            if i == 0:
                layer_gradients(g, x, own_weights, own_biases)
                continue
            below = values + 2 * (i - 1) * blocks
            layer_gradients(g, matrix(w, below, width, points), own_weights, own_biases)
            target = matrix(w, rooms[i % 2], width, points)
            slopes = matrix(w, below + blocks, width, points)
            weights = layer_weights(parameters, i, *sizes)
            if trained is None:
                pull_back(weights, turned, g, slopes, target)
            else:
                count = count_of(trained)
                partial = partials + (i - 1) * count * blocks
                own_parameters = layer_parameters(gradients, i - 1, depth, count)
                pull_back_trained(
                    weights, turned, g, slopes, target, w, partial, blocks, own_parameters
                )
            g = target
        adam_step(parameters, gradients, first, second, step + 1, rates[step])
    return True


@compiled
def _judge_plain(address, code, result, v, t, w, at, x, y, parameters, width, depth, trained):
    """Return the mean squared error of a trained plain network on one set of points."""
    inputs, points = x.shape
    outputs = y.shape[0]
    sizes = (depth, inputs, width, outputs)
    blocks = tensor_rows(width, points)
    z, h = matrix(w, at, width, points), matrix(w, at + blocks, width, points)
    out = np.empty((outputs, points), dtype=np.float32)
    for i in range(depth):
        weights, biases = layer_weights(parameters, i, *sizes), layer_biases(parameters, i, *sizes)
        if i == 0:
            affine(weights, biases, x, z)
        else:
            affine(weights, biases, h, z)
        if trained is not None:
            set_parameters(w, v, trained, parameters, i, depth)
        tape.apply_rows(address, code, result, w, v, t[:0], at, at + blocks, 0, blocks)
    affine(
        layer_weights(parameters, depth, *sizes), layer_biases(parameters, depth, *sizes), h, out
    )
    return mean_squared_error(out, y)


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
    residual,
    initial,
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
    Training stops soon after ``stop[0]`` becomes nonzero. ``depth`` is the index of the output
    layer. ``residual`` is None for plain networks, so that numba compiles only one of the branches.
    ``initial`` has the initial values of the trained parameters, float32; None for none.
    """
    v, t = np.empty(registers, dtype=np.intp), np.empty(registers, dtype=np.intp)
    tape.lay_out(1, 0, constants, w, 0, tape.CHUNK, v, t)
    if initial is None:
        trained = None
    else:
        first_parameter = 1 + constants.size - initial.size
        trained = (first_parameter, seeds_of(t, first_parameter, initial.size))
    layers = depth if residual is None else (depth - 1) // 2
    seeds = parameters.shape[1]
    for network in range(first, last):
        instance, seed = network // seeds, network % seeds
        real = inputs[instance]
        count = layer_sizes(depth, depth, real, width, 0)[2] + y.shape[1] * (width + 1)
        own = parameters[instance, seed, :count].copy()
        if initial is not None:
            own = with_initial(own, initial, layers)
        xs, ys = x[instance, :real], y[instance]
        if residual is None:
            is_finite = _train_plain(
                address, code, result, v, t, w, at, xs, ys, own, width, depth, rates, stop, trained
            )
        else:
            is_finite = train_residual(
                address, code, result, v, t, w, at, xs, ys, own, width, depth, rates, stop, trained
            )
        if not is_finite:
            continue
        for part in range(x_judged.shape[1]):
            xs, ys = x_judged[instance, part, :real], y_judged[instance, part]
            if residual is None:
                error = _judge_plain(
                    address, code, result, v, t, w, at, xs, ys, own, width, depth, trained
                )
            else:
                error = judge_residual(
                    address, code, result, v, t, w, at, xs, ys, own, width, depth, trained
                )
            errors[instance, seed, part] = error


class NumbaMLPTrainer:
    """Trains one network for each instance and seed with compiled loops on the CPU.

    Networks are plain or residual. It supports pointwise functions only. :class:`TorchMLPTrainer`
    does the same computation for all functions and devices. :class:`.MLPTrainer` documents the
    arguments.
    """

    def __init__(self, data: Data, training: Training, seeds: Sequence[int], entropy: int) -> None:
        self.data = data
        self.training = training
        layers = initial_weights(data, training, seeds, entropy)
        self._layers = len(layers)
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
        self,
        pool: Executor,
        exprs: Sequence[Expr],
        parts: int = 1,
        timeout: float = TIMEOUT,
        *,
        learning_rate: float | None = None,
    ) -> list[Future[Trained]]:
        """Start to train candidates; each future has errors [instance, seed, part].

        Args:
            pool: A pool of threads.
            exprs: The candidates.
            parts: Number of pieces of work for each candidate.
            timeout: Time limit of each candidate in seconds.
            learning_rate: Maximum learning rate; None for the rate of the training.
        """
        rates = learning_rates(self.training, learning_rate)
        return [self._start(pool, expr, parts, timeout, rates) for expr in exprs]

    def _start(
        self,
        pool: Executor,
        expr: Expr,
        parts: int,
        timeout: float,
        rates: NDArray[np.float64],
    ) -> Future[Trained]:
        instances, seeds = self.parameters.shape[:2]
        networks = instances * seeds
        cuts = np.linspace(0, networks, min(parts, networks) + 1).astype(int)
        errors = np.full((instances, seeds, self.data.variance.shape[1]), np.nan)
        work = [
            functools.partial(self._train, expr, rates, errors, first, last)
            for first, last in itertools.pairwise(cuts)
        ]
        return run_parts(pool, work, timeout, lambda: errors / self.data.variance[:, None, :])

    def _train(
        self,
        expr: Expr,
        rates: NDArray[np.float64],
        errors: Errors,
        first: int,
        last: int,
        stop: Stop,
    ) -> None:
        program, data, training = tape.to_tape(expr), self.data, self.training
        rows = tape.rows_needed(program)
        float32 = np.dtype(np.float32)
        constants = program.constants.astype(float32)
        initial = constants[len(constants) - program.parameters :] if program.parameters else None
        _train_some(
            tape.interpreter(float32),
            program.code,
            constants,
            program.registers,
            program.result,
            data.x,
            data.y,
            data.x_judged,
            data.y_judged,
            data.inputs,
            self.parameters,
            training.width,
            self._layers - 1,
            True if training.residual else None,
            initial,
            rates,
            errors,
            tape.workspace(rows + self._rows(program.parameters), float32),
            rows,
            first,
            last,
            stop,
        )

    def _rows(self, parameters: int) -> int:
        """Return the number of rows of the workspace that the tensors of a network take."""
        width, depth = self.training.width, self.training.depth
        trained, judged = (
            tensor_rows(width, array.shape[-1]) for array in (self.data.x, self.data.x_judged)
        )
        if self.training.residual:
            return residual_tensors(depth, parameters) * max(trained, judged)
        return max((2 + (2 + parameters) * depth) * trained, 2 * judged)


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
