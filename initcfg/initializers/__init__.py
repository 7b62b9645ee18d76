"""Initializers: named schemes for a parameter's first values, with Keras's names, configs and contract."""

from __future__ import annotations

from initcfg.initializers.base import (
    BuiltIn,
    Elementwise,
    Initializer,
    Structured,
    check,
    make,
    resolve,
    stream_of,
)
from initcfg.initializers.combined import Concatenate
from initcfg.initializers.constant import Constant, Ones, Zeros
from initcfg.initializers.custom import FunctionInitializer
from initcfg.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from initcfg.initializers.registry import (
    BUILTINS,
    canonical_name,
    deserialize,
    from_name,
    get,
    known_names,
    lookup,
    register,
    serialize,
    unknown_initializer,
)
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

__all__ = [
    "BUILTINS",
    "BuiltIn",
    "Concatenate",
    "Constant",
    "Elementwise",
    "FunctionInitializer",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "Structured",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "canonical_name",
    "check",
    "deserialize",
    "from_name",
    "get",
    "known_names",
    "lookup",
    "make",
    "register",
    "resolve",
    "serialize",
    "stream_of",
    "unknown_initializer",
]
