"""Shards sent to executors: Python's threads and processes, and dask's workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask import config
from distributed import Client, LocalCluster

import initcfg
from initcfg import errors
from initcfg.errors import Code, Diagnostic, InitcfgError, Location, OutputError
from initcfg.formats.index import INDEX_NAME
from initcfg.formats.temporary import TEMPORARY_PREFIX
from initcfg.initializers import Initializer, register
from initcfg.sharding import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAYER = {"repeat": {"i": 6}, "params": {"w": {"shape": [64, 96], "initializer": "he_normal"}}}
SPEC = {"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": LAYER}}
POOLS = ["threads", "spawn", "fork", "forkserver", "dask"]


@contextmanager
def dask() -> Iterator[Executor]:
    # Otherwise a task that kills its worker kills three more.
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


def pool(kind: str) -> Any:
    if kind == "threads":
        return ThreadPoolExecutor(2)
    if kind == "dask":
        return dask()
    return ProcessPoolExecutor(2, multiprocessing.get_context(kind))


def save(folder: Path, executor: Executor | None = None, spec: dict[str, Any] = SPEC, **settings: Any) -> Any:
    return initcfg.save_sharded(spec, folder, shard_size="30kB", executor=executor, **settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Watched(Executor):
    """Another executor, of which each task and each result is kept as it is sent: pickled."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.sent: list[tuple[Any, ...]] = []
        self.results: list[object] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn is abs:  # no task: a look whether the executor still takes some, where workers start slowly
            return self.inner.submit(fn, *args, **kwargs)
        self.sent.append(args)
        future = self.inner.submit(fn, *args, **kwargs)
        future.add_done_callback(lambda done: self.results.append(done.result()))
        return future


@pytest.mark.parametrize("kind", POOLS)
def test_every_executor_gives_the_bytes_of_a_plain_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "plain")
    # A relative path means the same folder to workers that stand elsewhere.
    monkeypatch.chdir(tmp_path)
    told: list[tuple[int, int]] = []
    with pool(kind) as executor:
        watched = Watched(executor)
        saved = save(Path("out"), watched, progress=lambda *now: told.append(now))
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert [receipt.name for receipt in saved.receipts] == sorted(contents(tmp_path / "out"))[:6]
    assert len(told) == 6
    assert told[-1] == (saved.nbytes, saved.nbytes)
    assert all(type(result) is Receipt for result in watched.results)
    assert max(len(pickle.dumps(result)) for result in watched.results) < 500
    assert [[type(each).__name__ for each in args] for args in watched.sent] == [["str", "str", "Shard"]] * 6
    if kind != "threads":
        assert os.getpid() not in {receipt.process for receipt in saved.receipts}


def test_a_task_carries_its_shard_and_not_the_plan(tmp_path: Path) -> None:
    layers = {"h.{i}": LAYER | {"repeat": {"i": 400}}}
    with ThreadPoolExecutor(2) as executor:
        watched = Watched(executor)
        save(tmp_path, watched, SPEC | {"layers": layers})
    assert len(watched.sent) == 400
    assert max(len(pickle.dumps(args)) for args in watched.sent) < 10_000


def test_a_second_run_sends_nothing(tmp_path: Path) -> None:
    save(tmp_path)
    with ThreadPoolExecutor(2) as executor:
        watched = Watched(executor)
        assert {receipt.process for receipt in save(tmp_path, watched).receipts} == {None}
    assert watched.sent == []


@register(package="tests")
class Deadly(Initializer):
    """Kills the process that asks it for values, while a file is there; without it, ones."""

    def __init__(self, file: str) -> None:
        self.file = file

    def get_config(self) -> dict[str, Any]:
        return {"file": self.file}

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        if Path(self.file).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return np.ones(shape, dtype or "float32")


