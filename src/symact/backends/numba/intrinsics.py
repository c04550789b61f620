"""numba intrinsics for fast kernels.

They are a select, bit casts, typed literals, an atomic counter, and a loop over blocks. The loop
tells LLVM that its arrays do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

#: Marks a load or store as independent of the other iterations of a loop, and returns it.
Touch = Callable[[Any], Any]


def _typed_select(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """Select one of two values without a branch.

    With a Python conditional, LLVM may move code into a branch, which prevents vectorisation.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    if yes != no:
        return None
    return yes(types.boolean, yes, no), codegen


def _typed_like(typingctx: Any, sample: Any, value: Any) -> Any:
    """Convert a literal to the type of a sample. A plain literal would promote to float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[1], signature.args[1], signature.return_type)

    return sample(sample, types.float64), codegen


def _typed_float_bits(typingctx: Any, value: Any) -> Any:
    """Reinterpret a float as an integer of its width."""
    whole = types.int32 if value == types.float32 else types.int64

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32 if whole == types.int32 else 64))

    return whole(value), codegen


def _typed_bits_float(typingctx: Any, value: Any) -> Any:
    """Reinterpret an integer as a float of its width."""
    real, target = (
        (types.float32, ir.FloatType())
        if value == types.int32
        else (types.float64, ir.DoubleType())
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], target)

    return real(value), codegen


def _unpacked(builder: Any, values: Any, count: int) -> list[Any]:
    return [builder.extract_value(values, i) for i in range(count)]


def _typed_call_address(typingctx: Any, address: Any, numbers: Any) -> Any:
    """Call the C function at an address with integer or pointer arguments."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [whole] * len(numbers)).as_pointer()
        values = _unpacked(builder, args[1], len(numbers))
        builder.call(builder.inttoptr(args[0], function), values)
        return context.get_dummy_value()

    return types.void(types.intp, numbers), codegen


def _typed_fetch_add(typingctx: Any, data: Any, index: Any) -> Any:
    """Add 1 to an element of an array of int64 atomically, and return its earlier value."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", builder.gep(args[0], [args[1]]), one, "monotonic")

    return types.int64(data, types.intp), codegen


# numba infers the types of these functions, so they are untyped here.
select: Any = intrinsic(_typed_select)
like: Any = intrinsic(_typed_like)
call_address: Any = intrinsic(_typed_call_address)
fetch_add: Any = intrinsic(_typed_fetch_add)
float_bits: Any = intrinsic(_typed_float_bits)
bits_float: Any = intrinsic(_typed_bits_float)


class _Distinct(ir.MDValue):  # type: ignore[misc]
    """A distinct metadata node, which llvmlite does not provide."""

    def descr(self, buffer: list[str]) -> None:
        inner = ", ".join(operand.get_reference() for operand in self.operands)
        buffer += ("distinct !{ ", inner, " }\n")


def _distinct(module: Any, operands: list[Any]) -> _Distinct:
    return _Distinct(module, operands, name=str(len(module.metadata)))


def use_wide_vectors(builder: Any) -> None:
    """Let LLVM use vectors of 512 bits in a function, where the CPU has them.

    By default LLVM uses 256 bits on most of these CPUs, which halves the rate of products and sums.
    A function that inlines a loop needs this attribute itself.
    """
    # llvmlite rejects attributes with values.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')


def _typed_wide_vectors(typingctx: Any) -> Any:
    """Type and lower :data:`wide_vectors`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        use_wide_vectors(builder)
        return context.get_dummy_value()

    return types.void(), codegen


#: ``wide_vectors()`` calls :func:`use_wide_vectors` for the function that contains the call.
wide_vectors: Any = intrinsic(_typed_wide_vectors)


