"""Expressions as ``torch.nn`` modules."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib import util
from typing import Any

import torch
from torch import Tensor, nn

from symact.backends.torch.functional import (
    is_jit_tracing,
    lower,
    lower_in_dtype,
    lower_inputs,
    narrow,
    widen,
)
from symact.backends.torch.parameters import TrainedParameters, bound_of, shortest
from symact.errors import SymactError
from symact.expr import (
    Expr,
    call,
    const,
    parameters,
    show,
    substitute,
    uses_statistics,
    var,
    variables,
    with_parameters,
)

#: The smallest number of elements for which a fused pass is faster than single operations. Smaller
#: tensors take some ten microseconds either way, and plain operations need no compilation.
WORTH_FUSING = 2**14

#: The primitives that torch computes with one kernel each for the forward and the backward pass,
#: with the results of a fused pass up to rounding, also at infinities and kinks. Both need one pass
#: through memory. torch's kernels need no Python in the backward pass.
_ONE_KERNEL = ("relu", "sigmoid", "tanh")
#: Those of them with exact results in every dtype. The derivatives of the others are computed from
#: results that were rounded to the dtype.
_EXACT = ("relu",)


@lru_cache
def _compiles_for_gpu() -> bool:
    """Whether Triton and a C compiler are available for ``torch.compile`` on a GPU."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    return util.find_spec("triton") is not None and compiler is not None


@lru_cache
def _fused_pass() -> tuple[Callable[[Expr, Tensor], Tensor], Callable[[Tensor], bool]]:
    # Imported here because it loads numba, which plain operations do not need.
    from symact.backends.torch.fused import apply, can_fuse

    return apply, can_fuse


def _is_exact(op: str, x: Tensor) -> bool:
    """Whether the one kernel that torch has for a primitive has exact results in this dtype."""
    return x.dtype in (torch.float32, torch.float64) or (op in _EXACT and x.is_floating_point())


def _is_traced(x: Tensor) -> bool:
    """Whether a tracer is recording operations. A tracer cannot record a fused kernel."""
    is_recorded = torch.compiler.is_compiling() or is_jit_tracing()
    return is_recorded or isinstance(x, torch.fx.Proxy)


