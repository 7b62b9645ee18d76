"""Temporary files: held under a lock by their writer while it lives, and swept once nobody holds them.

Whoever can lock such a file knows that its writer has died: the kernel takes a lock back from a process that
dies, however it dies. A lock of flock(2) belongs to an open file: whoever opens the file again, in the same
process too, is somebody else. A child that was forked meanwhile shares the open file, and holds the lock
until it ends too; a program that is executed does not, because Python's descriptors are closed then. Some
network file systems keep locks to one machine, so a file also bears the machine's mark in its name, and one
from elsewhere must be old as well.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPORARY_PREFIX = ".initcfg-"
_NAME = re.compile(re.escape(TEMPORARY_PREFIX) + r"([0-9a-f]{12})-[0-9]+-[0-9a-f]{16}\.tmp")
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NEW = _FLAGS | os.O_CREAT | os.O_EXCL
# What was listed as a file may be a link or a pipe by now: one is not followed, the other not waited for.
_FOUND = _FLAGS | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_ATTEMPTS = 100
_OLD_SECONDS = 86_400
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TABLE = Path("/proc/locks")


def create(folder: Path, announce: Callable[[Path], object] = lambda _: None) -> tuple[Path, int]:
    """An empty temporary file that no sweep removes while open; `announce` gets its path before."""
    for _ in range(_ATTEMPTS):
        path = folder / f"{TEMPORARY_PREFIX}{_machine()}-{os.getpid()}-{os.urandom(8).hex()}.tmp"
        announce(path)  # before, since an interrupt may come between the making and the return
        descriptor = os.open(path, _NEW, 0o666)
        if _hold(descriptor, path):
            return path, descriptor
        # A sweep came between the two calls and took it for litter.
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def sweep(folder: Path) -> int:
    """Removes temporary files of runs that have died, where locks and rights allow; gives how many."""
    try:
        with os.scandir(folder) as entries:
            found = [
                Path(folder, entry.name)
                for entry in entries
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return 0
    return sum(map(_remove_if_dead, found))


def _hold(descriptor: int, path: Path) -> bool:
    try:
        return try_lock(descriptor) and is_linked(descriptor, path)
    except LocksUnsupportedError:
        return True


def _remove_if_dead(path: Path) -> bool:
    try:
        descriptor = os.open(path, _FOUND)
    except OSError:
        return False
    try:
        if not _is_dead(descriptor, path):
            return False
        # Still under the lock: a writer that has just made it finds it locked, or gone, and makes another.
        path.unlink()
    except (OSError, LocksUnsupportedError):
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _is_dead(descriptor: int, path: Path) -> bool:
    status = os.fstat(descriptor)
    # A file that has another name as well is somebody's: a writer's never has.
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return False
    is_of_here = path.name.startswith(f"{TEMPORARY_PREFIX}{_machine()}-")
    if not is_of_here and time.time() - status.st_mtime < _OLD_SECONDS:
        return False
    return try_lock(descriptor) and is_linked(descriptor, path)


@functools.cache
def _machine() -> str:
    """A mark of the running kernel, within which locks always hold; containers share it."""
    try:
        mark = _BOOT_ID.read_bytes()
    except OSError:
        mark = os.uname().nodename.encode() if hasattr(os, "uname") else b""
    return hashlib.blake2b(mark, digest_size=6).hexdigest()


try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]


class LocksUnsupportedError(Exception):
    """The system or the file system has no locks."""


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Takes a lock on an open file without waiting; a LocksUnsupportedError if there are none."""
    if fcntl is None:
        raise LocksUnsupportedError("the system has no flock")
    try:
        # NFS locks files exclusively only where they are open for writing.
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LocksUnsupportedError(error.strerror) from error
    return True


def unlock(descriptor: int) -> None:
    """Gives a lock back, whoever else has the open file: children that were forked meanwhile have it too."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def lock_holders(path: Path) -> list[int]:
    """The processes of this machine that hold a lock on a file, as far as the kernel tells."""
    try:
        status = path.stat()
        table = _TABLE.read_text("ascii")
    except OSError:
        return []
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    # "1: FLOCK  ADVISORY  WRITE 4242 08:01:131 0 EOF"; a "->" in the second place is one that waits.
    rows = [row.split() for row in table.splitlines()]
    found = {int(row[4]) for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5] == device}
    return sorted(process for process in found if process > 0)


def is_linked(descriptor: int, path: Path) -> bool:
    """Whether an open file still is what stands at `path`, as it has to be after a lock was taken."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    return False