@register(package="tests")
class Refusing(Initializer):
    """Has no values to give."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.ones((1,) * len(shape), "float64")


def with_one(initializer: object) -> dict[str, Any]:
    """`SPEC` with one parameter more, which stands in a shard of its own."""
    shape = [100, 100]
    return SPEC | {"params": {"z": {"shape": shape, "initializer": initializer}}}


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(f"{TEMPORARY_PREFIX}*.tmp")]


@pytest.mark.parametrize("kind", ["fork", "dask"])
def test_a_pool_that_lost_a_worker_is_one_error_and_a_second_run_ends_the_work(
    kind: str, tmp_path: Path
) -> None:
    trap, out = tmp_path / "trap", tmp_path / "out"
    trap.touch()
    spec = with_one({"deadly": {"file": str(trap)}})
    with pytest.raises(InitcfgError) as caught, pool(kind) as executor:
        save(out, executor, spec)
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.UNFINISHED
    assert "lost a worker" in problem.message
    assert "run again" in str(problem.hint)
    assert INDEX_NAME not in contents(out)
    trap.unlink()
    before = set(contents(out))
    saved = save(out, spec=spec)
    assert {receipt.name for receipt in saved.receipts if receipt.process is None} == {
        name for name in before if name.endswith(".safetensors")
    }
    assert litter(out) == []
    assert initcfg.verify(out, spec).is_equal


@pytest.mark.parametrize("kind", POOLS)
def test_an_error_of_a_worker_arrives_as_it_was_raised(kind: str, tmp_path: Path) -> None:
    spec = with_one("refusing")
    with pytest.raises(InitcfgError) as plain:
        save(tmp_path / "plain", spec=spec)
    with pytest.raises(InitcfgError) as caught, pool(kind) as executor:
        save(tmp_path / "out", executor, spec)
    assert type(caught.value) is type(plain.value)
    assert caught.value.diagnostics == plain.value.diagnostics
    assert litter(tmp_path / "out") == []


class Misleading(Executor):
    """Fails with an error that reads like one of another kind."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(self.error)
        return future


