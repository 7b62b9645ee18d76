"""One list of built-ins, with configs that are not the default ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from initcfg.initializers import (
    BUILTINS,
    STFT,
    BuiltIn,
    Chrono,
    Concatenate,
    Constant,
    ConvolutionalOrthogonal,
    ConvolutionAware,
    DeepNorm,
    DeltaOrthogonal,
    DepthScaledNormal,
    Dirac,
    Fixup,
    FocalBias,
    Formula,
    GlorotNormal,
    GlorotUniform,
    HadamardIdentity,
    HeNormal,
    HeUniform,
    Identity,
    KaimingNormal,
    KaimingUniform,
    LecunNormal,
    LecunUniform,
    LooksLinear,
    LoraA,
    LruNuLog,
    LruThetaLog,
    MambaALog,
    MambaDtBias,
    Mimetic,
    Mitchell,
    Mup,
    Ones,
    Orthogonal,
    Patch,
    Pretrained,
    RandomNormal,
    RandomUniform,
    RepeatOf,
    RwkvTimeDecay,
    Scaled,
    Siren,
    SirenFirst,
    SmallInit,
    Sparse,
    SubLN,
    SwitchNormal,
    TFixup,
    TFixupEmbedding,
    TruncatedNormal,
    TruncNormal,
    VarianceScaling,
    WangInit,
    XavierNormal,
    XavierUniform,
    Zeros,
)
from initcfg.initializers.derived import Derived

# A new built-in is tested by a row here: every one must appear, with each of its arguments.
EXAMPLES: tuple[BuiltIn, ...] = (
    Zeros(),
    Ones(),
    Constant(-4.6),
    Constant(True),
    Constant([[1, 2.5], [3, 4]]),
    RandomNormal(0.5, 0.02, seed=1),
    RandomUniform(-1, 2.0, seed=2**64 - 1),
    TruncatedNormal(0.5, 0.02, seed=0),
    TruncatedNormal(0.5, 0.02, 1, -1.0, 3.0),
    VarianceScaling(2, "fan_out", "uniform", 7, (0,), (1,)),
    VarianceScaling(distribution="normal"),
    VarianceScaling(mode="fan_avg", distribution="untruncated_normal"),
    *(
        cls(5, (0,), (-1,))
        for cls in (GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform)
    ),
    VarianceScaling(mode="fan_geo_avg"),
    XavierUniform(5 / 3, seed=1),
    XavierNormal(0.5, 2),
    KaimingUniform(5**0.5, "fan_out", "relu", 3),
    KaimingNormal(0.1, "fan_out", "tanh", 4),
    TruncNormal(0.5, 0.02, 0.4, 0.6, 7),
    SmallInit(512, seed=1),
    WangInit(512, 6, seed=2),
    DepthScaledNormal(6, 0.01, seed=3),
    Mitchell(512, 3, seed=4),
    Mup(0.02, 4, "readout", seed=5),
    SwitchNormal(0.5, seed=6),
    DeepNorm(6, "encoder", 12, seed=7),
    SubLN(6, "encoder", 12, seed=8),
    TFixup(6, "encoder", seed=9),
    TFixupEmbedding(512, 6, seed=10),
    Fixup(16, 3, seed=11),
    SirenFirst(seed=12),
    Siren(20, seed=13),
    LoraA(seed=14),
    FocalBias(0.1),
    MambaALog(),
    MambaDtBias(0.01, 0.2, 0.001, seed=15),
    LruNuLog(0.5, 0.9, seed=16),
    LruThetaLog(0.5, seed=17),
    RwkvTimeDecay(3, 12),
    Chrono(784, "input", seed=18),
    Identity(0.5),
    Orthogonal(2**0.5, seed=3),
    Sparse(0.1, 0.5, 6),
    Dirac(2),
    DeltaOrthogonal(0.5, 8),
    ConvolutionalOrthogonal(0.5, 9),
    HadamardIdentity(),
    LooksLinear(0.5, 10),
    Mimetic("query", 2, 0.6, 0.5, 19),
    Mimetic("output", seed=20),
    STFT("imag", "hamming", None, True),
    STFT(window=[0.5, 1.0, 2.0, 1], scaling="spectrum"),
    ConvolutionAware(0.1, 21),
    Concatenate(-1, [1, 1], [HeNormal(), Concatenate(0, [2], ["zeros"])]),
    Pretrained(Path(__file__).parents[2] / "cases/valid/pretrained/base.safetensors", "h.0.w", (0, 2)),
    RepeatOf("ones", -1, 2),
    Formula("log(index(-1) + 1)"),
    Formula("2 ** x if index(0) > 0 else size(-1)", RandomNormal(0, 0.5, 3)),
    Scaled(Orthogonal(seed=22), 1.31),
    Patch(HeNormal(), [{"at": [-1], "initializer": "zeros"}, {"at": [0, ":1"], "initializer": HeNormal(1)}]),
)


# What makes arrays without a plan around it.
STANDALONE = tuple(cls for cls in BUILTINS if not issubclass(cls, Derived))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", EXAMPLES, ids=repr)
    if "built_in" in metafunc.fixturenames:
        metafunc.parametrize("built_in", STANDALONE, ids=lambda cls: cls.__name__)


@pytest.fixture
def fitting(example: BuiltIn) -> tuple[int, ...]:
    """A shape that an example makes."""
    return (4, 1, 3) if isinstance(example, STFT) else (2, 2)


@pytest.fixture
def examples() -> tuple[Any, ...]:
    return EXAMPLES