def emit_loop(
    builder: Any, count: Any, element: Callable[[Any, Touch], None], vectors: int = 4
) -> None:
    """Emit a loop with independent iterations, which LLVM vectorises.

    Without this declaration LLVM tests for overlapping memory, which takes as long as a short loop.
    The loop processes several vectors at a time to fill the pipelines. By default LLVM would
    process one if the body is long.

    Args:
        builder: The instruction builder of LLVM. At the end it is positioned behind the loop.
        count: The number of iterations, at least one.
        element: Emits one iteration. The arguments are the index and a function that every load and
            store must be passed through.
        vectors: The number of vectors that are processed at a time.
    """
    use_wide_vectors(builder)
    module = builder.module
    group = _distinct(module, [])

    def touch(instruction: Any) -> Any:
        instruction.set_metadata("llvm.access.group", group)
        return instruction

    parallel = ir.MetaDataString(module, "llvm.loop.parallel_accesses")
    interleave = ir.MetaDataString(module, "llvm.loop.interleave.count")
    promise = module.add_metadata([parallel, group])
    together = module.add_metadata([interleave, ir.Constant(ir.IntType(32), vectors)])
    loop = _distinct(module, [promise, together])
    loop.operands = (loop, promise, together)
    before = builder.block
    body, after = builder.append_basic_block("each"), builder.append_basic_block("done")
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(ir.IntType(64))
    index.add_incoming(index.type(0), before)
    element(index, touch)
    following = builder.add(index, index.type(1))
    index.add_incoming(following, builder.block)
    more = builder.icmp_unsigned("<", following, count)
    builder.cbranch(more, body, after).set_metadata("llvm.loop", loop)
    builder.position_at_end(after)


def emit_tangent(builder: Any, partials: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Emit the sum of the partial derivatives, each times the tangent of its argument."""
    total = None
    for partial, tangent in zip(partials, tangents, strict=True):
        product = builder.fmul(partial, tangent, flags=("contract",))
        total = product if total is None else builder.fadd(total, product, flags=("contract",))
    return total


def _typed_for_each(
    typingctx: Any, length: Any, blocks: Any, rule: Any, array: Any, outs: Any, ins: Any
) -> Any:
    """Type and lower :data:`for_each`."""
    if not isinstance(length, types.IntegerLiteral):
        return None
    points, is_dual = length.literal_value, len(outs) == 2
    arity = len(ins) // 2 if is_dual else len(ins)
    kinds = (array.dtype,) * arity
    rule.get_call_type(typingctx, kinds, {})

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        compiled = rule.dispatcher.overloads[kinds]
        context.active_code_library.add_linking_library(compiled.library)
        data = args[3]
        if isinstance(array, types.Array):
            data = context.make_array(array)(context, builder, data).data

        def pointers(rows: Any, count: int) -> list[Any]:
            numbers = _unpacked(builder, rows, count)
            return [builder.gep(data, [builder.mul(n, n.type(points))]) for n in numbers]

        targets, sources = pointers(args[4], len(outs)), pointers(args[5], len(ins))
        # A product with a constant tells LLVM that there is no remainder loop.
        count = builder.mul(args[1], args[1].type(points))

        def element(index: Any, touch: Touch) -> None:
            numbers = [touch(builder.load(builder.gep(source, [index]))) for source in sources]
            _, found = context.call_internal_no_propagate(
                builder, compiled.fndesc, compiled.signature, numbers[:arity]
            )
            results = [builder.extract_value(found, 0)]
            if is_dual:
                partials = _unpacked(builder, found, arity + 1)[1:]
                results.append(emit_tangent(builder, partials, numbers[arity:]))
            for target, value in zip(targets, results, strict=True):
                touch(builder.store(value, builder.gep(target, [index])))

        emit_loop(builder, count, element)
        return context.get_dummy_value()

    return types.void(length, types.intp, rule, array, outs, ins), codegen


#: ``for_each(length, blocks, rule, array, outs, ins)`` applies a rule (value, partial derivatives)
#: to every point of some rows, ``blocks`` (at least one) following each other. Row r of the flat
#: array begins at ``r * length``. ``outs`` is the row of the values, and with tangents also theirs;
#: ``ins`` the rows of the arguments, and with tangents also theirs. No row of ``outs`` may be among
#: ``ins``.
for_each: Any = intrinsic(prefer_literal=True)(_typed_for_each)


def _typed_horner(typingctx: Any, coefficients: Any, x: Any) -> Any:
    """Type and lower :data:`horner`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, *others = _unpacked(builder, args[0], len(coefficients))
        total = first
        for coefficient in others:
            product = builder.fmul(total, args[1], flags=("contract",))
            total = builder.fadd(product, coefficient, flags=("contract",))
        return total

    return x(coefficients, x), codegen


#: ``horner(coefficients, x)`` is the polynomial in x with these coefficients, a tuple of x's type
#: from the highest power down. It is unrolled, so a kernel contains no loop.
horner: Any = intrinsic(_typed_horner)
