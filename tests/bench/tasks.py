"""What is to be made: the tasks of the benchmark, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "GPT2",
    "GPT2_ELEMENTS",
    "SCALING",
    "Array",
    "Model",
    "Task",
    "elementwise",
    "initializers",
    "orthogonal",
]

GPT2 = Path(__file__).parents[2] / "configs" / "gpt2.yaml"
GPT2_ELEMENTS = 124_439_808
SCALING = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "random_uniform",
    "random_normal",
    "truncated_normal",
)
_STD = 0.02


@dataclass(frozen=True, slots=True)
class Array:
    """One array.

    Args:
        law: a primitive (``uniform``, ``normal``, ``truncated``), ``orthogonal``, or an initializer's name.
        shape: of the array.
        dtype: of its elements.
        cut: for ``truncated``, the bounds in standard deviations.
        std: the standard deviation of ``normal`` and ``truncated``, and the bound of ``uniform``.
        touched: whether it is written into memory that has been written before; otherwise it is allocated.
    """

    law: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "bfloat16"] = "float32"
    cut: int = 2
    std: float = _STD
    touched: bool = True

    @property
    def title(self) -> str:
        """How tables call it."""
        law = f"{self.law}, {self.cut} std" if self.law == "truncated" else self.law
        if self.law == "orthogonal":
            law = f"orthogonal {self.shape[0]} x {self.shape[1]}"
        return law if self.dtype == "float32" else f"{law}, {self.dtype}"

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Model:
    """All weights of a model.

    Args:
        title: how tables call it.
        config: the spec, a path.
        numel: the number of its elements.
    """

    title: str
    config: str
    numel: int


Task = Array | Model


def elementwise(numel: int) -> list[Array]:
    """The primitives that models are made of, each in one flat array that has been written before."""
    return [
        Array("uniform", (numel,)),
        Array("normal", (numel,)),
        Array("truncated", (numel,)),
        Array("truncated", (numel,), cut=3),
        Array("normal", (numel,), dtype="bfloat16"),
    ]


def initializers(numel: int) -> list[Array]:
    """Initializers by the names that Keras has for them, each making a new matrix."""
    rows = 1 << (numel.bit_length() // 2)
    return [Array(name, (rows, max(1, numel // rows)), touched=False) for name in SCALING]


def orthogonal(largest: int) -> list[Array]:
    """Orthogonal matrices, each new, with no side longer than `largest`."""
    shapes = [(256, 256), (1024, 1024), (2048, 2048), (4096, 4096), (4096, 1024), (1024, 4096)]
    return [Array("orthogonal", shape, touched=False) for shape in shapes if max(shape) <= largest]
