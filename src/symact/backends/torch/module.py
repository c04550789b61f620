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

from symact.backends.torch.functional import lower, lower_inputs, narrow, widen
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
    is_jit: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return torch.compiler.is_compiling() or is_jit or isinstance(x, torch.fx.Proxy)


class Activation(nn.Module):
    """Applies an expression to tensors of any shape, element by element.

    The module computes in float32 at least: float16 and bfloat16 are widened inside, and the result
    has the type of the input. Integers and bools become the default floating type. Batch statistics
    are over the whole tensor. The module has no parameters. It can be copied and pickled; symact is
    needed to load it.

    Args:
        expr: An expression. Of one variable, the module takes one tensor; of several, one for each
            in the order of ``inputs``.
        compile: Whether forward and backward are one fused kernel each, which keep only the input
            for the backward pass: symact's own on the CPU, those of ``torch.compile`` on a GPU.
            None fuses tensors of at least 2**14 elements, where that is faster. Functions of batch
            statistics or of several variables are not fused.
        inputs: The names of the variables, in the order of the tensors; None for alphabetic order.

    Attributes:
        expr: The expression.
        formula: Its text.
        inputs: The names of its variables.
        fused: Whether the module uses fused kernels where they can go. Tracing, export,
            transforms of functions and second derivatives take plain operations, with the same
            values up to rounding.

    Raises:
        SymactError: The expression has a variable that is not among ``inputs``.

    Example:
        >>> import torch
        >>> from symact import parse
        >>> Activation(parse("x*tanh(softplus(x))"))
        Activation(x*tanh(softplus(x)))
        >>> Activation(parse("max(x, 0.1*x)"))(torch.tensor([-10.0, 2.0]))
        tensor([-1.,  2.])
    """

    def __init__(
        self, expr: Expr, compile: bool | None = None, inputs: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        own = variables(expr) or ("x",)
        self.inputs = own if inputs is None else tuple(inputs)
        missing = [name for name in variables(expr) if name not in self.inputs]
        if missing:
            raise SymactError(f"'{missing[0]}' is not among the inputs {', '.join(self.inputs)}")
        self.expr = expr
        single = len(self.inputs) == 1
        self._of_x = substitute(expr, {self.inputs[0]: var()}) if single else expr
        self.formula = show(expr)
        self.fused = compile is not False and single and not uses_statistics(expr)
        self._least = 0 if compile else WORTH_FUSING
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def forward(self, *tensors: Tensor) -> Tensor:
        """Apply the expression.

        Args:
            tensors: One real tensor for each input; several broadcast against each other.

        Returns:
            A tensor of their common shape, dtype and device.

        Raises:
            DtypeError: A tensor is complex.
            TypeError: There is another number of tensors than inputs.
        """
        if len(tensors) != len(self.inputs):
            names = ", ".join(self.inputs)
            raise TypeError(f"expected {len(self.inputs)} tensor(s) ({names}), got {len(tensors)}")
        if len(tensors) > 1:
            return lower_inputs(self.expr, self.inputs, tensors)
        x = tensors[0]
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
        own = x if x.is_floating_point() else widen(x)
        value: Tensor = Fused.apply(own, self._of_x)  # type: ignore[no-untyped-call]
        return narrow(value, x)

    def __getstate__(self) -> dict[str, Any]:
        # What torch.compile returned belongs to this process; it is made anew where needed.
        return {**self.__dict__, "_compiled": None}

    def extra_repr(self) -> str:
        """Return the formula, with the names of the inputs where there are several."""
        names = f"{', '.join(self.inputs)}: " if len(self.inputs) > 1 else ""
        return names + self.formula
