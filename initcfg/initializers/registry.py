"""The one list of built-in initializers, and all that goes by their names.

To add one: write the class (see `initcfg.initializers.base`), and name it in `BUILTINS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.initializers.combined import Concatenate
from initcfg.initializers.configs import deserialize, get, serialize
from initcfg.initializers.constants import Constant, Ones, Zeros
from initcfg.initializers.names import (
    aliases_of,
    canonical_name,
    install,
    known_names,
    lookup,
    register,
    unknown_initializer,
)
from initcfg.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from initcfg.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)
from initcfg.initializers.structured import Identity, Orthogonal

if TYPE_CHECKING:
    from initcfg.initializers.base import BuiltIn

__all__ = [
    "ALIASES",
    "BUILTINS",
    "aliases_of",
    "canonical_name",
    "deserialize",
    "get",
    "known_names",
    "lookup",
    "register",
    "serialize",
    "unknown_initializer",
]

BUILTINS: tuple[type[BuiltIn], ...] = (
    Zeros,
    Ones,
    Constant,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Identity,
    Orthogonal,
    Concatenate,
)

# What Keras's `initializers.get` takes beside class names and snake_case names.
ALIASES: dict[str, type[BuiltIn]] = {
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "normal": RandomNormal,
    "one": Ones,
    "uniform": RandomUniform,
    "zero": Zeros,
}

install(BUILTINS, ALIASES)
