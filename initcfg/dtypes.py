"""The element types: one table of names, numpy types, safetensors tags and the type each is drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import ml_dtypes
import numpy as np

from initcfg.errors import Code, Diagnostic, InitializerError, did_you_mean

if TYPE_CHECKING:
    from typing import Any

__all__ = ["DTYPES", "DType", "as_dtype"]

Kind = Literal["float", "int", "uint", "bool"]


@dataclass(frozen=True)
class DType:
    """One element type.

    Args:
        name: numpy's and ml_dtypes's name, which specs use.
        tag: the type's name in a safetensors header.
        kind: ``float``, ``int``, ``uint`` or ``bool``.
        drawn: the type in which random values are drawn before they are rounded once to this one; None for
            types that hold exact values only.
    """

    name: str
    tag: str
    kind: Kind
    drawn: Literal["float32", "float64"] | None = None

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype; narrow floats come from ml_dtypes."""
        return np.dtype(getattr(ml_dtypes, self.name, None) or self.name)

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return int(self.numpy.itemsize)

    @cached_property
    def bounds(self) -> tuple[float | int, float | int]:
        """The least and the greatest finite value."""
        if self.kind == "float":
            info = ml_dtypes.finfo(self.numpy)  # type: ignore[no-untyped-call]
            return float(info.min), float(info.max)
        if self.kind == "bool":
            return 0, 1
        limits = np.iinfo(self.numpy)
        return int(limits.min), int(limits.max)

    def __str__(self) -> str:
        return self.name


DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType("float32", "F32", "float", drawn="float32"),
        DType("float64", "F64", "float", drawn="float64"),
        DType("float16", "F16", "float", drawn="float32"),
        DType("bfloat16", "BF16", "float", drawn="float32"),
        DType("float8_e4m3fn", "F8_E4M3", "float", drawn="float32"),
        DType("float8_e5m2", "F8_E5M2", "float", drawn="float32"),
        DType("float8_e4m3fnuz", "F8_E4M3FNUZ", "float", drawn="float32"),
        DType("float8_e5m2fnuz", "F8_E5M2FNUZ", "float", drawn="float32"),
        DType("int8", "I8", "int"),
        DType("int16", "I16", "int"),
        DType("int32", "I32", "int"),
        DType("int64", "I64", "int"),
        DType("uint8", "U8", "uint"),
        DType("uint16", "U16", "uint"),
        DType("uint32", "U32", "uint"),
        DType("uint64", "U64", "uint"),
        DType("bool", "BOOL", "bool"),
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
}


def as_dtype(dtype: Any) -> DType:
    """The table's row for a name, a numpy or ml_dtypes type, or a `DType`.

    Args:
        dtype: ``"bfloat16"``, ``np.float32``, ``np.dtype("int8")``, ``ml_dtypes.float8_e5m2``, a `DType`.

    Raises:
        InitializerError: the type is not in the table (code ``unknown-dtype``).

    Example:
        >>> as_dtype("bfloat16").itemsize
        2
        >>> import numpy as np
        >>> as_dtype(np.float64).tag
        'F64'
    """
    if isinstance(dtype, DType):
        return dtype
    name = dtype if isinstance(dtype, str) else _numpy_name(dtype)
    if name in DTYPES:
        return DTYPES[name]
    known = ", ".join(DTYPES)
    near = _ELSEWHERE.get(name.lower().removeprefix("torch."))
    hint = near or did_you_mean(name, DTYPES) or f"the dtypes are {known}"
    raise InitializerError(Diagnostic(Code.UNKNOWN_DTYPE, f"no dtype is named {name!r}", hint=hint))


def _numpy_name(dtype: Any) -> str:
    if dtype is None:  # numpy would read it as float64
        return "None"
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return repr(dtype)
