"""What the operating system refuses while a file is written, told as one clear error."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, InitcfgError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
def reporting(path: Path, nbytes: int, act: str = "write") -> Iterator[None]:
    """Turns what the operating system refuses in the block into an `OutputError`.

    Args:
        path: the file that was asked for.
        nbytes: how large it was to be.
        act: what was to be done with it.

    Raises:
        OutputError: in place of any OSError, and of the ValueError that Python answers to a path with a NUL
            or a lone surrogate.
    """
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
    reason = (os.strerror(code) if code is not None else _words(error)).lower()
    message = f"cannot {act} {str(path)!r}: {reason}"
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message += f"; it takes {nbytes:,} bytes{_free_words(path, code)}"
    hint = _HINTS.get(code or 0, "choose another place to write to")
    return OutputError(Diagnostic(Code.OUTPUT, message, hint=hint))


def _words(error: OSError | ValueError) -> str:
    return "its name is no text" if isinstance(error, UnicodeError) else str(error)


def _free_words(path: Path, code: int) -> str:
    try:
        free = free_bytes(path)
    except OSError:
        return ""
    # A quota or a limit leaves less than there is.
    where = "" if code == errno.ENOSPC else " on the disk"
    return "" if free is None else f", {free:,} are free{where}"
