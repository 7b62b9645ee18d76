"""What a run of many shards asks of the folder that it writes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from initcfg.errors import Code, OutputError
from initcfg.formats.index import CLAIM_NAME

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from initcfg.formats import Elements
    from initcfg.formats.safetensors import FileLayout

__all__ = ["CLAIM_NAME", "Admit", "Claim", "ClaimLostError", "Store", "other_claim"]

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

    @property
    def staged(self) -> Store | None:
        """A folder for a set that is to take this one's place; None where files cannot move at once."""

    def adopt(self, name: str) -> None:
        """Moves a file from the staged folder to its place here."""

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
