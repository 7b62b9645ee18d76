"""A folder of a local, or mounted, file system."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from initcfg.errors import OutputError
from initcfg.formats.atomic import free_bytes, move, replacing, reporting
from initcfg.formats.safetensors import write_file
from initcfg.formats.temporary import sweep
from initcfg.stores.base import CLAIM_NAME
from initcfg.stores.claim_file import ClaimFile
from initcfg.text.inputs import open_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from initcfg.formats import Elements
    from initcfg.formats.safetensors import FileLayout
    from initcfg.stores.base import Admit, Claim

_STAGED_NAME = ".initcfg-staged"


class LocalStore:
    """A folder by its path, which need not be there yet; see `Store`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        """The path as it was given."""
        return os.fspath(self._folder)

    def path(self, name: str) -> str:
        """The path of a file."""
        return os.fspath(self._folder / name)

    def sizes(self) -> dict[str, int]:
        """Regular files, links that name one, and anything else with a size of -1."""
        with reporting(self._folder, 0, "read"):
            try:
                with os.scandir(self._folder) as entries:
                    return {entry.name: _size(entry) for entry in entries}
            except FileNotFoundError:
                return {}

    def size(self, name: str) -> int | None:
        """See `Store`."""
        path = self._folder / name
        with reporting(path, 0, "read"):
            return _size(path) if os.path.lexists(path) else None

    def read(self, name: str, start: int, stop: int) -> bytes:
        """See `Store`."""
        path = self._folder / name
        with reporting(path, 0, "read"), open_input(path, OutputError) as file:
            file.seek(start)
            return file.read(stop - start) or b""

    def write(self, name: str, layout: FileLayout, elements: Elements) -> None:
        """Writes it by places, from the threads that make the elements."""
        write_file(self._folder / name, layout, elements, sweeping=False)

    def write_text(self, name: str, text: str) -> None:
        """See `Store`."""
        content = text.encode()
        with replacing(self._folder / name, len(content), sweeping=False) as file:
            file.write(content)

    def remove(self, name: str) -> None:
        """See `Store`."""
        with reporting(self._folder / name, 0, "remove"):
            (self._folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """See `Store`; writing one of very many files does not look at all of them."""
        sweep(self._folder)

    def free(self) -> int | None:
        """Of the file system that the folder is on, or will be."""
        with reporting(self._folder, 0):
            there = next(path for path in (self._folder, *self._folder.absolute().parents) if path.exists())
            return free_bytes(there / "file")

    @property
    def staged(self) -> LocalStore | None:
        """A folder in this one; none where a link, or another file system, stands in its place."""
        folder = self._folder / _STAGED_NAME
        if self._folder.name == _STAGED_NAME:
            return None
        with reporting(folder, 0, "read"):
            if os.path.lexists(folder):
                status = folder.lstat()
                if not stat.S_ISDIR(status.st_mode) or status.st_dev != self._folder.stat().st_dev:
                    return None
        return LocalStore(folder)

    def adopt(self, name: str) -> None:
        """See `Store`."""
        move(self._folder / _STAGED_NAME / name, self._folder / name)

    def unstage(self, text: str) -> None:
        """See `Store`; what cannot be removed stays for the next run."""
        staged = self.staged
        if staged is None or not staged._folder.exists():
            return

        def clear(_: str | None) -> None:
            for name in staged.sizes().keys() - {CLAIM_NAME}:
                staged.remove(name)

        with contextlib.suppress(OutputError, OSError):
            with staged.claiming(text, clear) as claim:
                claim.release()
            staged._folder.rmdir()

    def claimed(self) -> str | None:
        """See `Store`."""
        return self._claim.text()

    @contextlib.contextmanager
    def claiming(self, text: str, admit: Admit) -> Iterator[Claim]:
        """See `Store`; a folder that was made for a run which is then refused goes again."""
        with reporting(self._folder, 0):
            is_new = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._claim.claiming(text, admit) as claim:
                yield claim
        except BaseException:
            if is_new:
                # The system keeps one that holds anything.
                with contextlib.suppress(OSError):
                    self._folder.rmdir()
            raise

    def joining(self, text: str) -> AbstractContextManager[Claim]:
        """See `Store`."""
        return self._claim.joining(text)

    @property
    def _claim(self) -> ClaimFile:
        return ClaimFile(self._folder / CLAIM_NAME)


def _size(entry: os.DirEntry[str] | Path) -> int:
    try:
        status = entry.stat()
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1
