"""Engines fill a flat array from (distribution, stream, start). There are two, and one set of bits.

``numpy`` is the reference, ``native`` is compiled and fast. `check` says at planning time what `fill` would
refuse.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from initcfg.engines.recipe import prepare
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.names import did_you_mean
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.stream import Stream

__all__ = ["ENGINES", "FillFunction", "check", "fill_many", "functions", "get_engine"]

FillFunction: TypeAlias = "Callable[[NDArray[Any], Distribution, Stream, int], None]"
"""``fill(out, distribution, stream, start)``; `initcfg.engines.reference.fill` says what each is."""

# So many elements take the numpy engine half a second or more, which is worth a word.
_WORTH_A_WORD = 2**25


def _numpy() -> FillFunction:
    with LOADING:
        from initcfg.engines import reference  # noqa: PLC0415  planning draws nothing, and needs no numpy

    return reference.fill


def _native() -> FillFunction:
    with LOADING:
        from initcfg.engines import native  # noqa: PLC0415  as above

    native.library()
    return native.fill


# To add an engine: a module with a `fill` of that signature, a row here; tests/golden holds it to the bits.
# A row is called when its engine is asked for, and not before.
ENGINES: dict[str, Callable[[], FillFunction]] = {"native": _native, "numpy": _numpy}


def get_engine(name: str | None = None) -> FillFunction:
    """The fill function of the engine called `name`. All give the same bits.

    Args:
        name: a key of ``ENGINES``. None takes ``native`` where this installation has it, else ``numpy``,
            which a large job says once.

    Raises:
        InitializerError: no engine has that name, or ``native`` is asked for by name and cannot be had.
    """
    if name is None:
        return _best()
    wanted: object = name
    if isinstance(wanted, str) and wanted in ENGINES:
        return ENGINES[wanted]()
    near = did_you_mean(wanted, ENGINES) if isinstance(wanted, str) else None
    hint = near or f"the engines are {', '.join(sorted(ENGINES))}"
    message = f"no engine is named {wanted!r}"
    raise InitializerError.of(Code.UNKNOWN_CHOICE, message, hint=hint)


def fill_many(fill: FillFunction, calls: Iterable[tuple[NDArray[Any], Distribution, Stream, int]]) -> None:
    """Calls `fill` with each of the arguments, in one call of the library where it is the native engine's.

    Raises:
        InitializerError: as `fill` does.
        ValueError: as `fill` does.
    """
    with LOADING:
        from initcfg.engines import native  # noqa: PLC0415  as above

    if fill is native.fill:
        native.fill_many(calls)
    else:
        for call in calls:
            fill(*call)


def functions(fill: FillFunction) -> Mapping[str, Callable[..., NDArray[np.float64]]]:
    """The elementary functions by name, ``exp`` to ``pow``, as the engine of a fill function has them.

    Each takes contiguous float64 arrays of one shape, ``pow`` two of them, and gives a new one. All engines
    give the same bits; `initcfg.engines.elementary` says which.

    Example:
        >>> import numpy as np
        >>> functions(get_engine())["log2"](np.array([0.125, 4096.0]))
        array([-3., 12.])
    """
    with LOADING:
        from initcfg.engines import elementary, native  # noqa: PLC0415  as above

    return native.FUNCTIONS if fill is native.fill else elementary.FUNCTIONS


def check(distribution: Distribution, dtype: DType) -> None:
    """Nothing, if values of `distribution` can be drawn in `dtype`.

    Raises:
        InitializerError: the dtype cannot hold a value (code ``dtype-value``), or the distribution cannot be
            drawn in it (code ``distribution``).
    """
    prepare(distribution, dtype)


@cache
def _best() -> FillFunction:
    try:
        return _native()
    except InitializerError as error:
        return _slower(_numpy(), error.diagnostics[0])


def _slower(fill: FillFunction, reason: Diagnostic) -> FillFunction:
    """`fill`, which says once that it takes the place of the native engine, when that begins to matter."""
    drawn = 0

    def fill_and_tell(out: NDArray[Any], distribution: Distribution, stream: Stream, start: int = 0) -> None:
        nonlocal drawn
        before, drawn = drawn, drawn + out.size
        if before < _WORTH_A_WORD <= drawn:
            warnings.warn(
                f"{reason.message}: the engine 'numpy' makes the same bits, five to fifteen times as slowly. "
                f"To be rid of this warning: {reason.hint}",
                RuntimeWarning,
                stacklevel=2,
            )
        fill(out, distribution, stream, start)

    return fill_and_tell
