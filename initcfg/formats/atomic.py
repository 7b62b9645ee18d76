"""Files that appear whole or not at all: written under a temporary name in the same folder, then renamed.

At every moment the target is what it was before or the complete new file. The file is synced before it is
renamed and its folder afterwards, so that this holds through a power failure too. A symlink at the target is
replaced, not followed. What a killed run has left in the folder is swept first. What the system refuses is
one clear error.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import shutil
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from initcfg.errors import Code, InitcfgError, OutputError
from initcfg.formats.temporary import create, sweep
from initcfg.process import lazy

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer
else:
    ctypes = lazy("ctypes")  # only weights need it

_BUFFER_BYTES = 1 << 20
# What file systems answer that cannot sync a folder, and folders that may be written but not read.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}
# What file systems answer that cannot take space for a file in advance, and kernels that cannot ask them.
_CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}
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
    errno.EEXIST: "name a folder: something else stands there",
    errno.ENAMETOOLONG: "choose a shorter file name",
}


@contextlib.contextmanager
def replacing(path: Path, nbytes: int, *, sweeping: bool = True) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends, and leaves no trace when the block raises.

    The new file has the permissions that the process's umask gives, whatever stood there before. `nbytes`
    is how large it will be, or a little more. Whoever writes many files sweeps once what killed runs have
    left.

    Raises:
        OutputError: the folder is missing or closed, `path` is neither a regular file nor a symlink nor free,
            there is no space, or a write fails. Only a folder that could not be synced raises afterwards.
    """
    with _new_file(path, nbytes, sweeping=sweeping) as raw:
        file = io.BufferedWriter(raw, _BUFFER_BYTES)
        yield file
        # Writes what is left. After a failure `raw` is closed, and what is left is dropped.
        file.detach()


@contextlib.contextmanager
def placing(path: Path, nbytes: int, *, sweeping: bool = True) -> Iterator[PreallocatedFile]:
    """Like `replacing`, for exactly `nbytes` bytes that threads write by places, each byte once."""
    with _new_file(path, nbytes, sweeping=sweeping) as raw:
        with reporting(path, nbytes):
            reserve(raw.fileno(), nbytes)
        file = PreallocatedFile(raw.fileno(), path, nbytes)
        yield file
        if file.written != nbytes:
            raise AssertionError(f"{file.written:,} of {nbytes:,} bytes were written")


def move(source: Path, path: Path) -> None:
    """Has a complete file of the same file system take the place of `path`."""
    with contextlib.ExitStack() as opened:
        with reporting(path, 0, "move"):
            _check_target(path)
            folder = _open_folder(path.parent, opened)
            source.replace(path)
        _sync_folder(folder, path)


@contextlib.contextmanager
def _new_file(path: Path, nbytes: int, *, sweeping: bool) -> Iterator[_Raw]:
    with contextlib.ExitStack() as opened, contextlib.ExitStack() as failed:
        with reporting(path, nbytes):
            _check_target(path)
            if sweeping:
                # Before the space is looked at, of which it may make some.
                sweep(path.parent)
            _check_space(path, nbytes)
            folder = _open_folder(path.parent, opened)
            temporary, descriptor = create(path.parent, lambda made: failed.callback(_discard, made))
        raw = _Raw(descriptor, path, nbytes)
        opened.callback(_close, raw)
        # Before its name goes: a system may not remove what is open.
        failed.callback(_close, raw)
        yield raw
        with reporting(path, nbytes):
            os.fsync(raw.fileno())
            # Elsewhere it stays open, and so locked, until it has lost the name that a sweep looks for.
            if os.name == "nt":
                _close(raw)
            temporary.replace(path)
        failed.pop_all()
        _sync_folder(folder, path)


