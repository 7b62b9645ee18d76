"""An initializer that a Keras layer holds, as one of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from initcfg.errors import InitializerError
from initcfg.initializers import Initializer, deserialize

__all__ = ["Unknown", "translated"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why it cannot be said how a weight begins.

    Args:
        reason: in words that follow a colon.
    """

    reason: str


def translated(value: object) -> Initializer | Unknown:
    """The initializer with the same law and seed, or why there is none.

    Args:
        value: what a layer holds after ``keras.initializers.get``.
    """
    if isinstance(value, Initializer):
        return value
    cls = type(value)
    # A class of one's own may bear a name of Keras's.
    if getattr(keras.initializers, cls.__name__, None) is not cls:
        return Unknown(f"{_named(value)} is code, not one of Keras's initializers")
    try:
        return deserialize({"class_name": cls.__name__, "config": _config(value)})
    except InitializerError as error:
        return Unknown("; ".join(problem.message for problem in error.diagnostics))


def _config(value: Any) -> dict[str, Any]:
    config: dict[str, Any] = value.get_config()
    # Keras forgets to write it.
    return {**config, "gain": value.gain} if isinstance(value, keras.initializers.Identity) else config


def _named(value: object) -> str:
    return f"the function {value.__name__!r}" if hasattr(value, "__name__") else type(value).__name__
