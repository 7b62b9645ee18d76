"""A folder of a local, or mounted, file system.

The claim on it is a file that names the set, held under a lock while a run is at work.
Runs of one set share the lock. Whoever can take it alone knows that nobody is at work, and may put another
claim in the file. The kernel drops the lock of a process that dies. Where a file system has no locks, the
text of the claim still keeps two sets apart, unless their runs begin in the same moment.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import time
from typing import TYPE_CHECKING

from initcfg.errors import Code, OutputError
from initcfg.formats.atomic import free_bytes, move, replacing, reporting
from initcfg.formats.index import CLAIM_NAME
from initcfg.formats.safetensors import FileLayout, write_file
from initcfg.formats.temporary import LocksUnsupportedError, is_linked, lock_holders, sweep, try_lock, unlock
from initcfg.stores import Admit, Claim, other_claim
from initcfg.text.inputs import open_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from initcfg.formats import Elements

_MAX_BYTES = 1 << 16
# Whatever somebody has put there is neither followed nor waited for.
_SAFELY = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_NO_FILE = {errno.ELOOP, errno.EISDIR, errno.ENXIO}
# A run that prepares a folder reads the headers of what is there, and removes what it may.
_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.02
# A longer wait is told: a logger's warning reaches stderr where a program has set up nothing else.
_SILENT_SECONDS = 1.0
_log = logging.getLogger("initcfg")
# Another run may hold the claim just while it finds out that it has to wait or to go.
_ATTEMPTS_TO_REMOVE = 10


class ClaimFile:
    """The claim on one folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def text(self) -> str | None:
        """What the file says; None where there is none."""
        with reporting(self._path, 0, "read"):
            try:
                descriptor = _opened(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            try:
                return _read(descriptor)
            finally:
                os.close(descriptor)

    def claiming(self, text: str, admit: Admit) -> AbstractContextManager[Claim]:
        """Holds the folder for a set; `admit` is called while nobody else holds it."""
        claim = Claim()
        return self._holding(text, claim, lambda: self._claimed(text, admit, claim))

    def joining(self, text: str) -> AbstractContextManager[Claim]:
        """Holds the folder for a set that is claimed already."""
        return self._holding(text, Claim(), lambda: self._joined(text))

    @contextlib.contextmanager
    def _holding(self, text: str, claim: Claim, enter: Callable[[], int | None]) -> Iterator[Claim]:
        descriptor = self._entered(text, enter)
        try:
            yield claim
        finally:
            if claim.is_released:
                self._remove_if_last(descriptor, text)
            unlock(descriptor)
            os.close(descriptor)

    def _entered(self, text: str, enter: Callable[[], int | None]) -> int:
        """A descriptor of the file, whose lock is shared with runs of the same set."""
        start = time.monotonic()
        told = False
        while (waited := time.monotonic() - start) < _PATIENCE_SECONDS:
            with reporting(self._path, len(text)):
                descriptor = enter()
            if descriptor is not None:
                return descriptor
            if waited >= _SILENT_SECONDS and not told:
                told = True
                _log.warning(
                    "waiting for %s, which is preparing %r, for %.0f seconds at most",
                    self._holder(),
                    str(self._path.parent),
                    _PATIENCE_SECONDS,
                )
            time.sleep(_PAUSE_SECONDS)
        message = (
            f"{self._holder()} has been preparing {str(self._path.parent)!r} "
            f"for {_PATIENCE_SECONDS:.0f} seconds"
        )
        raise OutputError.of(Code.OUTPUT, message, hint="end that run, or wait for it, and try again")

    def _holder(self) -> str:
        """Who holds the lock, as far as the system tells it; of another machine nobody can."""
        known = lock_holders(self._path)
        if not known:
            return "another run (the system does not say which; perhaps on another machine)"
        named = " and ".join(str(process) for process in known)
        return f"another run on this machine (process {named})"

    def _claimed(self, text: str, admit: Admit, claim: Claim) -> int | None:
        """One attempt; None where another process is just changing the file."""
        descriptor = _opened(self._path, os.O_RDWR | os.O_CREAT)
        with contextlib.ExitStack() as failed:
            failed.callback(os.close, descriptor)
            alone = _lock(descriptor, shared=False)
            if not alone and not _lock(descriptor, shared=True):
                return None
            if not is_linked(descriptor, self._path):
                return None
            found = _read(descriptor)
            if alone:
                self._admit(admit, found)
                claim.is_new = found != text
                if claim.is_new:
                    try:
                        _write(descriptor, text)
                    except OSError:
                        # A claim that cannot be written is none; the one before has lost its files.
                        self._unlink()
                        raise
                # The lock may be lost for a moment while it becomes a shared one, and the claim with it.
                if not _lock(descriptor, shared=True) or not self._is_ours(descriptor, text):
                    return None
            elif found is None:
                return None
            elif found != text:
                raise other_claim(str(self._path.parent), found, is_at_work=True)
            failed.pop_all()
        return descriptor

    def _admit(self, admit: Admit, found: str | None) -> None:
        """A file that was made for a set which is then refused goes again."""
        try:
            admit(found)
        except BaseException:
            if found is None:
                self._unlink()
            raise

    def _joined(self, text: str) -> int | None:
        try:
            descriptor = _opened(self._path, os.O_RDWR)
        except FileNotFoundError:
            raise other_claim(str(self._path.parent), None, is_at_work=False) from None
        with contextlib.ExitStack() as failed:
            failed.callback(os.close, descriptor)
            if not _lock(descriptor, shared=True):
                return None
            if not self._is_ours(descriptor, text):
                raise other_claim(str(self._path.parent), _read(descriptor), is_at_work=False)
            failed.pop_all()
        return descriptor

    def _is_ours(self, descriptor: int, text: str) -> bool:
        return is_linked(descriptor, self._path) and _read(descriptor) == text

    def _remove_if_last(self, descriptor: int, text: str) -> None:
        """Removes the file unless another run holds it too: then that one will."""
        for attempt in range(_ATTEMPTS_TO_REMOVE):
            # The shared lock is lost by this, whatever comes of it, so the last of several does get it alone.
            if _lock(descriptor, shared=False):
                if self._is_ours(descriptor, text):
                    self._unlink()
                return
            time.sleep(_PAUSE_SECONDS if attempt else 0)

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


def _opened(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | _SAFELY, 0o666)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_claim(path) from None
        raise
    status = os.fstat(descriptor)
    # One that has another name as well is somebody's file.
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _no_claim(path)
    return descriptor


def _no_claim(path: Path) -> OutputError:
    message = f"{str(path)!r} is no regular file of its own, and so no run has made it"
    return OutputError.of(Code.OUTPUT, message, hint="remove it, or write to another folder")


def _lock(descriptor: int, *, shared: bool) -> bool:
    """Whether the lock is held now; where there are no locks, the text of the claim must do."""
    try:
        return try_lock(descriptor, shared=shared)
    except LocksUnsupportedError:
        return True


def _read(descriptor: int) -> str | None:
    """The whole text; None where a run was killed before it had written one."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    content = os.read(descriptor, _MAX_BYTES).decode(errors="replace")
    return content if content.endswith("\n") else None


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = text.encode()
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


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
