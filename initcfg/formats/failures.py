"""What the operating system refuses while a file is written, told as one clear error."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["free_bytes", "reporting"]

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
def reporting(path: Path, nbytes: int) -> Iterator[None]:
    """Turns what the operating system refuses in the block into an `OutputError`.

    Args:
        path: the file that was asked for.
        nbytes: how large it was to be.

    Raises:
        OutputError: in place of any OSError, and of the ValueError that Python answers to a path with a NUL.
    """
    try:
        yield
    except OutputError:
        raise
    except (OSError, ValueError) as error:
        raise _output_error(path, nbytes, error) from error


def free_bytes(path: Path) -> int:
    """The free space of the file system that the folder of `path` is on."""
    return shutil.disk_usage(path.parent).free


def _output_error(path: Path, nbytes: int, error: OSError | ValueError) -> OutputError:
    code = error.errno if isinstance(error, OSError) else None
    reason = (os.strerror(code) if code is not None else str(error)).lower()
    message = f"cannot write {str(path)!r}: {reason}"
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message += f"; it takes {nbytes:,} bytes{_free_words(path)}"
    hint = _HINTS.get(code or 0, "choose another place to write to")
    return OutputError(Diagnostic(Code.OUTPUT, message, hint=hint))


def _free_words(path: Path) -> str:
    try:
        return f", {free_bytes(path):,} are free"
    except OSError:
        return ""
