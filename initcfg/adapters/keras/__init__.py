"""Keras models: what their weights are called, a spec read out of one, weights set from a plan and scaled.

Importing this module registers the initializers of this package with Keras, so that a saved model that holds
some loads again. It also makes an initializer without a seed follow ``keras.utils.set_random_seed``.
"""

from __future__ import annotations

import functools
import random

try:
    import keras
except ModuleNotFoundError as error:
    # Keras without its backend has words of its own.
    if error.name != "keras":
        raise
    raise ImportError("initcfg.adapters.keras needs keras: pip install 'initcfg[keras]'") from error

from initcfg.adapters.keras.lsuv import lsuv
from initcfg.adapters.keras.probing import probe
from initcfg.adapters.keras.schemes import capture, register_with_keras
from initcfg.adapters.keras.weights import Initialized, initialize, manifest
from initcfg.stream import draw_fresh_seeds_from

__all__ = ["Initialized", "capture", "initialize", "lsuv", "manifest", "probe"]

register_with_keras(keras.saving.register_keras_serializable)
# keras.utils.set_random_seed seeds Python's generator, from which Keras takes its own unstated seeds too.
draw_fresh_seeds_from(functools.partial(random.getrandbits, 64))
