"""Weights described: what a file or a sharded set holds, and what its values come to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from initcfg.errors import Code, Diagnostic, UnknownParameterError
from initcfg.formats.base import PLAN_KEY, Header, StoredTensor, natural_key
from initcfg.formats.reading import RenamesLike, WeightsFile, open_weights
from initcfg.generate.pool import Progress, Task, Workers, counting, in_groups
from initcfg.globs import Glob, glob_hint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    from initcfg.formats import Array


@dataclass(frozen=True, slots=True)
class Moments:
    """What some numbers come to: the finite ones but for the counts; of none the bounds are infinite."""

    count: int = 0  # of the finite ones
    zeros: int = 0  # of either sign
    non_finite: int = 0
    mean: float = 0.0
    squares: float = 0.0  # of the differences from the mean
    low: float | int = math.inf
    high: float | int = -math.inf

    @property
    def std(self) -> float:
        """The standard deviation of these numbers, that is, with their count below the sum."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


def as_real(elements: Array) -> Array:
    """Numbers as float64, and the modulus of complex ones."""
    return (
        np.abs(elements.astype(np.complex128)) if elements.dtype.kind == "c" else elements.astype(np.float64)
    )


def moments_of(elements: Array) -> Moments:
    """The moments of a flat array of any element type, computed in float64; of complex ones by modulus."""
    wide = as_real(elements)
    is_finite = np.isfinite(wide)
    finite = wide if is_finite.all() else wide[is_finite]
    if not finite.size:
        return Moments(non_finite=int(wide.size))
    # Squares of differences above 1e154 or below 1e-162 leave float64: the spread is infinite or 0 then.
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(finite.mean())
        squares = float(np.square(finite - mean).sum())
    low, high = (finite.min(), finite.max())
    # float64 does not hold every int64.
    exact = elements.dtype.kind in "iu"
    return Moments(
        count=int(finite.size),
        zeros=int(finite.size - np.count_nonzero(finite)),
        non_finite=int(wide.size - finite.size),
        mean=mean,
        squares=squares,
        low=int(elements.min()) if exact else low.item(),
        high=int(elements.max()) if exact else high.item(),
    )


def merged(first: Moments, second: Moments) -> Moments:
    """The moments of all numbers of two parts, by the update of Chan, Golub and LeVeque (1983)."""
    count = first.count + second.count
    apart = second.mean - first.mean
    share = second.count / count if count else 0.0
    return Moments(
        count=count,
        zeros=first.zeros + second.zeros,
        non_finite=first.non_finite + second.non_finite,
        mean=first.mean + apart * share if first.count else second.mean,
        squares=first.squares + second.squares + apart * apart * first.count * share,
        low=min(first.low, second.low),
        high=max(first.high, second.high),
    )


