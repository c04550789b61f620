"""A found function as a ``torch.nn.Module``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib import util
from typing import Any

import torch
from torch import Tensor, nn

from symact.backends.torch.functional import is_jit_tracing, lower, lower_inputs, narrow, widen
from symact.errors import SymactError
from symact.expr import Expr, show, substitute, uses_statistics, var, variables

#: From so many elements on a fused pass is faster than one operation at a time; below, both take
#: some ten microseconds, and the plain path needs no compilation.
WORTH_FUSING = 2**14


@lru_cache
def _compiles_for_gpu() -> bool:
    """Whether ``torch.compile`` finds what it needs to make kernels for a GPU."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    return util.find_spec("triton") is not None and compiler is not None


def _is_traced(x: Tensor) -> bool:
    """Whether a tracer records operations, which would miss what a kernel does."""
    # A compiler of the whole model also fuses better than a part of it can.
    is_recorded = torch.compiler.is_compiling() or is_jit_tracing()
    return is_recorded or isinstance(x, torch.fx.Proxy)


class Activation(nn.Module):
    """Applies an expression of one variable to a tensor of any shape, element by element.

    The module computes in float32 at least: float16 and bfloat16 are widened inside, and the result
    has the type of the input. Integers and bools become the default floating type. Batch statistics
    are over the whole tensor. The module has no parameters. It can be copied and pickled; symact is
    needed to load it.

    Args:
        expr: An expression of one variable, whatever its name.
        compile: Whether forward and backward are one fused kernel each, which keep only the input
            for the backward pass: symact's own on the CPU, those of ``torch.compile`` on a GPU.
            None fuses tensors of at least 2**14 elements, where that is faster. Functions of batch
            statistics are not fused.

    Attributes:
        expr: The expression.
        formula: Its text.
        fused: Whether the module uses fused kernels where they can go. Tracing, export,
            transforms of functions and second derivatives take plain operations, with the same
            values up to rounding.

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
            raise SymactError(f"an Activation takes one tensor, not {several}; use to_torch()")
        self.expr = expr
        self.formula = show(expr)
        self.fused = compile is not False and not uses_statistics(expr)
        self._of_x = substitute(expr, {names[0]: var()})
        self._least = 0 if compile else WORTH_FUSING
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function.

        Args:
            x: A real tensor of any shape.

        Returns:
            A tensor of its shape, dtype and device.

        Raises:
            DtypeError: The tensor is complex.
        """
        if not self.fused or _is_traced(x) or x.numel() < self._least:
            return lower(self._of_x, x)
        if x.device.type in ("cuda", "xpu") and (self._least == 0 or _compiles_for_gpu()):
            if self._compiled is None:
                self._compiled = torch.compile(partial(lower, self._of_x), dynamic=True)
            return self._compiled(x)
        return self._fuse(x)

    def _fuse(self, x: Tensor) -> Tensor:
        """Apply symact's own kernel where it can go."""
        # Loads numba, which a small model does without.
        from symact.backends.torch.fused import Fused, can_fuse

        if not can_fuse(x):
            return lower(self._of_x, x)
        is_real = x.is_floating_point()
        value: Tensor = Fused.apply(x if is_real else widen(x), self._of_x)  # type: ignore[no-untyped-call]
        return value if is_real else narrow(value, x)

    def __getstate__(self) -> dict[str, Any]:
        # What torch.compile returned belongs to this process; it is made anew where needed.
        return {**self.__dict__, "_compiled": None}

    def extra_repr(self) -> str:
        return self.formula


class ActivationOfSeveral(nn.Module):
    """Applies an expression of several variables to tensors that broadcast against each other.

    Types are as for :class:`Activation`; there is no fused kernel.

    Args:
        expr: An expression.
        inputs: The names of its variables, in the order of the tensors; None for alphabetic order.

    Attributes:
        expr: The expression.
        formula: Its text.
        inputs: The names of its variables.

    Raises:
        SymactError: The expression has a variable that is not among ``inputs``.

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

    def forward(self, *tensors: Tensor) -> Tensor:
        """Apply the function.

        Args:
            tensors: One real tensor for each input.

        Returns:
            A tensor of their common shape and dtype.

        Raises:
            DtypeError: A tensor is complex.
            TypeError: There is another number of tensors than inputs.
        """
        if len(tensors) != len(self.inputs):
            names = ", ".join(self.inputs)
            raise TypeError(f"expected {len(self.inputs)} tensors ({names}), got {len(tensors)}")
        return lower_inputs(self.expr, self.inputs, tensors)

    def extra_repr(self) -> str:
        return f"{', '.join(self.inputs)}: {self.formula}"
