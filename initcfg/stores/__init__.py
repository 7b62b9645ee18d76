"""Where the files of a sharded set go: one folder, on a local file system or behind fsspec."""

from __future__ import annotations

import os
import re
from pathlib import Path

from initcfg.errors import Code, OutputError
from initcfg.formats import FORMATS
from initcfg.process import LOADING
from initcfg.stores.base import Store

__all__ = ["Store", "is_folder", "is_remote", "local_path", "open_store", "require_folder"]

# A scheme of one letter would be a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::|://)")
# The host of a URL of a file is this one.
_LOCAL = re.compile(r"file://(localhost(?=/))?")
_WEIGHTS = tuple(FORMATS)


def is_remote(place: str | os.PathLike[str]) -> bool:
    """Whether this is a URL of a file system that fsspec speaks for."""
    text = os.fspath(place)
    return _URL.match(text) is not None and _LOCAL.match(text) is None


def is_folder(place: str | os.PathLike[str]) -> bool:
    """Whether an output that somebody has named is a folder for shards, not one file."""
    text = _LOCAL.sub("", os.fspath(place), count=1)
    separators = tuple(filter(None, (os.sep, os.altsep, "/")))
    if text.lower().endswith(_WEIGHTS):
        return False
    return is_remote(text) or text.endswith(separators) or not Path(text).suffix or Path(text).is_dir()


def require_folder(place: str | os.PathLike[str]) -> None:
    """Refuses the name of one file in the place of a folder; a folder that is there may have any name."""
    text = os.fspath(place)
    if not text:
        hint = "name a folder, or '.' for the current one"
        raise OutputError.of(Code.OUTPUT, "the name of the folder is empty", hint=hint)
    if text.lower().endswith(_WEIGHTS) and (is_remote(text) or not Path(text).is_dir()):
        hint = "save writes one file; shards go to a folder, such as 'out/gpt2'"
        raise OutputError.of(Code.OUTPUT, f"{text!r} names one file, and no folder", hint=hint)


def local_path(path: str | os.PathLike[str]) -> str:
    """The path of one file that is to be written here, without ``file://``; a URL is refused."""
    text = os.fspath(path)
    if is_remote(text):
        message = f"one file cannot be written to a URL, as to {text!r}"
        file = Path(text)
        hint = f"name a folder, as {file.stem!r} instead of {file.name!r}; it may hold one shard"
        raise OutputError.of(Code.OUTPUT, message, hint=hint)
    return _LOCAL.sub("", text, count=1)


def open_store(place: str | os.PathLike[str]) -> Store:
    """The store of a folder, by its path or its URL; nothing is read or made."""
    if is_remote(place):
        # fsspec takes a tenth of a second to load.
        with LOADING:
            from initcfg.stores.remote import RemoteStore  # noqa: PLC0415

        return RemoteStore(os.fspath(place))
    with LOADING:
        from initcfg.stores.local import LocalStore  # noqa: PLC0415  a spec is checked without it

    return LocalStore(Path(_LOCAL.sub("", os.fspath(place), count=1)))
