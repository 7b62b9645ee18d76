"""Initializers: named schemes for a parameter's first values, with Keras's names, configs and contract."""

from __future__ import annotations

from initcfg.initializers.base import (
    BuiltIn,
    Cuttable,
    Elementwise,
    Initializer,
    Structured,
    check,
    draw,
    is_cut,
    make,
    resolve,
    stream_of,
)
from initcfg.initializers.combined import Concatenate
from initcfg.initializers.constants import Constant, Ones, Zeros
from initcfg.initializers.custom import FunctionInitializer
from initcfg.initializers.random import RandomNormal, RandomUniform, TruncatedNormal
from initcfg.initializers.registry import (
    BUILTINS,
    canonical_name,
    deserialize,
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

# The classes by their snake_case names, which Keras calls shortcut functions.
concatenate = Concatenate
constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
identity = Identity
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

__all__ = [
    "BUILTINS",
    "BuiltIn",
    "Concatenate",
    "Constant",
    "Cuttable",
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
    "concatenate",
    "constant",
    "deserialize",
    "draw",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "is_cut",
    "known_names",
    "lecun_normal",
    "lecun_uniform",
    "lookup",
    "make",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "register",
    "resolve",
    "serialize",
    "stream_of",
    "truncated_normal",
    "unknown_initializer",
    "variance_scaling",
    "zeros",
]
