"""Complex numbers: one law of their parts, or a modulus and an angle that are drawn apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from initcfg.distributions import ComplexNormal, Square, Uniform
from initcfg.engines.recipe import Constant, prepare
from initcfg.engines.target import checked_start, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from initcfg.distributions import Distribution
    from initcfg.stream import Stream

_SHARE = Uniform(0.0, 1.0)
# So many elements at a time stay in a core's cache.
_TILE = 1 << 14


def fill_complex(  # noqa: PLR0917  those of a fill, and what its engine has
    out: NDArray[Any],
    distribution: Distribution,
    stream: Stream,
    start: int,
    fill: Callable[[NDArray[Any], Distribution, Stream, int], None],
    functions: Mapping[str, Callable[..., NDArray[np.float64]]],
) -> None:
    """Elements `start`, `start` + 1, ... of a complex parameter, by an engine's real draws and functions.

    The parts of a square, and of a normal without a cut, are draws 2k and 2k + 1 of the stream. Elsewhere
    modulus and angle are float64 draws of its children ``modulus`` and ``angle``, and each part is rounded
    once.

    Raises:
        InitializerError: as the engine's fill.
        ValueError: as the engine's fill.
    """
    start, dtype = checked_start(out, start), row_of(out.dtype)
    recipe = prepare(distribution, dtype)
    parts = out.view(dtype.part.numpy)
    if isinstance(recipe, Constant):
        out.fill(recipe.value)
    elif recipe.kernel in ("uniform", "normal"):
        assert isinstance(distribution, ComplexNormal | Square)  # noqa: S101  others have kernels of their own
        fill(parts, distribution.part, stream, 2 * start)
    else:
        for at in range(0, out.size, _TILE):
            stretch = parts[2 * at : 2 * (at + _TILE)]
            assert recipe.clamp is not None  # noqa: S101  of the modulus
            modulus, angle = np.empty((2, stretch.size // 2))
            fill(modulus, _SHARE, stream.child("modulus"), start + at)
            fill(angle, _SHARE, stream.child("angle"), start + at)
            if recipe.numbers is not None:
                modulus = -functions["log1p"](-recipe.numbers[0] * modulus)
            modulus = np.minimum(recipe.scale * np.sqrt(modulus), recipe.clamp[1])
            angle *= 2 * math.pi
            # A part may underflow on its way to float32; that is rounding, whatever the caller's settings.
            with np.errstate(under="ignore"):
                stretch[::2] = modulus * functions["cos"](angle)
                stretch[1::2] = modulus * functions["sin"](angle)
