"""The reference engine: pieces, runs, threads, bounds, dtypes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES, DType
from initcfg.engines.philox import MAX_BLOCKS
from initcfg.engines.reference import fill
from initcfg.errors import InitializerError
from initcfg.stream import Stream

FLOATS = [dtype for dtype in DTYPES.values() if dtype.kind == "float"]
STREAM = Stream.of_parameter(0, "h.0")
# One distribution for each kernel.
LAWS: list[Distribution] = [
    Uniform(-0.25, 0.5),
    Normal(0.1, 0.5),
    TruncatedNormal(0.0, 0.5, -1.0, 1.0),
    TruncatedNormal(0.25, 0.5, -1.25, 1.75),
    TruncatedNormal(0.0, 0.5, 0.0, 0.75),
    TruncatedNormal(0.0, 0.5, -50.0, 50.0),
]


def drawn(law: Distribution, dtype: DType, size: int, start: int = 0, stream: Stream = STREAM) -> np.ndarray:
    out = np.empty(size, dtype.numpy)
    fill(out, law, stream, start)
    return out


def bits(array: np.ndarray) -> bytes:
    return array.tobytes()


def test_known_bits_of_the_standard_normal_and_its_truncation() -> None:
    normal = drawn(Normal(0.0, 1.0), DTYPES["float32"], 8)
    within = drawn(TruncatedNormal(0.0, 1.0, -2.0, 2.0), DTYPES["float32"], 8)
    assert " ".join(f"{word:08x}" for word in normal.view(np.uint32)) == (
        "3db099a3 3f11c25d 3f5da6d0 bf8391d7 bf32ed50 bfdc8d27 bf5939da be752ecd"
    )
    assert " ".join(f"{word:08x}" for word in within.view(np.uint32)) == (
        "bebf8c0d 3f360438 3f9ae27b bead0176 3ee06fe1 be16cdfe bf5e4a81 bf46081b"
    )


@settings(max_examples=3 * settings().max_examples // 2)
@given(
    law=st.sampled_from(LAWS),
    dtype=st.sampled_from(FLOATS),
    start=st.integers(0, 50) | st.integers(2**34 - 20, 2**34 + 20) | st.integers(2**62 - 9, 2**62),
    size=st.integers(0, 40),
    cut=st.integers(0, 40),
)
def test_bits_do_not_depend_on_chunking(law, dtype: DType, start: int, size: int, cut: int) -> None:
    whole = drawn(law, dtype, size, start)
    cut = min(cut, size)
    parts = bits(drawn(law, dtype, cut, start)) + bits(drawn(law, dtype, size - cut, start + cut))
    assert bits(whole) == parts


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("dtype", [DTYPES["float32"], DTYPES["float64"]], ids=str)
def test_bits_do_not_depend_on_runs(law: Distribution, dtype: DType) -> None:
    per_run = MAX_BLOCKS * (4 if dtype.name == "float32" else 2)
    whole = drawn(law, dtype, per_run + 9, 3)
    assert bits(whole[per_run - 12 :]) == bits(drawn(law, dtype, 21, 3 + per_run - 12))
    assert bits(whole[:7]) == bits(drawn(law, dtype, 7, 3))


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("words", [4, 2])
def test_a_run_may_cross_a_multiple_of_2_to_32_blocks(law: Distribution, words: int) -> None:
    dtype = DTYPES["float32" if words == 4 else "float64"]
    edge = words * 2**32
    across = drawn(law, dtype, 64, edge - 31)
    assert bits(across) == bits(drawn(law, dtype, 31, edge - 31)) + bits(drawn(law, dtype, 33, edge))


def test_bits_do_not_depend_on_threads() -> None:
    law, dtype, size, chunk = Normal(0.0, 0.02), DTYPES["float32"], 400_000, 50_001
    out = np.empty(size, dtype.numpy)

    def work(start: int) -> None:
        fill(out[start : start + chunk], law, STREAM, start)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(work, range(0, size, chunk)))
    assert bits(out) == bits(drawn(law, dtype, size))


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("dtype", [d for d in FLOATS if d.itemsize <= 2], ids=str)
def test_narrow_types_are_float32_rounded_once_then_kept_inside(law: Distribution, dtype: DType) -> None:
    wide = drawn(law, DTYPES["float32"], 20_000)
    rounded = wide.astype(dtype.numpy).astype(np.float32)
    got = drawn(law, dtype, 20_000).astype(np.float32)
    differ = got != rounded
    # Only values that rounding alone would put outside the bounds may differ.
    low, high = (law.low, law.high) if isinstance(law, Uniform | TruncatedNormal) else (-np.inf, np.inf)
    outside = (rounded < low) | (rounded > high)
    if isinstance(law, Uniform):
        outside |= (rounded == low) | (rounded == high)
    assert np.array_equal(differ, outside)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    ("low", "high"), [(-0.04, 0.04), (0.0, 1.0), (-0.3, -0.1), (0.9, 1.1), (-1e-3, 3e-3)], ids=str
)
def test_values_stay_inside_their_bounds(dtype: DType, low: float, high: float) -> None:
    uniform = drawn(Uniform(low, high), dtype, 30_000).astype(np.float64)
    assert low < uniform.min()
    assert uniform.max() < high
    mean, std = 0.5 * low + 0.5 * high, (high - low) / 4
    for law in (TruncatedNormal(mean, std, low, high), TruncatedNormal(mean, 3 * std, low, high + std)):
        within = drawn(law, dtype, 30_000).astype(np.float64)
        assert law.low <= within.min()
        assert within.max() <= law.high


EXACT = [(2**53 + 1, "int64"), (2**64 - 1, "uint64"), (-128, "int8"), (True, "bool"), (False, "bool")]


@pytest.mark.parametrize(("value", "dtype"), EXACT)
def test_integers_and_bools_are_filled_exactly(value, dtype: str) -> None:
    assert drawn(Fill(value), DTYPES[dtype], 3).tolist() == [value] * 3


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_fill_is_rounded_once(dtype: DType) -> None:
    (value,) = set(drawn(Fill(0.1), dtype, 5, start=7).astype(np.float64).tolist())
    assert abs(value - 0.1) <= 0.1 * 2.0**-3
    assert drawn(Fill(-0.0), dtype, 1).astype(np.float64).tolist() == [0.0]


def test_an_empty_array_is_filled_but_still_checked() -> None:
    assert drawn(Normal(0.0, 1.0), DTYPES["float32"], 0).size == 0
    with pytest.raises(InitializerError):
        drawn(Normal(0.0, 1.0), DTYPES["int32"], 0)


def test_the_last_element_of_the_largest_parameter_can_be_drawn() -> None:
    assert np.isfinite(drawn(Normal(0.0, 1.0), DTYPES["float64"], 3, 2**63 - 3)).all()
    with pytest.raises(ValueError, match="below 2\\*\\*63"):
        drawn(Normal(0.0, 1.0), DTYPES["float32"], 3, 2**63 - 2)


@pytest.mark.parametrize(
    "out",
    [np.empty((2, 2), np.float32), np.empty(8, np.float32)[::2], np.broadcast_to(np.float32(0), 3)],
    ids=["two-dimensional", "strided", "read-only"],
)
def test_only_flat_writable_arrays_are_filled(out: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        fill(out, Normal(0.0, 1.0), STREAM)
    with pytest.raises(ValueError, match="at least 0"):
        fill(np.empty(3, np.float32), Normal(0.0, 1.0), STREAM, -1)


def test_memory_that_is_not_aligned_is_filled_alike() -> None:
    raw = np.empty(4 * 1000 + 1, np.uint8)
    out = raw[1:].view(np.float32)
    fill(out, LAWS[1], STREAM)
    assert bits(out) == bits(drawn(LAWS[1], DTYPES["float32"], 1000))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_callers_floating_point_settings_do_not_matter(dtype: DType) -> None:
    tiny = Normal(0.0, 1e-9), TruncatedNormal(0.0, 1e-6, -2e-6, 2e-6), Uniform(-1e-7, 3e-7)
    for law in [*LAWS, *tiny]:
        quiet = bits(drawn(law, dtype, 5000))
        with np.errstate(all="raise"):
            assert bits(drawn(law, dtype, 5000)) == quiet


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "float8_e5m2"])
def test_of_the_inverse_the_value_is_rounded_to_float32_and_then_to_the_dtype(name: str) -> None:
    law = TruncatedNormal(0.3, 1.7, -0.2, 5.0)
    wide, narrow = np.empty(2000, np.float64), np.empty(2000, DTYPES[name].numpy)
    fill(wide, law, STREAM)
    fill(narrow, law, STREAM)
    clamped = np.clip(wide, float(narrow.min()), float(narrow.max()))
    assert clamped.astype(np.float32).astype(narrow.dtype).tobytes() == narrow.tobytes()


@pytest.mark.parametrize(("name", "has_both_zeros"), [("float8_e4m3fn", True), ("float8_e4m3fnuz", False)])
def test_draws_that_round_to_zero_keep_their_sign_where_the_type_has_two_zeros(
    name: str, has_both_zeros: bool
) -> None:
    out = np.empty(1000, DTYPES[name].numpy)
    fill(out, Normal(0.0, 1e-4), STREAM)
    assert not out.astype(np.float32).any()
    assert np.signbit(out.astype(np.float32)).any() == has_both_zeros
