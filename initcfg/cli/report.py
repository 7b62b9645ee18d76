"""What checking some files has found, as a value, and the exit code that says it."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import MAX_TOLD, WARNINGS, Code, Diagnostic, Location, Severity, printable
from initcfg.names import count, counted, size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from initcfg.plan import Plan


def _count(diagnostics: Iterable[Diagnostic], severity: Severity) -> int:
    return sum(diagnostic.severity == severity for diagnostic in diagnostics)


def _rest(left_out: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """A note in the place of warnings and notes that are not shown."""
    if left_out:
        notes = _count(left_out, "note")
        kinds = {"warning": len(left_out) - notes, "note": notes}
        kinds_left = " and ".join(counted(number, kind) for kind, number in kinds.items() if number)
        verb = "is" if len(left_out) == 1 else "are"
        message = f"after the first {MAX_TOLD} warnings and notes {kinds_left} more {verb} not shown"
        yield Diagnostic(Code.TOO_LARGE, message, left_out[0].where, "mend or allow these first", "note")


class Contents(NamedTuple):
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


class Checked(NamedTuple):
    """One file that was checked: all that was found in it, and what a summary says of it without errors."""

    file: str
    diagnostics: tuple[Diagnostic, ...] = ()
    contents: Contents | None = None  # where it could be planned
    verdict: str = "valid"
    is_base: bool = False  # others extend it, and nothing is planned

    @classmethod
    def placed(
        cls, file: str, diagnostics: Iterable[Diagnostic], contents: Contents | None = None
    ) -> Checked:
        """A file with what was found in it; what has no place gets its name, unless it is about no file."""
        placed = (
            each if each.where or each.code in IO_CODES else each.at(Location(file)) for each in diagnostics
        )
        return cls(file, tuple(placed), contents)

    @property
    def listed(self) -> tuple[Diagnostic, ...]:
        """What is listed: all errors, the first warnings and notes, and how many more of each there are."""
        shown: list[Diagnostic] = []
        left_out: list[Diagnostic] = []
        for each in self.diagnostics:
            # A note that something is too large says how many problems are not shown.
            is_advice = each.severity != "error" or each.code in WARNINGS
            is_advice = is_advice and each.code is not Code.TOO_LARGE
            (left_out if is_advice and len(shown) >= MAX_TOLD else shown).append(each)
        return (*shown, *_rest(left_out))

    @property
    def errors(self) -> int:
        """How many of the diagnostics are errors."""
        return _count(self.diagnostics, "error")

    @property
    def warnings(self) -> int:
        """How many of the diagnostics are warnings."""
        return _count(self.diagnostics, "warning")

    def strict(self) -> Checked:
        """The same file, its warnings taken for errors."""
        strict = (
            dataclasses.replace(each, severity="error") if each.severity == "warning" else each
            for each in self.diagnostics
        )
        return self._replace(diagnostics=tuple(strict))

    def ignoring(self, codes: Collection[str]) -> Checked:
        """The same file without its warnings of these codes."""
        kept = (each for each in self.diagnostics if each.severity != "warning" or each.code not in codes)
        return self._replace(diagnostics=tuple(kept))


class Report(NamedTuple):
    """All files of one run in the order given; a code for each warning that was left out."""

    files: tuple[Checked, ...]
    ignored: tuple[Code, ...] = ()
    excluded: int = 0  # files that were not checked

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is listed of all files."""
        return tuple(diagnostic for file in self.files for diagnostic in file.listed)

    @property
    def errors(self) -> int:
        """How many errors were found."""
        return sum(file.errors for file in self.files)

    @property
    def warnings(self) -> int:
        """How many warnings were found."""
        return sum(file.warnings for file in self.files)

    @property
    def notes(self) -> int:
        """How many notes there are."""
        return sum(_count(file.diagnostics, "note") for file in self.files)

    @property
    def exit(self) -> Exit:
        """The exit code that says this: I/O outweighs problems, and warnings are fine."""
        errors = {diagnostic.code for diagnostic in self.diagnostics if diagnostic.severity == "error"}
        return Exit.USAGE if errors & IO_CODES else Exit.PROBLEMS if errors else Exit.FINE

    def strict(self) -> Report:
        """The same report, its warnings taken for errors."""
        return self._replace(files=tuple(file.strict() for file in self.files))

    def ignoring(self, codes: Collection[str]) -> Report:
        """The same report without its warnings of these codes; errors and notes stay."""
        found = (each for file in self.files for each in file.diagnostics)
        out = [each.code for each in found if each.severity == "warning" and each.code in codes]
        return self._replace(files=tuple(file.ignoring(codes) for file in self.files), ignored=tuple(out))

    def summary(self) -> str:
        """One line: what a single file holds, else how many files are valid and what the others have."""
        invalid = [file for file in self.files if file.errors]
        warned = f", {counted(self.warnings, 'warning')}" if self.warnings else ""
        if self.ignored:
            codes = ", ".join(sorted(set(self.ignored)))
            warned += f", {counted(len(self.ignored), 'warning')} ignored ({codes})"
        if self.excluded:
            warned += f", {counted(self.excluded, 'file')} excluded"
        if len(self.files) != 1:
            valid = f"{counted(len(self.files) - len(invalid), 'file')} valid"
            return (
                valid
                + (f", {count(len(invalid))} with {counted(self.errors, 'error')}" if invalid else "")
                + warned
            )
        (file,) = self.files
        verdict = counted(file.errors, "error") if invalid else file.verdict
        contents = f", {file.contents}" if file.contents else ""
        return f"{printable(file.file)}: {verdict}{warned}{contents}"


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    FINE = 0
    PROBLEMS = 1  # the input was read and has problems
    USAGE = 2  # a wrong command line, a file that cannot be read or written, an internal error
    INTERRUPTED = 130  # 128 + SIGINT, as shells report Ctrl-C
    CLOSED_PIPE = 141  # 128 + SIGPIPE: the reader of stdout went away


# These say that a file could not be read, written or held, or a plugin not loaded, whatever the spec says.
IO_CODES = frozenset({Code.INPUT, Code.OUTPUT, Code.OTHER_PLAN, Code.FORMAT, Code.PLUGIN})
