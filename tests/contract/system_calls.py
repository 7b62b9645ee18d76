"""The calls of the operating system by which a writer changes a folder, counted and met with something."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from initcfg.formats import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WRITING = ("write", "pwrite", "fsync", "replace", "ftruncate", "fallocate", "open")
REMOVING = ("unlink",)


class Intercepted:
    """A context in which every call is first told to a function, which may raise, or end the process.

    Args:
        meet: is given the call's number, from 1, and its name.
        names: of `WRITING` and `REMOVING`, those to count. An ``open`` counts where it makes a file or opens
            a folder.
        piece: the most bytes that a write takes; the system may take fewer than it is given.
    """

    def __init__(self, meet: Callable[[int, str], None], names: Iterable[str], piece: int = 1 << 30) -> None:
        self.calls = 0
        self._meet = meet
        self._names = names
        self._piece = piece
        self._lock = threading.Lock()
        self._real: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Intercepted:
        for name in self._names:
            owner, attribute = (atomic, "_fallocate") if name == "fallocate" else (os, name)
            real = getattr(owner, attribute)
            self._real.append((owner, attribute, real))
            setattr(owner, attribute, self._counted(name, real))
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._real:
            setattr(*place)

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **keywords: Any) -> Any:
            if name == "open" and not rest[0] & (os.O_CREAT | os.O_DIRECTORY):
                return real(first, *rest, **keywords)
            with self._lock:
                self.calls += 1
                number = self.calls
            self._meet(number, name)
            if name in {"write", "pwrite"}:
                rest = (rest[0][: self._piece], *rest[1:])
            return real(first, *rest, **keywords)

        return call
