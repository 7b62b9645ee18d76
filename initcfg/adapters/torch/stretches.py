"""Where the memory of a tensor begins and ends, and whether two tensors have some of it in common."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from initcfg.adapters.torch.shards import local_of
from initcfg.formats.torch_files import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


__all__ = ["Stretch", "has_own_elements", "overlapping", "stretch_of"]

# Steps of numpy's solver, after which memory counts as shared. Strides that a model has take a few.
_MOST_WORK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The bytes from a tensor's first element to its last.

    Args:
        space: what `begin` and `end` count in: the memory of a device, or a storage on the meta device.
        begin: the first byte.
        end: after the last byte.
        memory: the tensor, as far as this process holds it.
    """

    space: object
    begin: int
    end: int
    memory: torch.Tensor


def stretch_of(tensor: torch.Tensor) -> Stretch | None:
    """The memory of a tensor; None if it has none, or not in the way of a plain tensor."""
    if is_lazy(tensor):
        return None
    local = local_of(tensor)
    if type(local) is not torch.Tensor or local.layout is not torch.strided or local.numel() == 0:
        return None
    if local.is_meta:
        # There are no addresses: tensors that share a storage here share it wherever they are allocated.
        space: object = ("meta", local.untyped_storage()._cdata)
        begin = local.storage_offset() * local.element_size()
    else:
        space = local.device
        begin = local.data_ptr()
        if begin == 0:
            # The storage was freed, or the device tells no addresses.
            return None
    return Stretch(space, begin, begin + _length(local), local)


def _length(local: torch.Tensor) -> int:
    steps = sum((size - 1) * stride for size, stride in zip(local.shape, local.stride(), strict=True))
    return int((steps + 1) * local.element_size())


def has_own_elements(memory: torch.Tensor) -> bool:
    """Whether each element of a tensor has memory of its own; False too where only a search could tell."""
    if memory.numel() == 0:
        return True
    reach = 1
    axes = zip(memory.stride(), memory.shape, strict=True)
    for stride, size in sorted(axis for axis in axes if axis[1] > 1):
        if stride < reach:
            return False
        reach += (size - 1) * stride
    return True


def overlapping(stretches: Iterable[Stretch]) -> Iterator[tuple[Stretch, Stretch]]:
    """The pairs that have an element's memory in common."""
    spaces: dict[object, list[Stretch]] = {}
    for stretch in stretches:
        spaces.setdefault(stretch.space, []).append(stretch)
    return itertools.chain.from_iterable(map(_overlapping_in_one, spaces.values()))


def _overlapping_in_one(stretches: list[Stretch]) -> Iterator[tuple[Stretch, Stretch]]:
    behind: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda each: each.begin):
        behind = [other for other in behind if other.end > stretch.begin]
        yield from ((other, stretch) for other in behind if _share(other, stretch))
        behind.append(stretch)


def _share(one: Stretch, other: Stretch) -> bool:
    """Whether two that reach into each other share an element: columns of one array do not."""
    # Nothing is read at these addresses. 0 would be none to numpy.
    first, second = (array_of(each.memory, each.begin + 1) for each in (one, other))
    try:
        # numpy's own types know two of the numbers that it takes.
        return bool(np.shares_memory(first, second, max_work=_MOST_WORK))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
