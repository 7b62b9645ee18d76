"""Settings for the whole suite."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from initcfg.dtypes import as_dtype
from initcfg.initializers import Initializer, RandomNormal, resolve, stream_of
from initcfg.layout import Layout
from initcfg.plan import PlannedParameter
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

# The same cases on every run and no time limits: a red build must mean a broken promise, not a busy machine.
# INITCFG_EXAMPLES says how many examples a property tries; one that needs more says how many times as many.
settings.register_profile(
    "reproducible",
    max_examples=int(os.environ.get("INITCFG_EXAMPLES", "25")),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
settings.load_profile("reproducible")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail the run if any test is skipped")


class _NoSkips:
    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for nodeid in self.skipped:
            terminalreporter.write_line(f"skipped, which --no-skips forbids: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--no-skips"):
        config.pluginmanager.register(_NoSkips(), "no-skips")


@pytest.fixture(scope="session")
def indices() -> Callable[[tuple[int, ...]], st.SearchStrategy[Any]]:
    """``indices(shape)``: basic indices, also with slices that begin and end beyond the axes, either way."""

    def beyond(length: int) -> st.SearchStrategy[slice]:
        bound = st.none() | st.integers(-2 * length - 2, 2 * length + 2)
        return st.builds(slice, bound, bound, st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3]))

    def indices(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
        return st.one_of(
            basic_indices(shape, allow_newaxis=True, allow_ellipsis=True), st.tuples(*map(beyond, shape))
        )

    return indices


@pytest.fixture(scope="session")
def planned() -> Callable[..., PlannedParameter]:
    """``planned(name, shape, initializer)``: a parameter as a plan would hold it, without a spec."""

    def make(
        name: str,
        shape: tuple[int, ...] = (),
        initializer: Initializer | None = None,
        *,
        dtype: str = "float32",
        layout: str | None = "in_out",
        seed: int = 0,
        tied_to: str | None = None,
    ) -> PlannedParameter:
        chosen: Any = initializer or RandomNormal(0.0, 1.0)
        axes = None if layout is None else Layout(layout)
        return PlannedParameter(
            name=name,
            shape=shape,
            dtype=as_dtype(dtype),
            layout=axes,
            fans=None,
            initializer=chosen,
            distribution=resolve(chosen, shape, axes),
            stream=stream_of(chosen, shape, Stream.of_parameter(seed, tied_to or name)),
            stream_name=tied_to or name,
            tied_to=tied_to,
        )

    return make
