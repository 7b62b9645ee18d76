"""What a dead run has left is swept; what a living one holds, and what only looks alike, is not."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from initcfg.formats import temporary
from initcfg.formats.temporary import LocksUnsupportedError, create, is_linked, sweep, try_lock

pytest.importorskip("fcntl", reason="flock is POSIX")

OLD = 200_000


def name(machine: str | None = None) -> str:
    """A name that no run will take."""
    return f".initcfg-{machine or temporary._machine()}-1-{'0' * 16}.tmp"


def age(path: Path, seconds: float) -> None:
    when = path.lstat().st_mtime - seconds
    os.utime(path, (when, when))


def test_a_dead_file_is_swept(tmp_path) -> None:
    path, descriptor = create(tmp_path)
    os.close(descriptor)
    assert path.exists()
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_living_file_is_not_swept_by_its_own_process_or_another(tmp_path) -> None:
    path, descriptor = create(tmp_path)
    program = "import sys; from pathlib import Path; from initcfg.formats.temporary import sweep\n"
    program += "sys.exit(sweep(Path(sys.argv[1])))"
    assert sweep(tmp_path) == 0
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert path.exists()
    os.close(descriptor)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_file_that_a_forked_child_still_holds_is_not_swept(tmp_path) -> None:
    path, descriptor = create(tmp_path)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(descriptor)
    os.close(reader)
    assert sweep(tmp_path) == 0
    assert path.exists()
    os.close(writer)
    os.waitpid(child, 0)
    assert sweep(tmp_path) == 1


@pytest.mark.parametrize(
    "other",
    [
        "weights.safetensors", ".initcfg-", ".initcfg-1-0123456789abcdef.tmp", name().upper(), name() + "x",
        "x" + name(), name() + "\n", name()[:-4], name("../../000000"), ".initcfg-claim", name("0" * 13),
    ],
)  # fmt: skip
def test_other_names_are_left_alone(tmp_path, other) -> None:
    path = tmp_path / other
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    age(path, OLD)
    assert sweep(tmp_path) == 0
    assert path.exists()


def make_symlink(path: Path) -> None:
    path.symlink_to(path.with_name("victim"))


def make_dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def make_hard_link(path: Path) -> None:
    path.hardlink_to(path.with_name("victim"))


@pytest.mark.parametrize("make", [make_symlink, make_dangling, make_hard_link, Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_of_one_name_is_left_alone(tmp_path, make) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    make(tmp_path / name())
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path) == 0
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize("make", [make_symlink, make_hard_link, os.mkfifo])
def test_what_takes_the_place_of_a_listed_file_is_left_alone_too(tmp_path, monkeypatch, make) -> None:
    path = tmp_path / name()
    (tmp_path / "victim").write_bytes(b"precious")
    path.touch()
    real = os.open

    def swapped(where, *arguments):
        monkeypatch.undo()
        path.unlink()
        make(path)
        return real(where, *arguments)

    monkeypatch.setattr(os, "open", swapped)
    assert sweep(tmp_path) == 0
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert path.is_symlink() or path.exists()


def test_a_file_of_another_machine_is_swept_only_when_it_is_old(tmp_path) -> None:
    path = tmp_path / name("0" * 12)
    path.touch()
    assert sweep(tmp_path) == 0
    age(path, OLD)
    descriptor = os.open(path, os.O_RDWR)
    assert try_lock(descriptor)
    assert sweep(tmp_path) == 0
    os.close(descriptor)
    assert sweep(tmp_path) == 1


def test_a_machine_that_tells_no_boot_is_known_by_its_name(tmp_path, monkeypatch) -> None:
    booted = temporary._machine.__wrapped__()
    monkeypatch.setattr(temporary, "_BOOT_ID", tmp_path / "missing")
    named = temporary._machine.__wrapped__()
    assert named == temporary._machine.__wrapped__() != booted
    assert len(named) == 12


@pytest.mark.parametrize("where", ["system", "file system"])
def test_without_locks_files_are_made_and_nothing_is_swept(tmp_path, monkeypatch, where) -> None:
    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if where == "system":
        monkeypatch.setattr(temporary, "fcntl", None)
    else:
        monkeypatch.setattr(temporary.fcntl, "flock", refused)  # type: ignore[attr-defined]
    path, descriptor = create(tmp_path)
    os.close(descriptor)
    assert sweep(tmp_path) == 0
    assert path.exists()


@pytest.mark.parametrize("folder", ["missing", "file", "x" * 300])
def test_a_folder_that_cannot_be_read_is_left(tmp_path, folder) -> None:
    (tmp_path / "file").touch()
    assert sweep(tmp_path / folder) == 0


@pytest.mark.parametrize("function", ["open", "unlink"])
def test_a_file_that_cannot_be_opened_or_removed_is_left(tmp_path, monkeypatch, function) -> None:
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / name()).touch()
    monkeypatch.setattr(os, function, refused)
    assert sweep(tmp_path) == 0
    monkeypatch.undo()
    assert sweep(tmp_path) == 1


@pytest.mark.parametrize("sweeper", ["is done", "is at it"])
def test_a_sweep_between_the_making_and_the_locking_costs_a_name_and_no_more(
    tmp_path, monkeypatch, sweeper
) -> None:
    real = os.open
    held = []

    def raced(path, flags, *mode):
        descriptor = real(path, flags, *mode)
        if flags & os.O_CREAT and not held:
            held.append(path)
            if sweeper == "is done":
                assert sweep(tmp_path) == 1
            else:
                held.append(real(path, os.O_RDWR))
                assert try_lock(held[1])
        return descriptor

    monkeypatch.setattr(os, "open", raced)
    path, descriptor = create(tmp_path)
    assert path != held[0]
    assert list(tmp_path.iterdir()) == [path]
    assert sweep(tmp_path) == 0
    for each in (descriptor, *held[1:]):
        os.close(each)


def test_a_name_that_is_always_taken_is_an_error_and_no_endless_loop(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(temporary, "try_lock", lambda *_: False)
    with pytest.raises(BlockingIOError):
        create(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_writers_and_sweepers_side_by_side_lose_nothing(tmp_path) -> None:
    """Each writer's file must still be there after all the sweeps of the others."""
    lost = []
    done = threading.Event()

    def sweeping() -> None:
        while not done.is_set():
            sweep(tmp_path)

    def writing() -> None:
        for _ in range(150):
            path, descriptor = create(tmp_path)
            os.write(descriptor, b"mine")
            try:
                path.replace(path.with_name(path.name[-12:]))
            except FileNotFoundError:
                lost.append(path)
            os.close(descriptor)

    sweepers = [threading.Thread(target=sweeping) for _ in range(2)]
    writers = [threading.Thread(target=writing) for _ in range(3)]
    for thread in sweepers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in sweepers:
        thread.join()
    assert lost == []
    assert len(list(tmp_path.iterdir())) == 450


