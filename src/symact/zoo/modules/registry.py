"""From a name, an entry or a formula to a module: the one place that knows every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symact.errors import ZooError
from symact.expr import Expr
from symact.zoo.catalogue import Known, find, formula
from symact.zoo.modules import features, gated, gradients, learnable, stochastic
from symact.zoo.modules.base import KnownModule, Pointwise


@dataclass(frozen=True, slots=True)
class Options:
    """What a module is made with beside its entry; see :func:`activation`."""

    shape: tuple[int, ...] = ()
    dim: int = -1
    axes: tuple[int, ...] | None = None
    seed: int = 0


_Maker = Callable[[Known, Options], KnownModule]


def activation(
    function: Known | Expr | str,
    /,
    *,
    shape: tuple[int, ...] = (),
    dim: int = -1,
    axes: tuple[int, ...] | None = None,
    seed: int = 0,
    **constants: float,
) -> KnownModule:
    """Return a known function or a formula as a ``torch.nn.Module``.

    Args:
        function: A name of the zoo, an entry, a formula or an expression.
        shape: Of each trained parameter; it has to broadcast with the input. ``()`` serves a layer,
            ``(channels,)`` features in the last axis, ``(networks, 1, 1)`` a stack of networks.
        dim: The feature axis. Gated functions halve it (the first half is the value, the second the
            gate, as ``torch.nn.functional.glu``), functions of features mix it.
        axes: The axes that a statistic of the whole tensor is taken over; None for all.
        seed: Of random choices and random initial weights.
        **constants: Other values for the constants of a known function, by name. For a learnable
            function they are the initial values.

    Raises:
        ZooError: No such function or constant, or no function of a pre-activation.
        ParseError: A formula that does not parse.

    >>> activation("Snake", a=2.0)
    Formula(Snake: x + sin(a*x)**2/a, a = 2)
    >>> activation("x*tanh(x)")
    Pointwise(x*tanh(x))
    """
    entry = _entry(function)
    options = Options(shape, dim, axes, seed)
    if isinstance(entry, Expr):
        if constants:
            raise ZooError(f"a formula holds its constants; '{next(iter(constants))}' is not used")
        return Pointwise(entry, None, axes, shape)
    made = _of_known(entry.with_constants(**constants), options)
    if constants:
        _check_finite(made)
    return made


#: The name of :func:`activation` in earlier versions.
module = activation


def _entry(function: Known | Expr | str) -> Known | Expr:
    if isinstance(function, Known | Expr):
        return function
    try:
        return find(function)
    except ZooError as unknown:
        return formula(function, unknown)


def _check_finite(made: KnownModule) -> None:
    assert made.known is not None
    probe = torch.full((2, 2), 0.5)
    with torch.no_grad():
        values = made.eval()(probe)
    made.train()
    if not values.isfinite().all():
        own = {**made.known.parameters, **made.known.sizes}
        given = ", ".join(f"{name} = {value:g}" for name, value in own.items())
        raise ZooError(f"'{made.known.name}' is not finite with {given}")


def _of_known(entry: Known, options: Options) -> KnownModule:
    if entry.name in _SPECIAL:
        return _SPECIAL[entry.name](entry, options)
    if entry.sizes and entry.sizes != find(entry.name).sizes:
        return learnable.Expansion(entry, options.shape)
    if entry.kind in ("learnable", "gated") and entry.parametric is not None:
        return learnable.Formula(entry, options.shape, options.dim)
    if entry.formula is not None:
        return Pointwise(entry.expr, entry, options.axes)
    if entry.kind == "unknown":
        raise ZooError(f"'{entry.name}': its formula is in no text we have, so there is no module")
    raise ZooError(f"'{entry.name}' is no function of a pre-activation: {entry.definition}")


def _few_bit_gelu(known: Known, options: Options) -> KnownModule:
    expr, bits = find("GELU").expr, known.parameters["bits"]
    if bits != int(bits):
        raise ZooError(f"constant 'bits' of '{known.name}' must be a whole number, got {bits}")
    return gradients.StepGradient(expr, *gradients.fit_steps(expr, int(bits)), known)


def _helu(known: Known, options: Options) -> KnownModule:
    border, levels = np.array([-known.parameters["alpha"]]), np.array([0.0, 1.0])
    return gradients.StepGradient(find("ReLU").expr, border, levels, known)


def _three_steps(base: str) -> _Maker:
    return lambda known, o: gradients.three_steps(known, find(base).expr)


def _of_features(function: Callable[[Tensor, int], Tensor]) -> _Maker:
    return lambda known, o: features.OfFeatures(known, function, o.dim)


#: What a formula cannot state.
_SPECIAL: dict[str, _Maker] = {
    "Adaptive-temperature softmax": _of_features(features.adaptive_softmax),
    "ASH": lambda known, o: features.ActivationShaping(known, o.dim),
    "CReLU": _of_features(features.crelu),
    "Few-bit GELU": _few_bit_gelu,
    "HeLU": _helu,
    "KAN B-spline": lambda known, o: learnable.Spline(known, o.shape, o.seed),
    "mAND": lambda known, o: gated.SmoothAnd(known, o.dim),
    "Matrix exponential": _of_features(features.matrix_exponential),
    "Phase-flip chaos": lambda known, o: features.PhaseFlip(known, o.dim),
    "PolyNorm": lambda known, o: features.PolyNorm(known, o.shape, o.dim),
    "ReGELU2": _three_steps("GELU"),
    "ReSiLU2": _three_steps("SiLU"),
    "RReLU": lambda known, o: stochastic.RandomLeaky(known, o.seed),
    "S|R": lambda known, o: stochastic.RandomChoice(known, o.seed),
    "Softmax": _of_features(features.softmax),
    "Sparsemax": _of_features(features.sparsemax),
    "TMAF tridiagonal": lambda known, o: features.Neighbours(known, o.shape, o.dim),
    "Top-k": lambda known, o: features.TopK(known.parameters["k"], None, o.dim, known),
}