def _check_target(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise _os_error(errno.EISDIR)
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise ValueError("a pipe, socket or device stands there")


def _check_space(path: Path, nbytes: int) -> None:
    free = free_bytes(path)
    if free is not None and free < nbytes:
        raise _os_error(errno.ENOSPC)


def _open_folder(folder: Path, opened: contextlib.ExitStack) -> int | None:
    """Before the work: a process with too many open files must not learn it when the file is in its place."""
    if os.name == "nt":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return None
        raise
    opened.callback(os.close, descriptor)
    return descriptor


def _discard(temporary: Path) -> None:
    """Removes what has not become the target: there is nothing else under that name."""
    with contextlib.suppress(OSError):
        temporary.unlink()


def _close(raw: _Raw) -> None:
    # Whatever happens here comes after a failure, or after the sync that would have failed.
    with contextlib.suppress(OSError):
        raw.close()


class _Raw(io.FileIO):
    """A raw file whose writes are complete or an `OutputError`."""

    def __init__(self, descriptor: int, path: Path, nbytes: int) -> None:
        super().__init__(descriptor, "wb")
        self._target = path
        self._nbytes = nbytes

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        total = len(left)
        with reporting(self._target, self._nbytes), giving_back(self.fileno()):
            while left:
                left = left[os.write(self.fileno(), left) :]
        return total


def _sync_folder(folder: int | None, path: Path) -> None:
    """Makes the rename durable where the system can; the file is in its place already, whole."""
    try:
        if folder is not None:
            os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            message = f"{str(path)!r} is written, but its folder could not be synced: {error.strerror}"
            hint = "the file is whole; after a power failure what stood there before may be back"
            raise OutputError.of(Code.OUTPUT, message, hint=hint) from error


class PreallocatedFile:
    """Writes to an open file by position, from any number of threads at once; it is not closed here."""

    def __init__(self, descriptor: int, path: Path, nbytes: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._nbytes = nbytes
        self._lock = threading.Lock()
        self._write_some = os.pwrite if hasattr(os, "pwrite") else self._seek_and_write
        self.written = 0
        """Bytes written so far."""

    def write(self, data: memoryview, offset: int) -> None:
        """All of `data`, from `offset` on."""
        done = 0
        with reporting(self._path, self._nbytes), giving_back(self._descriptor):
            while done < len(data):
                done += self._write_some(self._descriptor, data[done:], offset + done)
        _begin_sync(self._descriptor, offset, done)
        with self._lock:
            self.written += done

    def _seek_and_write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """What pwrite does, for systems without it."""
        with self._lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)


def reserve(descriptor: int, nbytes: int) -> None:
    """Makes a new file that long, and takes the space now, so that a full disk shows before the work."""
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
    arguments = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    fallocate = _of_libc("fallocate64", *arguments) or _of_libc("fallocate", *arguments)
    if fallocate is None:
        raise _os_error(errno.ENOSYS)
    while fallocate(descriptor, 0, 0, nbytes) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise _os_error(code)


# Of Linux: the disk is to begin, and nobody waits for it.
_SYNC_FILE_RANGE_WRITE = 2


def _begin_sync(descriptor: int, offset: int, nbytes: int) -> None:
    """Has the disk take these bytes while more are made: by itself it may not begin before the last sync.

    That sync alone says whether they have arrived, so nothing is lost where this fails or is missing.
    """
    if sys.platform != "linux":
        return
    arguments = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    if begin := _of_libc("sync_file_range", *arguments):
        begin(descriptor, offset, nbytes, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _of_libc(name: str, *arguments: Any) -> Any:
    """A function of the C library that gives an int, or None where it has none of that name."""
    try:
        found = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    found.argtypes = arguments
    return found


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@contextlib.contextmanager
def reporting(path: Path, nbytes: int, act: str = "write") -> Iterator[None]:
    """Turns what the system refuses in the block, and paths that Python refuses, into an `OutputError`."""
    try:
        yield
    except InitcfgError:
        raise
    except (OSError, ValueError) as error:
        raise _output_error(path, nbytes, act, error) from error


def free_bytes(path: Path) -> int | None:
    """The free space of the file system that the folder of `path` is on; None where that does not say."""
    usage = shutil.disk_usage(path.parent)
    return usage.free if usage.total else None


def _output_error(path: Path, nbytes: int, act: str, error: OSError | ValueError) -> OutputError:
    code = error.errno if isinstance(error, OSError) else None
    words = "its name is no text" if isinstance(error, UnicodeError) else str(error)
    reason = (words if code is None else os.strerror(code)).lower()
    message = f"cannot {act} {str(path)!r}: {reason}"
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message += f"; it takes {nbytes:,} bytes{_free_words(path, code)}"
    hint = _HINTS.get(code or 0, "choose another place to write to")
    return OutputError.of(Code.OUTPUT, message, hint=hint)


def _free_words(path: Path, code: int) -> str:
    try:
        free = free_bytes(path)
    except OSError:
        return ""
    # A quota or a limit leaves less than there is.
    where = "" if code == errno.ENOSPC else " on the disk"
    return "" if free is None else f", {free:,} are free{where}"
