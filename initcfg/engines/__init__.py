"""Engines fill a flat array from (distribution, stream, start). There are several, and one set of bits.

``numpy`` is the reference, ``numba`` is fast. `check` says at planning time what `fill` would refuse.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from initcfg.engines.recipe import prepare
from initcfg.errors import Code, Diagnostic, InitializerError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.stream import Stream

__all__ = ["ENGINES", "FillFunction", "check", "get_engine"]

FillFunction: TypeAlias = "Callable[[NDArray[Any], Distribution, Stream, int], None]"
"""``fill(out, distribution, stream, start)``; `initcfg.engines.reference.fill` says what each is."""

# Loading numba and one compiled kernel takes 0.6 to 0.8 s, where the numpy engine takes about as long for so
# many elements. (Compiling, once a machine, takes seconds; that is paid back later.)
_REPAYS_LOADING = 2**26
# Where numba is loaded already, another kernel takes some 15 ms; a kernel that is loaded too costs nothing.
_REPAYS_A_KERNEL = 2**20


def _numpy() -> FillFunction:
    from initcfg.engines import reference  # noqa: PLC0415  planning draws nothing, and needs no numpy

    return reference.fill


def _numba() -> FillFunction:
    if find_spec("numba") is None:
        message = "the engine 'numba' needs the package numba, which is not installed"
        raise _refusal(message, "install it with `pip install initcfg[fast]`, or choose the engine 'numpy'")
    try:
        from initcfg.engines import compiled  # noqa: PLC0415  it imports numba, which takes half a second
    except Exception as error:  # a numba that does not fit this Python or numpy says so in many ways
        message = f"numba cannot be imported: {type(error).__name__}: {error}"
        hint = "install a release of numba for this Python and numpy, or choose the engine 'numpy'"
        raise _refusal(message, hint) from error
    return compiled.fill


# To add an engine: a module with a `fill` of that signature, a row here; tests/golden holds it to the bits.
# A row is called when its engine is asked for, and not before.
ENGINES: dict[str, Callable[[], FillFunction]] = {"numpy": _numpy, "numba": _numba}


def get_engine(name: str | None = None, *, numel: int | None = None) -> FillFunction:
    """The fill function of the engine called `name`. All give the same bits.

    Args:
        name: a key of ``ENGINES``. None chooses ``numba`` where it is installed, works, and saves more time
            than loading it takes; else ``numpy``. What is loaded already takes none.
        numel: how many elements will be made in all, or how many would take as long; None counts as few.

    Raises:
        InitializerError: no engine has that name, or numba is asked for by name and cannot be had.
    """
    if name is None:
        return _chosen(numel or 0)
    wanted: object = name
    if isinstance(wanted, str) and wanted in ENGINES:
        return ENGINES[wanted]()
    near = did_you_mean(wanted, ENGINES) if isinstance(wanted, str) else None
    hint = near or f"the engines are {', '.join(sorted(ENGINES))}"
    raise _refusal(f"no engine is named {wanted!r}", hint)


def check(distribution: Distribution, dtype: DType) -> None:
    """Nothing, if values of `distribution` can be drawn in `dtype`.

    Raises:
        InitializerError: the dtype cannot hold a value (code ``dtype-value``), or the distribution cannot be
            drawn in it (code ``distribution``).
    """
    prepare(distribution, dtype)


def _chosen(numel: int) -> FillFunction:
    # Not one that another thread is just importing, which may yet fail.
    is_loaded = hasattr(sys.modules.get("initcfg.engines.compiled"), "is_at_hand")
    if numel < (_REPAYS_A_KERNEL if is_loaded else _REPAYS_LOADING):
        return _by_kernels_at_hand if is_loaded else _numpy()
    if find_spec("numba") is None:
        return _numpy()
    try:
        return _with_a_way_out(_numba())
    except InitializerError as error:
        _say_slower(error.diagnostics[0])
        return _numpy()


def _by_kernels_at_hand(
    out: NDArray[Any], distribution: Distribution, stream: Stream, start: int = 0
) -> None:
    """By numba if an earlier fill has loaded the kernel, else by numpy."""
    from initcfg.engines import compiled  # noqa: PLC0415  as below; and it is loaded already

    fill = compiled.fill if compiled.is_at_hand(distribution, out.dtype) else _numpy()
    fill(out, distribution, stream, start)


def _with_a_way_out(fast: FillFunction) -> FillFunction:
    """Nobody asked for numba by name: if it fails, the reference makes the same bits."""
    from initcfg.engines.compiled import CompilationError  # noqa: PLC0415  it imports numba

    def fill(out: NDArray[Any], distribution: Distribution, stream: Stream, start: int = 0) -> None:
        try:
            fast(out, distribution, stream, start)
        except CompilationError as error:
            _say_slower(error.diagnostics[0])
            _numpy()(out, distribution, stream, start)

    return fill


@cache
def _say_slower(reason: Diagnostic) -> None:
    """Said once for each reason."""
    warnings.warn(
        f"{reason.message}; going on with the engine 'numpy', which makes the same bits and takes longer. "
        f"To be rid of this warning: {reason.hint}",
        RuntimeWarning,
        stacklevel=2,
    )


def _refusal(message: str, hint: str) -> InitializerError:
    return InitializerError(Diagnostic(Code.UNKNOWN_CHOICE, message, hint=hint))
