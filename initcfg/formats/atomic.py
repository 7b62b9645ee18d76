"""Files that appear whole or not at all: written under a temporary name in the same folder, then renamed.

At every moment the target is what it was before or the complete new file. The file is synced before it is
renamed and its folder afterwards, so that this holds through a power failure too. A symlink at the target is
replaced, not followed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from typing import TYPE_CHECKING, BinaryIO

from initcfg.errors import Code, Diagnostic, OutputError
from initcfg.formats.failures import free_bytes, reporting
from initcfg.formats.places import PlacedFile, reserve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer

__all__ = ["TEMPORARY_PREFIX", "placing", "replacing"]

TEMPORARY_PREFIX = ".initcfg-"
_BUFFER_BYTES = 1 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# What file systems answer that cannot sync a folder, and folders that may be written but not read.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def replacing(path: Path, nbytes: int) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends, and leaves no trace when the block raises.

    The new file has the permissions that the process's umask gives, whatever stood there before.

    Args:
        path: where the file goes; its folder must exist.
        nbytes: how large it will be, or a little more: it must fit into the free space, and errors say it.

    Raises:
        OutputError: the folder is missing or closed, `path` is neither a regular file nor a symlink nor free,
            or a write fails (code ``output``). Only a folder that could not be synced is told afterwards.
    """
    with _new_file(path, nbytes) as raw:
        file = io.BufferedWriter(raw, _BUFFER_BYTES)
        yield file
        # Writes what is left. After a failure `raw` is closed, and what is left is dropped.
        file.detach()


@contextlib.contextmanager
def placing(path: Path, nbytes: int) -> Iterator[PlacedFile]:
    """Like `replacing`, for a file of exactly `nbytes` bytes that is written by places, each byte once.

    No thread may write any more when the block ends, or raises.

    Raises:
        OutputError: as in `replacing`; a lack of space shows before the block begins, where the file system
            can tell.
    """
    with _new_file(path, nbytes) as raw:
        with reporting(path, nbytes):
            reserve(raw.fileno(), nbytes)
        file = PlacedFile(raw.fileno(), path, nbytes)
        yield file
        if file.written != nbytes:
            raise AssertionError(f"{file.written:,} of {nbytes:,} bytes were written")


@contextlib.contextmanager
def _new_file(path: Path, nbytes: int) -> Iterator[_Raw]:
    with reporting(path, nbytes):
        _check_target(path, nbytes)
        temporary = path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(8).hex()}.tmp"
        descriptor = os.open(temporary, _FLAGS, 0o666)
    try:
        raw = _Raw(descriptor, path, nbytes)
        try:
            yield raw
            with reporting(path, nbytes):
                os.fsync(descriptor)
        finally:
            # Whatever happens here comes after a failure, or after the sync that would have failed.
            with contextlib.suppress(OSError):
                raw.close()
        with reporting(path, nbytes):
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path)


def _check_target(path: Path, nbytes: int) -> None:
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.exists() and not (path.is_file() or path.is_symlink()):
        raise ValueError("a pipe, socket or device stands there")
    if free_bytes(path) < nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Raw(io.FileIO):
    """A raw file whose writes are complete or an `OutputError`."""

    def __init__(self, descriptor: int, path: Path, nbytes: int) -> None:
        super().__init__(descriptor, "wb")
        self._target = path
        self._nbytes = nbytes

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        total = len(left)
        with reporting(self._target, self._nbytes):
            while left:
                left = left[os.write(self.fileno(), left) :]
        return total


def _sync_folder(path: Path) -> None:
    """Makes the rename durable where the system can; the file is in its place already, whole."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            message = f"{str(path)!r} is written, but its folder could not be synced: {error.strerror}"
            hint = "the file is whole; after a power failure what stood there before may be back"
            raise OutputError(Diagnostic(Code.OUTPUT, message, hint=hint)) from error
