"""A module's initialization as small programs, one for each memory: which node wrote which elements of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from initcfg.capture.laws import law_of_values
from initcfg.capture.values import UnsayableError
from initcfg.dtypes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.capture.values import Box, Table, Write
    from initcfg.dtypes import DType
    from initcfg.initializers import Initializer

#: More elements than these are never made.
LARGEST = 2**26
_CPU = torch.device("cpu")
#: Functions of torch.nn.init that are noted under their names, as they are while they are not recorded.
_SCHEMES = {
    name: FunctionType(each.__code__, each.__globals__, name, each.__defaults__)
    for name, each in (
        ("trunc_normal", torch.nn.init._no_grad_trunc_normal_),
        ("orthogonal", torch.nn.init.orthogonal_),
        ("sparse", torch.nn.init.sparse_),
    )
}


class Geometry(NamedTuple):
    """Which elements of a memory a tensor is, in what order."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Geometry:
        """Where a tensor's elements are in its memory."""
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())

    @property
    def parts(self) -> Geometry:
        """The real and imaginary parts of complex elements, along a last axis."""
        return Geometry((*self.size, 2), (*(2 * each for each in self.stride), 1), 2 * self.offset)


@dataclass(eq=False, slots=True)
class Node:
    """An operation, with what it read as it was then."""

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    write: Write
    at: int
    is_random: bool
    is_empty: bool = False
    into: tuple[int | str, ...] = ()  # the arguments that it writes to, by place or name
    values: Any = None  # where they are known, or were once made

    @property
    def name(self) -> str:
        """The operation's name without its variants: ``mul`` of ``aten::_foreach_mul_.Scalar``."""
        name: str = self.op if isinstance(self.op, str) else self.op._schema.name
        return name.removeprefix("aten::").removeprefix("_foreach_").strip("_")

    def outputs(self) -> list[torch.Tensor]:
        """What it makes, or writes; made once."""
        if self.values is None:
            args, kwargs = real(self.args), real(self.kwargs)
            with torch.no_grad():
                result = _SCHEMES.get(self.op, self.op)(*args, **kwargs)
            wrote = [args[at] if isinstance(at, int) else kwargs[at] for at in self.into]
            self.values = list(tensors_in(wrote or result))
        made: list[torch.Tensor] = self.values
        return made


