"""The Triton lowering: programs as data again, and one interpreter kernel for a whole stack.

A GPU thread block takes a block of points of one network, so that all its threads run the same
instructions: a branch on the opcode costs a jump and no divergence. Compiling a kernel for every
candidate would take a second each; this one is compiled once, with and once without slopes.

Where intermediate results stand decides the speed. A GPU has no indexed registers, and memory is
no good place: with enough threads to hide latency the rows of a block outgrow the L1 cache of an
H200, which besides writes every store through to L2. Choosing among register tensors costs selects,
two for each of them and each point, which is more than most primitives. So :func:`encode` turns
the tape into code for an accumulator: an instruction leaves its result there, the next one mostly
wants just that, and only what is read later moves to one of :data:`SLOTS` register tensors, or
back. Both moves stand under branches of their own. Nearly all programs need no more slots than
there are; rows in memory take the rest.

The elementary functions and the rules stand in :mod:`symact.backends.triton_kernels`, which is
generated. They use products and sums only: Triton's own exp is too coarse far from 0, its
interpreter has no libdevice, and float32 products are what such a GPU has most of. Results differ
from those of numba where the compiler fuses products and sums, and in division, which is off by up
to two units in the last place.

This module needs triton, so nobody imports it before a CUDA device has been seen.
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

#: Points of a thread block: four a thread, one 16-byte load.
BLOCK = 512
WARPS = 4
#: Register tensors for values (and as many for tangents) beside the accumulator.
SLOTS = 4
#: Thread blocks of a launch whose programs need rows in memory; each owns its rows and takes
#: several blocks of points. Eight for each multiprocessor of an H200.
WORKERS = 1056

# A constant stands right of a tensor, or Triton's interpreter takes the sum for a constant too.
_BLOCK = tl.constexpr(BLOCK)
_SLOTS = tl.constexpr(SLOTS)

# Where an operand stands; constant i is at -1 - i.
X = 0
ACCUMULATOR = 1
FIRST_SLOT = 2
_ACCUMULATOR = tl.constexpr(ACCUMULATOR)
_FIRST_SLOT = tl.constexpr(FIRST_SLOT)
#: The destination of a result that only the next instruction reads.
NOWHERE = -1

_WHERE = tl.constexpr(PRIMITIVES["where"].opcode)


@triton.jit
def _fetch(place, x, values, tangents, constants, rows, SLOPES: tl.constexpr):  # noqa: N803
    """Return value and tangent of an operand that is not in the accumulator."""
    value, tangent = x, tl.full(x.shape, 1.0, tl.float32)
    if place < 0:
        value = tl.full(x.shape, 0.0, tl.float32) + tl.load(constants + (-1 - place))
        tangent = tl.full(x.shape, 0.0, tl.float32)
    elif place >= _FIRST_SLOT + _SLOTS:
        row = rows + (place - _FIRST_SLOT - _SLOTS) * (2 * _BLOCK) + tl.arange(0, _BLOCK)
        value = tl.load(row)
        if SLOPES:
            tangent = tl.load(row + _BLOCK)
    elif place >= _FIRST_SLOT:
        for slot in tl.static_range(_SLOTS):
            if place == _FIRST_SLOT + slot:
                value = values[slot]
                if SLOPES:
                    tangent = tangents[slot]
    return value, tangent


@triton.jit
def _put(kept, slot, new):
    """Return register tensors with one replaced."""
    out = ()
    for own in tl.static_range(_SLOTS):
        out += (tl.where(slot == own, new, kept[own]),)  # type: ignore[assignment]
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
    """Run every network's program on its points.

    Args:
        z: float32 [network, size].
        value_out: Takes the values.
        slope_out: Takes the slopes; not touched without ``SLOPES``.
        code: int32 [instruction, 5] as :func:`encode` makes it.
        spans: int32 [network, 3]: code from and to, and the place of the result.
        constants: float32 [constant].
        scratch: float32, ``own_rows`` pairs of rows for each thread block.
        networks: How many.
        size: Points of a network.
        own_rows: See ``scratch``.
        SLOPES: Whether to carry tangents.
    """
    worker = tl.program_id(0)
    tiles = tl.cdiv(size, _BLOCK)
    rows = scratch + worker.to(tl.int64) * own_rows * (2 * _BLOCK)
    # Triton's interpreter takes no tensors in range(), with numpy from 2.4 on.
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
            place_a, place_b = tl.load(word + 2), tl.load(word + 3)
            a, da, b, db = acc, dacc, acc, dacc
            if place_a != _ACCUMULATOR:
                a, da = _fetch(place_a, x, values, tangents, constants, rows, SLOPES)
            if place_b != _ACCUMULATOR:
                b, db = _fetch(place_b, x, values, tangents, constants, rows, SLOPES)
            if op == _WHERE:
                c, dc = acc, dacc
                place_c = tl.load(word + 4)
                if place_c != _ACCUMULATOR:
                    c, dc = _fetch(place_c, x, values, tangents, constants, rows, SLOPES)
                acc = tl.where(a != 0.0, b, c)
                dacc = tl.where(a != 0.0, db, dc)
            else:
                acc, dacc = instruction(op, acc, dacc, a, da, b, db, SLOPES)
            if slot >= _SLOTS:
                # Which thread holds which point is the compiler's choice at each access: all
                # threads wait until the old row is read and until the new one stands.
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
    """Turn a program into code for the accumulator.

    Args:
        program: With one input and without batch statistics.
        first_constant: Where its constants begin among those of all programs.

    Returns:
        int32 [instruction, 5]: opcode, the slot that keeps the result beside the accumulator or
        -1, and the places of three operands; the place of the result; how many slots it takes.
    """
    constants = len(program.constants)
    maker: dict[int, int] = {}  # of a register's present value: the instruction
    reads: list[list[int | None]] = []  # for each operand its maker, None for x and constants
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
                # Without a maker it is x or a constant.
                words[step, column] = X if register == 0 else -first_constant - register
            elif made != step - 1:
                words[step, column] = FIRST_SLOT + slot_of[made]
        # Operands are read before the result is kept, which may take their place.
        ended = {made for made in reads[step] if made in slot_of and last_read[made] == step}
        free += sorted((slot_of.pop(made) for made in ended), reverse=True)
        if last_read.get(step, step) > step + 1:
            slots += not free
            words[step, 1] = slot_of[step] = free.pop() if free else slots - 1
    result = program.result
    is_constant = 1 <= result <= constants
    return words, -first_constant - result if is_constant else ACCUMULATOR, slots


class Programs:
    """The programs of a stack on its device, ready for :func:`apply`.

    Args:
        spans: ``(program, first network, last network)``, one after another from network 0 on.
        device: Where the stack stands.

    Raises:
        ValueError: A program has batch statistics, which need the whole tensor at once, or
            several inputs; or the spans leave a gap.
    """

    def __init__(
        self, spans: Sequence[tuple[Program, int, int]], device: torch.device | str
    ) -> None:
        words, constants = [np.empty((0, 5), np.int32)], [np.empty(0)]
        rows: list[tuple[int, int, int]] = []
        first_code, first_constant, slots, self.networks = 0, 0, 0, 0
        for program, first, last in spans:
            if program.statistics:
                raise ValueError("batch statistics need the whole tensor at once")
            if len(program.inputs) != 1:
                names = ", ".join(program.inputs)
                raise ValueError(f"the Triton interpreter takes one input, got {names}")
            if first != self.networks or last < first:
                raise ValueError(f"networks {first} to {last} do not follow {self.networks}")
            own, result, own_slots = encode(program, first_constant)
            rows += [(first_code, first_code + len(own), result)] * (last - first)
            words.append(own)
            constants.append(program.constants)
            first_code += len(own)
            first_constant += len(program.constants)
            slots, self.networks = max(slots, own_slots), last

        def upload(array: NDArray[Any]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.code = upload(np.concatenate(words))
        self.spans = upload(np.array(rows, dtype=np.int32).reshape(-1, 3))
        with np.errstate(over="ignore"):
            self.constants = upload(np.concatenate(constants).astype(np.float32))
        #: Pairs of rows that each thread block has in memory.
        self.own_rows = max(0, slots - SLOTS)
        room = max(1, WORKERS * self.own_rows * 2 * BLOCK)
        self.scratch = torch.empty(room, dtype=torch.float32, device=device)


def apply(
    programs: Programs, z: torch.Tensor, value: torch.Tensor, slope: torch.Tensor | None
) -> None:
    """Apply every network's program to its part of ``z``.

    Nothing is allocated and nobody waits, so that a CUDA graph can capture it, after a first call
    that loads the kernel. Kernels differ by whether slopes are wanted and whether a network's
    points are a multiple of 16.

    Args:
        programs: Of as many networks.
        z: float32 [network, unit, point], contiguous.
        value: Takes the values; of z's shape, contiguous; may be z.
        slope: Takes the derivatives, None if they are not wanted.
    """
    out = value if slope is None else slope
    for tensor in (z, value, out):
        if not tensor.is_contiguous() or tensor.dtype != torch.float32:
            raise ValueError("the interpreter takes contiguous tensors of float32")
    if not z.shape == value.shape == out.shape or z.shape[0] != programs.networks:
        raise ValueError("z, its values and slopes must have one shape, with every network")
    if z.numel() == 0:
        return
    size = z.numel() // programs.networks
    blocks = programs.networks * -(-size // BLOCK)
    interpret[(min(blocks, WORKERS) if programs.own_rows else blocks,)](
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
