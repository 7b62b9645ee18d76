"""The real ``jax.nn.initializers``: each of its functions against what it is written as here.

Random laws are compared by two-sample Kolmogorov-Smirnov tests of 300,000 draws at fixed seeds, and fail at a
p-value below 1e-3: all real rows together would raise a false alarm at one in fifty choices of seeds,
and the 39 tests of complex draws at one in twenty-five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pytest
from jax.nn import initializers as theirs
from scipy import stats

import initcfg
from initcfg import engines, initializers
from initcfg.adapters import jax as adapter
from initcfg.dtypes import as_dtype
from initcfg.errors import InitializerError
from initcfg.initializers import Initializer, Request, make
from initcfg.layout import IN_OUT
from initcfg.stream import Stream

if TYPE_CHECKING:
    from pathlib import Path

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


def ours(
    initializer: Initializer, shape: tuple[int, ...], seed: int = 20, dtype: str = "float32"
) -> np.ndarray:
    stream = Stream.of_parameter(seed, "w")
    return make(initializer, Request(shape, as_dtype(dtype), IN_OUT, stream, engines.get_engine()))


@pytest.mark.parametrize(("name", "their_function", "initializer"), LAWS, ids=[row[0] for row in LAWS])
def test_draws_come_from_one_law(name: str, their_function: Any, initializer: Initializer) -> None:
    one = np.asarray(their_function(jax.random.key(20), SHAPE, np.float32)).ravel()
    other = ours(initializer, SHAPE).ravel()
    assert stats.ks_2samp(one, other).pvalue > 1e-3
    assert abs(one.std() / other.std() - 1) < 0.01


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("law", LAWS_OF_JAX)
def test_complex_draws_come_from_one_law(mode: str, law: str) -> None:
    """Of 300,000 draws the modulus, and the parts of the numbers turned by a third of a right angle."""
    shape = (5, 5, 40, 300)
    one = np.asarray(theirs.variance_scaling(0.7, mode, law)(jax.random.key(20), shape, np.complex64)).ravel()
    other = ours(scaled(mode, LAWS_OF_JAX[law]), shape, dtype="complex64").ravel()
    assert one.dtype == other.dtype
    turn = np.exp(1j * np.pi / 6)
    for seen in (np.abs, lambda w: (w * turn).real, lambda w: (w * turn).imag):
        assert stats.ks_2samp(seen(one), seen(other)).pvalue > 1e-3
    assert abs(np.abs(one).std() / np.abs(other).std() - 1) < 0.01
    if law != "normal":
        assert np.abs(other).max() == pytest.approx(np.abs(one).max(), rel=1e-4)


def test_complex_normal_is_that_of_jax() -> None:
    one = np.asarray(theirs.normal(0.3)(jax.random.key(20), SHAPE, np.complex64)).ravel()
    other = ours(initializers.RandomNormal(stddev=0.3), SHAPE, dtype="complex64").ravel()
    for seen in (np.abs, np.real, np.imag):
        assert stats.ks_2samp(seen(one), seen(other)).pvalue > 1e-3


def test_what_jax_does_not_draw_in_complex_numbers_is_refused_here_too() -> None:
    with pytest.raises((TypeError, ValueError)):
        theirs.truncated_normal()(jax.random.key(20), (3, 3), np.complex64)
    with pytest.raises(InitializerError, match="makes no complex numbers"):
        ours(initializers.TruncatedNormal(), (3, 3), dtype="complex64")


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


def test_complex_leaves_are_placed_and_held_to_jaxs_own_draws(tmp_path: Path) -> None:
    """Whole leaves bit for bit, then weights that JAX drew, then those of another law."""
    shape = (400, 500)
    tree = {"w": jax.ShapeDtypeStruct(shape, np.complex64)}
    spec = {"initcfg": 1, "layout": "in_out", "rules": [{"match": "w", "initializer": "glorot_uniform"}]}
    plan = initcfg.make_plan(spec, manifest=adapter.manifest(tree))
    made = adapter.initialize(tree, plan)
    assert made["w"].dtype == np.complex64
    np.testing.assert_array_equal(np.asarray(made["w"]), initcfg.materialize(plan)["w"])
    given = adapter.as_jax_initializer("glorot_uniform")
    drawn = jax.jit(lambda key: given(key, shape, np.complex64))(jax.random.key(0))
    np.testing.assert_array_equal(drawn, given(jax.random.key(0), shape, np.complex64))
    for law, follows in (("glorot_uniform", True), ("glorot_normal", False), ("he_uniform", False)):
        theirs_drawn = getattr(theirs, law)()(jax.random.key(20), shape, np.complex64)
        np.savez(tmp_path / "theirs.npz", w=np.asarray(theirs_drawn))
        assert (not initcfg.verify(tmp_path / "theirs.npz", plan, law=True).diagnostics) == follows