@dataclass(eq=False, slots=True)
class Memory:
    """The program of one memory: which elements were written, each time by which output of which node."""

    storage: Any
    geometry: Geometry
    dtype: torch.dtype
    length: int
    writes: list[tuple[Geometry, Node, int]] = field(default_factory=list)

    def read(self, tensor: torch.Tensor) -> Read:
        """What a tensor in it holds now."""
        if self.dtype.is_complex and not tensor.is_complex():
            return self.in_parts().read(tensor)
        if tensor.is_conj() or tensor.is_neg():
            return self._opposite(tensor)
        at, is_joined = Geometry.of(tensor), tensor.is_complex() and not self.dtype.is_complex
        return Read(self, len(self.writes), at.parts if is_joined else at, tensor.dtype)

    def _opposite(self, tensor: torch.Tensor) -> Read:
        """What a view holds that is conjugated or negated, which torch does where it reads one."""
        op = torch.ops.aten.conj_physical.default if tensor.is_conj() else torch.ops.aten.neg.default
        plain = Read(self, len(self.writes), Geometry.of(tensor), tensor.dtype)
        write = replace(self.writes[-1][1].write, call="conj()")
        node = Node(op, (plain,), {}, write, 0, is_random=False)
        whole = Geometry.of(torch.empty(tensor.shape, device="meta"))
        memory = Memory(self.storage, whole, tensor.dtype, tensor.numel(), [(whole, node, 0)])
        return Read(memory, 1, whole, tensor.dtype)

    def in_parts(self) -> Memory:
        """That of complex numbers as it is from the first write on to their real or imaginary parts."""
        whole = Geometry((self.length,), (1,), 0)
        read = Read(replace(self, writes=list(self.writes)), len(self.writes), whole, self.dtype)
        node = Node(
            torch.ops.aten.view_as_real.default, (read,), {}, self.writes[-1][1].write, 0, is_random=False
        )
        dtype = self.dtype.to_real()
        return Memory(self.storage, self.geometry.parts, dtype, 2 * self.length, [(whole.parts, node, 0)])


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A tensor's values, as they were after the first `count` writes to its memory.

    Of complex numbers in a memory of real ones the geometry is that of their parts.
    """

    memory: Memory
    count: int
    geometry: Geometry
    dtype: torch.dtype

    @property
    def writes(self) -> list[tuple[Geometry, Node, int]]:
        """The writes to the memory until then."""
        return self.memory.writes[: self.count]

    @property
    def is_joined(self) -> bool:
        """Whether it is of complex numbers whose parts were written apart."""
        return self.dtype.is_complex and not self.memory.dtype.is_complex

    @property
    def size(self) -> tuple[int, ...]:
        """Its shape."""
        return self.geometry.size[:-1] if self.is_joined else self.geometry.size

    @property
    def frame(self) -> Geometry:
        """The shape in which parts of it are boxes: its own where it is all of its memory, in order."""
        stride = 1
        for size, step in zip(reversed(self.geometry.size), reversed(self.geometry.stride), strict=True):
            if size != 1 and step != stride:
                return self.memory.geometry
            stride *= size
        return self.geometry if stride == self.memory.length else self.memory.geometry

    def values(self) -> torch.Tensor:
        """The values, random ones drawn once; a TooLargeError if too many or of another dtype."""
        memory = self.memory
        if memory.length > LARGEST or not (self.is_joined or self.dtype == memory.dtype):
            raise TooLargeError
        made = torch.zeros(memory.length, dtype=memory.dtype)
        for geometry, node, output in self.writes:
            values = torch.tensor(canary_of(memory.dtype)) if node.is_empty else node.outputs()[output]
            made.as_strided(*geometry).copy_(values)
        found = made.as_strided(*self.geometry)
        return torch.view_as_complex(found) if self.is_joined else found

    def is_filled(self) -> bool:
        """Whether fixed values are written to all of it, by parts of any strides."""
        mask = torch.zeros(self.memory.length, dtype=torch.bool)
        for geometry, node, _ in self.writes:
            if any(map(is_open, (*node.args, *node.kwargs.values()))):
                return False
            mask.as_strided(*geometry).fill_(not node.is_empty)
        return bool(mask.as_strided(*self.geometry).all())

    def left(self) -> Iterator[tuple[Geometry, Node, int]]:
        """The writes of which something is left, the latest first.

        In memory that is too large for a mask of its elements, one to no box counts as left.
        """
        frame = self.frame
        here = box_of(frame, self.geometry)
        rest = [] if here is None else [here]
        writes = self.writes
        for at in reversed(range(len(writes))):
            there = box_of(frame, writes[at][0]) if rest else None
            if there is None and self.memory.length <= LARGEST:
                yield from self._left_by_element(at)
                return
            after = rest if there is None else without(rest, there)
            if there is None or after != rest:
                yield writes[at]
            if writes[at][0] == self.geometry or (rest and not after):
                return
            rest = after

    def _left_by_element(self, first: int) -> Iterator[tuple[Geometry, Node, int]]:
        """The same from a write on and before it, for parts of any strides."""
        mask = torch.zeros(self.memory.length, dtype=torch.bool)
        size, stride, offset = self.geometry
        once = [each if step else min(each, 1) for each, step in zip(size, stride, strict=True)]
        mask.as_strided(once, stride, offset).fill_(True)
        for at in reversed(range(len(self.writes))):
            part = mask.as_strided(*self.writes[at][0])
            if at <= first and bool(part.any()):
                yield self.writes[at]
            part.fill_(False)
            if not mask.any():
                return


@dataclass(frozen=True, slots=True)
class Hole:
    """A tensor of which no value is read: an operation writes all of it."""

    size: tuple[int, ...]
    dtype: torch.dtype


# Not `list | tuple`, which would be made anew for each argument of each operation.
_SEQUENCES = (list, tuple)


def key_of(tensor: torch.Tensor) -> int:
    """The memory that a tensor is in, or is a view of."""
    return int(tensor.untyped_storage()._cdata)


def tensors_in(tree: Any) -> Iterator[torch.Tensor]:
    """The tensors in some arguments."""
    return _found(torch.Tensor, tree)


def reads_in(tree: Any) -> Iterator[Read]:
    """The reads in some arguments."""
    return _found(Read, tree)


def _found(kind: type, tree: Any) -> Iterator[Any]:
    if isinstance(tree, kind):
        yield tree
    elif isinstance(tree, _SEQUENCES):
        for each in tree:
            yield from _found(kind, each)
    elif isinstance(tree, dict):
        yield from _found(kind, tuple(tree.values()))


def mapped(change: Callable[[Any], Any], tree: Any) -> Any:
    """Arguments with something in the place of each that holds no others."""
    if isinstance(tree, _SEQUENCES):
        return type(tree)([mapped(change, each) for each in tree])
    if isinstance(tree, dict):
        return {key: mapped(change, each) for key, each in tree.items()}
    return change(tree)


def real(tree: Any) -> Any:
    """Arguments with values in the place of reads."""

    def made(value: Any) -> Any:
        if isinstance(value, Read):
            return value.values().clone()
        if isinstance(value, Hole):
            return torch.zeros(value.size, dtype=value.dtype)
        return _CPU if isinstance(value, torch.device) else value

    return mapped(made, tree)


class TooLargeError(UnsayableError):
    """Values were asked for that are too many to be made."""

    def __init__(self) -> None:
        super().__init__("its values are too many to be made")


def law_of_tensor(values: torch.Tensor) -> Initializer | Table:
    """What `law_of_values` says of a tensor; an UnsayableError for a dtype that no spec has."""
    found, dtype = values.detach(), dtype_of(values)
    flat = found.reshape(-1)
    if flat.numel() and bool((flat == flat[0]).all()):
        found = flat[:1]  # one of them says it all, however many they are
    exact = found.to(torch.float64) if found.is_floating_point() else found
    return law_of_values(np.array(exact.numpy()), dtype)


def dtype_of(values: torch.Tensor) -> DType:
    """The dtype as specs have it; an UnsayableError for one that they have not."""
    name = str(values.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise UnsayableError(f"no spec holds values of {name}")
    return DTYPES[name]


def behind(*reads: Read, exactly: bool = False) -> dict[Node, None]:
    """All nodes that may have gone into values; exactly: without those that were written over."""
    found: dict[Node, None] = {}
    waiting = list(reads)
    while waiting:
        read = waiting.pop()
        for _, node, _ in read.left() if exactly else read.writes:
            if node not in found:
                found[node] = None
                waiting += reads_in((node.args, node.kwargs))
    return found


def is_open(value: Any) -> bool:
    """Whether an argument holds random values or what nothing wrote."""
    return any(node.is_random or node.is_empty for read in reads_in(value) for node in behind(read))


def canary_of(dtype: torch.dtype) -> float:
    """What stands for the elements that nothing wrote."""
    if dtype.is_floating_point or dtype.is_complex:
        return math.nan
    return 1 if dtype is torch.bool else torch.iinfo(dtype).max


# Parts of a memory as boxes of indices.


def box_of(frame: Geometry, part: Geometry) -> Box | None:
    """The box of a frame that another geometry is; None where it is none."""
    if any(step == 0 and size > 1 for size, step in zip(part.size, part.stride, strict=True)):
        return None
    left = part.offset - frame.offset
    axes = [axis for axis, size in enumerate(frame.size) if size > 1]
    axes.sort(key=lambda axis: -frame.stride[axis])
    start, length = [0] * len(frame.size), [1] * len(frame.size)
    for axis in axes:
        start[axis], left = divmod(left, frame.stride[axis])
    if left:
        return None
    for size, step in _joined(part):
        while size > 1:
            fitting = [axis for axis in axes if frame.stride[axis] == step and length[axis] == 1]
            if not fitting:
                return None
            axis = fitting[0]
            most = frame.size[axis]
            if size <= most:
                length[axis], size = size, 1  # noqa: PLW2901
            elif size % most or start[axis]:
                return None
            else:
                length[axis], size, step = most, size // most, step * most  # noqa: PLW2901
    box = tuple((at, at + size) for at, size in zip(start, length, strict=True))
    return box if all(stop <= size for (_, stop), size in zip(box, frame.size, strict=True)) else None


def _joined(part: Geometry) -> list[tuple[int, int]]:
    """The sizes and steps of a part, axes that go on where the next ends taken as one."""
    axes: list[tuple[int, int]] = []
    for size, step in zip(part.size, part.stride, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * step:
            axes[-1] = axes[-1][0] * size, step
        else:
            axes.append((size, step))
    return axes


def intersection(one: Box, other: Box) -> Box | None:
    """What two boxes share; None where that is nothing."""
    both = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
    return both if all(start < stop for start, stop in both) else None


def within(box: Box, outer: Box) -> Box:
    """A box as one in it has it."""
    return tuple((start - at, stop - at) for (start, stop), (at, _) in zip(box, outer, strict=True))


def beyond(box: Box, outer: Box) -> Box:
    """A box in another as that one's frame has it: the inverse of `within`."""
    return tuple((start + at, stop + at) for (start, stop), (at, _) in zip(box, outer, strict=True))


def entries_of(box: Box, shape: tuple[int, ...]) -> list[int | str]:
    """A box as a patch has it, without the last axes that are taken whole."""
    entries: list[int | str] = [
        ":" if span == (0, size) else f"{span[0]}:{span[1]}" for span, size in zip(box, shape, strict=True)
    ]
    while len(entries) > 1 and entries[-1] == ":":
        entries.pop()
    return entries


def rest_of(boxes: list[Box], shape: tuple[int, ...]) -> Iterator[Box]:
    """Boxes of what some boxes leave out."""
    left: list[Box] = [tuple((0, size) for size in shape)]
    for box in boxes:
        left = without(left, box)
    yield from left


def without(boxes: list[Box], box: Box) -> list[Box]:
    """Boxes of what one leaves of some others."""
    left: list[Box] = []
    for each in boxes:
        both = intersection(each, box)
        if both is None:
            left.append(each)
            continue
        rest = list(each)
        for axis, (start, stop) in enumerate(both):
            first, last = rest[axis]
            for span in ((first, start), (stop, last)):
                if span[0] < span[1]:
                    left.append((*rest[:axis], span, *rest[axis + 1 :]))
            rest[axis] = (start, stop)
    return left
