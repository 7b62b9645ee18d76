"""Constants are exact and broadcast as numpy does; draws follow just what their arguments say."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES, as_dtype
from initcfg.engines.casting import round_all
from initcfg.engines.rounding import round_once
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    BuiltIn,
    Constant,
    Ones,
    RandomNormal,
    RandomUniform,
    Zeros,
    check,
    get,
    resolve,
)
from initcfg.initializers import TruncatedNormal as TruncatedNormalInitializer

numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("initializer", "value"), [(Zeros(), 0), (Ones(), 1), (Constant(), 0.0), (Constant(-4.6), -4.6)]
)
def test_a_single_value_is_a_fill_for_every_shape(initializer: Constant, value: float) -> None:
    assert resolve(initializer, (), None) == resolve(initializer, (3, 4, 5), None) == Fill(value)


def test_an_array_has_no_single_distribution() -> None:
    assert resolve(Constant([1, 2]), (2,), None) is None


@given(st.sampled_from(["int64", "uint8", "bool"]).flatmap(lambda name: hnp.arrays(name, hnp.array_shapes())))
def test_an_array_comes_back_exactly(array: np.ndarray) -> None:
    np.testing.assert_array_equal(Constant(array)(array.shape, array.dtype), array)


def test_an_array_is_broadcast_to_the_shape() -> None:
    np.testing.assert_array_equal(Constant([1, 2])((3, 2)), [[1, 2]] * 3)
    np.testing.assert_array_equal(Constant([[1], [2]])((2, 3)), [[1] * 3, [2] * 3])


def test_a_broadcast_array_can_be_written_to() -> None:
    array = Constant([1, 2])((3, 2))
    array[0, 0] = 9
    assert array[1, 0] == 1


@pytest.mark.parametrize("shape", [(3,), (2, 3), (), (2, 1)])
def test_an_array_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InitializerError, match="does not fit shape") as caught:
        check(Constant([1, 2]), shape, as_dtype("float32"), None)
    assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.5], "int8"),
        ([128], "int8"),
        ([-1], "uint8"),
        ([2], "bool"),
        ([1e39], "float32"),
        ([70000], "float16"),
        ([500], "float8_e4m3fn"),
        ([-(2**63) - 1], "int64"),
        (0.5, "int32"),
        (300, "uint8"),
    ],
)
def test_a_dtype_that_cannot_hold_a_value_is_refused(value: object, dtype: str) -> None:
    with pytest.raises(InitializerError) as caught:
        check(Constant(value), (1,), as_dtype(dtype), None)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.DTYPE_VALUE
    assert dtype in str(diagnostic)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([0.1], "float32", np.float32(0.1)),
        ([0.1], "float64", 0.1),
        ([0.1], "bfloat16", np.float32(0.1).astype(ml_dtypes.bfloat16)),
        ([True], "float32", 1),
        ([1.0], "bool", True),
        ([2**63 - 1], "int64", 2**63 - 1),
        ([2**64 - 1], "uint64", 2**64 - 1),
        ([127.0], "int8", 127),
    ],
)
def test_values_are_rounded_once_to_floats_and_kept_in_integers(
    value: object, dtype: str, expected: object
) -> None:
    assert Constant(value)((1,), dtype)[0] == expected


def test_a_single_value_is_made_as_an_array_of_it_is() -> None:
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        np.testing.assert_array_equal(Constant(1 / 3)((2,), dtype), Constant([1 / 3])((2,), dtype))


@pytest.mark.parametrize("form", ["__numpy__", "__tensor__"])
def test_the_array_form_of_keras_is_read_and_written_back(form: str) -> None:
    config = {"value": {"class_name": form, "config": {"value": [[1.0], [2.0]], "dtype": "float32"}}}
    initializer = Constant.from_config(config)
    assert initializer.get_config() == config
    np.testing.assert_array_equal(initializer((2, 1)), [[1], [2]])


def test_nested_lists_come_back_as_they_were_written() -> None:
    assert Constant([[1, 2.5], [True, 4]]).get_config() == {"value": [[1, 2.5], [True, 4]]}
    assert Constant([]).get_config() == {"value": []}


def test_a_numpy_array_is_written_in_the_form_of_keras() -> None:
    assert Constant(np.array([1, 2], "int8")).get_config() == {
        "value": {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "int8"}}
    }
    assert Constant(np.float32(0.5)).get_config() == {"value": 0.5}


def test_an_array_does_not_follow_later_changes_of_its_source() -> None:
    source = np.array([1.0, 2.0])
    initializer = Constant(source)
    source[0] = 9
    assert initializer((2,))[0] == 1


def test_a_long_array_has_a_short_repr() -> None:
    assert repr(Constant(np.zeros((100, 100)))) == "Constant(value=<array (100, 100)>)"


EXTREMES = (0.0, -0.0, 1e-60, -1e-60, 1e-320, 1 / 3, 2**53 + 1, -(2**60) - 1, 2**24 + 1, 65519.99, 3.4e38)


@pytest.mark.parametrize("dtype", [name for name, row in DTYPES.items() if row.kind == "float"])
def test_an_array_is_rounded_once_as_its_elements_alone_are(dtype: str) -> None:
    digits = ml_dtypes.finfo(as_dtype(dtype).numpy).nmant
    # Half way between two numbers of the dtype, and a little beside it: where a second rounding would show.
    ties = [sign * (1 + 2.0 ** -(digits + 1)) * (1 + more) for sign in (1, -1) for more in (0, 1e-12, -1e-12)]
    ties += [2 ** (60 + digits + 1) + 2**60, 2 ** (60 + digits + 1) + 2**60 + 1]
    for value in (*ties, *EXTREMES):
        try:
            alone = Constant(value)((1,), dtype)
        except InitializerError:
            with pytest.raises(InitializerError):
                Constant([value])((1,), dtype)
        else:
            assert Constant([value])((1,), dtype).tobytes() == alone.tobytes(), value


@given(st.lists(st.floats(-1e5, 1e5), min_size=1), st.sampled_from(["float16", "bfloat16", "float32"]))
def test_any_array_is_rounded_once(values: list[float], dtype: str) -> None:
    row = as_dtype(dtype)
    for value, element in zip(values, round_all(np.array(values), row), strict=True):
        if np.isfinite(element):
            assert float(element) == round_once(value, row)
        else:
            with pytest.raises(OverflowError):
                round_once(value, row)


def test_the_settings_of_the_caller_do_not_matter() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(Constant([1e-60, 1e-42])((2,)), np.float32([0, 1e-42]))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_an_empty_array_that_lists_cannot_tell_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InitializerError, match="which nested lists cannot express") as caught:
        Constant(np.zeros(shape))
    assert caught.value.diagnostics[0].hint == "use zeros where there are no elements"


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 3, 0)])
def test_an_empty_array_that_lists_can_tell_comes_back(shape: tuple[int, ...]) -> None:
    initializer = Constant(np.zeros(shape))
    assert Constant.from_config(initializer.get_config()) == initializer


class Stubborn:
    """A tensor that no numpy array can be made of."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_a_tensor_that_becomes_no_array_is_refused_with_the_way_out() -> None:
    for make in (Constant, get):
        with pytest.raises(InitializerError, match="Got unsupported ScalarType BFloat16") as caught:
            make(Stubborn())
        assert "numpy()" in str(caught.value.diagnostics[0].hint)


