"""The element types: one table of names, numpy types, safetensors tags and the type each is drawn in."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from initcfg.errors import Code, InitializerError
from initcfg.names import did_you_mean
from initcfg.process import lazy

if TYPE_CHECKING:
    from typing import Any

    import ml_dtypes
    import numpy as np
else:
    np, ml_dtypes = lazy("numpy"), lazy("ml_dtypes")

#: What a parameter is of which nothing says anything else.
DEFAULT_DTYPE = "float32"

Kind = Literal["float", "int", "uint", "bool", "complex"]


class FloatFormat(NamedTuple):
    """The numbers that a floating type holds."""

    digits: int  # bits of the mantissa that are stored
    least_exponent: int  # of the smallest normal number, as a power of two
    greatest: float  # the greatest finite number


# No cached_property: in Python 3.11 it holds a lock, which a fork meanwhile would leave shut in the child.
@cache
def _numpy_dtype(name: str) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(getattr(np, name, None) or getattr(ml_dtypes, name))
    return found


@dataclass(frozen=True)
class DType:
    """One element type; it equals its name."""

    name: str  # numpy's and ml_dtypes's, which specs use
    tag: str  # in a safetensors header
    kind: Kind
    itemsize: int  # in bytes
    # What random values are drawn in, then rounded once; None for types that hold exact values only.
    drawn: Literal["float32", "float64"] | None = None
    format: FloatFormat | None = None  # of a floating type

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype; narrow floats come from ml_dtypes."""
        return _numpy_dtype(self.name)

    @property
    def part(self) -> DType:
        """The type of the real and of the imaginary part; a type that has none is its own."""
        return DTYPES["float32"] if self.kind == "complex" else self

    @property
    def bounds(self) -> tuple[float | int, float | int]:
        """The least and the greatest finite value, of complex numbers those of either part."""
        if self.kind == "complex":
            return self.part.bounds
        if self.format is not None:
            return -self.format.greatest, self.format.greatest
        if self.kind == "bool":
            return 0, 1
        bits = 8 * self.itemsize
        return (0, 2**bits - 1) if self.kind == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType | str):
            return self.name == str(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"DType({self.name!r})"

    def __str__(self) -> str:
        return self.name


DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType("float32", "F32", "float", 4, "float32", FloatFormat(23, -126, (2 - 2**-23) * 2.0**127)),
        DType("float64", "F64", "float", 8, "float64", FloatFormat(52, -1022, (2 - 2**-52) * 2.0**1023)),
        DType("float16", "F16", "float", 2, "float32", FloatFormat(10, -14, 65504.0)),
        DType("bfloat16", "BF16", "float", 2, "float32", FloatFormat(7, -126, (2 - 2**-7) * 2.0**127)),
        DType("float8_e4m3fn", "F8_E4M3", "float", 1, "float32", FloatFormat(3, -6, 448.0)),
        DType("float8_e5m2", "F8_E5M2", "float", 1, "float32", FloatFormat(2, -14, 57344.0)),
        DType("float8_e4m3fnuz", "F8_E4M3FNUZ", "float", 1, "float32", FloatFormat(3, -7, 240.0)),
        DType("float8_e5m2fnuz", "F8_E5M2FNUZ", "float", 1, "float32", FloatFormat(2, -15, 57344.0)),
        DType("int8", "I8", "int", 1),
        DType("int16", "I16", "int", 2),
        DType("int32", "I32", "int", 4),
        DType("int64", "I64", "int", 8),
        DType("uint8", "U8", "uint", 1),
        DType("uint16", "U16", "uint", 2),
        DType("uint32", "U32", "uint", 4),
        DType("uint64", "U64", "uint", 8),
        DType("bool", "BOOL", "bool", 1),
        DType("complex64", "C64", "complex", 8),
    )
}


# Other libraries' names. They are hints, no aliases: the same word means another type in another library.
_ELSEWHERE = {
    "float": "PyTorch's float is float32",
    "single": "single precision is float32",
    "half": "half precision is float16",
    "double": "double precision is float64",
    "fp8": "fp8 is float8_e4m3fn or float8_e5m2",
    "fp16": "fp16 is float16",
    "fp32": "fp32 is float32",
    "fp64": "fp64 is float64",
    "bf16": "bf16 is bfloat16",
    "int": "integers are int8, int16, int32 or int64",
    "long": "PyTorch's long is int64",
    "cfloat": "PyTorch's cfloat is complex64",
    **dict.fromkeys(
        ("complex128", "cdouble"),
        "of complex dtypes there is complex64; or hold float64 parts along a last axis of 2",
    ),
}


def as_dtype(dtype: Any) -> DType:
    """The table's row for a name, a numpy or ml_dtypes type, or a `DType`."""
    if isinstance(dtype, DType):
        return dtype
    name = dtype if isinstance(dtype, str) else _numpy_name(dtype)
    if name in DTYPES:
        return DTYPES[name]
    known = ", ".join(DTYPES)
    near = _ELSEWHERE.get(name.lower().removeprefix("torch."))
    hint = near or did_you_mean(name, DTYPES) or f"the dtypes are {known}"
    raise InitializerError.of(Code.UNKNOWN_DTYPE, f"no dtype is named {name!r}", hint=hint)


def is_bool(value: object) -> bool:
    """Whether a value is a bool, which is no number here; Python takes its own for one, old numpy too."""
    # Both types have this name, and numpy may not have been loaded.
    return type(value).__name__ == "bool"


def is_type(value: object) -> bool:
    """Whether a value is a type of the table, of numpy or of Python, and not a name of one."""
    numpy = sys.modules.get("numpy")  # who holds one of its dtypes has imported it
    return isinstance(value, DType | type) or (numpy is not None and isinstance(value, numpy.dtype))


def _numpy_name(dtype: Any) -> str:
    if dtype is None:  # numpy would read it as float64
        return "None"
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return repr(dtype)
