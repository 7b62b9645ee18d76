"""JAX: a plan's values as arrays on devices, each made where it is wanted; Flax models and initializers.

to_jax                 a plan as `jax.Array` values by name, sharded as they are made
initialize             the same in the form of a model: a pytree of arrays or of their shapes
lsuv                   likewise, scaled so that each layer's output has variance 1 on a batch
capture                the spec of what an init function makes
probe                  what passes through a Flax module before its first step, with the weights of plans
manifest               what the leaves of a pytree are called, and their shapes
nest                   dotted names as nested dicts
as_jax_initializer     one initializer as `jax.nn.initializers` has them, such as for Flax's ``kernel_init``
"""

from __future__ import annotations

try:
    import jax as _  # noqa: F401
except ImportError as error:
    raise ImportError("initcfg.adapters.jax needs jax: pip install 'initcfg[jax]'") from error

from initcfg.adapters.jax.capturing import capture
from initcfg.adapters.jax.functions import JaxInitializer, as_jax_initializer, seed_of
from initcfg.adapters.jax.lsuv import lsuv
from initcfg.adapters.jax.placing import initialize, manifest, to_jax
from initcfg.adapters.jax.probing import probe
from initcfg.adapters.matching import nest

__all__ = [
    "JaxInitializer",
    "as_jax_initializer",
    "capture",
    "initialize",
    "lsuv",
    "manifest",
    "nest",
    "probe",
    "seed_of",
    "to_jax",
]