def test_a_sweep_that_asks_for_no_lock_would_lose_files(tmp_path, monkeypatch) -> None:
    """The planted fault: without locks as evidence, a living run's file is taken for litter."""
    monkeypatch.setattr(temporary, "_is_dead", lambda *_: True)
    path, descriptor = create(tmp_path)
    assert sweep(tmp_path) == 1
    assert not path.exists()
    os.close(descriptor)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


@pytest.fixture
def opened(path):
    """Opens the file again."""
    descriptors = []

    def again() -> int:
        descriptors.append(os.open(path, os.O_RDWR))
        return descriptors[-1]

    yield again
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(False, False, False), (False, True, False), (True, False, False), (True, True, True)],
)
def test_only_shared_locks_are_held_together(opened, first, second, expected) -> None:
    assert try_lock(opened(), shared=first)
    assert try_lock(opened(), shared=second) == expected


def test_a_lock_is_taken_again_and_exchanged(opened) -> None:
    one, other = opened(), opened()
    assert try_lock(one)
    assert try_lock(one)
    assert try_lock(one, shared=True)
    assert try_lock(other, shared=True)
    assert not try_lock(one)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_lock_ends_with_its_process_even_when_that_is_killed(path, opened) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        held = try_lock(os.open(path, os.O_RDWR))
        os.write(writer, b"held" if held else b"none")
        signal.pause()
    assert os.read(reader, 4) == b"held"
    ours = opened()
    assert not try_lock(ours)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert try_lock(ours)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF])
def test_a_file_system_without_locks_says_so(opened, monkeypatch, code) -> None:
    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(temporary.fcntl, "flock", refused)  # type: ignore[attr-defined]
    with pytest.raises(LocksUnsupportedError, match=os.strerror(code)):
        try_lock(opened())


def test_a_system_without_locks_says_so(opened, monkeypatch) -> None:
    monkeypatch.setattr(temporary, "fcntl", None)
    with pytest.raises(LocksUnsupportedError, match="no flock"):
        try_lock(opened())


@pytest.mark.parametrize("change", ["removed", "renamed", "replaced", "linked"])
def test_a_file_that_lost_its_name_is_not_linked(path, opened, change) -> None:
    descriptor = opened()
    assert is_linked(descriptor, path)
    if change == "removed":
        path.unlink()
    else:
        path.rename(path.with_name("moved"))
    if change == "replaced":
        path.touch()
    elif change == "linked":
        path.symlink_to(path.with_name("moved"))
    assert not is_linked(descriptor, path)
