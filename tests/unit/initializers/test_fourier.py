"""Keras's kernels of the short-time Fourier transform, against scipy's windows and numpy's cosines."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import get_window

from initcfg import engines
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import STFT, Request, check, draw, make
from initcfg.initializers.fourier import _CLOSED, _WINDOWS
from initcfg.layout import IN_OUT, Layout
from initcfg.stream import Stream

STREAM = Stream.of_parameter(0, "w")


def request(shape: tuple[int, ...], layout: str = "in_out", dtype: str = "float64") -> Request:
    return Request(shape, as_dtype(dtype), Layout(layout), STREAM, engines.get_engine())


def expected(steps: int, frequencies: int, config: dict[str, Any]) -> np.ndarray:
    """Keras's computation, in float64."""
    angles = -2 * np.pi * np.outer(np.arange(steps), np.arange(frequencies)) / (2 * (frequencies - 1))
    kernel = np.cos(angles) if config["side"] == "real" else np.sin(angles)
    if config["window"] is None:
        return kernel
    window = config["window"]
    if isinstance(window, str):
        window = get_window(window, steps, config["periodic"])
    size = {"density": np.sqrt(np.square(window).sum()), "spectrum": np.abs(window).sum(), None: 1.0}
    return kernel * np.reshape(window, (-1, 1)) / size[config["scaling"]]


configs = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["real", "imag"]),
        "window": st.sampled_from([*_WINDOWS, None]),
        "scaling": st.sampled_from(["density", "spectrum", None]),
        "periodic": st.booleans(),
    }
)


@given(config=configs, steps=st.integers(3, 70), frequencies=st.integers(2, 70))
def test_kernels_are_scipy_s_windows_times_cosines(
    config: dict[str, Any], steps: int, frequencies: int
) -> None:
    found = make(STFT.from_config(config), request((steps, 1, frequencies)))[:, 0]
    np.testing.assert_allclose(found, expected(steps, frequencies, config), atol=2e-12)


@pytest.mark.parametrize("window", _WINDOWS)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("steps", range(1, 9))
def test_short_windows_are_scipy_s(window: str, periodic: bool, steps: int) -> None:
    found = make(STFT(window=window, scaling=None, periodic=periodic), request((steps, 1, 2)))[:, 0, 0]
    np.testing.assert_allclose(found, get_window(window, steps, periodic), atol=1e-15)


def test_a_window_may_be_given_by_its_values() -> None:
    config = {"side": "imag", "window": [0.5, 1, 2], "scaling": "spectrum", "periodic": False}
    for window in ([0.5, 1, 2], (0.5, 1.0, 2.0), np.array([0.5, 1, 2])):
        found = make(STFT("imag", window, "spectrum"), request((3, 1, 4)))[:, 0]
        np.testing.assert_allclose(found, expected(3, 4, config), atol=1e-15)
    assert STFT.from_config(config).get_config() == config


@given(start=st.integers(0, 119), size=st.integers(0, 120), layout=st.sampled_from(["in_out", "out_in"]))
def test_any_stretch_is_that_of_the_whole(start: int, size: int, layout: str) -> None:
    wanted = request((10, 1, 12) if layout == "in_out" else (12, 1, 10), layout, "float32")
    whole = make(STFT(), wanted)
    out = np.full(min(size, 120 - start), 7, np.float32)
    draw(STFT(), out, start, wanted)
    np.testing.assert_array_equal(out, whole.reshape(-1)[start : start + size])


def test_the_layout_moves_the_axes() -> None:
    np.testing.assert_array_equal(
        make(STFT(), request((12, 1, 10), "out_in")), make(STFT(), request((10, 1, 12))).transpose(2, 1, 0)
    )


def test_the_angles_of_long_kernels_keep_their_digits() -> None:
    """Where float32 angles, as Keras's, are off by some hundredths."""
    found = make(STFT(window=None), request((4096, 1, 2049), dtype="float32"))[-1, 0]
    angles = np.arange(2049) * 4095 % 4096 * (2 * np.pi / 4096)
    np.testing.assert_allclose(found, np.cos(angles), atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "shape", "code", "told"),
    [
        ({}, (4, 3), Code.INITIALIZER_SHAPE, "kernels of time, one input and frequencies"),
        ({}, (4, 2, 3), Code.INITIALIZER_SHAPE, "kernels of time, one input and frequencies"),
        ({}, (4, 1, 1), Code.INITIALIZER_SHAPE, "has one frequency"),
        ({"window": [1, 2]}, (4, 1, 3), Code.INITIALIZER_SHAPE, "2 values does not fit the 4 steps"),
        ({"window": [0, 0]}, (2, 1, 3), Code.INITIALIZER_SHAPE, "is 0 everywhere"),
        *(({"window": window}, (2, 1, 3), Code.INITIALIZER_SHAPE, "is 0 everywhere") for window in _CLOSED),
    ],
)
def test_shapes_that_do_not_suit_are_refused(
    arguments: dict[str, Any], shape: tuple[int, ...], code: Code, told: str
) -> None:
    with pytest.raises(InitializerError, match=told) as caught:
        check(STFT(**arguments), shape, as_dtype("float32"), IN_OUT)
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"window": "han"}, Code.UNKNOWN_CHOICE),
        ({"window": "kaiser"}, Code.UNKNOWN_CHOICE),
        ({"window": 3.0}, Code.WRONG_TYPE),
        ({"window": [[1.0]]}, Code.WRONG_TYPE),
        ({"window": ["a"]}, Code.WRONG_TYPE),
        ({"scaling": "psd"}, Code.UNKNOWN_CHOICE),
        ({"periodic": 1}, Code.WRONG_TYPE),
        ({"side": "both"}, Code.UNKNOWN_CHOICE),
    ],
)
def test_arguments_that_keras_has_not_are_refused(arguments: dict[str, Any], code: Code) -> None:
    with pytest.raises(InitializerError) as caught:
        STFT(**arguments)
    assert caught.value.diagnostics[0].code == code


def test_integers_hold_no_cosines() -> None:
    with pytest.raises(InitializerError, match="cannot be held in int8"):
        check(STFT(), (4, 1, 3), as_dtype("int8"), IN_OUT)


@pytest.mark.parametrize("engine", ["numpy", "native"])
def test_the_bits_of_a_kernel_are_kept(engine: str) -> None:
    """Written once by this code; IEEE operations and the cosine of this package decide them."""
    digests = {}
    for dtype in ("float32", "float64", "bfloat16"):
        wanted = request((61, 1, 33), dtype=dtype)._replace(fill=engines.get_engine(engine))
        kernels = b"".join(make(STFT(side), wanted).tobytes() for side in ("real", "imag"))
        digests[dtype] = hashlib.sha256(kernels).hexdigest()[:16]
    assert digests == {
        "float32": "7a77a0e483164ef7",
        "float64": "61c9dff3146f24e7",
        "bfloat16": "8272cdacf07fdbe7",
    }
