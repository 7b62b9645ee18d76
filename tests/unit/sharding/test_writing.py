"""Executors whose futures never end: each is one error, soon."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from initcfg.errors import Code, InitcfgError
from initcfg.sharding import save_set, writing


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_LOOK_SECONDS", 0.05)


class Stopped(Executor):
    """Takes tasks until it is stopped, by somebody else, and ends none of them.

    Args:
        ended: how many it does before.
    """

    def __init__(self, ended: int) -> None:
        self.left = ended

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.left < -3:
            raise RuntimeError("stopped by somebody")
        self.left -= 1
        future: Future[Any] = Future()
        if self.left >= 0:
            future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("ended", [0, 3])
def test_an_executor_that_somebody_has_stopped_is_one_error(ended, store, shards) -> None:
    with pytest.raises(InitcfgError, match="has been ended: RuntimeError: stopped by somebody") as caught:
        save_set(shards(), store, executor=Stopped(ended))
    assert caught.value.diagnostics[0].code is Code.UNFINISHED
    assert save_set(shards(), store).index is not None


def test_a_pool_that_drops_its_tasks_is_one_error(store, shards) -> None:
    """Python's own never tell a waiting thread of a future that they cancel in the end."""
    with ThreadPoolExecutor(1) as pool:

        def stop(*_: int) -> None:
            pool.shutdown(wait=False, cancel_futures=True)

        with pytest.raises(InitcfgError, match="has been ended"):
            save_set(shards(), store, executor=pool, progress=stop)


def test_a_slow_executor_is_waited_for(store, shards) -> None:
    """One that takes tasks, and one that takes no more and does those that it has."""
    import time

    class Slow(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            return super().submit(lambda: (time.sleep(0.2), fn(*args, **kwargs))[1])

    with Slow(1) as pool:
        told = []

        def stop(done: int, total: int) -> None:
            told.append(done)
            pool.shutdown(wait=False)

        assert save_set(shards(1, a_shard=4), store, executor=pool, progress=stop).index is not None
    assert len(told) == 2
