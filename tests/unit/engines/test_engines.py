"""Choosing an engine, and what planning asks of engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from initcfg import engines
from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines import ENGINES, check, get_engine, native, reference
from initcfg.errors import Code, InitializerError
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAW, STREAM = Normal(0.0, 1.0), Stream.of_parameter(0, "h.0")


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An installation without compiled kernels."""
    monkeypatch.setattr(native, "_FOLDER", tmp_path)
    native.library.cache_clear()
    engines._best.cache_clear()
    yield
    native.library.cache_clear()
    engines._best.cache_clear()


def test_native_is_chosen_where_it_is_there() -> None:
    assert get_engine() is get_engine("native") is native.fill
    assert get_engine("numpy") is reference.fill


@pytest.mark.usefixtures("without_native")
def test_numpy_takes_its_place_and_says_so_once_when_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_WORTH_A_WORD", 20)
    out, expected = np.empty((2, 8), np.float32)
    reference.fill(expected, LAW, STREAM, 5)
    get_engine()(out, LAW, STREAM, 5)
    get_engine()(out, LAW, STREAM, 5)
    with pytest.warns(RuntimeWarning, match="no compiled kernels: the engine 'numpy'.*pip install"):
        get_engine()(out, LAW, STREAM, 5)
    get_engine()(out, LAW, STREAM, 5)  # a second warning would be an error
    assert out.tobytes() == expected.tobytes()


@pytest.mark.usefixtures("without_native")
def test_native_that_is_asked_for_by_name_is_never_replaced() -> None:
    with pytest.raises(InitializerError, match="no compiled kernels"):
        get_engine("native")


def test_an_unknown_engine_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InitializerError, match="'numpi'") as caught:
        get_engine("numpi")
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.hint) == (Code.UNKNOWN_CHOICE, "did you mean 'numpy'?")


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize(
    "law",
    [
        Fill(300),
        Fill(0.5),
        Uniform(0.0, 1e-3),
        Normal(0.0, 90.0),
        Normal(0.0, 1e-31),
        TruncatedNormal(0.0, 1.0, 40.0, 41.0),
        TruncatedNormal(0.0, 1.0, 0.3, 0.31),
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ENGINES)
def test_check_refuses_exactly_what_a_fill_refuses(law, dtype, engine: str) -> None:
    refusals = []
    for attempt in (
        lambda: check(law, dtype),
        lambda: get_engine(engine)(np.empty(4, dtype.numpy), law, Stream.of_parameter(0, "a"), 0),
    ):
        try:
            attempt()
            refusals.append(None)
        except InitializerError as error:
            refusals.append(error.diagnostics)
    assert refusals[0] == refusals[1]


@pytest.mark.parametrize("name", [5, [], ["numpy"], "gpu"])
def test_what_names_no_engine_is_refused_with_a_list_of_those_there_are(name) -> None:
    with pytest.raises(InitializerError, match="no engine is named") as caught:
        get_engine(name)
    assert caught.value.diagnostics[0].hint == "the engines are native, numpy"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_empty_fill_may_start_at_the_end_of_the_positions(engine: str) -> None:
    get_engine(engine)(np.empty(0, np.float32), LAW, STREAM, 2**63)
