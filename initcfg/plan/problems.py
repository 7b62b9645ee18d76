"""Collecting diagnostics, so that one run reports every problem it can find."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from initcfg import initializers
from initcfg.errors import Code, Diagnostic, InitializerError, PathStep, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.initializers import Initializer
    from initcfg.spec import InitializerConfig, Spec

__all__ = ["BrokenError", "Path", "Problems"]

Path = tuple[PathStep, ...]

_MOST_SHOWN = 100


class BrokenError(SpecError):
    """What is wanted depends on something whose own problem has been reported; carries no diagnostic."""


class Problems:
    """The problems of one spec, each once a place, however often a repeated layer meets it."""

    def __init__(self, spec: Spec, found: Iterable[Diagnostic] = ()) -> None:
        self._spec = spec
        self._found: dict[tuple[object, ...], Diagnostic] = {}
        self._count = 0
        if found:
            self.add(SpecError(*found))

    def error(
        self,
        code: Code,
        message: str,
        path: Path,
        *,
        hint: str | None = None,
        key: bool = False,
        offset: int | None = None,
    ) -> SpecError:
        """A problem at a place, as an exception to raise."""
        where = self._spec.locate(path, key=key, offset=offset)
        return SpecError(Diagnostic(code, message, where, hint))

    def add(self, error: SpecError) -> None:
        """Notes what an error says; one that says nothing counts as well."""
        self._count += 1
        for diagnostic in error.diagnostics:
            place = diagnostic.where
            spot = (place.file, place.line, place.column, place.path) if place else (diagnostic.message,)
            self._found.setdefault((diagnostic.code, *spot), diagnostic)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """A block whose errors are noted; what follows it goes on."""
        try:
            yield
        except SpecError as error:
            self.add(error)

    @property
    def count(self) -> int:
        """How many problems have been noted."""
        return self._count

    def break_if_more_than(self, count: int) -> None:
        """Ends what cannot go on because of problems noted since there were `count`.

        Raises:
            BrokenError: there are more.
        """
        if self._count > count:
            raise BrokenError

    @contextmanager
    def placing(self, path: Path) -> Iterator[None]:
        """A block whose initializer errors are given the place `path`."""
        try:
            yield
        except InitializerError as error:
            raise self.placed(error, path) from None

    def known_class(self, config: InitializerConfig, path: Path) -> type[Initializer]:
        """The class that a config names.

        Raises:
            SpecError: nothing has the name.
        """
        cls = initializers.lookup(config.lookup_name)
        if cls is not None:
            return cls
        fault = initializers.unknown_initializer(config.lookup_name, self._spec.initializers)
        place, is_key = config.name_place(path)
        raise self.error(fault.code, fault.message, place, hint=fault.hint, key=is_key)

    def placed(self, error: InitializerError, path: Path) -> SpecError:
        """An initializer's error with the place `path`."""
        where = self._spec.locate(path)
        return SpecError(*(diagnostic.at(where) for diagnostic in error.diagnostics))

    def raise_any(self) -> None:
        """Raises a `SpecError` with the problems noted so far, in the order of their places.

        After the first hundred the rest is counted: nobody reads them, and there may be a million.
        """
        if not self._found:
            return
        found = sorted(self._found.values(), key=_position)
        shown = found[:_MOST_SHOWN]
        if len(found) > len(shown):
            more = f"{len(found) - len(shown):,} more problems are not shown"
            shown.append(Diagnostic(Code.TOO_LARGE, more, shown[-1].where, severity="note"))
        raise SpecError(*shown)


def _position(diagnostic: Diagnostic) -> tuple[int, int]:
    where = diagnostic.where
    return ((where.line or 0), (where.column or 0)) if where else (0, 0)
