"""The real ``jax.nn.initializers``: each of its functions against what it is written as here.

Random laws are compared by two-sample Kolmogorov-Smirnov tests of 300,000 draws at fixed seeds, and fail at a
p-value below 1e-3: all rows together would raise a false alarm at one in fifty choices of seeds.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from jax.nn import initializers as theirs
from scipy import stats

from initcfg import engines, initializers
from initcfg.dtypes import as_dtype
from initcfg.initializers import Initializer, Request, make
from initcfg.layout import IN_OUT
from initcfg.stream import Stream

SHAPE = (5, 5, 40, 300)
MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
#: JAX's ``normal`` is not truncated.
LAWS_OF_JAX = {"truncated_normal": "truncated_normal", "normal": "untruncated_normal", "uniform": "uniform"}


def scaled(mode: str, law: str) -> Initializer:
    config = {"scale": 0.7, "mode": mode, "distribution": law}
    return initializers.VarianceScaling.from_config(config)


LAWS: tuple[tuple[str, Any, Initializer], ...] = (
    ("uniform", theirs.uniform(), initializers.RandomUniform(0, 0.01)),
    ("normal", theirs.normal(), initializers.RandomNormal(stddev=0.01)),
    ("truncated_normal", theirs.truncated_normal(), initializers.TruncatedNormal(stddev=0.01)),
    (
        "truncated_normal, one-sided",
        theirs.truncated_normal(0.5, lower=0.0, upper=3.0),
        initializers.TruncatedNormal(stddev=0.5, low=0.0, high=3.0),
    ),
    *(
        (f"{mode}, {law}", theirs.variance_scaling(0.7, mode, law), scaled(mode, same))
        for mode in MODES
        for law, same in LAWS_OF_JAX.items()
    ),
    *(
        (name, getattr(theirs, name)(), initializers.get(alias))
        for name, alias in {
            "glorot_normal": "glorot_normal",
            "glorot_uniform": "glorot_uniform",
            "he_normal": "he_normal",
            "he_uniform": "he_uniform",
            "kaiming_normal": "he_normal",
            "kaiming_uniform": "he_uniform",
            "lecun_normal": "lecun_normal",
            "lecun_uniform": "lecun_uniform",
            "xavier_normal": "glorot_normal",
            "xavier_uniform": "glorot_uniform",
        }.items()
    ),
)


def ours(initializer: Initializer, shape: tuple[int, ...], seed: int = 20) -> np.ndarray:
    stream = Stream.of_parameter(seed, "w")
    return make(initializer, Request(shape, as_dtype("float32"), IN_OUT, stream, engines.get_engine()))


@pytest.mark.parametrize(("name", "their_function", "initializer"), LAWS, ids=[row[0] for row in LAWS])
def test_draws_come_from_one_law(name: str, their_function: Any, initializer: Initializer) -> None:
    one = np.asarray(their_function(jax.random.key(20), SHAPE, np.float32)).ravel()
    other = ours(initializer, SHAPE).ravel()
    assert stats.ks_2samp(one, other).pvalue > 1e-3
    assert abs(one.std() / other.std() - 1) < 0.01


def test_xavier_normal_of_pytorch_is_another_law_than_jax_s() -> None:
    one = np.asarray(theirs.xavier_normal()(jax.random.key(20), SHAPE, np.float32)).ravel()
    assert stats.ks_2samp(one, ours(initializers.XavierNormal(), SHAPE).ravel()).pvalue < 1e-3


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 2, 4, 4), (1, 2, 5, 2, 3)])
def test_delta_orthogonal_has_its_matrix_where_jax_has_it(shape: tuple[int, ...]) -> None:
    """The same elements are 0, and corners and traces of 300 kernels come from one law."""
    count = 300
    delta = jax.vmap(lambda key: theirs.delta_orthogonal(2.0)(key, shape, np.float32))
    one = np.asarray(delta(jax.random.split(jax.random.key(20), count)))
    other = np.stack([ours(initializers.DeltaOrthogonal(2.0), shape, seed) for seed in range(count)])
    np.testing.assert_array_equal((one != 0).any(axis=0), (other != 0).any(axis=0))
    centre: Any = (slice(None), *((size - 1) // 2 for size in shape[:-2]))
    for statistic in (lambda q: q[:, 0, 0], lambda q: q[:, -1, -1], lambda q: np.trace(q, axis1=1, axis2=2)):
        assert stats.ks_2samp(statistic(one[centre]), statistic(other[centre])).pvalue > 1e-3


def test_fixed_values_are_equal() -> None:
    key = jax.random.key(0)
    for one, other in (
        (theirs.zeros, initializers.Zeros()),
        (theirs.ones, initializers.Ones()),
        (theirs.constant(-0.3), initializers.Constant(-0.3)),
    ):
        np.testing.assert_array_equal(np.asarray(one(key, (3, 4), np.float32)), ours(other, (3, 4)))


def test_orthogonal_kernels_have_the_axis_of_jax() -> None:
    one = np.asarray(theirs.orthogonal(3.0)(jax.random.key(0), (2, 4, 5), np.float32)).reshape(8, 5)
    other = ours(initializers.Orthogonal(3.0), (2, 4, 5)).reshape(8, 5)
    for matrix in (one, other):
        np.testing.assert_allclose(matrix.T @ matrix, 9 * np.eye(5), atol=1e-4)


def test_every_function_of_jax_stands_here() -> None:
    tried = {name.partition(",")[0] for name, *_ in LAWS if not name.startswith("fan_")}
    tried |= {"variance_scaling", "delta_orthogonal", "orthogonal", "zeros", "ones", "constant"}
    public = {name for name in vars(theirs) if not name.startswith("_")}
    assert public - tried <= {"Initializer"}
    assert tried <= public
