"""Choosing an engine, and what planning asks of engines."""

from __future__ import annotations

import sys
from types import ModuleType
from unittest.mock import Mock

import numpy as np
import pytest

from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines import ENGINES, check, compiled, get_engine, reference
from initcfg.engines.compiled import build
from initcfg.errors import Code, InitializerError
from initcfg.stream import Stream

MANY = 2**40
LAW, STREAM = Normal(0.0, 1.0), Stream.of_parameter(0, "h.0")


def test_numpy_is_chosen_for_a_few_elements_and_for_an_unknown_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "initcfg.engines.compiled")
    assert get_engine() is get_engine(numel=1000) is get_engine("numpy") is reference.fill


def test_a_few_elements_are_drawn_by_numba_once_their_kernel_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law = Normal(0.0, 0.75)  # of this test alone: what is the same for all fills from a law is kept
    by_numba = Mock(wraps=compiled.fill)
    monkeypatch.setattr(compiled, "fill", by_numba)
    monkeypatch.setattr(build, "_entries", {})
    first, second, third = np.empty((3, 7), np.float32)
    get_engine(numel=7)(first, law, STREAM, 5)
    assert by_numba.call_count == 0
    get_engine(numel=MANY)(second, law, STREAM, 5)
    get_engine(numel=7)(third, law, STREAM, 5)
    assert by_numba.call_count == 2
    assert first.tobytes() == second.tobytes() == third.tobytes()


def test_a_few_elements_do_not_wait_for_a_numba_that_is_being_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, compiled.__name__, ModuleType(compiled.__name__))
    assert get_engine(numel=7) is reference.fill


def test_numba_is_chosen_for_many() -> None:
    out, expected = np.empty((2, 7), np.float32)
    get_engine(numel=MANY)(out, LAW, STREAM, 5)
    reference.fill(expected, LAW, STREAM, 5)
    assert out.tobytes() == expected.tobytes()
    assert get_engine(numel=MANY) is not reference.fill
    assert get_engine("numba") is compiled.fill


def test_numba_that_is_loaded_already_is_chosen_for_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_engine(numel=2**22) is not reference.fill
    monkeypatch.delitem(sys.modules, "initcfg.engines.compiled")
    assert get_engine(numel=2**22) is reference.fill


def test_many_elements_are_drawn_by_numpy_where_there_is_no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert get_engine(numel=MANY) is reference.fill
    with pytest.raises(InitializerError, match="not installed") as caught:
        get_engine("numba")
    assert "pip install initcfg[fast]" in (caught.value.diagnostics[0].hint or "")


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
    assert caught.value.diagnostics[0].hint == "the engines are numba, numpy"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_empty_fill_may_start_at_the_end_of_the_positions(engine: str) -> None:
    get_engine(engine)(np.empty(0, np.float32), LAW, STREAM, 2**63)
