"""Vectors of numbers inside a kernel that is being compiled: Python's operators emit LLVM's instructions.

A kernel is a formula over vectors. LLVM would find vectors in a loop over elements too, but as wide as the
widest number in it, and Philox's products are twice as wide as what is drawn from them: half of the registers
would stay empty, and one chain of products would wait for itself. That costs a fifth of the speed and more.

No instruction has a fast-math flag, so LLVM rounds each operation, and never fuses two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir as _ir  # type: ignore[import-untyped]
from numba.core import cgutils as _cgutils

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

__all__ = ["F32", "F64", "I32", "I64", "Vector", "integers", "width"]

# llvmlite and this part of numba have no annotations.
ir: Any = _ir
cgutils: Any = _cgutils
I32, I64, F32, F64 = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()


def integers(bits: int) -> Any:
    """LLVM's type of integers of so many bits."""
    return ir.IntType(bits)


class Vector:
    """Some numbers of one type; immutable.

    Integers have no sign: ``>>`` fills with zeros, and where it matters a method says how they are read.

    Args:
        builder: where instructions go.
        value: LLVM's value, of a vector type.
    """

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder = builder
        self.value = value

    @classmethod
    def splat(cls, builder: Any, scalar: Any, lanes: int) -> Self:
        """One number, known when the kernel runs, in each lane."""
        kind = ir.VectorType(scalar.type, lanes)
        first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, I32(0))
        mask = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return cls(builder, builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask))

    @classmethod
    def of(cls, builder: Any, kind: Any, numbers: Sequence[float]) -> Self:
        """Numbers that are known now, one a lane."""
        return cls(builder, ir.Constant(ir.VectorType(kind, len(numbers)), list(numbers)))

    @property
    def lanes(self) -> int:
        """How many numbers there are."""
        return int(self.value.type.count)

    @property
    def kind(self) -> Any:
        """LLVM's type of one of them."""
        return self.value.type.element

    @property
    def _is_float(self) -> bool:
        return not isinstance(self.kind, ir.IntType)

    def _new(self, value: Any) -> Self:
        return type(self)(self._builder, value)

    def _operand(self, other: Vector | float) -> Any:
        if isinstance(other, Vector):
            return other.value
        number = float(other) if self._is_float else int(other)
        return ir.Constant(self.value.type, [number] * self.lanes)

    def __add__(self, other: Vector | float) -> Self:
        add = self._builder.fadd if self._is_float else self._builder.add
        return self._new(add(self.value, self._operand(other)))

    def __sub__(self, other: Vector | float) -> Self:
        subtract = self._builder.fsub if self._is_float else self._builder.sub
        return self._new(subtract(self.value, self._operand(other)))

    def __rsub__(self, other: float) -> Self:
        return self._new(self._operand(other)) - self

    def __mul__(self, other: Vector | float) -> Self:
        multiply = self._builder.fmul if self._is_float else self._builder.mul
        return self._new(multiply(self.value, self._operand(other)))

    def __truediv__(self, other: Vector) -> Self:
        return self._new(self._builder.fdiv(self.value, other.value))

    def __and__(self, other: Vector | int) -> Self:
        return self._new(self._builder.and_(self.value, self._operand(other)))

    def __or__(self, other: Vector | int) -> Self:
        return self._new(self._builder.or_(self.value, self._operand(other)))

    def __xor__(self, other: Vector | int) -> Self:
        return self._new(self._builder.xor(self.value, self._operand(other)))

    def __lshift__(self, count: Vector | int) -> Self:
        return self._new(self._builder.shl(self.value, self._operand(count)))

    def __rshift__(self, count: Vector | int) -> Self:
        return self._new(self._builder.lshr(self.value, self._operand(count)))

    def signed_shift(self, count: int) -> Self:
        """Shifted to the right, filled with copies of the highest bit."""
        return self._new(self._builder.ashr(self.value, self._operand(count)))

    def signed_float(self, kind: Any) -> Self:
        """Integers, read with a sign, as floats of as many bits, rounded to nearest even."""
        return self._new(self._builder.sitofp(self.value, ir.VectorType(kind, self.lanes)))

    def single(self) -> Self:
        """Floats in float32: each rounded once, to nearest even, where it is wider."""
        if self.kind == F32:
            return self
        return self._new(self._builder.fptrunc(self.value, ir.VectorType(F32, self.lanes)))

    def bits_as(self, kind: Any) -> Self:
        """The same bits as numbers of another width, lowest first, or as floats."""
        total = self.lanes * width(self.kind)
        return self._new(self._builder.bitcast(self.value, ir.VectorType(kind, total // width(kind))))

    def narrowed(self, bits: int) -> Self:
        """The lowest bits of each integer."""
        return self._new(self._builder.trunc(self.value, ir.VectorType(ir.IntType(bits), self.lanes)))

    def root(self) -> Self:
        """The square root: the instruction, which IEEE 754 fixes."""
        name = f"llvm.sqrt.v{self.lanes}f{width(self.kind)}"
        function = cgutils.get_or_insert_function(
            self._builder.module, ir.FunctionType(self.value.type, [self.value.type]), name
        )
        return self._new(self._builder.call(function, [self.value]))

    def horner(self, coefficients: Sequence[float]) -> Self:
        """A polynomial by Horner's rule from the highest degree, as `engines.polynomial` does it."""
        value = self * float(coefficients[-1])
        for coefficient in coefficients[-2:0:-1]:
            value = (value + float(coefficient)) * self
        return value + float(coefficients[0])

    def above(self, bound: Vector | float) -> Any:
        """A mask of the lanes that are greater, for `where`; integers are read with a sign."""
        compare = self._builder.fcmp_ordered if self._is_float else self._builder.icmp_signed
        return compare(">", self.value, self._operand(bound))

    def differs(self, other: int) -> Any:
        """A mask of the lanes of integers that are not this one."""
        return self._builder.icmp_unsigned("!=", self.value, self._operand(other))

    def within(self, low: float, high: float) -> Any:
        """A mask of the lanes from one bound to another, for floats."""
        from_low = self._builder.fcmp_ordered(">=", self.value, self._operand(low))
        return self._builder.and_(from_low, self._builder.fcmp_ordered("<=", self.value, self._operand(high)))

    def negated(self) -> Self:
        """Floats with the other sign."""
        return self._new(self._builder.fneg(self.value))

    def at_least(self, bound: Vector | float) -> Self:
        """The number itself where it is greater than a bound, and the bound elsewhere."""
        return self.where(self.above(bound), bound)

    def at_most(self, bound: Vector) -> Self:
        """The number itself where it is less than a bound, and the bound elsewhere."""
        return self.where(bound.above(self), bound)

    def where(self, mask: Any, other: Vector | float) -> Self:
        """The number itself in the lanes of a mask, and another one elsewhere."""
        return self._new(self._builder.select(mask, self.value, self._operand(other)))

    def interleaved(self, other: Vector, order: Sequence[int]) -> Self:
        """A number of each by turns: those in the lane ``order[0]``, then in ``order[1]`` and so on."""
        lanes = [lane + side for lane in order for side in (0, self.lanes)]
        mask = ir.Constant(ir.VectorType(I32, len(lanes)), lanes)
        return self._new(self._builder.shuffle_vector(self.value, other.value, mask))

    def stored(self, pointer: Any) -> None:
        """Written to memory that is aligned as one number must be."""
        place = self._builder.bitcast(pointer, ir.PointerType(self.value.type))
        self._builder.store(self.value, place, align=width(self.kind) // 8)


def width(kind: Any) -> int:
    """The bits of a type."""
    return int(kind.width) if isinstance(kind, ir.IntType) else {F32: 32, F64: 64}[kind]
