"""Where the files of a sharded set go: one folder, on a local file system or behind fsspec."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from initcfg.errors import Code, OutputError
from initcfg.formats import FORMATS, Elements
from initcfg.process import load

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from initcfg.formats.safetensors import FileLayout

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
    store: Store
    if is_remote(place):
        # fsspec takes a tenth of a second to load.
        store = load("initcfg.stores.remote").RemoteStore(os.fspath(place))
    else:
        store = load("initcfg.stores.local").LocalStore(Path(_LOCAL.sub("", os.fspath(place), count=1)))
    return store


Admit = Callable[[str | None], None]
"""``admit(found)``: makes room for a set, or raises; `found` is the claim that an unfinished run has left, of
this set or another one, or None."""


@dataclass
class Claim:
    """A hold on a folder, for as long as a context lasts; new where there was no claim of this set before."""

    is_new: bool = False
    is_released: bool = False

    def release(self) -> None:
        """Nobody has to know whose the folder is: the set is published, or nothing of it is there."""
        self.is_released = True


class ClaimLostError(OutputError):
    """The claim that a call has found, or worked under, is there no more."""


class Store(Protocol):
    """A folder in which every file appears whole or not at all; what cannot be done is an `OutputError`.

    A *claim* is a text of one line that says which set of files the folder is for. Runs of one set give the
    same text and may work side by side, from any process; a run of another set is refused while one of them
    lives.
    """

    @property
    def place(self) -> str:
        """The folder's path or URL, which `open_store` takes."""

    def path(self, name: str) -> str:
        """A file's path or URL, for messages."""

    def sizes(self) -> dict[str, int]:
        """The files in the folder, with their sizes in bytes; none where there is no folder."""

    def size(self, name: str) -> int | None:
        """The size of one file as `sizes` tells it; None where there is none."""

    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a file; fewer where it ends before."""

    def write(self, name: str, layout: FileLayout, elements: Elements) -> None:
        """Writes a safetensors file."""

    def write_text(self, name: str, text: str) -> None:
        """Writes a small document."""

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""

    def sweep(self) -> None:
        """Removes what dead runs have left of files that they had begun, where it can be told from others."""

    def free(self) -> int | None:
        """Free bytes; None where nobody can tell."""
        return None

    @property
    def staged(self) -> Store | None:
        """A folder for a set that is to take this one's place; None where files cannot move at once."""
        return None

    def adopt(self, name: str) -> None:
        """Moves a file from the staged folder to its place here."""
        raise AssertionError(f"{name!r} cannot be moved here, because nothing is staged")

    def unstage(self, text: str) -> None:
        """Removes the staged folder with all in it, unless a run is at work; `text` claims this one's set."""

    def claimed(self) -> str | None:
        """The claim of the unfinished set that the folder is for, or None."""

    def claiming(self, text: str, admit: Admit) -> AbstractContextManager[Claim]:
        """Holds the folder for a set; `admit` is called before, unless a run of the set is at work."""

    def joining(self, text: str) -> AbstractContextManager[Claim]:
        """Holds the folder for a set that was claimed; a `ClaimLostError` where it is no more."""


def other_claim(place: str, found: str | None, *, is_at_work: bool) -> OutputError:
    """The error for a folder that is another set's; a `ClaimLostError` where it was this one's before."""
    if is_at_work:
        message = f"another run is writing another set of weights to {place!r} now"
        hint = "write to another folder, or wait until that run has ended"
        return OutputError.of(Code.OTHER_PLAN, message, hint=hint)
    gone = "has been taken over by a run of another set" if found else "is no longer claimed for this set"
    hint = "run again; shards that are finished are kept"
    return ClaimLostError.of(Code.OTHER_PLAN, f"the folder {place!r} {gone}", hint=hint)
