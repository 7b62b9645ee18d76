"""Weights described: moments of any stretch, the same for any number of threads, in bounded memory."""

from __future__ import annotations

import functools
import math
import statistics
import tracemalloc
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import initcfg
from initcfg.dtypes import DTYPES
from initcfg.errors import FormatError, SpecError, UnknownParameterError
from initcfg.inspection import Moments, inspect, merged, moments_of

if TYPE_CHECKING:
    from pathlib import Path


# Squares of these are normal numbers of float64.
FINITE = st.floats(-1e100, 1e100).filter(lambda value: value == 0 or abs(value) > 1e-100)
VALUES = st.lists(FINITE | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan]))


def cut(values: np.ndarray, places: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(min(place, values.size) for place in places))


@given(VALUES, st.lists(st.integers(0, 40), max_size=6))
def test_moments_are_those_of_exact_arithmetic_however_the_values_are_cut(
    values: list[float], places: list[int]
) -> None:
    found = functools.reduce(merged, map(moments_of, cut(np.array(values), places)), Moments())
    finite = [value for value in values if math.isfinite(value)]
    assert found.count == len(finite)
    assert found.non_finite == len(values) - len(finite)
    assert found.zeros == finite.count(0.0)
    if finite:
        assert (found.low, found.high) == (min(finite), max(finite))
        scale = max(map(abs, finite))
        assert found.mean == pytest.approx(statistics.fmean(finite), rel=1e-12, abs=1e-14 * scale)
        assert found.std == pytest.approx(statistics.pstdev(finite), rel=1e-12, abs=1e-14 * scale)


def test_a_small_spread_around_a_great_mean_is_not_lost() -> None:
    values = 1e9 + np.tile([0.0, 1.0, 2.0], 3000)
    found = functools.reduce(merged, map(moments_of, np.split(values, 90)))
    assert found.std == pytest.approx(math.sqrt(2 / 3), rel=1e-9)
    # What sums of squares would have given:
    assert math.sqrt(abs(np.square(values).mean() - values.mean() ** 2)) != pytest.approx(0.8165, rel=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_moments(dtype: str) -> None:
    values = np.array([0, 1, 1, 0], DTYPES[dtype].numpy)
    found = moments_of(values)
    assert (found.count, found.zeros, found.mean, found.std, found.low, found.high) == (4, 2, 0.5, 0.5, 0, 1)


def test_the_bounds_of_wide_integers_are_exact() -> None:
    for dtype in ("int64", "uint64"):
        limits = np.iinfo(dtype)
        found = moments_of(np.array([limits.min, limits.max], dtype))
        assert (found.low, found.high) == (limits.min, limits.max)


def test_narrow_floats_without_infinities_are_counted_too() -> None:
    found = moments_of(np.array([math.nan, -0.0, 2.0], ml_dtypes.float8_e4m3fnuz))
    assert found.count + found.non_finite == 3
    assert found.high == 2.0


def test_nothing_comes_to_nothing() -> None:
    assert moments_of(np.zeros(0, "float32")) == Moments()
    assert moments_of(np.full(2, np.nan)) == Moments(non_finite=2)
    assert merged(Moments(), Moments()) == Moments()
    assert Moments().std == 0.0


def test_squares_beyond_float64_are_no_error() -> None:
    assert moments_of(np.array([1e300, -1e300])).std == math.inf


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Small and large tensors, among them empty ones."""
    made = np.random.Generator(np.random.PCG64(1))
    small = {f"small.{at}": made.normal(size=at).astype("float32") for at in range(30)}
    return {"big": made.normal(2.0, 3.0, (7, 60_001)), **small, "flags": made.random(9) < 0.5}


def test_values_are_those_of_numpy_whatever_the_threads(arrays: dict[str, Any], tmp_path: Path) -> None:
    save_file(arrays, tmp_path / "w.safetensors")
    found = inspect(tmp_path / "w.safetensors", threads=3)
    assert found == inspect(tmp_path, threads=1)
    assert found.values.keys() == arrays.keys() == {tensor.name for tensor in found.tensors}
    for name, array in arrays.items():
        moments = found.values[name]
        assert moments.count == array.size
        if array.size:
            assert moments.mean == pytest.approx(array.mean(dtype="float64"), rel=1e-12, abs=1e-15)
            assert moments.std == pytest.approx(array.astype("float64").std(), rel=1e-12, abs=1e-15)
            assert (moments.low, moments.high) == (array.min(), array.max())
            assert moments.zeros == array.size - np.count_nonzero(array)


def test_only_what_is_asked_for_is_read(arrays: dict[str, Any], tmp_path: Path) -> None:
    save_file(arrays, tmp_path / "w.safetensors")
    found = inspect(tmp_path, select="small.1?", values=False)
    assert sorted(tensor.name for tensor in found.tensors) == [f"small.{at}" for at in range(10, 20)]
    assert found.values == {}
    assert inspect(tmp_path, select="big").values.keys() == {"big"}
    with pytest.raises(UnknownParameterError, match=r"did you mean 'flags'\?"):
        inspect(tmp_path, select="flag")
    with pytest.raises(SpecError):
        inspect(tmp_path, select="{")


def test_our_own_weights_tell_their_plan(tmp_path: Path) -> None:
    written = initcfg.save(
        {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "ones"}}}, tmp_path / "w.npz"
    )
    assert inspect(written.path).fingerprint == written.fingerprint
    save_file({"w": np.zeros(2)}, tmp_path / "w.safetensors")
    assert inspect(tmp_path / "w.safetensors").fingerprint is None


def test_memory_is_bounded_by_chunks(tmp_path: Path) -> None:
    save_file({"w": np.zeros(8_000_000, "float32")}, tmp_path / "w.safetensors")
    tracemalloc.start()
    try:
        assert inspect(tmp_path, threads=2).values["w"].zeros == 8_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_progress_is_told_in_bytes_up_to_all_of_them(arrays: dict[str, Any], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    save_file(arrays, tmp_path / "w.safetensors")
    inspect(tmp_path, progress=lambda done, total: told.append((done, total)))
    total = sum(array.nbytes for array in arrays.values())
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="has no weights"):
        inspect(tmp_path)
