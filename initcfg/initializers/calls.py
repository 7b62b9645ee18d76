"""Calling code that is not ours: what a custom initializer is given, and what it must give back."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.errors import Code, Diagnostic, InitializerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.dtypes import DType
    from initcfg.stream import Stream

__all__ = ["call_custom", "generator_of", "takes_rng"]


def takes_rng(function: Callable[..., Any]) -> bool:
    """Whether the function has a parameter named ``rng``; one without a readable signature has none."""
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def generator_of(stream: Stream) -> np.random.Generator:
    """A numpy generator for custom code, over Philox keyed by the stream's child ``rng``.

    Its words are a function of the stream for ever; what its methods make of them is numpy's promise, not
    that of this package's stream version.
    """
    key = int.from_bytes(stream.child("rng").digest, "little")
    return np.random.Generator(np.random.Philox(key=key))


def call_custom(
    function: Callable[..., Any], shape: tuple[int, ...], dtype: DType, stream: Stream
) -> np.ndarray[Any, Any]:
    """What ``function(shape, dtype=...)`` returns, checked and copied.

    Args:
        function: takes a shape, a keyword ``dtype`` (a ``numpy.dtype``) and, if it names one, ``rng``.
        shape: the shape asked for.
        dtype: the dtype asked for.
        stream: seeds ``rng``.

    Raises:
        InitializerError: the result has another shape or dtype, or is no array.
    """
    given = {"rng": generator_of(stream)} if takes_rng(function) else {}
    result = np.asarray(function(shape, dtype=dtype.numpy, **given))
    name = getattr(function, "__name__", type(function).__name__)
    if result.shape != shape:
        raise InitializerError(
            Diagnostic(
                Code.INITIALIZER_SHAPE,
                f"{name} returned an array of shape {result.shape} where {shape} was asked for",
                hint="return an array of exactly the shape that is passed in",
            )
        )
    if result.dtype != dtype.numpy:
        raise InitializerError(
            Diagnostic(
                Code.DTYPE_VALUE,
                f"{name} returned an array of dtype {result.dtype.name} where {dtype} was asked for",
                hint="end with .astype(dtype), where dtype is the one that is passed in",
            )
        )
    # A copy, because the caller may keep the array, return it again, or have made it read-only.
    return np.array(result, order="C")
