"""Which part of a parameter this process holds: all of it, or what its rank has of a DTensor."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.plan.parameters import ParameterSlice, PlannedParameter

__all__ = ["Place", "is_dtensor", "local_of", "places"]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A box of a parameter's elements, and the memory that is to hold them.

    Args:
        parameter: the whole.
        box: where the elements begin and end, along each axis.
        memory: a plain tensor of the shape of the box.
    """

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
    axes = [_stretches(positions) for positions in _positions(tensor)]
    for boxes in itertools.product(*axes):
        box = tuple(slice(first, first + length) for _, first, length in boxes)
        inner = tuple(slice(at, at + length) for at, _, length in boxes)
        yield Place(parameter, box, local[inner])


def _positions(tensor: Any) -> list[torch.Tensor]:
    """Which indices of the whole this rank holds, along each axis."""
    # The code of torch that cuts values cuts the indices: it also knows shards that interleave, of which the
    # offsets that torch tells are those of the first element only.
    ndim = tensor.dim()
    axes = [
        torch.arange(size, device="cpu").reshape([-1 if axis == at else 1 for at in range(ndim)])
        for axis, size in enumerate(tensor.shape)
    ]
    for at, placement in enumerate(tensor.placements):
        axis = getattr(placement, "dim", None)
        if axis is not None:
            ranks = tensor.device_mesh.size(at)
            parts, _ = placement._split_tensor(axes[axis], ranks, with_padding=False)
            axes[axis] = parts[tensor.device_mesh.get_local_rank(at)]
    return [positions.reshape(-1) for positions in axes]


def _stretches(positions: torch.Tensor) -> list[tuple[int, int, int]]:
    """Runs of neighbouring positions: at which of them each begins, with which index, and how long it is."""
    breaks = (positions.diff() != 1).nonzero().reshape(-1) + 1
    begins = [0, *breaks.tolist()]
    ends = [*begins[1:], len(positions)]
    return [(at, int(positions[at]), end - at) for at, end in zip(begins, ends, strict=True)]
