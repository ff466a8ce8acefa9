"""Bit counts of a uint64, for compiled code."""

from __future__ import annotations

from typing import Any

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
