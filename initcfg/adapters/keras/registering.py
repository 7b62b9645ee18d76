"""The initializers of this package, by the names under which Keras finds them in a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.initializers import BUILTINS
from initcfg.initializers.registry import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["register_with_keras"]


def register_with_keras(register: Callable[..., Callable[[type], type]]) -> None:
    """Enter the built-ins as ``initcfg>HeNormal`` and so on.

    Args:
        register: ``keras.saving.register_keras_serializable``. Without it Keras writes such a model and reads
            its own class of the same name back, or fails where it has none.
    """
    for cls in BUILTINS:
        register(package=PACKAGE)(cls)