class Activation(nn.Module):
    """Applies an expression of one variable to a tensor of any shape, element by element.

    The module computes in float32 or float64 and returns the dtype of its input. Integers and bools
    become the default floating dtype. Batch statistics are over the whole tensor. The module can be
    copied and pickled; loading needs symact.

    Args:
        expr: An expression of one variable of any name.
        compile: Whether to use one fused kernel each for the forward and the backward pass. The CPU
            kernel is part of symact; a GPU uses ``torch.compile``. None fuses tensors of at least
            2**14 elements, except for a formula that is one kernel of torch: relu, and sigmoid and
            tanh in float32 and float64. The choice depends on the formula, the dtype and the size
            only, so it is the same in every run. Functions of batch statistics and functions with
            trained parameters are not fused.

    Attributes:
        expr: The expression.
        formula: The text of the expression.
        fused: Whether the module uses fused kernels. Tracing, export, function transforms and
            second derivatives always use plain operations, with equal values up to rounding.
        trained: The trained parameters of the expression, a list of scalars of type
            ``nn.Parameter``. A module without them has no such attribute.

    Raises:
        SymactError: The expression has several variables.

    Example:
        >>> import torch
        >>> from symact import parse
        >>> Activation(parse("x*tanh(softplus(x))"))
        Activation(x*tanh(softplus(x)))
        >>> Activation(parse("max(x, 0.1*x)"))(torch.tensor([-10.0, 2.0]))
        tensor([-1.,  2.])
    """

    def __init__(self, expr: Expr, compile: bool | None = None) -> None:
        super().__init__()
        names = variables(expr) or ("x",)
        if len(names) > 1:
            several = ", ".join(names)
            raise SymactError(f"an Activation has one input, got {several}; use to_torch()")
        self.expr = expr
        self.formula = show(expr)
        has_parameters = bool(parameters(expr))
        if has_parameters:
            self.trained = TrainedParameters(expr)
        # The fused kernel takes one tensor and gives one gradient.
        self.fused = compile is not False and not uses_statistics(expr) and not has_parameters
        self._of_x = substitute(expr, {names[0]: var()})
        self._least = 0 if compile else WORTH_FUSING
        self._has_kernel = self._of_x in [call(name, var()) for name in _ONE_KERNEL]
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function.

        Args:
            x: A real tensor of any shape.

        Returns:
            A tensor with the shape, dtype and device of ``x``.

        Raises:
            DtypeError: The tensor is complex.
        """
        if not self.fused or _is_traced(x) or x.numel() < self._least:
            return lower(self._of_x, x, bound=bound_of(self))
        if self._has_kernel and self._least and _is_exact(self._of_x.op, x):
            return lower_in_dtype(self._of_x, x)
        if x.is_cpu:
            return self._fuse(x)
        if x.device.type in ("cuda", "xpu") and (self._least == 0 or _compiles_for_gpu()):
            if self._compiled is None:
                self._compiled = torch.compile(partial(lower, self._of_x), dynamic=True)
            return self._compiled(x)
        return lower(self._of_x, x)

    def fixed(self) -> Expr:
        """Return the expression with the current values of its trained parameters as literals.

        Formats without trained parameters, such as C source, can hold it.

        Raises:
            ParseError: A value is not finite.

        Example:
            >>> from symact import parse
            >>> str(Activation(parse("x*sigmoid(param(1.5)*x)")).fixed())
            'x*sigmoid(1.5*x)'
        """
        values = [const(shortest(own)) for own in bound_of(self).values()]
        return with_parameters(self.expr, values)

    def _fuse(self, x: Tensor) -> Tensor:
        """Apply the fused CPU kernel if it supports the tensor."""
        apply, can_fuse = _fused_pass()
        if not can_fuse(x):
            return lower(self._of_x, x)
        if x.is_floating_point():
            return apply(self._of_x, x)
        return narrow(apply(self._of_x, widen(x)), x)

    def __getstate__(self) -> dict[str, Any]:
        # The result of torch.compile cannot be pickled; it is created again when needed.
        return {**self.__dict__, "_compiled": None}

    def extra_repr(self) -> str:
        return self.formula


class ActivationOfSeveral(nn.Module):
    """Applies an expression of several variables to tensors that broadcast.

    Dtypes are as for :class:`Activation`. There is no fused kernel.

    Args:
        expr: An expression of any number of variables.
        inputs: The names of the variables, in the order of the tensors; None for alphabetical
            order.

    Attributes:
        expr: The expression.
        formula: The text of the expression.
        inputs: The names of the variables.
        trained: As for :class:`Activation`.

    Raises:
        SymactError: The expression has a variable outside ``inputs``.

    Example:
        >>> import torch
        >>> from symact import parse
        >>> gate = ActivationOfSeveral(parse("x*sigmoid(g)", ("x", "g")), inputs=("x", "g"))
        >>> gate(torch.tensor([3.0, 4.0]), torch.tensor(0.0))
        tensor([1.5000, 2.0000])
    """

    def __init__(self, expr: Expr, inputs: Sequence[str] | None = None) -> None:
        super().__init__()
        self.inputs = variables(expr) if inputs is None else tuple(inputs)
        missing = [name for name in variables(expr) if name not in self.inputs]
        if missing:
            raise SymactError(f"'{missing[0]}' is not among the inputs {', '.join(self.inputs)}")
        self.expr = expr
        self.formula = show(expr)
        if parameters(expr):
            self.trained = TrainedParameters(expr)

    def forward(self, *tensors: Tensor) -> Tensor:
        """Apply the function.

        Args:
            tensors: One real tensor for each input.

        Returns:
            A tensor of the broadcast shape and the common dtype.

        Raises:
            DtypeError: A tensor is complex.
            TypeError: The number of tensors differs from the number of inputs.
        """
        if len(tensors) != len(self.inputs):
            names = ", ".join(self.inputs)
            raise TypeError(f"expected {len(self.inputs)} tensors ({names}), got {len(tensors)}")
        return lower_inputs(self.expr, self.inputs, tensors, bound_of(self))

    def extra_repr(self) -> str:
        return f"{', '.join(self.inputs)}: {self.formula}"
