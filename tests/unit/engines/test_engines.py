"""Choosing an engine, and what planning asks of engines."""

from __future__ import annotations

import numpy as np
import pytest

from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines import ENGINES, check, get_engine
from initcfg.errors import Code, InitializerError
from initcfg.stream import Stream


def test_numpy_is_the_default_engine() -> None:
    assert get_engine() is get_engine("numpy") is ENGINES["numpy"]


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
    assert caught.value.diagnostics[0].hint == "the engines are numpy"
