"""Functions and custom classes: they are called as the contract says, and what they return is checked."""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from initcfg import engines
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import FunctionInitializer, Initializer, Request, get, make
from initcfg.stream import Stream

STREAM = Stream.of_parameter(0, "w")


def made(initializer: Any, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return make(get(initializer), Request(shape, as_dtype(dtype), None, STREAM, engines.get_engine()))


def drawn(shape: Any, dtype: Any = None, rng: Any = None) -> Any:
    return rng.standard_normal(shape).astype(dtype)


class Drawn(Initializer):
    def __call__(self, shape: Any, dtype: Any = None, rng: Any = None) -> Any:
        return rng.standard_normal(shape).astype(dtype)


def test_a_function_is_given_shape_and_dtype() -> None:
    seen = []

    def record(shape: Any, dtype: Any = None) -> Any:
        seen.append((shape, dtype))
        return np.zeros(shape, dtype)

    assert made(record, (2, 3), "bfloat16").dtype == ml_dtypes.bfloat16
    assert seen == [((2, 3), np.dtype(ml_dtypes.bfloat16))]


@pytest.mark.parametrize("initializer", [drawn, Drawn()])
def test_rng_is_a_generator_keyed_by_the_child_named_rng(initializer: Any) -> None:
    key = int.from_bytes(STREAM.child("rng").digest, "little")
    expected = np.random.Generator(np.random.Philox(key=key)).standard_normal((2, 3))
    np.testing.assert_array_equal(made(initializer, (2, 3), "float64"), expected)
    np.testing.assert_array_equal(made(initializer, (2, 3), "float64"), expected)


def test_called_alone_rng_is_fresh_each_time() -> None:
    initializer = FunctionInitializer(drawn)
    assert not np.array_equal(initializer((4,), "float32"), initializer((4,), "float32"))


def test_functions_without_a_signature_are_called_without_rng() -> None:
    np.testing.assert_array_equal(made(np.zeros, (2,)), [0, 0])


def too_small(shape: Any, dtype: Any = None) -> Any:
    return np.zeros(3, dtype)


def too_wide(shape: Any, dtype: Any = None) -> Any:
    return np.zeros(shape)


def nothing(shape: Any, dtype: Any = None) -> Any:
    return None


@pytest.mark.parametrize(
    ("function", "code", "message"),
    [
        (
            too_small,
            Code.INITIALIZER_SHAPE,
            "too_small returned an array of shape (3,) where (2, 2) was asked for",
        ),
        (
            too_wide,
            Code.DTYPE_VALUE,
            "too_wide returned an array of dtype float64 where float32 was asked for",
        ),
        (nothing, Code.INITIALIZER_SHAPE, "nothing returned an array of shape ()"),
    ],
)
def test_a_wrong_result_is_refused(function: Any, code: Code, message: str) -> None:
    with pytest.raises(InitializerError) as caught:
        made(function, (2, 2))
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.message.startswith(message)


def test_the_array_is_our_own_copy_in_c_order() -> None:
    kept = np.asfortranarray(np.ones((2, 3), "float32"))
    kept.flags.writeable = False

    def same(shape: Any, dtype: Any = None) -> Any:
        return kept

    array = made(same, (2, 3))
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert not np.shares_memory(array, kept)


def test_an_error_in_custom_code_comes_through() -> None:
    def broken(shape: Any, dtype: Any = None) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        made(broken, (2,))


def test_equal_functions_make_equal_initializers() -> None:
    assert FunctionInitializer(drawn) == FunctionInitializer(drawn)
    assert FunctionInitializer(drawn) != FunctionInitializer(np.zeros)


def without_dtype(shape: Any) -> Any:
    return np.zeros(shape)


def by_position_only(shape: Any, dtype: Any = None, rng: Any = None, /) -> Any:
    return np.zeros(shape, dtype)


def rng_by_position_only(shape: Any, rng: Any = None, /, dtype: Any = None) -> Any:
    return np.zeros(shape, dtype)


class OneMore(Initializer):
    def __call__(self, shape: Any, dtype: Any, more: Any) -> Any:  # type: ignore[override]
        return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("initializer", "name"),
    [
        (without_dtype, "without_dtype"),
        (functools.partial(without_dtype), "without_dtype"),
        (by_position_only, "by_position_only"),
        (rng_by_position_only, "rng_by_position_only"),
        (OneMore(), "OneMore"),
    ],
)
def test_what_cannot_be_called_as_the_contract_says_is_refused(initializer: Any, name: str) -> None:
    with pytest.raises(
        InitializerError, match=rf"{name} cannot be called as {name}\(shape, dtype="
    ) as caught:
        made(initializer, (2,))
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.hint == "define it as f(shape, dtype=None), or f(shape, dtype=None, rng=None)"


def ragged(shape: Any, dtype: Any = None) -> Any:
    return [[1.0], [1.0, 2.0]]


class Stubborn:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("detach it first")


def stubborn(shape: Any, dtype: Any = None) -> Any:
    return Stubborn()


@pytest.mark.parametrize("function", [ragged, stubborn])
def test_a_result_that_becomes_no_array_is_refused(function: Any) -> None:
    with pytest.raises(InitializerError, match=f"{function.__name__} returned .* does not become an array"):
        made(function, (2, 2))


def test_a_type_error_of_custom_code_comes_through() -> None:
    def broken(shape: Any, dtype: Any = None) -> Any:
        raise TypeError("missing 1 required positional argument")

    for attempt in (lambda: made(broken, (2,)), lambda: FunctionInitializer(broken)((2,))):
        with pytest.raises(TypeError, match="missing 1 required"):
            attempt()


def test_an_rng_that_is_bound_already_is_kept() -> None:
    class Fixed:
        def standard_normal(self, shape: Any) -> Any:
            return np.full(shape, 7.0)

    np.testing.assert_array_equal(made(functools.partial(drawn, rng=Fixed()), (2,)), [7, 7])
    np.testing.assert_array_equal(made(functools.partial(drawn), (2,)), made(drawn, (2,)))


def test_a_function_of_jax_is_refused_before_it_is_called_and_leads_to_the_name() -> None:
    def init(key: Any, shape: Any, dtype: Any = None) -> Any: ...

    with pytest.raises(InitializerError) as caught:
        get(init)
    assert caught.value.diagnostics[0].hint.startswith("write the name of JAX's initializer")
