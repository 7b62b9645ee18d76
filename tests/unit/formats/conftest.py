"""Tensors to write, and their elements in small chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from initcfg.dtypes import as_dtype
from initcfg.formats import TensorInfo
from initcfg.formats.base import little_endian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.formats import Array, WriteAt


@pytest.fixture
def info() -> Callable[..., TensorInfo]:
    """``info(name, shape, dtype)``."""

    def make(name: str, shape: tuple[int, ...] = (2, 3), dtype: str = "float32") -> TensorInfo:
        return TensorInfo(name, as_dtype(dtype), shape)

    return make


@pytest.fixture
def arrays() -> Callable[[Sequence[TensorInfo]], dict[str, Array]]:
    """Arrays for some tensors: other values for each name, of which float8 holds each."""

    def make(tensors: Sequence[TensorInfo]) -> dict[str, Array]:
        return {
            tensor.name: ((np.arange(tensor.numel) + place) % 7)
            .astype(tensor.dtype.numpy)
            .reshape(tensor.shape)
            for place, tensor in enumerate(tensors)
        }

    return make


@dataclass(frozen=True)
class Chunks:
    """Arrays, `size` elements at a time, in order or, backwards, by places."""

    arrays: dict[str, Array]
    size: int = 4

    def in_order(self, tensors: Sequence[TensorInfo]) -> Iterator[Array]:
        for tensor in tensors:
            flat = self.arrays[tensor.name].reshape(-1)
            for start in range(0, flat.size, self.size):
                yield flat[start : start + self.size]

    def write_at(self, tensors: Sequence[TensorInfo], offset: int, write: WriteAt) -> None:
        placed = []
        for chunk in self.in_order(tensors):
            placed.append((little_endian(chunk), offset))
            offset += chunk.nbytes
        for data, place in reversed(placed):
            write(data, place)


@pytest.fixture
def chunks_of() -> type[Chunks]:
    """``chunks_of(arrays, size)``: the arrays as a writer takes them, `size` elements at a time."""
    return Chunks