BINS = 128
# Values that lie farther out than this widens the bins to are counted, and drawn nowhere.
_MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How many numbers lie in each of 128 bins of equal width about a center.

    Where numbers lie farther out, neighbours are put together and the range doubles. So the parts of some
    numbers come to the same counts in whatever order they are merged.

    Args:
        center: the middle of the bins.
        reach: from there to either end, before doublings.
        doublings: how often the range was doubled.
        counts: in each bin, int64.
        outside: finite numbers beyond the widest range.
    """

    center: float
    reach: float
    doublings: int
    counts: Array
    outside: int = 0

    @classmethod
    def of(cls, elements: Array, center: float, reach: float) -> Histogram:
        """Counts the finite ones of some elements."""
        apart = as_real(elements) - center
        apart = apart[np.isfinite(apart)]
        farthest, doublings = float(np.abs(apart).max(initial=0.0)), 0
        while doublings < _MOST_DOUBLINGS and farthest >= reach * 2**doublings:
            doublings += 1
        ranks = np.floor(apart * (BINS // 2 / (reach * 2**doublings))) + BINS // 2
        inside = ranks[(ranks >= 0) & (ranks < BINS)].astype(np.int64)
        return cls(
            center, reach, doublings, np.bincount(inside, minlength=BINS), int(ranks.size - inside.size)
        )

    @property
    def edges(self) -> Array:
        """Where bins begin, and where the last one ends."""
        edges: Array = self.center + self.reach * 2**self.doublings * np.linspace(-1, 1, BINS + 1)
        return edges

    def merged(self, other: Histogram) -> Histogram:
        """The counts of both, which have the same center and reach."""
        doublings = max(self.doublings, other.doublings)
        counts = self._doubled(doublings) + other._doubled(doublings)
        return Histogram(self.center, self.reach, doublings, counts, self.outside + other.outside)

    def _doubled(self, doublings: int) -> Array:
        counts = self.counts
        for _ in range(doublings - self.doublings):
            wide = np.zeros_like(counts)
            wide[BINS // 4 : -BINS // 4] = counts[::2] + counts[1::2]
            counts = wide
        return counts


# Few enough that a stretch in float64 stays in a core's cache.
_CHUNK = 1 << 17


@dataclass(frozen=True, slots=True)
class Inspection:
    """What weights hold: those tensors that were asked for, ``h.2`` before ``h.10``, and their moments."""

    path: Path
    header: Header
    tensors: tuple[StoredTensor, ...]
    values: Mapping[str, Moments]

    @property
    def fingerprint(self) -> str | None:
        """Of the plan that the weights say they were made from."""
        return self.header.metadata.get(PLAN_KEY)


def inspect(
    path: str | PathLike[str],
    *,
    select: str | None = None,
    values: bool = True,
    rename: RenamesLike = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Describes weights of any program; nothing is held but a few chunks.

    Arguments are as in `initcfg.verify`; with `values` the elements are read too. The last bits of means do
    not depend on threads.
    """
    with open_weights(path, rename) as file, Workers(threads) as workers:
        tensors = _selected(file.header, select)
        described = _survey(file, tensors, workers, progress) if values else {}
        ordered = tuple(sorted(tensors, key=lambda tensor: natural_key(tensor.name)))
        return Inspection(file.path, file.header, ordered, described)


def _selected(header: Header, select: str | None) -> tuple[StoredTensor, ...]:
    if select is None:
        return tuple(header.tensors.values())
    glob = Glob(select)
    found = tuple(tensor for name, tensor in header.tensors.items() if glob.matches(name))
    if found:
        return found
    hint = glob_hint(select, header.tensors) or f"the weights have {len(header.tensors):,} tensors"
    problem = Diagnostic(Code.UNKNOWN_PARAMETER, f"{select!r} matches no tensor", hint=hint)
    raise UnknownParameterError(problem)


def _survey(
    file: WeightsFile, tensors: tuple[StoredTensor, ...], workers: Workers, progress: Progress | None
) -> dict[str, Moments]:
    found = dict.fromkeys((tensor.name for tensor in tensors), Moments())
    tell = counting(progress, sum(tensor.nbytes for tensor in tensors))
    pieces = (
        (tensor, start, min(start + _CHUNK, tensor.numel))
        for tensor in tensors
        for start in range(0, tensor.numel, _CHUNK)
    )
    batches = in_groups(pieces, lambda piece: piece[2] - piece[1], _CHUNK)
    tasks = (Task(partial(_describe, file, batch)) for batch in batches)
    # In their order, so that the same sums are made in the same order.
    for parts in workers.in_order(tasks):
        for tensor, part in parts:
            found[tensor.name] = merged(found[tensor.name], part)
        tell(sum((part.count + part.non_finite) * tensor.dtype.itemsize for tensor, part in parts))
    return found


def _describe(
    file: WeightsFile, batch: list[tuple[StoredTensor, int, int]]
) -> list[tuple[StoredTensor, Moments]]:
    return [(tensor, moments_of(file.read(tensor, start, stop))) for tensor, start, stop in batch]
