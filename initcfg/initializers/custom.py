"""Initializers of anybody: the contract, a plain function, and how a plan calls code that is not ours."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from initcfg.errors import Code, InitializerError
from initcfg.initializers.values import shown
from initcfg.process import lazy
from initcfg.stream import Stream, fresh_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.engines import FillFunction
    from initcfg.layout import Layout
else:
    np = lazy("numpy")


class Initializer(ABC):
    """A named scheme that makes the first value of a parameter.

    A subclass needs only ``__call__``; ``get_config`` is wanted where it is to be written to a file.

    Example:
        >>> import numpy as np
        >>> class Ramp(Initializer):
        ...     def __init__(self, step):
        ...         self.step = step
        ...
        ...     def __call__(self, shape, dtype=None):
        ...         return (self.step * np.arange(np.prod(shape))).reshape(shape).astype(dtype or "float32")
        ...
        ...     def get_config(self):
        ...         return {"step": self.step}
        >>> Ramp(0.5).clone()((2, 2))
        array([[0. , 0.5],
               [1. , 1.5]], dtype=float32)
    """

    @abstractmethod
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """An array of the given shape and dtype; a subclass may take ``rng`` too, a numpy ``Generator``.

        Args:
            shape: a sequence of integers >= 0.
            dtype: a dtype or its name; None means float32.
        """

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer, fit for JSON."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An initializer from what `get_config` gave."""
        return cls(**config)

    def clone(self) -> Self:
        """An equal initializer, made through its config."""
        return self.from_config(self.get_config())


class Request(NamedTuple):
    """An array that is wanted, and what makes it.

    Args:
        shape: of the whole array.
        dtype: of its elements.
        layout: which axes are inputs and outputs; None where nothing says so.
        stream: where random numbers come from.
        fill: an engine, which draws them.
    """

    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    stream: Stream
    fill: FillFunction


@dataclass(frozen=True)
class FunctionInitializer(Initializer):
    """An initializer that calls a function; `initcfg.initializers.get` makes it.

    Args:
        function: takes a shape and ``dtype=None``, and may take ``rng``, a numpy ``Generator``: in a plan one
            that is seeded from the parameter's stream, otherwise from fresh entropy.

    Example:
        >>> def ramp(shape, dtype=None):
        ...     return np.linspace(0, 1, shape[0], dtype=dtype)
        >>> import numpy as np
        >>> FunctionInitializer(ramp)((3,), dtype="float64")
        array([0. , 0.5, 1. ])
    """

    function: Callable[..., Any]

    def __post_init__(self) -> None:
        require_signature(self.function)

    def __call__(self, shape: Any, dtype: Any = None, *, rng: np.random.Generator | None = None) -> Any:
        """What the function returns."""

        def given() -> np.random.Generator:
            if rng is not None:
                return rng
            return generator_of(Stream.of_seed(fresh_seed(), "FunctionInitializer", ()))

        return invoke(self.function, shape, dtype, given)

    def get_config(self) -> dict[str, Any]:
        """Refused: a function cannot be written to a file."""
        raise InitializerError.of(
            Code.NOT_SERIALIZABLE,
            f"the function {self.__name__!r} cannot be written down as a config",
            hint="make it a subclass of Initializer with get_config, and register it",
        )

    @property
    def __name__(self) -> str:
        """The function's name, for messages."""
        return name_of(self.function)


def call_custom(function: Callable[..., Any], request: Request) -> np.ndarray[Any, Any]:
    """What ``function(shape, dtype=...)`` returns, checked and copied; the stream seeds ``rng``."""
    name, (shape, dtype) = name_of(function), request[:2]
    returned = invoke(function, shape, dtype.numpy, lambda: generator_of(request.stream))
    try:
        result = np.asarray(returned)
    except Exception as error:
        raise InitializerError.of(
            Code.WRONG_TYPE,
            f"{name} returned {shown(returned)} that does not become an array: {error}",
            hint="return a numpy array of the shape and dtype that are passed in",
        ) from error
    if result.shape != shape:
        raise InitializerError.of(
            Code.INITIALIZER_SHAPE,
            f"{name} returned an array of shape {result.shape} where {shape} was asked for",
            hint="return an array of exactly the shape that is passed in",
        )
    if result.dtype != dtype.numpy:
        raise InitializerError.of(
            Code.DTYPE_VALUE,
            f"{name} returned an array of dtype {result.dtype.name} where {dtype} was asked for",
            hint="end with .astype(dtype), where dtype is the one that is passed in",
        )
    # A copy, because the caller may keep the array, return it again, or have made it read-only.
    return np.array(result, order="C")


def generator_of(stream: Stream) -> np.random.Generator:
    """A numpy generator for custom code, over Philox keyed by the stream's child ``rng``.

    Its words follow from the stream for ever; what its methods make of them is numpy's promise.
    """
    key = int.from_bytes(stream.child("rng").digest, "little")
    return np.random.Generator(np.random.Philox(key=key))


def invoke(
    function: Callable[..., Any], shape: Any, dtype: Any, rng: Callable[[], np.random.Generator]
) -> Any:
    """What ``function(shape, dtype=dtype)`` returns, or with ``rng=rng()`` if it takes one."""
    require_signature(function)
    return function(shape, dtype=dtype, **({"rng": rng()} if takes_rng(function) else {}))


def require_signature(function: Callable[..., Any]) -> None:
    """Refuses a function that cannot be called as `invoke` does."""
    signature = _signature(function)
    if signature is None:
        return
    given = dict.fromkeys(("dtype", "rng") if takes_rng(function) else ("dtype",))
    try:
        signature.bind((), **given)
    except TypeError as error:
        call = f"{name_of(function)}(shape, {', '.join(f'{name}=...' for name in given)})"
        hint = "define it as f(shape, dtype=None), or f(shape, dtype=None, rng=None)"
        if next(iter(signature.parameters), None) == "key":
            hint = "write the name of JAX's initializer, such as he_normal; a plan has no key to give"
        raise InitializerError.of(
            Code.INITIALIZER_CONFIG, f"{name_of(function)} cannot be called as {call}: {error}", hint=hint
        ) from None


def takes_rng(function: Callable[..., Any]) -> bool:
    """Whether a parameter ``rng`` is free; a function without a readable signature has none."""
    if isinstance(function, functools.partial) and "rng" in function.keywords:
        return False
    signature = _signature(function)
    return signature is not None and "rng" in signature.parameters


def name_of(function: Callable[..., Any]) -> str:
    """The function's own name, or that of its class, for messages."""
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
