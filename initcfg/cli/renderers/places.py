"""Files as a code host knows them: by their path from the root of the checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

# os.fsdecode writes bytes that are not UTF-8 as these surrogates; others stand for nothing.
_FOREIGN_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def source_path(file: str) -> str | None:
    """The path from the root of the checkout, with forward slashes; None for a file outside of it.

    The root is ``GITHUB_WORKSPACE``, where GitHub Actions says it, else the current folder.
    """
    root = os.environ.get("GITHUB_WORKSPACE") or Path.cwd()
    try:
        path = os.path.relpath(file, root)
    except ValueError:  # another drive
        return None
    return None if Path(path).parts[:1] == (os.pardir,) else path.replace(os.sep, "/")


def file_uri(path: str) -> str:
    """A path as the path of a URI, its bytes percent-encoded where they must be.

    Example:
        >>> file_uri("configs/a b%c:é.yaml")
        'configs/a%20b%25c%3A%C3%A9.yaml'
    """
    return quote(_FOREIGN_SURROGATES.sub("\ufffd", path).encode("utf-8", "surrogateescape"))
