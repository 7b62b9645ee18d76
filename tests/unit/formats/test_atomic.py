"""A file is written whole or not at all, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from initcfg.errors import OutputError
from initcfg.formats import atomic
from initcfg.formats.atomic import PreallocatedFile, placing, replacing, reserve
from initcfg.formats.temporary import TEMPORARY_PREFIX, create, sweep


def write(path: Path, data: bytes = b"new") -> None:
    with replacing(path, len(data)) as file:
        for start in range(0, len(data), 16):
            file.write(data[start : start + 16])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.write_bytes(b"old")
    return path


def test_the_file_appears_only_when_the_block_ends(tmp_path) -> None:
    path = tmp_path / "target"
    with replacing(path, 3) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(TEMPORARY_PREFIX)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_stood_there_is_replaced(old) -> None:
    write(old)
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_the_block_raises_leaves_the_old_file_and_no_litter(old, error) -> None:
    def interrupted() -> None:
        with replacing(old, 3) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_the_umask(tmp_path, mask) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "target")
    finally:
        os.umask(before)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("kind", ["file", "folder", "dangling"])
def test_a_symlink_at_the_target_is_replaced_not_followed(tmp_path, kind) -> None:
    victim = tmp_path / "victim"
    if kind == "file":
        victim.write_bytes(b"precious")
    elif kind == "folder":
        victim.mkdir()
    path = tmp_path / "target"
    path.symlink_to(victim)
    write(path)
    assert not path.is_symlink()
    assert path.read_bytes() == b"new"
    assert kind != "file" or victim.read_bytes() == b"precious"
    assert kind != "folder" or list(victim.iterdir()) == []
    assert kind != "dangling" or not victim.exists()


def test_the_file_is_synced_then_renamed_then_its_folder_is_synced(tmp_path, monkeypatch) -> None:
    steps = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor):
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def recorded_replace(self, target):
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    write(tmp_path / "target")
    assert steps == ["sync file", "rename", "sync folder"]


@pytest.mark.parametrize(
    ("path", "reason", "hint"),
    [
        ("missing/target", "no such file or directory", "create the folder first"),
        ("folder", "is a directory", "name a file, not a folder"),
        ("file/target", "not a directory", "one of the folders in the path is a file"),
        ("n\0ul", "embedded null", "choose another place to write to"),
        ("\ud800", "its name is no text", "choose another place to write to"),
        ("x" * 300 + "/target", "file name too long", "choose a shorter file name"),
        ("x" * 300, "file name too long", "choose a shorter file name"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused_with_the_way_out(tmp_path, path, reason, hint) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OutputError) as caught:
        write(tmp_path / path)
    (problem,) = caught.value.diagnostics
    assert reason in problem.message
    assert problem.hint == hint
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_closed_folder_is_refused_with_the_way_out(old, monkeypatch, code) -> None:
    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OutputError) as caught:
        write(old)
    assert caught.value.diagnostics[0].hint.startswith("choose a folder that")
    assert old.read_bytes() == b"old"


def test_too_little_space_is_noticed_before_anything_is_written(old, monkeypatch) -> None:
    usage = shutil.disk_usage(old.parent)._replace(free=1234)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(os, "open", None)
    with pytest.raises(OutputError) as caught, replacing(old, 5_000_000):
        pytest.fail("the block was entered")
    (problem,) = caught.value.diagnostics
    assert problem.message.endswith("no space left on device; it takes 5,000,000 bytes, 1,234 are free")
    assert problem.hint == "free some space, or write to another file system"
    assert old.read_bytes() == b"old"


def test_an_interrupt_while_the_temporary_file_is_made_leaves_none(old, monkeypatch) -> None:
    real = os.open

    def interrupted(path, *rest):
        descriptor = real(path, *rest)
        if os.fspath(path).endswith(".tmp"):
            os.close(descriptor)
            raise KeyboardInterrupt
        return descriptor

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(old)
    assert list(old.parent.iterdir()) == [old]
    assert old.read_bytes() == b"old"


def test_what_a_dead_run_has_left_counts_as_free_space(old, monkeypatch) -> None:
    left, descriptor = create(old.parent)
    os.close(descriptor)

    def usage(_):
        return shutil._ntuple_diskusage(100, 0, 0 if left.exists() else 100)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    write(old)
    assert old.read_bytes() == b"new"


def test_a_file_system_that_does_not_tell_its_space_is_tried(old, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    write(old)
    assert old.read_bytes() == b"new"
    failing(monkeypatch, "write", 1, errno.ENOSPC)
    with pytest.raises(OutputError, match=r"no space left on device; it takes 3 bytes\n"):
        write(old)


def test_the_space_that_an_error_tells_is_that_without_the_lost_file(old, monkeypatch) -> None:
    def usage(_):
        (lost,) = set(old.parent.iterdir()) - {old}
        return shutil._ntuple_diskusage(1000, 0, 1000 - lost.stat().st_size)

    def fill() -> None:
        with replacing(old, 32) as file:
            monkeypatch.setattr(shutil, "disk_usage", usage)
            file.write(b"0123456789abcdef" * 2)

    monkeypatch.setattr(atomic, "_BUFFER_BYTES", 16)
    failing(monkeypatch, "write", 1, errno.ENOSPC)
    with pytest.raises(OutputError, match="it takes 32 bytes, 1,000 are free"):
        fill()


def test_too_many_open_files_are_noticed_before_the_file_is_in_its_place(old, monkeypatch) -> None:
    for at in (1, 2):
        failing(monkeypatch, "open", at, errno.EMFILE)
        with pytest.raises(OutputError, match=r"cannot write .* too many open files"):
            write(old)
        monkeypatch.undo()
        assert old.read_bytes() == b"old"
        assert list(old.parent.iterdir()) == [old]


def test_a_living_run_is_not_swept_by_another_until_its_file_is_in_its_place(old, monkeypatch) -> None:
    real = os.fsync

    def other_run(descriptor):
        real(descriptor)
        assert sweep(old.parent) == 0

    monkeypatch.setattr(os, "fsync", other_run)
    with replacing(old, 3) as file:
        file.write(b"new")
        assert sweep(old.parent) == 0
    assert old.read_bytes() == b"new"


def failing(monkeypatch, name: str, at: int, code: int) -> None:
    """Makes the call number `at` of a function of os fail."""
    real = getattr(os, name)
    calls = iter(range(1, 1_000_000))

    def counted(*arguments):
        if next(calls) == at:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    monkeypatch.setattr(os, name, counted)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_failing_write_leaves_the_old_file_and_no_litter(old, monkeypatch, at, code) -> None:
    monkeypatch.setattr(atomic, "_BUFFER_BYTES", 16)
    failing(monkeypatch, "write", at, code)
    with pytest.raises(OutputError) as caught:
        write(old, b"0123456789abcdef" * 10)
    (problem,) = caught.value.diagnostics
    assert os.strerror(code).lower() in problem.message
    assert ("it takes 160 bytes" in problem.message) == (code != errno.EIO)
    monkeypatch.undo()
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_a_failing_sync_of_the_file_leaves_the_old_file_and_no_litter(old, monkeypatch) -> None:
    failing(monkeypatch, "fsync", 1, errno.EIO)
    with pytest.raises(OutputError, match="input/output error"):
        write(old)
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_a_failing_rename_leaves_the_old_file_and_no_litter(old, monkeypatch) -> None:
    def refused(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OutputError, match="input/output error"):
        write(old)
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_file_system_that_cannot_sync_folders_is_good_enough(old, monkeypatch, code) -> None:
    failing(monkeypatch, "fsync", 2, code)
    write(old)
    assert old.read_bytes() == b"new"


def test_a_failing_sync_of_the_folder_says_that_the_file_is_there(old, monkeypatch) -> None:
    failing(monkeypatch, "fsync", 2, errno.EIO)
    with pytest.raises(OutputError, match="is written, but its folder could not be synced"):
        write(old)
    assert old.read_bytes() == b"new"
    assert list(old.parent.iterdir()) == [old]


def test_short_writes_are_completed(tmp_path, monkeypatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    write(tmp_path / "target", bytes(range(256)) * 5)
    assert (tmp_path / "target").read_bytes() == bytes(range(256)) * 5


def test_an_interrupt_is_not_hidden_by_a_buffer_that_cannot_be_written(old, monkeypatch) -> None:
    def interrupted() -> None:
        with replacing(old, 3) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    failing(monkeypatch, "write", 1, errno.ENOSPC)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_writer_leaves_the_old_file(old) -> None:
    program = (
        "import sys; from pathlib import Path; from initcfg.formats.atomic import replacing\n"
        "with replacing(Path(sys.argv[1]), 1 << 22) as file:\n"
        "    file.write(bytes(1 << 22)); print('written', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(old)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"written\n"
        process.kill()
    assert old.read_bytes() == b"old"
    # SIGKILL lets nobody clean up; what is left is recognisable, and goes with the next file.
    (left,) = set(old.parent.iterdir()) - {old}
    assert left.name.startswith(TEMPORARY_PREFIX)
    write(old.with_name("other"))
    assert sorted(old.parent.iterdir()) == [old.with_name("other"), old]


@pytest.mark.parametrize("limit", [0, 1, 4096, 65_536, 1 << 20, (1 << 20) + 65_536])
def test_a_file_size_limit_is_one_clear_error(old, limit) -> None:
    resource = pytest.importorskip("resource")
    program = (
        "import sys; from pathlib import Path; from initcfg.errors import OutputError\n"
        "from initcfg.formats.atomic import replacing\n"
        "try:\n"
        "    with replacing(Path(sys.argv[1]), 2 << 20) as file:\n"
        "        for _ in range(32): file.write(bytes(1 << 16))\n"
        "except OutputError as error: print(error); sys.exit(7)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(old)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert result.returncode == 7, result.stderr
    assert "file too large; it takes 2,097,152 bytes" in result.stdout
    assert "ulimit -f" in result.stdout
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_a_pipe_is_not_taken_for_a_file_to_replace(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="a pipe, socket or device stands there"), replacing(pipe, 0):
        pass
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.fixture
def descriptor(tmp_path):
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


@pytest.fixture(params=["pwrite", "seek and write"])
def placed(request, monkeypatch, tmp_path, descriptor) -> PreallocatedFile:
    if request.param == "seek and write":
        monkeypatch.delattr(os, "pwrite")
    return PreallocatedFile(descriptor, tmp_path / "file", 1 << 33)


def refused(code: int):
    def allocate(descriptor, nbytes):
        os.pwrite(descriptor, b"some", 0)
        raise OSError(code, os.strerror(code))

    return allocate


def test_bytes_go_to_their_places_in_any_order(placed, descriptor) -> None:
    for place in (6, 0, 3):
        placed.write(memoryview(b"abcdefghi")[place : place + 3], place)
    assert os.pread(descriptor, 100, 0) == b"abcdefghi"
    assert placed.written == 9


def test_places_beyond_32_bits_are_places_too(placed, descriptor) -> None:
    placed.write(memoryview(b"far"), 2**32 + 5)
    assert os.pread(descriptor, 100, 2**32 + 4) == b"\0far"
    assert os.fstat(descriptor).st_blocks * 512 < 1 << 20


def test_threads_do_not_get_into_each_others_places(placed, descriptor) -> None:
    def work(number: int) -> None:
        for place in range(number, 400, 8):
            placed.write(memoryview(bytes([number + 1]) * 100), place * 100)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.pread(descriptor, 40_000, 0) == b"".join(bytes([n + 1]) * 100 for n in range(8)) * 50
    assert placed.written == 40_000


def test_short_writes_by_position_are_completed(descriptor, tmp_path, monkeypatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, offset: real(number, data[:7], offset))
    PreallocatedFile(descriptor, tmp_path / "file", 0).write(memoryview(bytes(range(256))), 9)
    assert os.pread(descriptor, 300, 9) == bytes(range(256))


@pytest.mark.skipif(sys.platform != "linux", reason="another system has no such call")
def test_the_disk_begins_with_each_stretch_as_it_is_written(placed, descriptor, monkeypatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        atomic, "_of_libc", lambda name, *_: lambda *arguments: asked.append((name, *arguments))
    )
    placed.write(memoryview(bytes(300)), 9)
    placed.write(memoryview(bytes(5)), 4096)
    begin = ("sync_file_range", descriptor)
    assert asked == [(*begin, 9, 300, 2), (*begin, 4096, 5, 2)]


@pytest.mark.parametrize("begin", [None, lambda *_: -1])
def test_a_disk_that_does_not_begin_early_loses_nothing(placed, descriptor, monkeypatch, begin) -> None:
    monkeypatch.setattr(atomic, "_of_libc", lambda *_: begin)
    placed.write(memoryview(b"whole"), 9)
    assert os.pread(descriptor, 9, 9) == b"whole"
    assert placed.written == 5


def test_a_reserved_file_has_its_length_and_its_space(descriptor) -> None:
    reserve(descriptor, 1 << 20)
    status = os.fstat(descriptor)
    assert status.st_size == 1 << 20
    assert sys.platform != "linux" or status.st_blocks * 512 >= 1 << 20


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_reserve_gives_a_file_of_that_length(descriptor, monkeypatch, code) -> None:
    monkeypatch.setattr(atomic, "_allocate", refused(code))
    reserve(descriptor, 1 << 20)
    assert os.fstat(descriptor).st_size == 1 << 20


def test_posix_fallocate_serves_where_linux_is_not(descriptor, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd")
    reserve(descriptor, 1 << 20)
    assert os.fstat(descriptor).st_size == 1 << 20
    monkeypatch.delattr(os, "posix_fallocate")
    reserve(descriptor, 1 << 21)
    assert os.fstat(descriptor).st_size == 1 << 21


def test_nothing_is_reserved_for_an_empty_file(descriptor) -> None:
    reserve(descriptor, 0)
    assert os.fstat(descriptor).st_size == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_lack_of_space_is_found_before_the_work_and_gives_back_what_it_took(
    descriptor, monkeypatch, tmp_path, code
) -> None:
    monkeypatch.setattr(atomic, "_allocate", refused(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        reserve(descriptor, 1 << 20)
    assert os.fstat(descriptor).st_size == 0
    with pytest.raises(OutputError) as caught, placing(tmp_path / "target", 4711):
        pytest.fail("the block was entered")
    assert f"{os.strerror(code).lower()}; it takes 4,711 bytes, " in caught.value.diagnostics[0].message
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_larger_than_any_can_be_is_refused_by_the_system(descriptor) -> None:
    with pytest.raises(OSError, match="too large") as caught:
        reserve(descriptor, 2**63 - 1)
    assert caught.value.errno == errno.EFBIG


def test_a_file_with_a_gap_is_a_fault_that_leaves_nothing(tmp_path) -> None:
    with pytest.raises(AssertionError, match="3 of 4 bytes were written"), placing(tmp_path / "f", 4) as file:
        file.write(memoryview(b"abc"), 1)
    assert list(tmp_path.iterdir()) == []
