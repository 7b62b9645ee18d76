"""Compiling a loop: once a process, and once a machine where the result can be kept on disk."""

from __future__ import annotations

import hashlib
import sys
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numba
from llvmlite import binding as _binding  # type: ignore[import-untyped]
from numba.core import types as _types

from initcfg.engines.compiled.groups import Group
from initcfg.engines.compiled.loops import OPTIONS, loop
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.forks import ProcessLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.dtypes import DType

__all__ = ["CompilationError", "entry", "host_group", "is_compiled", "signature", "stored_as"]

Key: TypeAlias = "tuple[str, str, DType]"

# numba and llvmlite annotate in part.
types: Any = _types
_config: Any = numba.config
_llvm: Any = _binding

# For each word of Philox: fewer leave multipliers idle, and more do not fit. Eight of 512 bits are a little
# faster in cache on a Zen 5, but half as fast to memory on an Emerald Rapids.
_REGISTERS = 4
_LANE_BITS = 64


class CompilationError(InitializerError):
    """numba is there, but could not compile."""


_entries: dict[Key, Callable[..., None] | CompilationError] = {}
_lock = ProcessLock()
_is_uncached_said = threading.Event()


def entry(kernel: str, arithmetic: str, dtype: DType) -> Callable[..., None]:
    """The machine code of a loop; `loops` says what it is called with.

    Args:
        kernel: of a recipe.
        arithmetic: of a recipe.
        dtype: of the array, which is given as `stored_as` says.

    Raises:
        CompilationError: numba failed; it is not tried again.
    """
    key = kernel, arithmetic, dtype
    with _lock:
        if key not in _entries:
            _entries[key] = _attempt(key)
        found = _entries[key]
    if isinstance(found, CompilationError):
        raise found
    return found


def is_compiled(kernel: str, arithmetic: str, dtype: DType) -> bool:
    """Whether `entry` has given the machine code of this loop before, and gives it at once."""
    return callable(_entries.get((kernel, arithmetic, dtype)))


def stored_as(dtype: DType) -> str:
    """The numpy name of what numba is given: a float, or unsigned integers for a narrow one."""
    return dtype.name if dtype.itemsize > 2 else f"uint{8 * dtype.itemsize}"


def signature(arithmetic: str, dtype: DType) -> Any:
    """Numba's signature of a loop."""
    numbers = types.UniTuple(getattr(types, arithmetic), 4)
    array = types.Array(getattr(types, stored_as(dtype)), 1, "C")
    return types.void(array, types.int64, types.UniTuple(types.int64, 4), numbers, numbers)


@cache
def host_group() -> Group:
    """How many blocks are made at once on this processor."""
    features = _llvm.get_host_cpu_features()
    bits = next((bits for name, bits in (("avx512f", 512), ("avx2", 256)) if features.get(name)), 128)
    register = bits // _LANE_BITS
    return Group(_REGISTERS * register, register)


def _attempt(key: Key) -> Callable[..., None] | CompilationError:
    kernel, arithmetic, dtype = key
    if _config.DISABLE_JIT:
        message = "numba compiles nothing, because NUMBA_DISABLE_JIT is set"
        hint = 'choose the engine "numpy", which makes the same bits, or unset NUMBA_DISABLE_JIT'
        return CompilationError(Diagnostic(Code.UNKNOWN_CHOICE, message, hint=hint))
    try:
        if sys.byteorder != "little":
            raise NotImplementedError("the kernels take the halves of a number in little-endian order")
        function = loop(kernel, arithmetic, dtype, host_group(), f"_{_digest_of_sources()}")
        return _compiled(function, signature(arithmetic, dtype))
    except Exception as error:  # numba raises exceptions of many kinds, and none of them is about our caller
        message = f"numba {numba.__version__} could not compile the kernel {kernel!r}: {_first_line(error)}"
        hint = 'choose the engine "numpy", which makes the same bits, or another release of numba'
        failure = CompilationError(Diagnostic(Code.UNKNOWN_CHOICE, message, hint=hint))
        failure.__cause__ = error
        return failure


def _compiled(function: Callable[..., None], wanted: Any) -> Callable[..., None]:
    try:
        compiled: Callable[..., None] = numba.njit(cache=True, **OPTIONS)(function).compile(wanted)
    except Exception as error:  # there is no folder to write to, it is full, or what is there is damaged
        compiled = numba.njit(**OPTIONS)(function).compile(wanted)
        _say_uncached(_first_line(error))
    return compiled


@cache
def _digest_of_sources() -> str:
    """A part of the name of what is kept on disk: numba itself looks only at the file of the loop."""
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    baked_in = (here.parents[1] / "dtypes.py", here.parent / "constants.py")
    for path in (*baked_in, *sorted(here.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _say_uncached(reason: str) -> None:
    """Said once, for all kernels: compiling takes seconds, and without a cache every process spends them."""
    if _is_uncached_said.is_set():
        return
    _is_uncached_said.set()
    warnings.warn(
        f"what numba compiles cannot be kept on disk, so every process compiles anew ({reason}); "
        "set NUMBA_CACHE_DIR to a folder that can be written, or empty it if what is there is damaged",
        RuntimeWarning,
        stacklevel=2,
    )


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
