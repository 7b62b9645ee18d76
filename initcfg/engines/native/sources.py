"""A digest of the C sources. The build hook loads this file alone, so it imports nothing of initcfg."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def library_name(system: str) -> str:
    """Where the library is on a system, called as ``sys.platform`` calls it, seen from this folder.

    Not beside this file: Python would take it for a module.
    """
    return {"win32": "lib/initcfg.dll", "darwin": "lib/libinitcfg.dylib"}.get(system, "lib/libinitcfg.so")


LIBRARY = library_name(sys.platform)


def digest(folder: Path) -> str:
    """SHA-256 of the names and texts of the C files in a folder, whatever their line endings."""
    state = hashlib.sha256()
    for path in sorted(folder.glob("*.[ch]")):
        state.update(path.name.encode() + b"\0")
        state.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return state.hexdigest()
