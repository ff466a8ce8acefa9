"""Bits of uint64s, for compiled code: what numba has no words for."""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _bit_intrinsic(name: str) -> Any:
    """An LLVM bit count of a uint64, as an int64."""

    def declare(typing_context: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if name == "ctpop":
                return builder.ctpop(args[0])
            return getattr(builder, name)(args[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.uint64), codegen

    return intrinsic(declare)


popcount = _bit_intrinsic("ctpop")
leading_zeros = _bit_intrinsic("ctlz")
trailing_zeros = _bit_intrinsic("cttz")


EIGHT: Final = 8


def _any_of_eight(typing_context: Any, words: Any, first: Any, shift: Any, members: Any) -> Any:
    vector = ir.VectorType(ir.IntType(64), EIGHT)
    places = ir.VectorType(ir.IntType(32), EIGHT)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def eight(value: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(places, [0] * EIGHT))

        array = context.make_array(signature.args[0])(context, builder, args[0])
        at = builder.gep(array.data, [args[1]])
        loaded = builder.load(builder.bitcast(at, vector.as_pointer()))
        loaded.align = 8
        number = builder.and_(builder.lshr(loaded, eight(args[2])), eight(ir.Constant(ir.IntType(64), 63)))
        found = builder.lshr(eight(args[3]), number)
        module, name = builder.module, f"llvm.vector.reduce.or.v{EIGHT}i64"
        reduce = module.globals.get(name) or ir.Function(module, ir.FunctionType(ir.IntType(64), [vector]), name)
        return builder.trunc(builder.call(reduce, [found]), ir.IntType(1))

    return types.boolean(words, types.uint64, types.uint64, types.uint64), codegen


any_of_eight: Any = intrinsic(_any_of_eight)
"""any_of_eight(words, first, shift, members): whether any of words[first:first + 8] >> shift & 63 is a bit of members.

All are uint64. All eight at once: numba would take a loop's one by one. The caller sees to it that there are eight.
"""


THIRTY_TWO: Final = 32


def _bytes_between(typing_context: Any, data: Any, first: Any, low: Any, high: Any) -> Any:
    vector = ir.VectorType(ir.IntType(8), THIRTY_TWO)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def each(value: Any) -> Any:
            byte = builder.trunc(value, ir.IntType(8))
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
            places = ir.Constant(ir.VectorType(ir.IntType(32), THIRTY_TWO), [0] * THIRTY_TWO)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), places)

        array = context.make_array(signature.args[0])(context, builder, args[0])
        loaded = builder.load(builder.bitcast(builder.gep(array.data, [args[1]]), vector.as_pointer()))
        loaded.align = 1
        above = builder.sub(loaded, each(args[2]))
        inside = builder.icmp_unsigned("<=", above, each(builder.sub(args[3], args[2])))
        return builder.zext(builder.bitcast(inside, ir.IntType(THIRTY_TWO)), ir.IntType(64))

    return types.uint64(data, types.uint64, types.uint64, types.uint64), codegen


bytes_between: Any = intrinsic(_bytes_between)
"""bytes_between(data, first, low, high): bit i is set where low <= data[first + i] <= high, for 32 bytes.

data: uint8[n], of which the caller sees to it that 32 are there; the others and the result are uint64.
"""


def _eight_bytes(typing_context: Any, data: Any, first: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        at = builder.gep(array.data, [args[1]])
        loaded = builder.load(builder.bitcast(at, ir.IntType(64).as_pointer()))
        loaded.align = 1
        return loaded

    return types.uint64(data, types.uint64), codegen


eight_bytes: Any = intrinsic(_eight_bytes)
"""eight_bytes(data, first): data[first:first + 8] (uint8, which the caller sees to) as a little-endian uint64."""
