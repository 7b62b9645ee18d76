"""Which part of a parameter this process holds: all of it, or what its rank has of a DTensor."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from initcfg.formats.torch_files import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.plan.parameters import ParameterSlice, PlannedParameter


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A box of a parameter's elements, and a plain tensor of its shape that is to hold them."""

    parameter: PlannedParameter
    box: tuple[slice, ...]
    memory: torch.Tensor

    @property
    def source(self) -> PlannedParameter | ParameterSlice:
        """What a plan calls these elements."""
        whole = tuple(self.memory.shape) == self.parameter.shape
        return self.parameter if whole else self.parameter[self.box]

    @property
    def nbytes(self) -> int:
        """The size of the memory."""
        return int(self.memory.numel()) * int(self.memory.element_size())

    def part(self, inner: tuple[slice, ...]) -> Place:
        """A box within this one."""
        box = tuple(
            slice(outer.start + taken.start, outer.start + taken.stop)
            for outer, taken in zip(self.box, inner, strict=True)
        )
        return Place(self.parameter, box, self.memory[inner])


def is_dtensor(tensor: torch.Tensor) -> bool:
    """Whether a tensor is spread over processes."""
    # Who holds one has imported this module, which takes long and which not every build of torch has.
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_of(tensor: torch.Tensor) -> torch.Tensor:
    """The memory that this process has of a tensor, without its history."""
    plain: Any = tensor.detach()
    local: torch.Tensor = plain.to_local() if is_dtensor(plain) else plain
    return local


def places(parameter: PlannedParameter, tensor: torch.Tensor) -> Iterator[Place]:
    """The boxes of a parameter that this process holds: one, or several where shards interleave."""
    local = local_of(tensor)
    if local.numel() == 0:
        return
    if not is_dtensor(tensor):
        yield Place(parameter, tuple(slice(0, size) for size in local.shape), local)
        return
    axes = _held_runs(tensor)
    expected = tuple(sum(map(len, runs)) for runs in axes)
    if expected != tuple(local.shape):
        raise ValueError(
            f"the parameter {parameter.name!r} has {tuple(local.shape)} in this process, and its placements "
            f"{tensor.placements} give it {expected}: make it with distribute_tensor"
        )
    for boxes in itertools.product(*map(_placed, axes)):
        box = tuple(slice(run.start, run.stop) for _, run in boxes)
        inner = tuple(slice(at, at + len(run)) for at, run in boxes)
        yield Place(parameter, box, local[inner])


def _held_runs(tensor: Any) -> list[list[range]]:
    """Which indices of the whole this rank holds, along each axis: runs of neighbours, in order."""
    mesh = tensor.device_mesh
    axes = [[range(size)] for size in tensor.shape]
    for at, placement in enumerate(tensor.placements):
        axis = getattr(placement, "dim", None)
        if axis is not None:
            # What FSDP2 has cut within tensor parallelism: torch tells of it the first element only.
            factor = getattr(placement, "split_factor", 1)
            shard = _shard(axes[axis], factor, mesh.size(at), mesh.get_local_rank(at))
            axes[axis] = list(_joined(shard))
    return axes


def _shard(runs: list[range], factor: int, ranks: int, rank: int) -> Iterator[range]:
    """A rank's part of each of `factor` parts, where parts are as `torch.chunk` cuts them."""
    for begin, end in _chunks(0, sum(map(len, runs)), factor):
        for first, last in list(_chunks(begin, end, ranks))[rank : rank + 1]:
            yield from _cut(runs, first, last)


def _chunks(begin: int, end: int, count: int) -> Iterator[tuple[int, int]]:
    """Equal parts; the last is shorter, and where nothing is left for them, some are missing."""
    step = -(-(end - begin) // count)
    for first in range(begin, end, step or 1):
        yield first, min(first + step, end)


def _cut(runs: list[range], begin: int, end: int) -> Iterator[range]:
    """The indices that are at [begin, end) of those in the runs."""
    at = 0
    for run in runs:
        part = run[max(begin - at, 0) : max(end - at, 0)]
        if part:
            yield part
        at += len(run)


def _joined(runs: Iterable[range]) -> Iterator[range]:
    """The same indices in as few runs as there can be."""
    last = range(0)
    for run in runs:
        if last and last.stop != run.start:
            yield last
            last = run
        else:
            last = range(last.start, run.stop) if last else run
    if last:
        yield last


def _placed(runs: list[range]) -> list[tuple[int, range]]:
    """Each run with the place of its first index among all."""
    lengths = itertools.accumulate(map(len, runs), initial=0)
    return list(zip(lengths, runs, strict=False))


# Steps of numpy's solver, after which memory counts as shared. Strides that a model has take a few.
_MOST_WORK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class MemoryRange:
    """The bytes of a tensor, as far as this process holds it, from the first to behind the last."""

    space: object  # a device, or a storage on the meta device
    begin: int
    end: int
    memory: torch.Tensor


def memory_range(tensor: torch.Tensor) -> MemoryRange | None:
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
    steps = sum((size - 1) * stride for size, stride in zip(local.shape, local.stride(), strict=True))
    return MemoryRange(space, begin, begin + int((steps + 1) * local.element_size()), local)


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


def overlapping(ranges: Iterable[MemoryRange]) -> Iterator[tuple[MemoryRange, MemoryRange]]:
    """The pairs that have an element's memory in common."""
    spaces: dict[object, list[MemoryRange]] = {}
    for span in ranges:
        spaces.setdefault(span.space, []).append(span)
    return itertools.chain.from_iterable(map(_overlapping_in_one, spaces.values()))


def _overlapping_in_one(ranges: list[MemoryRange]) -> Iterator[tuple[MemoryRange, MemoryRange]]:
    behind: list[MemoryRange] = []
    for span in sorted(ranges, key=lambda each: each.begin):
        behind = [other for other in behind if other.end > span.begin]
        yield from ((other, span) for other in behind if _share(other, span))
        behind.append(span)


def _share(one: MemoryRange, other: MemoryRange) -> bool:
    """Whether two ranges that overlap share an element: columns of one array do not."""
    # Nothing is read at these addresses. 0 would be none to numpy.
    first, second = (array_of(each.memory, each.begin + 1) for each in (one, other))
    try:
        # numpy's own types know two of the numbers that it takes.
        return bool(np.shares_memory(first, second, max_work=_MOST_WORK))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
