"""Compiling a loop: once a process, and once a machine where the result can be kept on disk."""

from __future__ import annotations

import hashlib
import warnings
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

import numba
from numba.core import types as _types

from initcfg.engines.compiled.bits import OPTIONS
from initcfg.engines.compiled.loops import LOOPS
from initcfg.engines.compiled.targets import GRID
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.forks import ProcessLock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CompilationError", "entry", "signature"]

Key: TypeAlias = tuple[str, str, str]

# numba annotates its types in part.
types: Any = _types
_config: Any = numba.config

_STORED = {
    "float32": types.float32,
    "float64": types.float64,
    "uint16": types.uint16,
    "uint8": types.uint8,
}


class CompilationError(InitializerError):
    """numba is there, but could not compile."""


_entries: dict[Key, Callable[..., None] | CompilationError] = {}
_lock = ProcessLock()


def entry(kernel: str, arithmetic: str, stored: str) -> Callable[..., None]:
    """The machine code of a loop; `loops` says what it is called with.

    Args:
        kernel: of a recipe.
        arithmetic: of a recipe.
        stored: the numpy name of what the array holds: a float, or unsigned integers for a narrow one.

    Raises:
        CompilationError: numba failed; it is not tried again.
    """
    key = kernel, arithmetic, stored
    with _lock:
        if key not in _entries:
            _entries[key] = _attempt(key)
        found = _entries[key]
    if isinstance(found, CompilationError):
        raise found
    return found


def signature(arithmetic: str, stored: str) -> Any:
    """Numba's signature of a loop."""
    numbers = types.UniTuple(getattr(types, arithmetic), 4)
    return types.void(
        types.Array(_STORED[stored], 1, "C"),
        types.int64,
        types.UniTuple(types.int64, 4),
        numbers,
        numbers,
        types.UniTuple(types.int64, GRID),
    )


def _attempt(key: Key) -> Callable[..., None] | CompilationError:
    kernel, arithmetic, stored = key
    if _config.DISABLE_JIT:
        message = "numba compiles nothing, because NUMBA_DISABLE_JIT is set"
        hint = 'choose the engine "numpy", which makes the same bits, or unset NUMBA_DISABLE_JIT'
        return CompilationError(Diagnostic(Code.UNKNOWN_CHOICE, message, hint=hint))
    try:
        return _compiled(LOOPS[kernel, arithmetic], signature(arithmetic, stored))
    except Exception as error:  # numba raises exceptions of many kinds, and none of them is about our caller
        message = f"numba {numba.__version__} could not compile the kernel {kernel!r}: {_first_line(error)}"
        hint = 'choose the engine "numpy", which makes the same bits, or another release of numba'
        failure = CompilationError(Diagnostic(Code.UNKNOWN_CHOICE, message, hint=hint))
        failure.__cause__ = error
        return failure


def _compiled(loop: Callable[..., None], wanted: Any) -> Callable[..., None]:
    function = _named_by_source(loop)
    try:
        compiled: Callable[..., None] = numba.njit(cache=True, **OPTIONS)(function).compile(wanted)
    except (RuntimeError, OSError) as error:  # there is no folder to write to, or it is full
        compiled = numba.njit(**OPTIONS)(function).compile(wanted)
        _say_uncached(_first_line(error))
    return compiled


def _named_by_source(loop: Callable[..., None]) -> FunctionType:
    """The loop under a name that changes with any source it is compiled from.

    numba looks only at the file of the loop itself to see whether what it has on disk is still right.
    """
    assert isinstance(loop, FunctionType)  # noqa: S101
    copy = FunctionType(loop.__code__, loop.__globals__, loop.__name__)
    copy.__qualname__ = f"{loop.__name__}_{_digest_of_sources()}"
    return copy


@cache
def _digest_of_sources() -> str:
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for path in (here.parent / "constants.py", *sorted(here.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _say_uncached(reason: str) -> None:
    """Said once: compiling takes seconds, and without a cache every process spends them."""
    warnings.warn(
        f"what numba compiles cannot be kept on disk, so every process compiles anew ({reason}); "
        "set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
