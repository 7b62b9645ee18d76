"""A module's initialization as small programs, one for each memory: which node wrote which elements of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initcfg.adapters.torch.boxes import Geometry, box_of, without
from initcfg.capture.tables import law_of_values
from initcfg.capture.values import UnsayableError
from initcfg.dtypes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.capture.values import Table, Write
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
        return Read(self, len(self.writes), geometry_of(tensor), tensor.dtype)


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """A tensor's values, as they were after the first `count` writes to its memory."""

    memory: Memory
    count: int
    geometry: Geometry
    dtype: torch.dtype

    @property
    def writes(self) -> list[tuple[Geometry, Node, int]]:
        """The writes to the memory until then."""
        return self.memory.writes[: self.count]


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
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, _SEQUENCES):
        for each in tree:
            yield from tensors_in(each)
    elif isinstance(tree, dict):
        yield from tensors_in(list(tree.values()))


def mapped(change: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """Arguments with something in the place of each tensor."""
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, _SEQUENCES):
        return type(tree)([mapped(change, each) for each in tree])
    if isinstance(tree, dict):
        return {key: mapped(change, each) for key, each in tree.items()}
    return tree


class TooLargeError(UnsayableError):
    """Values were asked for that are too many to be made."""

    def __init__(self) -> None:
        super().__init__("its values are too many to be made")


def law_of_tensor(values: torch.Tensor) -> Initializer | Table:
    """A constant, a known formula, or the table of fixed values; zeros where there are no elements.

    Raises:
        UnsayableError: some are infinite or NaN, or of a dtype that no spec has.
    """
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


def reads_in(tree: Any) -> Iterator[Read]:
    """The reads in some arguments."""
    if isinstance(tree, Read):
        yield tree
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from reads_in(each)
    elif isinstance(tree, dict):
        yield from reads_in(tuple(tree.values()))


def behind(*reads: Read, exactly: bool = False) -> dict[Node, None]:
    """All nodes that could have gone into values; exactly: without those whose values others came over."""
    found: dict[Node, None] = {}
    waiting = list(reads)
    while waiting:
        read = waiting.pop()
        for _, node, _ in left_of(read) if exactly else read.writes:
            if node not in found:
                found[node] = None
                waiting += reads_in((node.args, node.kwargs))
    return found


def is_open(value: Any) -> bool:
    """Whether an argument holds random values or what nothing wrote."""
    return any(node.is_random or node.is_empty for read in reads_in(value) for node in behind(read))


def is_filled(read: Read) -> bool:
    """Whether fixed values are written to all of a tensor, by parts of any strides."""
    mask = torch.zeros(read.memory.length, dtype=torch.bool)
    for geometry, node, _ in read.writes:
        if any(map(is_open, (*node.args, *node.kwargs.values()))):
            return False
        mask.as_strided(*geometry).fill_(not node.is_empty)
    return bool(mask.as_strided(*read.geometry).all())


def left_of(read: Read) -> Iterator[tuple[Geometry, Node, int]]:
    """The writes of which something is left in values, the latest first.

    In memory that is too large for a mask of its elements, one to no box counts as left.
    """
    frame = read.geometry if is_whole(read) else read.memory.geometry
    here = box_of(frame, read.geometry)
    rest = [] if here is None else [here]
    writes = read.writes
    for at in reversed(range(len(writes))):
        there = box_of(frame, writes[at][0]) if rest else None
        if there is None and read.memory.length <= LARGEST:
            yield from _left_by_element(read, at)
            return
        after = rest if there is None else without(rest, there)
        if there is None or after != rest:
            yield writes[at]
        if writes[at][0] == read.geometry or (rest and not after):
            return
        rest = after


def _left_by_element(read: Read, first: int) -> Iterator[tuple[Geometry, Node, int]]:
    """The same from a write on and before it, for parts of any strides."""
    mask = torch.zeros(read.memory.length, dtype=torch.bool)
    size, stride, offset = read.geometry
    once = [each if step else min(each, 1) for each, step in zip(size, stride, strict=True)]
    mask.as_strided(once, stride, offset).fill_(True)
    for at in reversed(range(len(read.writes))):
        part = mask.as_strided(*read.writes[at][0])
        if at <= first and bool(part.any()):
            yield read.writes[at]
        part.fill_(False)
        if not mask.any():
            return


def values_of(read: Read) -> torch.Tensor:
    """The values; of random ones a draw, which stays the same.

    Raises:
        TooLargeError: they are too many, or seen as another dtype.
    """
    memory = read.memory
    if memory.length > LARGEST or read.dtype != memory.dtype:
        raise TooLargeError
    made = torch.zeros(memory.length, dtype=memory.dtype)
    for geometry, node, output in read.writes:
        values = torch.tensor(canary_of(memory.dtype)) if node.is_empty else outputs_of(node)[output]
        made.as_strided(*geometry).copy_(values)
    return made.as_strided(*read.geometry)


def canary_of(dtype: torch.dtype) -> float:
    """What stands for the elements that nothing wrote."""
    if dtype.is_floating_point or dtype.is_complex:
        return math.nan
    return 1 if dtype is torch.bool else torch.iinfo(dtype).max


def outputs_of(node: Node) -> list[torch.Tensor]:
    """What a node makes, or writes."""
    if node.values is None:
        args, kwargs = real(node.args), real(node.kwargs)
        with torch.no_grad():
            result = _SCHEMES.get(node.op, node.op)(*args, **kwargs)
        wrote = [args[at] if isinstance(at, int) else kwargs[at] for at in node.into]
        node.values = list(tensors_in(wrote or result))
    made: list[torch.Tensor] = node.values
    return made


def real(tree: Any) -> Any:
    """Arguments with values in the place of reads."""
    if isinstance(tree, Read):
        return values_of(tree).clone()
    if isinstance(tree, Hole):
        return torch.zeros(tree.size, dtype=tree.dtype)
    if isinstance(tree, list | tuple):
        return type(tree)(map(real, tree))
    if isinstance(tree, dict):
        return {key: real(each) for key, each in tree.items()}
    return _CPU if isinstance(tree, torch.device) else tree


def is_whole(read: Read) -> bool:
    """Whether a tensor is all of its memory, without gaps and in order."""
    stride = 1
    for size, step in zip(reversed(read.geometry.size), reversed(read.geometry.stride), strict=True):
        if size != 1 and step != stride:
            return False
        stride *= size
    return stride == read.memory.length


def geometry_of(tensor: torch.Tensor) -> Geometry:
    """Where a tensor's elements are in its memory."""
    return Geometry(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())
