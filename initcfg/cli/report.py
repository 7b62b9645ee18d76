"""What checking some files has found, as a value; `initcfg.cli.renderers` turns it into text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.cli.exits import IO_CODES, Exit, exit_for
from initcfg.cli.words import count, counted, size
from initcfg.errors import Location, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Diagnostic
    from initcfg.plan import Plan

__all__ = ["Checked", "Contents", "Report"]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a valid spec holds."""

    parameters: int
    elements: int
    bytes: int

    @classmethod
    def of(cls, plan: Plan) -> Contents:
        """The totals of a plan."""
        return cls(parameters=len(plan), elements=plan.numel, bytes=plan.nbytes)

    def __str__(self) -> str:
        parameters, elements = counted(self.parameters, "parameter"), counted(self.elements, "element")
        return f"{parameters}, {elements}, {size(self.bytes)}"


@dataclass(frozen=True, slots=True)
class Checked:
    """One file: what was found in it and, where it is valid, what it holds."""

    file: str
    diagnostics: tuple[Diagnostic, ...] = ()
    contents: Contents | None = None

    @classmethod
    def failed(cls, file: str, diagnostics: Iterable[Diagnostic]) -> Checked:
        """A file with problems; those without a place are given the file's name.

        What could not be read or written names itself, and may be another file.
        """
        placed = (
            each if each.where or each.code in IO_CODES else each.at(Location(file)) for each in diagnostics
        )
        return cls(file, tuple(placed))

    @property
    def errors(self) -> int:
        """How many of the diagnostics are errors."""
        return sum(diagnostic.severity == "error" for diagnostic in self.diagnostics)


@dataclass(frozen=True, slots=True)
class Report:
    """All files of one run, in the order given."""

    files: tuple[Checked, ...]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What was found in all files."""
        return tuple(diagnostic for file in self.files for diagnostic in file.diagnostics)

    @property
    def errors(self) -> int:
        """How many errors were found."""
        return sum(file.errors for file in self.files)

    @property
    def warnings(self) -> int:
        """How many warnings were found."""
        return sum(diagnostic.severity == "warning" for diagnostic in self.diagnostics)

    @property
    def exit(self) -> Exit:
        """The exit code that says this."""
        return exit_for(self.diagnostics)

    def summary(self) -> str:
        """One line: what a single file holds, else how many files are valid and what the others have."""
        invalid = [file for file in self.files if file.errors]
        warned = f", {counted(self.warnings, 'warning')}" if self.warnings else ""
        if len(self.files) > 1:
            valid = f"{counted(len(self.files) - len(invalid), 'file')} valid"
            return (
                valid
                + (f", {count(len(invalid))} with {counted(self.errors, 'error')}" if invalid else "")
                + warned
            )
        (file,) = self.files
        verdict = counted(file.errors, "error") if invalid else "valid"
        contents = f", {file.contents}" if file.contents else ""
        return f"{printable(file.file)}: {verdict}{warned}{contents}"
