"""What all weights formats share: tensors on the way out, headers on the way in, keys of metadata."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, Self, TypeAlias

from initcfg.errors import Code, FormatError, Location
from initcfg.text.inputs import open_input
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    import numpy as np

    from initcfg.dtypes import DType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
WriteAt = Callable[[memoryview, int], None]
"""``write(data, offset)``: puts bytes at their place in a file; threads may do it at the same time."""
PLAN_KEY = "initcfg.plan"
"""Metadata: the plan's fingerprint; missing for a plan that holds code and so has none."""
SELECT_KEY = "initcfg.select"
"""Metadata: the glob, where only a part of the plan was written."""
SPEC_KEY = "initcfg.spec"
"""Metadata: the spec that the plan was made from, as JSON; of a sharded set in the index only."""
TIED_KEY = "initcfg.tied"
"""Metadata: a JSON object of the names that were left out, each with the name whose tensor it shares."""
_NUMBER = re.compile("0*([0-9]+)")
#: Files that stay open: threads read neighbours, which are in one shard or in two.
KEPT = 8


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The name, dtype and shape of one tensor."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self.numel * self.dtype.itemsize


class Elements(Protocol):
    """The elements of tensors. A format takes them once, in the way that suits it."""

    def in_order(self, tensors: Sequence[TensorInfo]) -> Iterator[Array]:
        """The elements of tensors, in flat arrays of which none spans two, to be written as a stream."""

    def write_at(self, tensors: Sequence[TensorInfo], offset: int, write: WriteAt) -> None:
        """For a file whose places are known: writes every byte once, in any order and from any thread.

        The tensors follow each other from `offset` on without a gap; no element type is wider than one
        before it, so each element is aligned where the first one is. `write` takes little-endian bytes. No
        thread writes any more when this has returned or raised.
        """


@dataclass(frozen=True, slots=True)
class LoadedTensor:
    """A tensor that another library holds; `read` gives any thread the elements [start, stop) in C order."""

    dtype: DType
    shape: tuple[int, ...]
    read: Callable[[int, int], Array]


def little_endian(elements: Array) -> memoryview:
    """The bytes of a flat contiguous array as files hold them, without a copy on a little-endian machine."""
    if sys.byteorder == "big":
        elements = elements.copy()
        make_little_endian(elements)
    # Through bytes, because ml_dtypes arrays do not offer their own.
    return elements.view("u1").data


def make_little_endian(elements: Array) -> None:
    """Turns the bytes of each element in place, on a big-endian machine."""
    width = elements.itemsize // 2 if elements.dtype.kind == "c" else elements.itemsize
    if sys.byteorder == "big" and width > 1:
        elements.view(f"u{width}").byteswap(inplace=True)


def write_elements(file: IO[bytes], tensor: TensorInfo, chunks: Iterator[Array]) -> None:
    """Writes one tensor's elements, taking from `chunks` exactly as many as it has."""
    left = tensor.numel
    while left > 0:
        elements = next(chunks, None)
        if elements is None or elements.size > left:
            raise AssertionError(f"the chunks of {tensor.name!r} do not add up to its shape {tensor.shape}")
        left -= elements.size
        file.write(little_endian(elements))


def finish(chunks: Iterator[Array]) -> None:
    """Runs `chunks` to its end, where it may have something left to do but has nothing left to give."""
    for elements in chunks:
        raise AssertionError(f"{elements.size:,} elements came after the last tensor")


def check_unique(tensors: Sequence[TensorInfo]) -> None:
    """Raises a FormatError where two tensors have one name."""
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise refuse(f"two tensors are named {tensor.name!r}", "give each tensor a name of its own")
        seen.add(tensor.name)


def refuse(message: str, hint: str) -> FormatError:
    """The error for what a format cannot hold."""
    return FormatError.of(Code.FORMAT, message, hint=hint)


def tied_names(metadata: Mapping[str, str]) -> dict[str, str]:
    """The names left out of a file, each with that whose tensor it shares; a ValueError if malformed."""
    try:
        tied = parse_json(metadata.get(TIED_KEY, "{}"))
    except ValueError:
        tied = None
    if not isinstance(tied, dict) or not all(isinstance(name, str) for name in tied.values()):
        raise ValueError("is not a JSON object of names")
    return tied


