"""The Triton backend: one interpreter kernel runs the programs of a whole stack of networks.

A GPU thread block processes a block of points of one network. All its threads run the same
instructions, so branches on the opcode do not diverge. Compiling a kernel for every candidate would
take one second each. This kernel is compiled twice: with and without slopes.

The storage of intermediate results determines the speed:

- A GPU has no indexed registers.
- Memory is slow. The rows of enough threads to hide latency exceed the L1 cache of an H200, and
  every store is written through to L2.
- Selecting one of several register tensors costs two selects for each tensor and point. This is
  more than most primitives cost.

:func:`encode` therefore converts a program to code for an accumulator. An instruction leaves its
result in the accumulator, where the next instruction usually reads it. Results for later
instructions are also stored in one of :data:`SLOTS` register tensors. Most programs need no more
slots. Further results are stored in rows in memory.

The generated module :mod:`symact.backends.triton_kernels` has the elementary functions and the
rules. They use only products and sums: Triton's exp is inaccurate far from 0, and its interpreter
has no libdevice. Results differ from those of numba by fused products and sums, and by up to two
units in the last place in divisions.

The module needs triton. Import it only if there is a CUDA device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from symact.backends.numba.program import Program
from symact.backends.triton_kernels import instruction
from symact.expr.primitives import BY_OPCODE, PRIMITIVES

#: The number of points of a thread block: four for each thread, one 16-byte load.
BLOCK = 512
WARPS = 4
#: The number of register tensors for values, and for tangents, besides the accumulator.
SLOTS = 4
#: The default number of thread blocks of a launch with rows in memory: eight for each
#: multiprocessor of an H200. Each one has its own rows and processes several blocks of points.
WORKERS = 1056

# Constants are written to the right of tensors. Otherwise Triton's interpreter returns a constant.
_BLOCK = tl.constexpr(BLOCK)
_SLOTS = tl.constexpr(SLOTS)

# Locations of operands. Constant i has the location -1 - i.
X = 0
ACCUMULATOR = 1
FIRST_SLOT = 2
_ACCUMULATOR = tl.constexpr(ACCUMULATOR)
_FIRST_SLOT = tl.constexpr(FIRST_SLOT)
#: The destination of a result that only the next instruction reads.
NOWHERE = -1

_WHERE = tl.constexpr(PRIMITIVES["where"].opcode)


@triton.jit
def _fetch(location, x, values, tangents, constants, rows, SLOPES: tl.constexpr):  # noqa: N803
    """Return the value and the tangent of an operand outside the accumulator."""
    value, tangent = x, tl.full(x.shape, 1.0, tl.float32)
    if location < 0:
        value = tl.full(x.shape, 0.0, tl.float32) + tl.load(constants + (-1 - location))
        tangent = tl.full(x.shape, 0.0, tl.float32)
    elif location >= _FIRST_SLOT + _SLOTS:
        row = rows + (location - _FIRST_SLOT - _SLOTS) * (2 * _BLOCK) + tl.arange(0, _BLOCK)
        value = tl.load(row)
        if SLOPES:
            tangent = tl.load(row + _BLOCK)
    elif location >= _FIRST_SLOT:
        for slot in tl.static_range(_SLOTS):
            if location == _FIRST_SLOT + slot:
                value = values[slot]
                if SLOPES:
                    tangent = tangents[slot]
    return value, tangent


@triton.jit
def _put(kept, slot, new):
    """Return the register tensors with one replaced."""
    out = ()
    for index in tl.static_range(_SLOTS):
        out += (tl.where(slot == index, new, kept[index]),)  # type: ignore[assignment]
    return out


@triton.jit(do_not_specialize=["networks", "own_rows"])
def interpret(
    z,
    value_out,
    slope_out,
    code,
    spans,
    constants,
    scratch,
    networks,
    size,
    own_rows,
    SLOPES: tl.constexpr,  # noqa: N803
):
    """Run the program of every network on its points.

    Args:
        z: float32 [network, size].
        value_out: Output, the values.
        slope_out: Output, the slopes; unused without ``SLOPES``.
        code: int32 [instruction, 5] from :func:`encode`.
        spans: int32 [network, 3]: first instruction, last instruction (exclusive), location of the
            result.
        constants: float32 [constant].
        scratch: float32, ``own_rows`` pairs of rows for each thread block.
        networks: The number of networks.
        size: The number of points of a network.
        own_rows: The number of pairs of rows of a thread block.
        SLOPES: Whether to compute tangents.
    """
    worker = tl.program_id(0)
    tiles = tl.cdiv(size, _BLOCK)
    rows = scratch + worker.to(tl.int64) * own_rows * (2 * _BLOCK)
    # With numpy from 2.4, Triton's interpreter accepts no tensors in range().
    tile = worker
    while tile < networks * tiles:
        network = tile // tiles
        offsets = (tile % tiles) * _BLOCK + tl.arange(0, _BLOCK)
        inside = offsets < size
        base = network.to(tl.int64) * size
        x = tl.load(z + base + offsets, mask=inside, other=0.0)
        step = tl.load(spans + network * 3)
        last = tl.load(spans + network * 3 + 1)
        result = tl.load(spans + network * 3 + 2)
        acc, dacc = x, tl.full(x.shape, 1.0, tl.float32)
        values, tangents = (), ()
        for _ in tl.static_range(_SLOTS):
            values += (x,)  # type: ignore[assignment]
            tangents += (dacc,)  # type: ignore[assignment]
        while step < last:
            word = code + step * 5
            op, slot = tl.load(word), tl.load(word + 1)
            from_a, from_b = tl.load(word + 2), tl.load(word + 3)
            a, da, b, db = acc, dacc, acc, dacc
            if from_a != _ACCUMULATOR:
                a, da = _fetch(from_a, x, values, tangents, constants, rows, SLOPES)
            if from_b != _ACCUMULATOR:
                b, db = _fetch(from_b, x, values, tangents, constants, rows, SLOPES)
            if op == _WHERE:
                c, dc = acc, dacc
                from_c = tl.load(word + 4)
                if from_c != _ACCUMULATOR:
                    c, dc = _fetch(from_c, x, values, tangents, constants, rows, SLOPES)
                acc = tl.where(a != 0.0, b, c)
                dacc = tl.where(a != 0.0, db, dc)
            else:
                acc, dacc = instruction(op, acc, dacc, a, da, b, db, SLOPES)
            if slot >= _SLOTS:
                # The compiler assigns points to threads anew at each access. The barriers wait
                # until the old row is read and until the new row is written.
                row = rows + (slot - _SLOTS) * (2 * _BLOCK) + tl.arange(0, _BLOCK)
                tl.debug_barrier()
                tl.store(row, acc)
                if SLOPES:
                    tl.store(row + _BLOCK, dacc)
                tl.debug_barrier()
            elif slot >= 0:
                values = _put(values, slot, acc)
                if SLOPES:
                    tangents = _put(tangents, slot, dacc)
            step += 1
        if result < 0:
            acc, dacc = _fetch(result, x, values, tangents, constants, rows, SLOPES)
        tl.store(value_out + base + offsets, acc, mask=inside)
        if SLOPES:
            tl.store(slope_out + base + offsets, dacc, mask=inside)
        tile += tl.num_programs(0)


def encode(program: Program, first_constant: int = 0) -> tuple[NDArray[np.int32], int, int]:
    """Convert a program to code for the accumulator.

    Args:
        program: A program with one input and without batch statistics.
        first_constant: The index of its first constant among the constants of all programs.

    Returns:
        The code, the location of the result, and the number of slots. The code is int32
        [instruction, 5]: opcode, slot of the result or -1, and the locations of three operands.
    """
    constants = len(program.constants)
    maker: dict[int, int] = {}  # the instruction that wrote each register
    reads: list[list[int | None]] = []  # the maker of each operand, None for x and constants
    last_read: dict[int, int] = {}
    code = program.code.tolist()
    for step, (op, target, *operands) in enumerate(code):
        reads.append([maker.get(register) for register in operands[: BY_OPCODE[op].arity]])
        last_read.update({made: step for made in reads[-1] if made is not None})
        maker[target] = step
    words = np.full((len(code), 5), ACCUMULATOR, dtype=np.int32)
    slot_of: dict[int, int] = {}
    free: list[int] = []
    slots = 0
    for step, (op, _, *operands) in enumerate(code):
        words[step, :2] = op, NOWHERE
        for column, made in enumerate(reads[step], 2):
            register = operands[column - 2]
            if made is None:
                # An operand without a maker is x or a constant.
                words[step, column] = X if register == 0 else -first_constant - register
            elif made != step - 1:
                words[step, column] = FIRST_SLOT + slot_of[made]
        # Operands are read before the result is stored, so the result may reuse their slots.
        ended = {made for made in reads[step] if made in slot_of and last_read[made] == step}
        free += sorted((slot_of.pop(made) for made in ended), reverse=True)
        if last_read.get(step, step) > step + 1:
            slots += not free
            words[step, 1] = slot_of[step] = free.pop() if free else slots - 1
    result = program.result
    is_constant = 1 <= result <= constants
    return words, -first_constant - result if is_constant else ACCUMULATOR, slots


class Programs:
    """The programs of a stack of networks on a device, for :func:`apply`.

    Args:
        spans: ``(program, first network, last network)``, contiguous from network 0. The last
            network is exclusive.
        device: The device of the stack.
        workers: The number of thread blocks of a launch with rows in memory.

    Raises:
        ValueError: A program has batch statistics or several inputs, or the spans are not
            contiguous.
    """

    def __init__(
        self,
        spans: Sequence[tuple[Program, int, int]],
        device: torch.device | str,
        workers: int = WORKERS,
    ) -> None:
        words, constants = [np.empty((0, 5), np.int32)], [np.empty(0)]
        rows: list[tuple[int, int, int]] = []
        first_code, first_constant, slots, self.networks = 0, 0, 0, 0
        for program, first, last in spans:
            if program.statistics:
                raise ValueError("the Triton interpreter does not support batch statistics")
            if len(program.inputs) != 1:
                names = ", ".join(program.inputs)
                raise ValueError(f"the Triton interpreter supports one input, got {names}")
            if first != self.networks or last < first:
                raise ValueError(
                    f"spans must be contiguous; expected network {self.networks}, got {first}"
                )
            encoded, result, own_slots = encode(program, first_constant)
            rows += [(first_code, first_code + len(encoded), result)] * (last - first)
            words.append(encoded)
            constants.append(program.constants)
            first_code += len(encoded)
            first_constant += len(program.constants)
            slots, self.networks = max(slots, own_slots), last

        def upload(array: NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.code = upload(np.concatenate(words))
        self.spans = upload(np.array(rows, dtype=np.int32).reshape(-1, 3))
        with np.errstate(over="ignore"):
            self.constants = upload(np.concatenate(constants).astype(np.float32))
        #: The number of pairs of rows in memory of each thread block.
        self.own_rows = max(0, slots - SLOTS)
        self.workers = workers
        room = max(1, workers * self.own_rows * 2 * BLOCK)
        self.scratch = torch.empty(room, dtype=torch.float32, device=device)


def apply(
    programs: Programs, z: torch.Tensor, value: torch.Tensor, slope: torch.Tensor | None
) -> None:
    """Apply the program of every network to its part of ``z``.

    The call allocates no memory and does not synchronise, so a CUDA graph can capture it. A first
    call must load the kernel before. There are separate kernels with and without slopes, and for
    numbers of points that are a multiple of 16 or not.

    Args:
        programs: The programs of the networks.
        z: float32 [network, unit, point], contiguous.
        value: Output, the values; contiguous, with the shape of ``z``. It may be ``z``.
        slope: Output, the derivatives; None for values only.

    Raises:
        ValueError: A tensor has another dtype or shape, or is not contiguous.
    """
    out = value if slope is None else slope
    for tensor in (z, value, out):
        if not tensor.is_contiguous() or tensor.dtype != torch.float32:
            raise ValueError("expected contiguous float32 tensors")
    if not z.shape == value.shape == out.shape or z.shape[0] != programs.networks:
        raise ValueError("z, value and slope must have the same shape [network, unit, point]")
    if z.numel() == 0:
        return
    size = z.numel() // programs.networks
    blocks = programs.networks * -(-size // BLOCK)
    interpret[(min(blocks, programs.workers) if programs.own_rows else blocks,)](
        z,
        value,
        out,
        programs.code,
        programs.spans,
        programs.constants,
        programs.scratch,
        programs.networks,
        size,
        programs.own_rows,
        SLOPES=slope is not None,
        num_warps=WARPS,
    )
