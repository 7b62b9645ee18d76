"""Which kernel makes what from the words of some blocks, and in which order its elements stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from initcfg.engines.compiled import doubles, singles
from initcfg.engines.compiled.vectors import F32, F64, I64
from initcfg.engines.compiled.words import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from initcfg.engines.compiled.vectors import Vector

__all__ = ["KERNELS", "Kernel"]

Draw: TypeAlias = "Callable[[Sequence[Vector], Sequence[Vector]], tuple[Vector, Vector]]"


class Kernel(NamedTuple):
    """How blocks become elements.

    Args:
        draw: from the four words of each block, and the numbers of the recipe, to two vectors of variates.
        run: how many neighbours of one vector are neighbours in memory, before as many of the other.
        kind: LLVM's type of a variate.
        per_block: elements of a block.
    """

    draw: Draw
    run: int
    kind: Any
    per_block: int


def _singles(function: Callable[..., Vector], *uses: int) -> Kernel:
    """A kernel of one word each; `uses` are the numbers that it takes."""

    def draw(words: Sequence[Vector], numbers: Sequence[Vector]) -> tuple[Vector, Vector]:
        r0, r1, r2, r3 = words
        taken = [numbers[use] for use in uses]
        first, second = joined(r0, r1), joined(r2, r3)
        return function(first, *taken), function(second, *taken)

    return Kernel(draw, 2, F32, 4)


def _normal_singles(words: Sequence[Vector], _: Sequence[Vector]) -> tuple[Vector, Vector]:
    r0, r1, r2, r3 = words
    return singles.normal(joined(r0, r2), joined(r1, r3))


def _doubles(function: Callable[..., Vector], *uses: int) -> Kernel:
    """A kernel of two words each; `uses` are the numbers that it takes."""

    def draw(words: Sequence[Vector], numbers: Sequence[Vector]) -> tuple[Vector, Vector]:
        r0, r1, r2, r3 = words
        taken = [numbers[use] for use in uses]
        return function(joined(r0, r1).bits_as(I64), *taken), function(joined(r2, r3).bits_as(I64), *taken)

    return Kernel(draw, 1, F64, 2)


def _normal_doubles(words: Sequence[Vector], _: Sequence[Vector]) -> tuple[Vector, Vector]:
    r0, r1, r2, r3 = words
    return doubles.normal(joined(r0, r1).bits_as(I64), joined(r2, r3).bits_as(I64))


KERNELS: dict[tuple[str, str], Kernel] = {
    ("normal", "float32"): Kernel(_normal_singles, 1, F32, 4),
    ("uniform", "float32"): _singles(singles.uniform),
    ("two_sigma", "float32"): _singles(singles.two_sigma),
    ("cut", "float32"): _singles(singles.cut, 0, 1),
    ("normal", "float64"): Kernel(_normal_doubles, 1, F64, 2),
    ("uniform", "float64"): _doubles(doubles.uniform),
    ("inverse", "float64"): _doubles(doubles.inverse, 0, 1, 2, 3),
}
"""By kernel and arithmetic, as a recipe names them."""
