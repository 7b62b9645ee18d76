"""Collecting diagnostics, so that one run reports every problem it can find.

All of planning raises a `SpecError` for what is wrong at a place, and a `BrokenError` where it needs what has
been reported already.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from initcfg import initializers
from initcfg.errors import MAX_TOLD, Code, Diagnostic, InitializerError, Path, SpecError, stopped
from initcfg.spec import by_place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from initcfg.initializers import Initializer
    from initcfg.spec import InitializerConfig, Spec

_MOST_TIMES = 1000
#: What is wrong with a file is told once, however many parameters name it.
OF_FILES = (Code.INPUT, Code.FORMAT)


class BrokenError(SpecError):
    """What is wanted depends on something whose own problem has been reported; carries no diagnostic."""


class EnoughProblemsError(Exception):
    """So many problems have been noted that more would help nobody; `Problems.raise_any` tells them."""


class Problems:
    """The problems of one spec, each once a place, however often a repeated layer meets it."""

    def __init__(self, spec: Spec, found: Iterable[Diagnostic] = ()) -> None:
        self._spec = spec
        self._found: dict[tuple[object, ...], Diagnostic] = {}
        self.count = 0  # how many have been noted
        self.notes: list[Diagnostic] = []  # what is worth knowing and is no fault
        self._note(found)

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
        """Notes what an error says; one that says nothing counts as well.

        Ends the search after a hundred problems, or where a repeated layer has met one a thousand times.
        """
        self.count += 1
        self._note(error.diagnostics)
        if len(self._found) >= MAX_TOLD or self.count >= _MOST_TIMES:
            raise EnoughProblemsError

    def note(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Takes diagnostics of which some may be mere notes, which are no problems."""
        for diagnostic in diagnostics:
            if diagnostic.severity == "error":
                self.add(SpecError(diagnostic))
            else:
                self.notes.append(diagnostic)

    def _note(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self._found.setdefault((diagnostic.code, *_spot(diagnostic)), diagnostic)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """A block whose errors are noted; what follows it goes on."""
        try:
            yield
        except SpecError as error:
            self.add(error)

    @property
    def is_clean(self) -> bool:
        """Whether nothing has been found, by reading or by planning."""
        return not self._found and self.count == 0

    def break_if_more_than(self, count: int) -> None:
        """Raises a `BrokenError` if problems have been noted since there were `count`."""
        if self.count > count:
            raise BrokenError

    @contextmanager
    def placing(self, path: Path) -> Iterator[None]:
        """A block whose initializer errors are given the place `path`."""
        try:
            yield
        except InitializerError as error:
            raise self.placed(error, path) from None

    def known_class(self, config: InitializerConfig, path: Path) -> type[Initializer]:
        """The class that a config names."""
        cls = initializers.lookup(config.lookup_name)
        if cls is not None:
            return cls
        fault = initializers.unknown_initializer(config.lookup_name, self._spec.initializers)
        place, is_key = config.name_place(path)
        raise self.error(fault.code, fault.message, place, hint=fault.hint, key=is_key)

    def placed(self, error: InitializerError, path: Path) -> SpecError:
        """An initializer's error with the place `path`, or that of the argument which it names there."""
        within = (each.where.path if each.where else () for each in error.diagnostics)
        places = (self._spec.locate((*path, *steps)) for steps in within)
        return SpecError(*(each.at(where) for each, where in zip(error.diagnostics, places, strict=True)))

    def raise_any(self, *, but: Collection[Code] = ()) -> None:
        """Raises a `SpecError` with the problems noted so far, by place, but for the codes `but`."""
        kept = [each for each in self._found.values() if each.code not in but]
        if not kept:
            return
        found = by_place(kept, self._spec.locate(()).file)
        raise SpecError(*stopped(found, "the document"))


def about(name: str, error: SpecError) -> SpecError:
    """What is wrong with a rule, said of a parameter that it decides for."""
    if isinstance(error, BrokenError):
        return error
    named = (replace(each, message=f"for {name!r}: {each.message}") for each in error.diagnostics)
    return SpecError(*named)


def _spot(problem: Diagnostic) -> tuple[object, ...]:
    """What tells a problem from others of its code: its place, or its message where many share one.

    Those share one that are in a manifest that was given as a value, or in a file of weights without lines.
    """
    place = problem.where
    if (
        problem.code in OF_FILES
        or place is None
        or place.path == ("manifest",)
        or (place.line is None and not place.path)
    ):
        return (problem.message,)
    return place.file, place.line, place.column, place.path
