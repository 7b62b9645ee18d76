"""Keras models: what their weights are called, a spec read out of one, and its weights set from a plan.

Importing this module registers the initializers of this package with Keras, so that a saved model that holds
some loads again.
"""

from __future__ import annotations

try:
    import keras
except ModuleNotFoundError as error:
    # Keras without its backend has words of its own.
    if error.name != "keras":
        raise
    raise ImportError("initcfg.adapters.keras needs keras: pip install 'initcfg[keras]'") from error

from initcfg.adapters.keras.assigning import Initialized, initialize
from initcfg.adapters.keras.reading import spec
from initcfg.adapters.keras.registering import register_with_keras
from initcfg.adapters.keras.weights import manifest

__all__ = ["Initialized", "initialize", "manifest", "spec"]

register_with_keras(keras.saving.register_keras_serializable)
