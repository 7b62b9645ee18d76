"""Tensors to write, and their elements in small chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from initcfg.dtypes import as_dtype
from initcfg.formats import Array, Chunks, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


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


@pytest.fixture
def chunks_of() -> Callable[..., Chunks]:
    """``chunks_of(arrays, size)``: the arrays as a writer takes them, `size` elements at a time."""

    def make(arrays: dict[str, Array], size: int = 4) -> Chunks:
        def chunks(ordered: Sequence[TensorInfo]) -> Iterator[Array]:
            for tensor in ordered:
                flat = arrays[tensor.name].reshape(-1)
                for start in range(0, flat.size, size):
                    yield flat[start : start + size]

        return chunks

    return make
