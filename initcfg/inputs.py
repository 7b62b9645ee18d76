"""Files from outside, opened only where they are regular: a fifo or a device is not waited for."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from initcfg.errors import Code, Diagnostic, InitcfgError, Location

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["open_input"]

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_input(path: str | PathLike[str], error: type[InitcfgError]) -> BinaryIO:
    """A regular file, open for reading, without a buffer.

    Args:
        path: the file.
        error: what to raise.

    Raises:
        InitcfgError: it is not there, may not be read, or is no regular file (code ``input``).
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as refusal:
        # ValueError is what Python answers to a path with a NUL.
        system = refusal.strerror if isinstance(refusal, OSError) else None
        raise _unreadable(path, (system or str(refusal)).lower(), error) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _unreadable(path, "it is a folder" if stat.S_ISDIR(mode) else "it is no regular file", error)
    return os.fdopen(descriptor, "rb", buffering=0)


def _unreadable(path: str | PathLike[str], reason: str, error: type[InitcfgError]) -> InitcfgError:
    problem = Diagnostic(Code.INPUT, f"cannot read the file: {reason}", Location(os.fspath(path)))
    return error(problem)