def common_texts(metadata: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The texts of which nobody says another thing than the first who has the key.

    Example:
        >>> common_texts([{"format": "pt"}, {"format": "pt", "part": "1"}, {"part": "2"}])
        {'format': 'pt'}
    """
    texts: dict[str, str] = {}
    differing = set()
    for each in metadata:
        for key, text in each.items():
            if texts.setdefault(key, text) != text:
                differing.add(key)
    return {key: text for key, text in texts.items() if key not in differing}


@dataclass(frozen=True, slots=True)
class StoredTensor(TensorInfo):
    """One tensor of a file, which may be a shard; `begin` is the place of its first byte in that."""

    begin: int
    shard: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What a file, or a set in the order of its index, holds without its elements."""

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    nbytes: int
    shards: tuple[str, ...] = ()


def natural_key(name: str) -> tuple[str, str]:
    """What names are sorted by as a person would: ``h.2`` before ``h.10``."""
    return ".".join(map(_sortable, name.split("."))), name


# The names of a model are made of few segments.
@lru_cache(4096)
def _sortable(segment: str) -> str:
    """A segment, each number in it begun by how many digits it has, so that texts sort as the numbers do."""
    return _NUMBER.sub(lambda found: f"{len(found[1]):09}{found[1]}", segment)


def tensors_in_place(path: str | PathLike[str], tensors: list[StoredTensor], begin: int, end: int) -> bool:
    """Whether tensors fill the bytes from `begin` to `end` without a gap; they may not overlap."""
    solid, at = True, begin
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.nbytes)):
        if tensor.begin < at:
            raise malformed(path, f"the bytes of tensor {tensor.name!r} overlap with those before it")
        solid &= tensor.begin == at
        at = tensor.begin + tensor.nbytes
        if at > end:
            raise malformed(
                path, f"tensor {tensor.name!r} ends {at - end:,} bytes behind the end of the data"
            )
    return solid and at == end


def malformed(path: str | PathLike[str], message: str, hint: str | None = None) -> FormatError:
    """The error for a file that is not what its name says."""
    return refused(path, message, hint or "write the file again, or fetch it again if it was copied")


def refused(
    path: str | PathLike[str], message: str, hint: str | None = None, code: Code = Code.FORMAT
) -> FormatError:
    """The error for a file or a folder that is not read."""
    return FormatError.of(code, message, hint=hint, where=Location(os.fspath(path)))


@dataclass(slots=True)
class _Handle:
    file: BinaryIO
    users: int = 0


class FilePool:
    """A pool of open files, used as a context; more than `kept` are open only while more threads read."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._open: dict[Path, _Handle] = {}
        self._seen: dict[Path, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all files."""
        with self._lock:
            for handle in self._open.values():
                handle.file.close()
            self._open.clear()

    @contextlib.contextmanager
    def using(self, path: Path) -> Iterator[BinaryIO]:
        """A file that stays open in the block; a FormatError where it is not the one opened first."""
        with self._lock:
            handle = self._open.pop(path, None) or _Handle(self._opened(path))
            self._open[path] = handle  # the last one now: the first is that which was not used for longest
            handle.users += 1
            self._close_idle()
        try:
            yield handle.file
        finally:
            with self._lock:
                handle.users -= 1
                self._close_idle()

    def _opened(self, path: Path) -> BinaryIO:
        file = open_input(path, FormatError)
        status = os.fstat(file.fileno())
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._seen.setdefault(path, stamp) != stamp:
            file.close()
            message = "the file was changed or replaced while it was read"
            raise refused(path, message, "wait until nobody writes to it, and read it again")
        return file

    def _close_idle(self) -> None:
        too_many = len(self._open) - self._kept
        if too_many > 0:
            idle = [path for path, handle in self._open.items() if not handle.users]
            for path in idle[:too_many]:
                self._open.pop(path).file.close()
