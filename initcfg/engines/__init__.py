"""Engines fill a flat array from (distribution, stream, start). There are several, and one set of bits.

``numpy`` is the reference. `check` says at planning time what `fill` would refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from initcfg.distributions import Distribution
from initcfg.engines import reference
from initcfg.engines.recipe import prepare
from initcfg.errors import Code, Diagnostic, InitializerError, did_you_mean
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.dtypes import DType

__all__ = ["ENGINES", "FillFunction", "check", "get_engine"]

FillFunction: TypeAlias = Callable[[NDArray[Any], Distribution, Stream, int], None]
"""``fill(out, distribution, stream, start)``; `initcfg.engines.reference.fill` says what each is."""

# To add an engine: a module with a `fill` of that signature, a row here; tests/golden holds it to the bits.
ENGINES: dict[str, FillFunction] = {"numpy": reference.fill}


def get_engine(name: str | None = None) -> FillFunction:
    """The fill function of the engine called `name`.

    Args:
        name: a key of ``ENGINES``; None for the default, ``numpy``.

    Raises:
        InitializerError: no engine has that name.
    """
    wanted: object = "numpy" if name is None else name
    if isinstance(wanted, str) and wanted in ENGINES:
        return ENGINES[wanted]
    near = did_you_mean(wanted, ENGINES) if isinstance(wanted, str) else None
    hint = near or f"the engines are {', '.join(sorted(ENGINES))}"
    raise InitializerError(Diagnostic(Code.UNKNOWN_CHOICE, f"no engine is named {wanted!r}", hint=hint))


def check(distribution: Distribution, dtype: DType) -> None:
    """Nothing, if values of `distribution` can be drawn in `dtype`.

    Raises:
        InitializerError: the dtype cannot hold a value (code ``dtype-value``), or the distribution cannot be
            drawn in it (code ``distribution``).
    """
    prepare(distribution, dtype)
