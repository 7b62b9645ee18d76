"""Locks for a whole process: one that a forked child finds free, and one that a fork waits for."""

from __future__ import annotations

import os
import threading

__all__ = ["LoadingLock", "ProcessLock"]


class ProcessLock:
    """A lock that lives as long as the process does; a context manager.

    Of the threads of a process a fork copies only the one that called it. A lock that another one held would
    stay shut in the child for ever.

    Example:
        >>> lock = ProcessLock()
        >>> with lock:
        ...     pass
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class LoadingLock:
    """A lock under which modules are imported, and which a fork waits for; a context manager.

    Python locks a module while it is imported. A child that is forked meanwhile has the lock and not the
    thread that would open it, so that it would wait for ever where it imports the module itself.

    Example:
        >>> with LoadingLock():
        ...     import decimal
    """

    def __init__(self) -> None:
        # Whoever holds it may fork: modules may do so as they load.
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):  # as above
            release = self._lock.release
            os.register_at_fork(before=self._lock.acquire, after_in_parent=release, after_in_child=release)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
