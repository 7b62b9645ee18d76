"""Weights on disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from initcfg import materialize
from initcfg.errors import FormatError, InitializerError, OutputError, UnknownParameterError
from initcfg.formats import atomic, base
from initcfg.generate import work
from initcfg.generate.files import write
from initcfg.generate.work import CHUNK
from initcfg.initializers import FunctionInitializer, Orthogonal, RandomNormal, RandomUniform, Zeros
from initcfg.plan import Plan


@pytest.fixture
def plan(planned) -> Plan:
    """Large, small, empty, structured and tied parameters of dtypes that both formats have."""
    return Plan(
        "mixed",
        0,
        (
            planned("emb.w", (CHUNK // 1000 + 5, 1000)),
            planned("h.0.b", (7,), Zeros(), dtype="float16"),
            planned("h.0.w", (30, 20), Orthogonal()),
            planned("h.1.b", (), RandomNormal(0.0, 2.0), dtype="float64"),
            planned("h.1.w", (0, 20), Orthogonal()),
            planned("none", (3, 0)),
            planned("head.w", (CHUNK // 1000 + 5, 1000), tied_to="emb.w"),
            planned("step", (), Zeros(), dtype="int64"),
        ),
    )


def metadata_of(path) -> dict[str, str]:
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.comment)
    with safe_open(path, "numpy") as file:
        return file.metadata()


def loaded(path) -> dict[str, np.ndarray]:
    return dict(np.load(path)) if path.suffix == ".npz" else load_file(path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_holds_what_materialize_gives(plan, tmp_path, suffix, threads) -> None:
    path = tmp_path / f"m{suffix}"
    written = write(plan, path, threads=threads, write_tied=True)
    expected = materialize(plan)
    found = loaded(path)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert written.path == path
    assert written.nbytes == path.stat().st_size
    assert written.tensors == len(plan)
    assert written.tied == {}
    assert list(tmp_path.iterdir()) == [path]


def test_safetensors_leaves_a_tied_name_out_and_lists_it(plan, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    written = write(plan, path)
    assert "head.w" not in loaded(path)
    assert json.loads(metadata_of(path)["initcfg.tied"]) == written.tied == {"head.w": "emb.w"}


def test_npz_holds_tied_names_because_its_readers_ask_for_each(plan, tmp_path) -> None:
    path = tmp_path / "m.npz"
    write(plan, path)
    found = loaded(path)
    assert list(found) == [parameter.name for parameter in plan]
    np.testing.assert_array_equal(found["head.w"], found["emb.w"])
    assert "initcfg.tied" not in metadata_of(path)


def test_a_tied_name_whose_target_is_not_written_is_written(plan, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    written = write(plan, path, select="h*.**")
    np.testing.assert_array_equal(loaded(path)["head.w"], materialize(plan["emb.w"]))
    assert written.tied == {}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_file_carries_the_plans_fingerprint(plan, tmp_path, suffix) -> None:
    path = tmp_path / f"m{suffix}"
    written = write(plan, path, metadata={"made": "today"})
    told = metadata_of(path)
    assert told["initcfg.plan"] == plan.fingerprint == written.fingerprint
    assert told["made"] == "today"
    assert "initcfg.select" not in told
    write(plan, path, select="h.**")
    assert metadata_of(path)["initcfg.select"] == "h.**"


def test_a_plan_that_holds_a_function_is_written_without_a_fingerprint(planned, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    ramp = FunctionInitializer(lambda shape, dtype=None: np.arange(shape[0], dtype=dtype))
    written = write(Plan(None, 0, (planned("w", (4,), ramp),)), path)
    assert written.fingerprint is None
    assert metadata_of(path) == {"format": "pt"}
    np.testing.assert_array_equal(loaded(path)["w"], [0, 1, 2, 3])


def test_metadata_keys_of_this_package_are_refused(plan, tmp_path) -> None:
    with pytest.raises(FormatError, match=r"'initcfg\.plan' is kept for this package"):
        write(plan, tmp_path / "m.safetensors", metadata={"initcfg.plan": "forged"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_same_plan_gives_the_same_file(plan, tmp_path, suffix) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    write(plan, paths[0], threads=1)
    write(plan, paths[1], threads=4)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_progress_ends_with_all_bytes_and_never_goes_back(plan, tmp_path, suffix, threads) -> None:
    told = []
    write(plan, tmp_path / f"m{suffix}", threads=threads, progress=lambda *now: told.append(now))
    total = sum(parameter.nbytes for parameter in plan if suffix == ".npz" or parameter.tied_to is None)
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_a_select_that_matches_nothing_writes_nothing(plan, tmp_path) -> None:
    with pytest.raises(UnknownParameterError):
        write(plan, tmp_path / "m.npz", select="nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_dtype_that_the_format_cannot_hold_leaves_the_old_file(planned, tmp_path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"old")
    with pytest.raises(FormatError, match="NumPy has no type 'bfloat16'"):
        write(Plan(None, 0, (planned("w", (2,), dtype="bfloat16"),)), path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_whatever_ends_the_work_leaves_the_old_file(planned, tmp_path, suffix, threads, error) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"old")

    def failing(shape, dtype=None):
        raise error

    broken = Plan(None, 0, (planned("a", (3, CHUNK)), planned("b", (2,), FunctionInitializer(failing))))
    with pytest.raises(error):
        write(broken, path, threads=threads)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_in_the_progress_hook_leaves_the_old_file(plan, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")

    def interrupted(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(plan, path, threads=2, progress=interrupted)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("suffix", "call"), [(".npz", "write"), (".safetensors", "pwrite")])
def test_a_failing_write_leaves_the_old_file(planned, tmp_path, monkeypatch, suffix, call) -> None:
    for at in range(1, 6):
        with monkeypatch.context() as patch:
            leaves_the_old_file(planned, tmp_path / f"m{suffix}", patch, (call, at))


def leaves_the_old_file(planned, path, monkeypatch, failing) -> None:
    call, at = failing
    path.write_bytes(b"old")
    real, calls = getattr(os, call), iter(range(1, 1000))

    def counted(*arguments):
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    monkeypatch.setattr(os, call, counted)
    plan = Plan(None, 0, tuple(planned(f"p{n}", (CHUNK,), RandomUniform()) for n in range(5)))
    with pytest.raises(OutputError, match="no space left on device; it takes 20,9") as caught:
        write(plan, path, threads=2)
    assert "are free" in caught.value.diagnostics[0].message
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_no_thread_writes_any_more_when_a_write_has_failed(planned, tmp_path, monkeypatch) -> None:
    real, calls = os.pwrite, iter(range(1, 1000))
    underway, failed = [], threading.Event()

    def slow(descriptor, data, offset):
        if next(calls) == 4:
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        underway.append(offset)
        # The neighbour of the write that fails is still at work when it has failed.
        failed.wait(0.2)
        time.sleep(0.02)
        written = real(descriptor, data, offset)
        underway.remove(offset)
        return written

    monkeypatch.setattr(os, "pwrite", slow)
    monkeypatch.setattr(work, "CHUNK", 1000)
    with pytest.raises(OutputError, match="input/output error"):
        write(Plan(None, 0, (planned("w", (50_000,), Zeros()),)), tmp_path / "m.safetensors", threads=3)
    assert underway == []
    assert next(calls) < 20
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_threads_write_leaves_the_old_file(planned, tmp_path, monkeypatch) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    real, calls = os.pwrite, iter(range(1, 1000))

    def interrupting(*arguments):
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", interrupting)
    monkeypatch.setattr(work, "CHUNK", 1000)
    with pytest.raises(KeyboardInterrupt):
        write(Plan(None, 0, (planned("w", (500_000,), Zeros()),)), path, threads=2)
    assert next(calls) < 500
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("way", ["short writes", "seek and write", "no reservation"])
def test_every_way_to_write_gives_the_same_file(plan, tmp_path, monkeypatch, threads, way) -> None:
    write(plan, tmp_path / "usual.safetensors")
    if way == "short writes":
        real = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[: len(data) // 2 + 1], at))
    elif way == "seek and write":
        monkeypatch.delattr(os, "pwrite")
    else:
        monkeypatch.setattr(atomic, "_allocate", _unsupported)
    write(plan, tmp_path / "other.safetensors", threads=threads)
    assert (tmp_path / "usual.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()


def _unsupported(descriptor, nbytes):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files_are_little_endian_on_a_big_endian_machine_too(planned, tmp_path, monkeypatch, suffix) -> None:
    plan = Plan(None, 0, (planned("w", (5,)), planned("q", (3, 3), Orthogonal()), planned("b", (4,))))
    expected = {name: array.byteswap().tobytes() for name, array in materialize(plan).items()}
    path = tmp_path / f"m{suffix}"
    # This machine's own numbers, written as if it were big-endian.
    monkeypatch.setattr(base.sys, "byteorder", "big")  # type: ignore[attr-defined]
    write(plan, path)
    monkeypatch.undo()
    assert {name: array.tobytes() for name, array in loaded(path).items()} == expected


LIMITED = """
import resource, sys
import initcfg
from initcfg.errors import OutputError