def test_an_error_of_the_task_is_not_taken_for_one_of_pickling(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pickles"):
        save(tmp_path / "out", Misleading(FileNotFoundError("/data/pickles/vocab")))


def test_an_executor_that_has_been_shut_down_is_one_error(tmp_path: Path) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(InitcfgError, match="has been ended: RuntimeError") as caught:
        save(tmp_path / "out", pool)
    assert caught.value.diagnostics[0].code is Code.UNFINISHED


CLASSES = [
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, InitcfgError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_being_pickled(kind: type[InitcfgError]) -> None:
    where = Location("a.yaml", 3, 5, 7, "x: y", ("params", 0))
    error = kind(Diagnostic(Code.OUTPUT, "one", where, "way out", "note"), Diagnostic(Code.TIED, "two"))
    error.add_note("while it was made")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.diagnostics == error.diagnostics
    assert str(copy) == str(error)
    assert copy.__notes__ == error.__notes__


def test_an_initializer_that_workers_cannot_import_is_told_with_the_way_out(tmp_path: Path) -> None:
    @register(package="tests")
    class Inner(Initializer):
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.zeros(shape, dtype or "float32")

    with pytest.raises(InitcfgError) as caught, pool("spawn") as executor:
        save(tmp_path, executor, with_one("inner"))
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.NOT_SERIALIZABLE
    assert "at the top of a module" in str(problem.hint)


def elsewhere(fn: Callable[..., Any], place: str, *args: Any, **kwargs: Any) -> Any:
    """The task as a machine would see it that does not share the folder."""
    return fn(f"{place}-on-another-disk", *args, **kwargs)


class Far(Executor):
    """Workers whose disk is another."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.inner.submit(elsewhere, fn, *args, **kwargs)


@pytest.mark.parametrize("copied", [False, True])
def test_workers_without_the_shared_folder_are_told_so(copied: bool, tmp_path: Path) -> None:
    if copied:
        (tmp_path / "out-on-another-disk").mkdir()
    with pytest.raises(OutputError) as caught, pool("fork") as executor:
        save(tmp_path / "out", Far(executor))
    assert "does not find the run" in str(caught.value)
    assert "must reach the same one" in str(caught.value)


def test_memory_is_no_folder_that_processes_share() -> None:
    with pytest.raises(OutputError, match="must reach the same one"), pool("spawn") as executor:
        initcfg.save_sharded(SPEC, "memory://executors/w", shard_size="30kB", executor=executor)


def test_an_interrupt_cancels_what_has_not_begun(tmp_path: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            save(
                tmp_path,
                executor,
                SPEC | {"layers": {"h.{i}": LAYER | {"repeat": {"i": 400}}}},
                progress=interrupt,
            )
        begun = len(contents(tmp_path))
    assert len(contents(tmp_path)) == begun < 400
    assert INDEX_NAME not in contents(tmp_path)
    assert litter(tmp_path) == []


class Interrupted(ThreadPoolExecutor):
    """Is interrupted in the middle of a submission: it has begun, and has not ended."""

    def __init__(self, at: int) -> None:
        super().__init__(1)
        self.at, self.begun, self.ended = at, 0, list[Future[Any]]()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.begun += 1
        if self.begun == self.at:
            signal.raise_signal(signal.SIGINT)
        self.ended.append(super().submit(fn, *args, **kwargs))
        return self.ended[-1]


@pytest.mark.parametrize("at", [1, 2, 5])  # the first is the rehearsal
def test_an_interrupt_waits_for_the_end_of_a_submission(at: int, tmp_path: Path) -> None:
    spec = SPEC | {"layers": {"h.{i}": LAYER | {"repeat": {"i": 40}}}}
    handler = signal.getsignal(signal.SIGINT)
    with Interrupted(at) as executor:
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, executor, spec)
        assert executor.begun == len(executor.ended) == at
        assert at == 1 or all(each.done() for each in executor.ended)
    assert signal.getsignal(signal.SIGINT) is handler
    assert INDEX_NAME not in contents(tmp_path)
    assert litter(tmp_path) == []


def test_an_interrupt_ends_a_run_on_processes_without_litter(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import initcfg\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        "    w = {'shape': [512, 1024], 'initializer': 'random_normal'}\n"
        "    layer = {'repeat': {'i': 400}, 'params': {'w': w}}\n"
        "    spec = {'initcfg': 1, 'layers': {'h.{i}': layer}}\n"
        "    with ProcessPoolExecutor(2) as executor:\n"
        "        initcfg.save_sharded(spec, 'out', shard_size='2MB', executor=executor, engine='numpy')\n"
    )
    child = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    out = tmp_path / "out"
    deadline = time.monotonic() + 60
    while not (out.exists() and any(out.glob("*.safetensors"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    # To the driver alone: Python 3.11's own pool may wait for ever when its workers are interrupted too.
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in told
    assert INDEX_NAME not in contents(out)
    assert len(contents(out)) < 400
    assert litter(out) == []


@register(package="tests")
class Sleeping(Initializer):
    """Takes a minute, and says when it has begun."""

    def __init__(self, file: str) -> None:
        self.file = file

    def get_config(self) -> dict[str, Any]:
        return {"file": self.file}

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        Path(self.file).touch()
        time.sleep(60)
        return np.ones(shape, dtype or "float32")


@pytest.mark.parametrize("what", ["client", "cluster", "workers"])
def test_a_dask_that_somebody_stops_in_mid_run_is_one_error(what: str, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):

        def stop() -> None:
            while not begun.exists():
                time.sleep(0.01)
            if what == "workers":
                for worker in list(cluster.workers.values()):
                    os.kill(worker.pid, signal.SIGKILL)
            else:
                (client if what == "client" else cluster).close()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(InitcfgError) as caught:
            save(tmp_path / "out", client.get_executor(), with_one({"sleeping": {"file": str(begun)}}))
        stopping.join()
    assert caught.value.diagnostics[0].code is Code.UNFINISHED
    assert INDEX_NAME not in contents(tmp_path / "out")
