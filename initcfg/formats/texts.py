"""Documents in files, read whole where they are small enough."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.inputs import open_input

if TYPE_CHECKING:
    from os import PathLike

_MIB = 2**20


def read_content(path: str | PathLike[str], limit: int, kind: str, hint: str | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        limit: the most bytes that it may have.
        kind: what it is, for the error: ``a manifest in JSON``.
        hint: the way out for one that is too large.

    Raises:
        SpecError: it cannot be read (code ``input``) or is too large (``too-large``).
    """
    file = os.fspath(path)
    with open_input(file, SpecError) as stream:
        size = os.fstat(stream.fileno()).st_size
        # A file without a buffer gives at a time what the system likes to.
        content = b"".join(iter(lambda: stream.read(min(size, limit) + 1), b"")) if size <= limit else b""
    if max(size, len(content)) > limit:
        raise SpecError(too_large("the file", limit, kind, file, hint))
    return content


def too_large(
    what: str, limit: int, kind: str, file: str | None = None, hint: str | None = None
) -> Diagnostic:
    """The problem of a text that is larger than its kind may be."""
    message = f"{what} is larger than the {limit // _MIB} MiB that {kind} may have"
    return Diagnostic(Code.TOO_LARGE, message, Location(file) if file else None, hint)
