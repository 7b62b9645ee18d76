"""A lock for a whole process that a forked child finds free, whoever held it when the child was made."""

from __future__ import annotations

import os
import threading

__all__ = ["ProcessLock"]


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
