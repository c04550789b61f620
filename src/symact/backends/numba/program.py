"""Programs: expressions as flat 3-address code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from symact.expr import Expr, distinct
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR

_PADDING = {arity: (0,) * (3 - arity) for arity in (1, 2, 3)}


@dataclass(frozen=True, eq=False)
class Program:
    """The program of one expression.

    Attributes:
        code: int32 [instruction, 5]: opcode, destination and three operand registers.
        constants: float64 [constant]: the literals, then the initial values of the trained
            parameters. Their registers follow those of the inputs.
        parameters: The number of trained parameters, in the order of :func:`.parameters`.
        inputs: The names of the inputs, in registers from 0.
        registers: The number of registers.
        result: The register of the result.
        statistics: Whether the program has batch statistics and needs the whole tensor.
    """

    code: NDArray[np.int32]
    constants: NDArray[np.float64]
    parameters: int
    inputs: tuple[str, ...]
    registers: int
    result: int
    statistics: bool

    @property
    def first_parameter(self) -> int:
        """The register of the first trained parameter; the others follow."""
        return len(self.inputs) + len(self.constants) - self.parameters


@lru_cache(maxsize=4096)
def to_tape(expr: Expr, inputs: tuple[str, ...] = ("x",)) -> Program:
    """Convert an expression to a program. Common subexpressions are computed once.

    Args:
        expr: An expression of the variables ``inputs``.
        inputs: The names of the inputs in the order of their registers, at least one.

    Raises:
        ValueError: The inputs are not distinct, or the expression has another variable.
    """
    if not inputs or len(set(inputs)) < len(inputs):
        raise ValueError(f"inputs must be one or more distinct names, got {inputs}")
    nodes = distinct(expr)
    index = {node: position for position, node in enumerate(nodes)}
    operands = [[index[arg] for arg in node.args] for node in nodes]
    last_use = [0] * len(nodes)
    for position, args in enumerate(operands):
        for operand in args:
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
    trained = [position for position, node in enumerate(nodes) if node.op == PARAM]
    for position in trained:
        register[position] = len(inputs) + len(constants)
        constants.append(nodes[position].parameter[0])
    count = len(inputs) + len(constants)
    free: list[int] = []
    code: list[int] = []
    for position, (node, args) in enumerate(zip(nodes, operands, strict=True)):
        if not args:
            continue
        # The destination is chosen before operands are released. Therefore no instruction works in
        # place, as for_each requires.
        if free:
            target = free.pop()
        else:
            target, count = count, count + 1
        register[position] = target
        sources = [register[operand] for operand in args]
        code += (PRIMITIVES[node.op].opcode, target, *sources, *_PADDING[len(args)])
        free += sorted({register[o] for o in args if last_use[o] == position and operands[o]})
    return Program(
        np.array(code, dtype=np.int32).reshape(-1, 5),
        np.array(constants, dtype=np.float64),
        len(trained),
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
