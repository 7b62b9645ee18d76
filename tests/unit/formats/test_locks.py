"""Locks belong to open files, and end with the process that holds them."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from initcfg.formats import locks
from initcfg.formats.locks import LocksUnsupportedError, is_linked, try_lock

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fcntl", reason="flock is POSIX")


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

    monkeypatch.setattr(locks.fcntl, "flock", refused)
    with pytest.raises(LocksUnsupportedError, match=os.strerror(code)):
        try_lock(opened())


def test_a_system_without_locks_says_so(opened, monkeypatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
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
