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
import secrets
import shutil
from typing import TYPE_CHECKING, BinaryIO

from initcfg.errors import Code, Diagnostic, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer

__all__ = ["TEMPORARY_PREFIX", "replacing"]

TEMPORARY_PREFIX = ".initcfg-"
_BUFFER_BYTES = 1 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# What file systems answer that cannot sync a folder, and folders that may be written but not read.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}

_HINTS = {
    errno.ENOSPC: "free some space, or write to another file system",
    errno.EDQUOT: "free some space under your quota, or write to another file system",
    errno.EFBIG: "raise the file size limit (ulimit -f), or write to a file system that takes larger files",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that is not on a read-only file system",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "one of the folders in the path is a file",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter file name",
}


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
    with _reporting(path, nbytes):
        if path.is_dir() and not path.is_symlink():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not (path.is_file() or path.is_symlink()):
            raise ValueError("a pipe, socket or device stands there")
        if _free_bytes(path) < nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        temporary = path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, _FLAGS, 0o666)
    try:
        file = io.BufferedWriter(_Reporting(descriptor, path, nbytes), _BUFFER_BYTES)
        try:
            yield file
            file.flush()
            with _reporting(path, nbytes):
                os.fsync(descriptor)
        finally:
            # After a failure the buffer may fail again on its way out; the first one is to be reported.
            with contextlib.suppress(OSError):
                file.close()
        with _reporting(path, nbytes):
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path)


class _Reporting(io.FileIO):
    """A raw file whose writes are complete or an `OutputError`."""

    def __init__(self, descriptor: int, path: Path, nbytes: int) -> None:
        super().__init__(descriptor, "wb")
        self._target = path
        self._nbytes = nbytes

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        total = len(left)
        with _reporting(self._target, self._nbytes):
            while left:
                left = left[os.write(self.fileno(), left) :]
        return total


@contextlib.contextmanager
def _reporting(path: Path, nbytes: int) -> Iterator[None]:
    """Turns what the operating system refuses into an `OutputError`."""
    try:
        yield
    except OutputError:
        raise
    except (OSError, ValueError) as error:
        raise _output_error(path, nbytes, error) from error


def _output_error(path: Path, nbytes: int, error: OSError | ValueError) -> OutputError:
    # ValueError is what Python answers to a path with a NUL.
    code = error.errno if isinstance(error, OSError) else None
    reason = (os.strerror(code) if code is not None else str(error)).lower()
    message = f"cannot write {str(path)!r}: {reason}"
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message += f"; it takes {nbytes:,} bytes{_free_words(path)}"
    hint = _HINTS.get(code or 0, "choose another place to write to")
    return OutputError(Diagnostic(Code.OUTPUT, message, hint=hint))


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path.parent).free


def _free_words(path: Path) -> str:
    try:
        return f", {_free_bytes(path):,} are free"
    except OSError:
        return ""


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
