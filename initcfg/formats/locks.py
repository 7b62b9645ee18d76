"""Locks on open files, which the kernel takes back from a process that dies, however it dies.

A lock of flock(2) belongs to an open file: whoever opens the file again, in the same process too, is somebody
else. A child that was forked meanwhile shares the open file, and holds the lock until it ends too; a program
that is executed does not, because Python's descriptors are closed then.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

_TABLE = Path("/proc/locks")


class LocksUnsupportedError(Exception):
    """The system or the file system has no locks."""


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Takes a lock on an open file if that takes no waiting; it is released when the file is closed.

    Args:
        descriptor: of the file, open for writing: NFS locks nothing else exclusively.
        shared: together with others who share, else alone.

    Returns:
        Whether the lock is held now. One that was held in the other way before is exchanged, or lost.

    Raises:
        LocksUnsupportedError: there are none here: Windows, some network file systems.
    """
    if fcntl is None:
        raise LocksUnsupportedError("the system has no flock")
    try:
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
    """The processes of this machine that hold a lock on a file; none where the system does not tell.

    The kernel tells the process that took the lock, which may have ended and left it to a child.
    """
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
    """Whether an open file still is what stands at `path`.

    A lock is worth something only if this holds after it was taken: the file may have been removed, renamed
    or replaced between its opening and its locking.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    return False
