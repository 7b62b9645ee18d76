"""What the compiled kernels need from LLVM, where Python has no word for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
from numba import extending
from numba.core import types

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "OPTIONS",
    "float32_of",
    "float64_of",
    "inner",
    "int32_of",
    "int64_of",
    "polynomial",
    "shifted_right",
    "square_root",
    "uint32_of",
    "uint64_of",
    "wide_vectors",
]

# What it makes has other arguments than it is given.
_intrinsic: Callable[[Any], Any] = extending.intrinsic

# No fast-math flag of any kind: LLVM then rounds every operation, and never fuses two of them.
OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "fastmath": False}


def inner(function: Callable[..., Any]) -> Any:
    """A part of a kernel: LLVM turns a loop into vector code only if it holds no calls."""
    return numba.njit(forceinline=True, **OPTIONS)(function)


def _reinterpreted(target: Any) -> Any:
    @_intrinsic
    def reinterpret(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(signature.return_type))

        return target(value), codegen

    return reinterpret


# The bits of a number as another type of the same width.
float32_of, int32_of, uint32_of = map(_reinterpreted, (types.float32, types.int32, types.uint32))
float64_of, int64_of, uint64_of = map(_reinterpreted, (types.float64, types.int64, types.uint64))


def polynomial(coefficients: Sequence[float]) -> Any:
    """Horner's rule from the highest degree in the type of the argument, as `engines.polynomial` does it."""

    @_intrinsic
    def horner(typingctx: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, kind = args[0], context.get_value_type(signature.return_type)
            value = builder.fmul(x, kind(coefficients[-1]))
            for coefficient in coefficients[-2:0:-1]:
                value = builder.fmul(builder.fadd(value, kind(coefficient)), x)
            return builder.fadd(value, kind(coefficients[0]))

        return x(x), codegen

    return horner


@_intrinsic
def shifted_right(typingctx: Any, word: Any, count: Any) -> Any:
    """A uint32 shifted by a uint32 below 32: in Python's form both would be widened to 64 bits first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.lshr(*args)

    return types.uint32(types.uint32, types.uint32), codegen


@_intrinsic
def wide_vectors(typingctx: Any) -> Any:
    """Lets LLVM use the 512-bit vectors of a processor that has them; by itself it stops at 256.

    Worth 40 to 70 % here. llvmlite's own `add` knows only attributes without a value.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), codegen


@_intrinsic
def square_root(typingctx: Any, x: Any) -> Any:
    """The instruction, which IEEE 754 fixes; `math.sqrt` may call the C library for numbers below 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [kind]), args)

    return x(x), codegen
