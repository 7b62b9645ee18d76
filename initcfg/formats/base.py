"""What every weights format is given: names, dtypes and shapes of tensors, and their elements."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

from initcfg.errors import Code, Diagnostic, FormatError

if TYPE_CHECKING:
    import numpy as np

    from initcfg.dtypes import DType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The name, dtype and shape of one tensor.

    Example:
        >>> from initcfg.dtypes import as_dtype
        >>> TensorInfo("wte", as_dtype("bfloat16"), (50257, 768)).nbytes
        77194752
    """

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


WriteAt = Callable[[memoryview, int], None]
"""``write(data, offset)``: puts bytes at their place in a file; threads may do it at the same time."""


class Elements(Protocol):
    """The elements of tensors. A format takes them once, in the way that suits it."""

    def in_order(self, tensors: Sequence[TensorInfo]) -> Iterator[Array]:
        """For a file that is written from its beginning to its end.

        Args:
            tensors: in the order of the file.

        Returns:
            Their elements in that order and in C order, as flat contiguous arrays of which none spans two
            tensors.
        """

    def write_at(self, tensors: Sequence[TensorInfo], offset: int, write: WriteAt) -> None:
        """For a file whose places are known: writes every byte once, in any order and from any thread.

        No thread writes any more when this has returned or raised.

        Args:
            tensors: in the order of the file, in which they follow each other without a gap; no element type
                is wider than one before it, so that each element is aligned where the first one is.
            offset: where the first one begins.
            write: puts little-endian bytes at their place.
        """


WriteFunction = Callable[[Path, Sequence[TensorInfo], Elements, Mapping[str, str]], int]
"""``write(path, tensors, elements, metadata)``; gives the size of the file in bytes."""


@dataclass(frozen=True, slots=True)
class LoadedTensor:
    """A tensor that another library holds.

    Args:
        dtype: of its elements.
        shape: dimensions, each at least 0.
        read: gives the elements [start, stop) in C order, as a flat array of that dtype, to any thread.
    """

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
    if sys.byteorder == "big" and elements.itemsize > 1:
        elements.view(f"u{elements.itemsize}").byteswap(inplace=True)


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
    """Refuses two tensors of one name.

    Raises:
        FormatError: a name occurs twice (code ``format``).
    """
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise refuse(f"two tensors are named {tensor.name!r}", "give each tensor a name of its own")
        seen.add(tensor.name)


def refuse(message: str, hint: str) -> FormatError:
    """The error for what a format cannot hold."""
    return FormatError(Diagnostic(Code.FORMAT, message, hint=hint))
