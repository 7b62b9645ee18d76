"""A file whose places are known before its bytes: space is taken first, then threads write anywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from typing import TYPE_CHECKING

from initcfg.formats.failures import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What file systems answer that cannot take space for a file in advance, and kernels that cannot ask them.
_CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}


class PlacedFile:
    """Writes to an open file by position, from any number of threads at once.

    Args:
        descriptor: of the file; not closed here.
        path: where the file will stand, for errors.
        nbytes: how large it will be, for errors.
    """

    def __init__(self, descriptor: int, path: Path, nbytes: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._nbytes = nbytes
        self._lock = threading.Lock()
        self._write_some = os.pwrite if hasattr(os, "pwrite") else self._seek_and_write
        self.written = 0
        """Bytes written so far."""

    def write(self, data: memoryview, offset: int) -> None:
        """All of `data`, from `offset` on.

        Raises:
            OutputError: the operating system refuses it (code ``output``).
        """
        done = 0
        with reporting(self._path, self._nbytes), giving_back(self._descriptor):
            while done < len(data):
                done += self._write_some(self._descriptor, data[done:], offset + done)
        with self._lock:
            self.written += done

    def _seek_and_write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """What pwrite does, for systems without it."""
        with self._lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)


def reserve(descriptor: int, nbytes: int) -> None:
    """Makes a new file that long, and takes the space for it where the file system can.

    So a full disk, a quota and a limit of a file's size show before the work, not in its middle.

    Raises:
        OSError: there is no such space.
    """
    if nbytes == 0:
        return
    with giving_back(descriptor):
        try:
            _allocate(descriptor, nbytes)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
            os.ftruncate(descriptor, nbytes)


@contextlib.contextmanager
def giving_back(descriptor: int) -> Iterator[None]:
    """Empties a file that is lost, so that the error tells the space that is free without it."""
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
        raise


def _allocate(descriptor: int, nbytes: int) -> None:
    if sys.platform == "linux":
        _fallocate(descriptor, nbytes)
    elif hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, nbytes)
    else:
        raise _os_error(errno.EOPNOTSUPP)


def _fallocate(descriptor: int, nbytes: int) -> None:
    """Linux's own call: where it fails, glibc's posix_fallocate writes a byte to every block instead."""
    import ctypes  # noqa: PLC0415  only weights need it

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fallocate = getattr(libc, "fallocate64", None) or libc.fallocate
    except (OSError, AttributeError):
        raise _os_error(errno.ENOSYS) from None
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while fallocate(descriptor, 0, 0, nbytes) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise _os_error(code)


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
