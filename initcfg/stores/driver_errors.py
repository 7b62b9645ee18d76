"""What a driver of fsspec refuses, told as one clear error.

Drivers raise what their libraries do: an OSError, an error of an HTTP client, of a cloud's own package. Of
each only the kind and the first line is told, and no credentials stand in either.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, InitcfgError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 200
_NOT_FOUND = "the bucket or folder above must exist: create it first"
_NOT_ALLOWED = (
    "the driver takes credentials from the environment and from its own files; "
    "they must allow to list, read, write and delete here"
)
_ELSE = "see what the driver needs, and try again; what is finished is kept"
_OF_CREDENTIALS = ("credential", "permission", "forbidden", "accessdenied", "unauthorized", "authentication")


@contextlib.contextmanager
def reporting_driver(place: str, action: str = "write") -> Iterator[None]:
    """Turns whatever a driver raises in the block into an `OutputError`.

    Args:
        place: the URL of the file or the folder.
        action: what was to be done with it.

    Raises:
        OutputError: in place of any Exception but this package's own.
    """
    try:
        yield
    except InitcfgError:
        raise
    except Exception as error:
        message = f"cannot {action} {place!r}: {_words(error)}"
        raise OutputError(Diagnostic(Code.OUTPUT, message, hint=_hint(error))) from error


def _words(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0][:_LONGEST]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _hint(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return _NOT_FOUND
    kind = type(error).__name__.lower()
    return _NOT_ALLOWED if any(word in kind for word in _OF_CREDENTIALS) else _ELSE