def limit(nbytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, resource.RLIM_INFINITY))

def progress(done, total):
    limit(total // 2 + 1001)

p = {"shape": [100000], "initializer": "ones"}
plan = initcfg.make_plan({"initcfg": 1, "params": {f"p{n}": p for n in range(100)}})
if sys.argv[2] == "before":
    limit(20_000_000)
try:
    initcfg.save(plan, sys.argv[1], threads=2, progress=progress)
except OutputError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_limit_of_the_file_size_is_one_clear_error(tmp_path, when) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", LIMITED, str(path), when]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 7, result.stderr
    assert "file too large; it takes 40,0" in result.stdout
    assert "are free" in result.stdout
    assert result.stderr == ""
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_os_error_in_custom_code_is_not_taken_for_one_of_the_output(planned, tmp_path) -> None:
    def reading(shape, dtype=None):
        raise FileNotFoundError("no such weights")

    with pytest.raises(FileNotFoundError, match="no such weights"):
        write(Plan(None, 0, (planned("w", (2,), FunctionInitializer(reading)),)), tmp_path / "m.npz")


def test_custom_code_that_returns_something_else_writes_nothing(planned, tmp_path) -> None:
    def wrong(shape, dtype=None):
        return np.zeros(1, dtype)

    with pytest.raises(InitializerError, match="parameter 'w'"):
        write(Plan(None, 0, (planned("w", (2,), FunctionInitializer(wrong)),)), tmp_path / "m.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_memory_does_not_grow_with_the_model(planned, tmp_path, monkeypatch, suffix) -> None:
    monkeypatch.setattr(work, "CHUNK", 1 << 16)
    parameters = [planned("big", (1 << 22,), Zeros())]
    parameters += [planned(f"p{n}", (1 << 12,), Zeros()) for n in range(100)]
    tracemalloc.start()
    try:
        write(Plan(None, 0, tuple(parameters)), tmp_path / f"m{suffix}", threads=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Sixteen megabytes are written, in chunks of a quarter of one.
    assert peak < 4_000_000


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_run_that_is_killed_leaves_the_old_file(tmp_path, suffix) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"old")
    program = (
        "import os, signal, sys, initcfg\n"
        "from initcfg.generate.files import write\n"
        "w = {'shape': [8, 1048576], 'initializer': 'ones'}\n"
        "plan = initcfg.make_plan({'initcfg': 1, 'params': {'w': w}})\n"
        "def progress(done, total):\n"
        "    if done > total // 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write(plan, sys.argv[1], threads=2, progress=progress)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert path.read_bytes() == b"old"
