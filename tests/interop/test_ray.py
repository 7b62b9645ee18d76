"""The real Ray, with two workers on this machine."""

from __future__ import annotations

import doctest
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import ray

import initcfg
from initcfg.adapters import ray as adapter
from initcfg.adapters.ray import RayExecutor
from initcfg.cli import main
from initcfg.errors import Code, InitcfgError, OutputError
from initcfg.formats.index import INDEX_NAME
from initcfg.initializers import Initializer, register
from initcfg.sharding import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LAYER = {"repeat": {"i": 6}, "params": {"w": {"shape": [64, 96], "initializer": "he_normal"}}}
SPEC = {"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": LAYER}}


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """A Ray of two workers that find this file too, as a plugin of a user would be found."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        "local",
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def executor(started: None) -> Iterator[RayExecutor]:
    with RayExecutor() as executor:
        yield executor


@register(package="tests")
class DeadlyOnce(Initializer):
    """Ones; the first process that is asked for them is killed when it has begun to write them."""

    def __init__(self, file: str) -> None:
        self.file = file

    def get_config(self) -> dict[str, Any]:
        return {"file": self.file}

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        trap = Path(self.file)
        if trap.exists():
            names = [path.name for path in trap.with_name("out").iterdir()]
            trap.with_name("seen").write_text(json.dumps(names))
            trap.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.ones(shape, dtype or "float32")


@register(package="tests")
class Counting(Initializer):
    """Has no values to give, and notes how often it was asked."""

    def __init__(self, file: str) -> None:
        self.file = file

    def get_config(self) -> dict[str, Any]:
        return {"file": self.file}

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        with Path(self.file).open("a") as file:
            file.write("x")
        return np.ones((1,) * len(shape), "float64")


def save(folder: Path, executor: Any = None, spec: dict[str, Any] = SPEC, **settings: Any) -> Any:
    return initcfg.save_sharded(spec, folder, shard_size="30kB", executor=executor, **settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_one(initializer: object) -> dict[str, Any]:
    return SPEC | {"params": {"z": {"shape": [100, 100], "initializer": initializer}}}


def test_two_workers_give_the_bytes_of_a_plain_run_and_return_receipts(
    executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "plain")
    monkeypatch.chdir(tmp_path)
    results = []
    submit = executor.submit

    def watched(*args: Any, **kwargs: Any) -> Any:
        future = submit(*args, **kwargs)
        future.add_done_callback(lambda done: results.append(done.result()))
        return future

    monkeypatch.setattr(executor, "submit", watched)
    told: list[tuple[int, int]] = []
    saved = save(Path("out"), executor, progress=lambda *now: told.append(now))
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert len(told) == 6
    assert told[-1] == (saved.nbytes, saved.nbytes)
    assert [type(result) for result in results] == [Receipt] * 6
    assert max(len(pickle.dumps(result)) for result in results) < 500
    assert os.getpid() not in {receipt.process for receipt in saved.receipts}
    assert executor.cpus == 2


def test_a_worker_killed_in_mid_shard_is_replaced_and_leaves_no_litter(
    executor: RayExecutor, tmp_path: Path
) -> None:
    trap, out = tmp_path / "trap", tmp_path / "out"
    trap.touch()
    spec = with_one({"deadly_once": {"file": str(trap)}})
    saved = save(out, executor, spec)
    assert not trap.exists(), "a worker was killed"
    assert any(name.endswith(".tmp") for name in json.loads((tmp_path / "seen").read_text())), "in mid-shard"
    assert set(contents(out)) == {*(receipt.name for receipt in saved.receipts), INDEX_NAME}
    save(tmp_path / "plain", spec=spec)
    assert contents(out) == contents(tmp_path / "plain")


def test_a_worker_that_dies_each_time_is_one_error(started: None, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.touch()
    with pytest.raises(InitcfgError) as caught, RayExecutor(retries=0) as executor:
        save(tmp_path / "out", executor, with_one({"deadly_once": {"file": str(trap)}}))
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.UNFINISHED
    assert "lost a worker" in problem.message
    assert INDEX_NAME not in contents(tmp_path / "out")


def test_an_error_of_a_task_arrives_as_it_was_raised_and_is_not_tried_again(
    executor: RayExecutor, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    spec = with_one({"counting": {"file": str(asked)}})
    with pytest.raises(InitcfgError) as plain:
        save(tmp_path / "plain", spec=spec)
    asked.unlink()
    with pytest.raises(InitcfgError) as caught:
        save(tmp_path / "out", executor, spec)
    assert type(caught.value) is type(plain.value)
    assert caught.value.diagnostics == plain.value.diagnostics
    assert asked.read_text() == "x"


def test_a_folder_that_workers_do_not_have_is_told(executor: RayExecutor) -> None:
    with pytest.raises(OutputError, match="must reach the same one"):
        initcfg.save_sharded(SPEC, "memory://ray/w", shard_size="30kB", executor=executor)


def doze() -> None:
    """Ten minutes, in which Ray can interrupt it: what waits in one call it cannot."""
    for _ in range(12_000):
        time.sleep(0.05)


def test_a_cancelled_future_is_done_at_once(executor: RayExecutor) -> None:
    futures = [executor.submit(doze) for _ in range(3)]
    assert all(future.cancel() for future in futures)
    assert all(future.cancelled() for future in futures)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(time.time)


def test_a_cancelled_task_has_stopped_when_the_executor_has(started: None, tmp_path: Path) -> None:
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"

    def slow_to_stop() -> None:
        begun.touch()
        try:
            doze()
        finally:
            time.sleep(2)
            stopped.touch()

    with RayExecutor() as executor:
        future = executor.submit(slow_to_stop)
        while not begun.exists():
            time.sleep(0.01)
        assert future.cancel()
        assert not stopped.exists()
    assert stopped.exists()


def test_a_ray_that_was_there_is_used_and_left(started: None) -> None:
    with RayExecutor():
        pass
    assert ray.is_initialized()
    with pytest.raises(ValueError, match="connected to Ray already"):
        RayExecutor("10.0.0.1:6379")


def test_the_example_of_the_class_runs(started: None) -> None:
    results = doctest.testmod(adapter)
    assert results.attempted > 0
    assert results.failed == 0


def command(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "initcfg", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


def test_the_command_starts_ray_tells_how_long_that_took_and_stops_it(spec: Path, tmp_path: Path) -> None:
    done = command("materialize", spec, "-o", "out", "--shard-size", "30kB", "--ray", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[0].startswith("Ray is ready with ")
    assert "6 shards" in done.stderr
    save(tmp_path / "plain")
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_workers_load_the_plugins_of_the_command(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "lab-1.dist-info").mkdir(parents=True)
    (site / "lab-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (site / "lab-1.dist-info/entry_points.txt").write_text("[initcfg.initializers]\nlab = lab_plugin:Lab\n")
    (site / "lab_plugin.py").write_text(
        "import numpy as np\n"
        "from initcfg import initializers\n"
        "class Lab(initializers.Initializer):\n"
        "    def __call__(self, shape, dtype=None):\n"
        "        assert initializers.lookup('lab') is Lab, 'not loaded'\n"
        "        return np.full(shape, 3, dtype or 'float32')\n"
    )
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(with_one("lab")))
    wanted = ["materialize", path, "-o", "out", "--plugin", "lab", "--ray"]
    path_of_workers = os.pathsep.join([str(site), *sys.path])
    done = command(*wanted, folder=tmp_path, PYTHONPATH=path_of_workers)
    assert done.returncode == 0, done.stderr


def test_an_address_where_nobody_is_ends_soon_with_exit_2(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.shutdown()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    out = str(tmp_path / "out")
    assert main(["materialize", str(spec), "-o", out, f"--ray=127.0.0.1:{port}"], standalone_mode=False) == 2
    assert "cannot reach Ray" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["foo", "foo:bar", "ray://foo:bar", "auto"])
@pytest.mark.parametrize("is_of_the_environment", [False, True])
def test_an_address_that_is_none_is_told_in_one_sentence(
    address: str, is_of_the_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", address if is_of_the_environment else "")
    with pytest.raises(ConnectionError) as raised:
        RayExecutor(None if is_of_the_environment else address)
    assert str(raised.value).startswith(f"cannot connect to Ray at {address!r}: ")
    assert "\n" not in str(raised.value)
    assert not ray.is_initialized()


def test_the_command_tells_of_an_address_that_is_none(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.shutdown()
    out = str(tmp_path / "out")
    assert main(["materialize", str(spec), "-o", out, "--ray=foo:bar"], standalone_mode=False) == 2
    assert "--ray: cannot connect to Ray at 'foo:bar'" in capsys.readouterr().err


def test_an_environment_that_ray_does_not_take_is_no_wrong_address() -> None:
    ray.shutdown()
    with pytest.raises(TypeError, match="pip"):
        RayExecutor(runtime_env={"pip": 3})
    assert not ray.is_initialized()


def test_futures_that_are_not_waited_for_fail_when_their_ray_is_stopped() -> None:
    ray.shutdown()
    executor = RayExecutor()
    done, cancelled, *lost = [executor.submit(time.sleep, seconds) for seconds in (0, 60, 60, 60)]
    done.result(timeout=30)
    cancelled.cancel()
    executor.shutdown(wait=False)
    assert not ray.is_initialized()
    for future in lost:
        with pytest.raises(BrokenExecutor, match="Ray was stopped before the task had ended"):
            future.result(timeout=5)
    assert done.result() is None
    assert cancelled.cancelled()


def test_ray_is_for_a_folder(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "w.safetensors")
    assert main(["materialize", str(spec), "-o", out, "--ray"], standalone_mode=False) == 2
    assert "--ray is for a folder of shards" in capsys.readouterr().err


def test_an_executor_that_cannot_start_its_workers_stops_ray_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ray.shutdown()
    monkeypatch.setattr(adapter, "__version__", "of another release")
    with pytest.raises(ImportError, match="and this process has of another release"):
        RayExecutor()
    assert not ray.is_initialized()


@pytest.mark.parametrize("by", ["shutdown", "another"])
def test_a_ray_that_somebody_stops_in_mid_run_is_one_error(by: str, tmp_path: Path) -> None:
    ray.shutdown()
    trap = tmp_path / "trap"

    def stop() -> None:
        while not trap.exists():
            time.sleep(0.01)
        ray.shutdown()
        if by == "another":
            ray.init("local", num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)

    stopping = threading.Thread(target=stop)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    with RayExecutor() as executor:
        stopping.start()
        with pytest.raises(InitcfgError, match="Ray was stopped") as caught:
            save(tmp_path / "out", executor, with_one({"sleeping": {"file": str(trap)}}))
        stopping.join()
    assert caught.value.diagnostics[0].code is Code.UNFINISHED
    assert ray.is_initialized() == (by == "another")
    ray.shutdown()


@register(package="tests")
class Sleeping(Initializer):
    """Takes ten minutes, and says when it has begun."""

    def __init__(self, file: str) -> None:
        self.file = file

    def get_config(self) -> dict[str, Any]:
        return {"file": self.file}

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        Path(self.file).touch()
        doze()
        return np.ones(shape, dtype or "float32")


KILLED_HEAD = """
import sys, time, threading, ray, initcfg
from initcfg.adapters.ray import RayExecutor
layer = {"repeat": {"i": 3}, "params": {"w": {"shape": [8], "initializer": "zeros"}}}
try:
    with RayExecutor() as executor:
        for _ in range(executor.cpus):
            executor.submit(time.sleep, 600)
        node = ray._private.worker._global_node
        def kill():
            time.sleep(2)
            node.kill_gcs_server(check_alive=False)
            node.kill_raylet(check_alive=False)
        threading.Thread(target=kill).start()
        spec = {"initcfg": 1, "layers": {"h.{i}": layer}}
        initcfg.save_sharded(spec, sys.argv[1], shard_size="50B", executor=executor)
except initcfg.InitcfgError as error:
    print("told:", error, flush=True)
"""


def test_a_head_that_is_killed_is_one_error_before_ray_ends_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_HEAD, str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "does not answer any more: start Ray again" in done.stdout
    assert "[unfinished]" in done.stdout
