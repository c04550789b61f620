"""Programs: expressions as flat 3-address code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from symact.expr import Expr, distinct
from symact.expr.primitives import CONST, PRIMITIVES, VAR

_PADDING = {arity: (0,) * (3 - arity) for arity in (1, 2, 3)}


@dataclass(frozen=True, eq=False)
class Program:
    """One expression, lowered.

    Attributes:
        code: int32 [instruction, 5]: opcode, destination and three operand registers.
        constants: float64 [constant], held in the registers behind those of the inputs.
        inputs: The names of the inputs, held in registers 0 and up.
        registers: How many registers the program uses.
        result: The register of the result.
        statistics: Whether it must see the whole tensor at once.
    """

    code: NDArray[np.int32]
    constants: NDArray[np.float64]
    inputs: tuple[str, ...]
    registers: int
    result: int
    statistics: bool


@lru_cache(maxsize=4096)
def to_tape(expr: Expr, inputs: tuple[str, ...] = ("x",)) -> Program:
    """Lower an expression; common subexpressions are computed once.

    Args:
        expr: An expression of the variables ``inputs``.
        inputs: The names of the inputs in the order of their registers, at least one.

    Raises:
        ValueError: The names are not distinct, or the expression has another variable.
    """
    if not inputs or len(set(inputs)) < len(inputs):
        raise ValueError(f"inputs must be one or more distinct names, got {inputs}")
    nodes = distinct(expr)
    place = {node: position for position, node in enumerate(nodes)}
    operands = [[place[arg] for arg in node.args] for node in nodes]
    last_use = [0] * len(nodes)
    for position, own in enumerate(operands):
        for operand in own:
            last_use[operand] = position
    last_use[-1] = len(nodes)
    constants: list[float] = []
    register = [0] * len(nodes)
    for position, node in enumerate(nodes):
        if node.op == VAR:
            register[position] = _input_of(str(node.value), inputs)
        elif node.op == CONST:
            register[position] = len(inputs) + len(constants)
            constants.append(node.number)
    count = len(inputs) + len(constants)
    free: list[int] = []
    code: list[int] = []
    for position, (node, own) in enumerate(zip(nodes, operands, strict=True)):
        if not own:
            continue
        # The destination is taken before operands are released: no instruction works in place,
        # which for_each relies on.
        if free:
            target = free.pop()
        else:
            target, count = count, count + 1
        register[position] = target
        sources = [register[operand] for operand in own]
        code += (PRIMITIVES[node.op].opcode, target, *sources, *_PADDING[len(own)])
        free += sorted({register[o] for o in own if last_use[o] == position and operands[o]})
    return Program(
        np.array(code, dtype=np.int32).reshape(-1, 5),
        np.array(constants, dtype=np.float64),
        inputs,
        count,
        register[-1],
        any(node.args and PRIMITIVES[node.op].statistic for node in nodes),
    )


def _input_of(name: str, inputs: tuple[str, ...]) -> int:
    if name not in inputs:
        names = ", ".join(inputs)
        raise ValueError(f"the expression has the variable '{name}'; its inputs are {names}")
    return inputs.index(name)
