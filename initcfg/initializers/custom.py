"""A plain function as an initializer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.base import Initializer
from initcfg.initializers.calls import generator_of, invoke, name_of
from initcfg.stream import Stream, fresh_seed

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


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

    def __call__(self, shape: Any, dtype: Any = None, *, rng: np.random.Generator | None = None) -> Any:
        """What the function returns."""

        def given() -> np.random.Generator:
            if rng is not None:
                return rng
            return generator_of(Stream.of_seed(fresh_seed(), "FunctionInitializer", ()))

        return invoke(self.function, shape, dtype, given)

    def get_config(self) -> dict[str, Any]:
        """Refused: a function cannot be written to a file."""
        raise InitializerError(
            Diagnostic(
                Code.NOT_SERIALIZABLE,
                f"the function {self.__name__!r} cannot be written down as a config",
                hint="make it a subclass of Initializer with get_config, and register it",
            )
        )

    @property
    def __name__(self) -> str:
        """The function's name, for messages."""
        return name_of(self.function)
