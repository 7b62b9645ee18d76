"""What a process shares between its threads and its forked children: the garbage collector, and locks."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

T = TypeVar("T")

_SELDOM = 100_000


def collect_seldom() -> None:
    """Have Python look for cycles a hundred times less often, in a process that is ours.

    A start makes thousands of functions and classes, all of which stay.
    """
    gc.set_threshold(_SELDOM, *gc.get_threshold()[1:])


def end_uncollected() -> None:
    """Have Python look for no more cycles, in a process that ends: the system takes its memory back.

    Otherwise it walks all that is left, twice, as it ends: a fifth of the processor time of a short command.
    """
    gc.freeze()


@contextmanager
def gc_paused() -> Iterator[None]:
    """A block in which Python looks for no cycles, for values that stay and hold none.

    The collector would walk all of them again each time that there are a quarter more.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class cached_property(functools.cached_property[T]):  # noqa: N801  it takes the place of functools'
    """A property that is computed once; Python 3.11's holds a lock meanwhile, which a fork leaves shut."""

    if sys.version_info < (3, 12) and not TYPE_CHECKING:

        def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
            if instance is None:
                return self
            cache = instance.__dict__
            if self.attrname not in cache:
                cache[self.attrname] = self.func(instance)
            return cache[self.attrname]


class ForkSafeLock:
    """A lock that lives as long as the process does; a context manager.

    A fork copies only the thread that called it: a lock that another one held would stay shut in the child.
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


#: Held while modules are imported and while pydantic validates, and waited for by a fork: Python locks a
#: module while it imports it, pydantic what it makes at its first use, and a child that is forked meanwhile
#: has the lock, not the thread that would open it. One for all: a thread that waits for a second one would
#: hold the first. Whoever holds it may fork: modules may do so as they load.
LOADING = threading.RLock()

# Python's modules whose locks a fork takes before and opens after; others only make new ones in the child.
_FORK_LOCKS = {"logging": "_lock", "concurrent.futures.thread": "_global_shutdown_lock"}


def _fork_locks() -> dict[str, Any]:
    found = {name: getattr(sys.modules.get(name), lock, None) for name, lock in _FORK_LOCKS.items()}
    return {name: lock for name, lock in found.items() if lock is not None}


def _hold_before_fork() -> None:
    """Waits for `LOADING`, and takes the locks of modules that were loaded meanwhile.

    What they registered comes too late to be called before this fork, and is called after it.
    """
    known = _fork_locks()
    LOADING.acquire()
    for name, lock in _fork_locks().items():
        if name not in known:
            lock.acquire()


if hasattr(os, "register_at_fork"):  # as above
    os.register_at_fork(
        before=_hold_before_fork, after_in_parent=LOADING.release, after_in_child=LOADING.release
    )


def load(module: str) -> ModuleType:
    """A module, imported where it is not yet; no fork happens meanwhile."""
    with LOADING:
        return importlib.import_module(module)


class _Lazy:
    """Stands for a module until something of it is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        with LOADING:  # numpy loads parts of itself in this way as well
            value = getattr(importlib.import_module(self._module), name)
        setattr(self, name, value)
        return value


def lazy(module: str) -> Any:
    """A module that is imported when something of it is first used; imported as usual ``if TYPE_CHECKING``.

    So a spec is checked without numpy and without what only makes weights.
    """
    return _Lazy(module)
