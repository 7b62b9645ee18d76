"""Values put into the memory of tensors: straight where numpy can see it, else in parts that are copied."""

from __future__ import annotations

import math
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import torch

from initcfg.generate.pool import onward
from initcfg.generate.targets import Target, fill_targets, target_effort
from initcfg.generate.work import is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.adapters.torch.shards import Place
    from initcfg.generate import Progress

__all__ = ["fill_places"]

# So much is made at a time for memory that cannot be written to directly.
_STAGED_BYTES = 1 << 26


def fill_places(
    places: Sequence[Place], *, threads: int | None, engine: str | None, progress: Progress | None
) -> None:
    """Fills the memory of all places; none has been touched if code that is not this package's fails."""
    work = target_effort(place.source for place in places)
    fill = partial(fill_targets, threads=threads, engine=engine, work=work)
    direct = [place for place in places if _is_direct(place.memory)]
    staged = [place for place in places if not _is_direct(place.memory)]
    # Code that may fail runs in the one call before which nothing is touched.
    foreign = [(place, _host(place)) for place in staged if is_foreign(place.parameter.initializer)]
    total = sum(place.nbytes for place in places)
    first = [(place, place.memory) for place in direct] + foreign
    fill([_target(*pair) for pair in first], progress=onward(progress, 0, total))
    done = sum(place.nbytes for place, _ in first)
    for place, host in foreign:
        _copy(place, host)
    own = (place for place in staged if not is_foreign(place.parameter.initializer))
    for part in chain.from_iterable(map(_parts, own)):
        host = _host(part)
        fill([_target(part, host)], progress=onward(progress, done, total))
        _copy(part, host)
        done += part.nbytes


def _is_direct(memory: torch.Tensor) -> bool:
    return bool(memory.device.type == "cpu" and memory.is_contiguous())


def _host(place: Place) -> torch.Tensor:
    """Memory of the form of a place that can be written to directly."""
    return torch.empty(place.memory.shape, dtype=place.memory.dtype, device="cpu")


def _target(place: Place, memory: torch.Tensor) -> Target:
    """What a place holds, to be made in a tensor's own memory as numpy sees it."""
    return Target(place.source, _bits(memory).numpy().view(place.parameter.dtype.numpy))


def _bits(memory: torch.Tensor) -> torch.Tensor:
    """The same memory as whole numbers, where numpy, or copying, does not know the type."""
    if not memory.is_floating_point() or memory.element_size() > 2:
        return memory
    return memory.view(torch.uint8 if memory.element_size() == 1 else torch.int16)


def _copy(place: Place, host: torch.Tensor) -> None:
    # A tensor that was made in inference mode may be changed in that mode only.
    with torch.inference_mode(place.memory.is_inference()):
        _bits(place.memory).copy_(_bits(host))


def _parts(place: Place) -> Iterator[Place]:
    """A place in boxes of bounded size; what is made whole anyway stays in one."""
    if place.parameter.distribution is None:
        yield place
        return
    for box in _boxes(tuple(place.memory.shape), _STAGED_BYTES // place.memory.element_size()):
        yield place.part(box)


def _boxes(shape: tuple[int, ...], limit: int) -> Iterator[tuple[slice, ...]]:
    """Boxes that make up a shape, each of at most so many elements and cut along the first axes."""
    if not shape or math.prod(shape) <= limit:
        yield tuple(slice(0, size) for size in shape)
        return
    row = math.prod(shape[1:])
    step = max(1, limit // row)
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        yield from ((rows, *rest) for rest in _boxes(shape[1:], limit))