@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (RandomNormal(), Normal(0.0, 0.05)),
        (RandomNormal(1, 2), Normal(1.0, 2.0)),
        (RandomNormal(1, 0), Fill(1)),
        (RandomUniform(), Uniform(-0.05, 0.05)),
        (RandomUniform(0, 1), Uniform(0.0, 1.0)),
        (RandomUniform(2.5, 2.5), Fill(2.5)),
        (TruncatedNormalInitializer(), TruncatedNormal(0.0, 0.05, -0.1, 0.1)),
        (TruncatedNormalInitializer(1, 2, low=-1, high=3), TruncatedNormal(1.0, 2.0, -1.0, 7.0)),
        (TruncatedNormalInitializer(1, 0), Fill(1)),
    ],
)
def test_the_arguments_are_the_parameters(initializer: BuiltIn, distribution: Distribution) -> None:
    for shape in ((), (3,), (4, 5), (0, 2, 3)):
        assert resolve(initializer, shape, None) == distribution


@given(numbers, st.floats(1e-6, 1e6), st.floats(-10, 10), st.floats(0.1, 10))
def test_bounds_of_the_truncated_normal_are_in_units_of_stddev(
    mean: float, stddev: float, low: float, width: float
) -> None:
    found = resolve(TruncatedNormalInitializer(mean, stddev, low=low, high=low + width), (2,), None)
    assert found == TruncatedNormal(mean, stddev, mean + low * stddev, mean + (low + width) * stddev)


def test_bounds_stand_in_the_config_only_where_they_are_not_those_of_keras() -> None:
    assert TruncatedNormalInitializer().get_config() == {"mean": 0.0, "stddev": 0.05, "seed": None}
    assert TruncatedNormalInitializer(high=3).get_config() == {
        "mean": 0.0,
        "stddev": 0.05,
        "seed": None,
        "high": 3,
    }


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (RandomUniform, {"minval": 1, "maxval": 0}),
        (TruncatedNormalInitializer, {"low": 1, "high": 0}),
        (TruncatedNormalInitializer, {"low": 1, "high": 1}),
    ],
)
def test_crossed_bounds_are_refused(cls: type[BuiltIn], config: dict[str, float]) -> None:
    with pytest.raises(InitializerError, match="must be") as caught:
        cls(**config)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.INITIALIZER_CONFIG
    assert diagnostic.hint
