"""Calling code that is not ours: what a custom initializer is given, and what it must give back."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.values import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.stream import Stream


def takes_rng(function: Callable[..., Any]) -> bool:
    """Whether a parameter ``rng`` is free; a function without a readable signature has none."""
    if isinstance(function, functools.partial) and "rng" in function.keywords:
        return False
    signature = _signature(function)
    return signature is not None and "rng" in signature.parameters


def invoke(
    function: Callable[..., Any], shape: Any, dtype: Any, rng: Callable[[], np.random.Generator]
) -> Any:
    """What ``function(shape, dtype=dtype)`` returns, or with ``rng=rng()`` if it takes one.

    Raises:
        InitializerError: the function cannot be called so (code ``initializer-config``). Whatever the
            function itself raises comes through.
    """
    given = {"dtype": dtype, **({"rng": rng()} if takes_rng(function) else {})}
    signature = _signature(function)
    if signature is not None:
        try:
            signature.bind(shape, **given)
        except TypeError as error:
            call = ", ".join(f"{name}=..." for name in given)
            raise InitializerError(
                Diagnostic(
                    Code.INITIALIZER_CONFIG,
                    f"{name_of(function)} cannot be called as {name_of(function)}(shape, {call}): {error}",
                    hint="define it as f(shape, dtype=None), or f(shape, dtype=None, rng=None)",
                )
            ) from None
    return function(shape, **given)


def name_of(function: Callable[..., Any]) -> str:
    """The function's own name, or that of its class, for messages."""
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def generator_of(stream: Stream) -> np.random.Generator:
    """A numpy generator for custom code, over Philox keyed by the stream's child ``rng``.

    Its words are a function of the stream for ever; what its methods make of them is numpy's promise, not
    that of this package's stream version.
    """
    import numpy as np  # noqa: PLC0415  a plan calls nobody's code

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
        InitializerError: the function cannot be called so, or the result has another shape or dtype, or is no
            array.
    """
    import numpy as np  # noqa: PLC0415  as above

    name = name_of(function)
    returned = invoke(function, shape, dtype.numpy, lambda: generator_of(stream))
    try:
        result = np.asarray(returned)
    except Exception as error:
        raise InitializerError(
            Diagnostic(
                Code.WRONG_TYPE,
                f"{name} returned {shown(returned)} that does not become an array: {error}",
                hint="return a numpy array of the shape and dtype that are passed in",
            )
        ) from error
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
