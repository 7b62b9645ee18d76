"""Files from outside: opened only where they are regular, so that no fifo or device is waited for, and read.

What a document names is held in the root folder: inside `confined_to` an open file is asked where it is,
behind all symbolic links, so that nothing can be exchanged between the look and the reading.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import stat
from contextvars import ContextVar
from typing import TYPE_CHECKING, BinaryIO

from initcfg.errors import Code, Diagnostic, InitcfgError, Location, SpecError
from initcfg.text.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


# The folder, without symbolic links, that files may not be outside of.
_root: ContextVar[str | None] = ContextVar("root", default=None)
_BOMS = (b"\xff\xfe", b"\xfe\xff")


@contextlib.contextmanager
def confined_to(folder: str) -> Iterator[None]:
    """A block in which `open_input` refuses what lies outside a real path, wherever links lead."""
    token = _root.set(folder)
    try:
        yield
    finally:
        _root.reset(token)


def confining_folder() -> str | None:
    """The folder of the `confined_to` around this, or None."""
    return _root.get()


def is_within(path: str, folder: str) -> bool:
    """Whether a path is that of a folder or of something in it; both without symbolic links."""
    try:
        return os.path.commonpath([path, folder]) == folder
    except ValueError:  # another drive
        return False


def open_input(path: str | PathLike[str], error: type[InitcfgError]) -> BinaryIO:
    """A regular file, open for reading without a buffer; `error` for what is none, or outside the root."""
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
    root = _root.get()
    if root is not None and not is_within(_real_path(descriptor, path), root):
        os.close(descriptor)
        message = f"{os.fspath(path)!r} leads out of the root folder {root!r}"
        hint = "keep the file in that folder, or name a folder above both as the root: --root DIR, or root="
        raise error(Diagnostic(Code.OUTSIDE_ROOT, message, Location(os.fspath(path)), hint))
    return os.fdopen(descriptor, "rb", buffering=0)


def _real_path(descriptor: int, path: str | PathLike[str]) -> str:
    """Where an open file is, without symbolic links; no path where that cannot be said."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:  # not on Linux
        real = os.path.realpath(path)
        try:
            return real if os.path.samestat(os.stat(real), os.fstat(descriptor)) else ""  # noqa: PTH116
        except OSError:
            return ""


def _unreadable(path: str | PathLike[str], reason: str, error: type[InitcfgError]) -> InitcfgError:
    hint = "this is a text of several lines, where a path is expected" if "\n" in str(path) else None
    return error(Diagnostic(Code.INPUT, f"cannot read the file: {reason}", Location(os.fspath(path)), hint))


def read_content(path: str | PathLike[str], limit: int, too_large: Diagnostic) -> bytes:
    """Reads a regular file whole; `too_large` is the problem of one that has more bytes than the limit."""
    with open_input(path, SpecError) as stream:
        size = os.fstat(stream.fileno()).st_size
        pieces: list[bytes] = []
        left = limit + 1 if size <= limit else 0
        # A file without a buffer gives at a time what the system likes to, and it may grow meanwhile.
        while left and (piece := stream.read(min(left, size + 1))):
            pieces.append(piece)
            left -= len(piece)
    if left == 0:
        raise SpecError(too_large)
    return b"".join(pieces)


def decoded(content: bytes, file: str | None = None, *, is_cut: bool = False) -> str:
    """The text that UTF-8 bytes write, without a byte order mark; one that is cut may end in a character."""
    if content.startswith(_BOMS):
        where = Location(file)
        raise SpecError(Diagnostic(Code.ENCODING, "the text is UTF-16", where, "save the file as UTF-8"))
    try:
        return codecs.utf_8_decode(content, "strict", not is_cut)[0].removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").removeprefix("\ufeff")
        where = Source(file, before).place(len(before))
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise SpecError(Diagnostic(Code.ENCODING, message, where, "save the file as UTF-8")) from None
