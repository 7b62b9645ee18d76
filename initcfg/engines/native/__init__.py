"""The native engine: the reference's bits, by compiled C, at about the speed of memory.

The library is loaded by ctypes, which lets go of the interpreter's lock during a call, and needs no headers
of Python: one file serves every release of it. `fill.c` is where it begins. ``INITCFG_SIMD`` names an
instruction set to use instead of the widest that the processor has: ``avx512``, ``avx2``, ``sse2``, ``neon``
or ``plain``.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg.distributions import Fill
from initcfg.engines import elementary
from initcfg.engines.native.sources import LIBRARY, digest
from initcfg.engines.recipe import Constant, prepare
from initcfg.engines.target import checked_arguments, checked_start, row_of
from initcfg.engines.turning import fill_complex
from initcfg.errors import Code, InitializerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from initcfg.distributions import Distribution
    from initcfg.stream import Stream

__all__ = ["FUNCTIONS", "SETS", "fill", "fill_many", "instruction_sets", "library"]

_FOLDER = Path(__file__).parent

# The order of `enum set` in fill.c, the widest last.
SETS = ("plain", "sse2", "avx2", "avx512", "neon")
# The order of `enum kernel` in fill.h.
KERNELS = ("uniform", "normal", "two_sigma", "cut", "inverse")
# `struct job` of fill.h: what differs from fill to fill, and what follows from distribution and dtype. Its
# machine is little-endian, as the words of a stream are.
_PLACE, _LAW = struct.Struct("=QQQ16s"), struct.Struct("=6i8d")
_REBUILD = (
    "install initcfg again where there is a C compiler: pip install --force-reinstall --no-cache-dir "
    "initcfg; in a checkout: pip install -e ."
)


class Library(NamedTuple):
    """The compiled library, loaded.

    Args:
        fill: ``initcfg_fill``.
        apply: ``initcfg_apply``.
        found: a bit for each of `SETS` that the library has and this processor runs.
        chosen: the number of the instruction set in use.
    """

    fill: Any
    apply: Any
    found: int
    chosen: int


@cache
def library() -> Library:
    """The library and the instruction set in use.

    Raises:
        InitializerError: this installation has none, or one that was made from other sources, or the
            instruction set that ``INITCFG_SIMD`` names does not run here.
    """
    path = _FOLDER / LIBRARY
    if not path.exists():
        raise _refusal("this installation of initcfg has no compiled kernels", _REBUILD)
    try:
        loaded = ctypes.CDLL(str(path))
        made_from = ctypes.c_char_p.in_dll(loaded, "initcfg_sources").value or b""
    except (OSError, ValueError) as error:
        raise _refusal(f"the compiled kernels cannot be loaded: {error}", _REBUILD) from error
    if made_from.decode() != digest(_FOLDER):
        raise _refusal("the compiled kernels were made from other sources than those beside them", _REBUILD)
    loaded.initcfg_fill.argtypes = (ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int32)
    loaded.initcfg_fill.restype = None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    loaded.initcfg_apply.argtypes = (number, pointer, pointer, pointer, ctypes.c_uint64, number)
    loaded.initcfg_apply.restype = None
    loaded.initcfg_sets.restype = ctypes.c_uint32
    found = loaded.initcfg_sets()
    return Library(loaded.initcfg_fill, loaded.initcfg_apply, found, _choice(found))


def instruction_sets() -> tuple[str, ...]:
    """The names of the instruction sets that the library has and this processor runs, the widest last."""
    return _names(library().found)


def fill(out: NDArray[Any], distribution: Distribution, stream: Stream, start: int = 0) -> None:
    """Elements `start`, `start` + 1, ... of a parameter, written into `out`, as `reference.fill` does it.

    Raises:
        InitializerError: the distribution cannot be drawn in this dtype, or there is no library.
        ValueError: `out` is not such an array, or the positions do not end below 2**63.

    Example:
        >>> import numpy as np
        >>> from initcfg.distributions import Normal
        >>> from initcfg.stream import Stream
        >>> out = np.empty(3, np.float32)
        >>> fill(out, Normal(0.0, 1.0), Stream.of_parameter(0, "h.0"))
        >>> out.tolist()
        [0.08623053878545761, 0.5693719983100891, 0.8658266067504883]
    """
    fill_many([(out, distribution, stream, start)])


def fill_many(calls: Iterable[tuple[NDArray[Any], Distribution, Stream, int]]) -> None:
    """Many fills by one call of the library: what a small one costs is then mostly its elements.

    Args:
        calls: the arguments of `fill`, for each array.

    Raises:
        InitializerError: as `fill`; some arrays may have been filled with constants by then.
        ValueError: as `fill`.
    """
    jobs = []
    for out, distribution, stream, start in calls:
        begin, dtype, size = checked_start(out, start), out.dtype, out.size
        if dtype.kind == "c":
            fill_complex(out, distribution, stream, begin, fill, FUNCTIONS)
            continue
        # Not cached for constants, because 0.0 and -0.0 are equal.
        law = (_law if isinstance(distribution, Fill) else _cached_law)(distribution, dtype)
        if isinstance(law, Constant):
            out.fill(law.value)
        elif size:
            # Types that numpy does not know, such as bfloat16, are no buffers.
            known: Any = out if dtype.isbuiltin == 1 else out.view("u1")
            # What `ctypes.data` gives in a microsecond and more.
            address = ctypes.addressof(ctypes.c_char.from_buffer(known))
            jobs.append(_PLACE.pack(address, size, begin, stream.digest) + law)
    if jobs:
        kernels = library()
        kernels.fill(b"".join(jobs), len(jobs), kernels.chosen)


def _apply(
    function: int, *arguments: NDArray[np.float64], out: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    *flat, made = checked_arguments(arguments, out)
    kernels = library()
    addresses = [each.__array_interface__["data"][0] for each in (flat[0], flat[-1], made)]
    kernels.apply(function, *addresses, made.size, kernels.chosen)
    return made.reshape(arguments[0].shape) if out is None else out


#: As `initcfg.engines.elementary.FUNCTIONS`, with the same bits.
FUNCTIONS: dict[str, Callable[..., NDArray[np.float64]]] = {
    name: partial(_apply, number) for number, name in enumerate(elementary.FUNCTIONS)
}


def _law(distribution: Distribution, dtype: np.dtype[Any]) -> Constant | bytes:
    row = row_of(dtype)
    recipe = prepare(distribution, row)
    if isinstance(recipe, Constant):
        return recipe
    assert row.format is not None  # noqa: S101 - only floats are drawn
    low, high = recipe.clamp or (float("-inf"), float("inf"))
    numbers = (*(recipe.numbers or ()), 0.0, 0.0, 0.0, 0.0)[:4]
    return _LAW.pack(
        KERNELS.index(recipe.kernel),
        recipe.arithmetic == "float64",
        row.itemsize,
        row.format.digits,
        row.format.least_exponent,
        row.name.endswith("fnuz"),
        *(recipe.location, recipe.scale, low, high),
        *numbers,
    )


_cached_law = lru_cache(maxsize=4096)(_law)


def _names(found: int) -> tuple[str, ...]:
    return tuple(name for number, name in enumerate(SETS) if found >> number & 1)


def _choice(found: int) -> int:
    wanted = os.environ.get("INITCFG_SIMD", "")
    if not wanted:
        return found.bit_length() - 1
    names = _names(found)
    if wanted not in names:
        message = f"INITCFG_SIMD names {wanted!r}, which is no instruction set of the kernels that runs here"
        raise _refusal(message, f"those are {', '.join(names)}")
    return SETS.index(wanted)


def _refusal(message: str, hint: str) -> InitializerError:
    return InitializerError.of(Code.UNKNOWN_CHOICE, message, hint=hint)
