"""Files kept open for reading from any thread, a few at a time, and each the same file as before."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from initcfg.errors import Code, Diagnostic, FormatError, Location
from initcfg.inputs import open_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

# Threads read neighbours, which are in one shard or in two.
_KEPT = 8


@dataclass(slots=True)
class _Handle:
    file: BinaryIO
    users: int = 0


class Handles:
    """A pool of open files, used as a context.

    Args:
        kept: how many stay open while nobody reads; more are open only while more threads read.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._open: dict[Path, _Handle] = {}
        self._seen: dict[Path, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all files."""
        with self._lock:
            for handle in self._open.values():
                handle.file.close()
            self._open.clear()

    @contextlib.contextmanager
    def using(self, path: Path) -> Iterator[BinaryIO]:
        """An open file, which stays open in the block.

        Raises:
            FormatError: it cannot be read (code ``input``), or is no longer the file that was opened first.
        """
        with self._lock:
            handle = self._open.pop(path, None) or _Handle(self._opened(path))
            self._open[path] = handle  # the last one now: the first is that which was not used for longest
            handle.users += 1
            self._close_idle()
        try:
            yield handle.file
        finally:
            with self._lock:
                handle.users -= 1
                self._close_idle()

    def _opened(self, path: Path) -> BinaryIO:
        file = open_input(path, FormatError)
        status = os.fstat(file.fileno())
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._seen.setdefault(path, stamp) != stamp:
            file.close()
            message = "the file was changed or replaced while it was read"
            hint = "wait until nobody writes to it, and read it again"
            raise FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(path)), hint))
        return file

    def _close_idle(self) -> None:
        too_many = len(self._open) - self._kept
        if too_many > 0:
            idle = [path for path, handle in self._open.items() if not handle.users]
            for path in idle[:too_many]:
                self._open.pop(path).file.close()
