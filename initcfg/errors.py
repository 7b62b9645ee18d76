"""What can go wrong: one `Diagnostic` value, the closed set of its codes, and the exceptions that carry it.

    InitcfgError                 everything this package raises on purpose; `.diagnostics` holds the facts
    ├── SpecError                a spec, or another document a person writes, has problems (all of them)
    ├── InitializerError         an initializer's config, or the shape or dtype it is asked for, is unusable
    ├── UnknownParameterError    a plan has no parameter of that name
    ├── FormatError              a weights file cannot be read, or a format cannot hold what it is given
    ├── OutputError              a file could not be written; what stood there before is untouched
    ├── AuditError               the code of a live model does not initialize it as it should
    └── PluginError              a plugin that the caller asked for is missing or unusable

Code raises these with diagnostics; prose is rendered here (plain text) and in `initcfg.cli` (colour, JSON).
Each code has a page, printed by ``initcfg explain CODE`` and kept in ``explanations.toml``.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from initcfg.names import fill_numbers, mark_numbers, number_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PathStep = str | int
#: Where a part of a document stands: keys and indices from its root.
Path = tuple[PathStep, ...]
Severity = Literal["error", "warning", "note"]


class Code(enum.StrEnum):
    """Every kind of problem, by a name that stays the same between releases."""

    # Text: what stands in the file is not a document.
    SYNTAX = "syntax"
    ENCODING = "encoding"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    ALIAS = "alias"
    TAG = "tag"
    DUPLICATE_KEY = "duplicate-key"
    KEY_TYPE = "key-type"
    NOT_FINITE = "not-finite"

    # Structure: keys, kinds and literal bounds. The JSON Schema refuses the same documents.
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    WRONG_TYPE = "wrong-type"
    OUT_OF_RANGE = "out-of-range"
    UNKNOWN_CHOICE = "unknown-choice"
    CONFLICTING_KEYS = "conflicting-keys"
    FORMAT_VERSION = "format-version"

    # Names: something is called by a name that nothing has, or that two things have.
    UNKNOWN_INITIALIZER = "unknown-initializer"
    HIDDEN_NAME = "hidden-name"
    INITIALIZER_CYCLE = "initializer-cycle"
    UNKNOWN_DTYPE = "unknown-dtype"
    DUPLICATE_PARAMETER = "duplicate-parameter"
    BAD_NAME = "bad-name"

    # Expressions and templates.
    EXPRESSION_SYNTAX = "expression-syntax"
    UNKNOWN_NAME = "unknown-name"
    EXPRESSION_VALUE = "expression-value"
    TEMPLATE = "template"
    REPEAT = "repeat"

    # Shapes, layouts and the initializers that meet them.
    LAYOUT = "layout"
    LAYOUT_MISSING = "layout-missing"
    SHAPE = "shape"
    INITIALIZER_CONFIG = "initializer-config"
    INITIALIZER_SHAPE = "initializer-shape"
    DTYPE_VALUE = "dtype-value"
    DISTRIBUTION = "distribution"
    NO_INITIALIZER = "no-initializer"
    TIED = "tied"

    # Rules and manifests.
    UNUSED_RULE = "unused-rule"
    BASE = "base"
    NOT_IN_MANIFEST = "not-in-manifest"
    NOT_IN_SPEC = "not-in-spec"
    SHAPE_MISMATCH = "shape-mismatch"
    DTYPE_MISMATCH = "dtype-mismatch"

    # Programs, files and output.
    NOT_SERIALIZABLE = "not-serializable"
    UNKNOWN_PARAMETER = "unknown-parameter"
    PATTERN = "pattern"
    FORMAT = "format"
    OUTPUT = "output"
    OTHER_PLAN = "other-plan"
    UNFINISHED = "unfinished"
    INPUT = "input"
    EDITED_PLAN = "edited-plan"
    PLUGIN = "plugin"

    # A weights file, held against the plan that should have made it.
    FINGERPRINT = "fingerprint"
    MISSING_TENSOR = "missing-tensor"
    UNEXPECTED_TENSOR = "unexpected-tensor"
    TENSOR_FORM = "tensor-form"
    VALUES = "values"
    LAW = "law"
    EQUAL_COPIES = "equal-copies"

    # Specs in several files, and what is set from outside.
    OUTSIDE_ROOT = "outside-root"
    EXTENDS_CYCLE = "extends-cycle"
    MANIFEST = "manifest"
    SETTING = "setting"

    # A live model's code: what it leaves out, does twice or undoes.
    NEVER_WRITTEN = "never-written"
    PARTLY_WRITTEN = "partly-written"
    LOST_WRITE = "lost-write"
    HALF_PARAMETRIZATION = "half-parametrization"
    BROKEN_TIE = "broken-tie"
    OTHER_PATH = "other-path"
    IDLE_SETTING = "idle-setting"

    # Warnings, to the end: a plan that can be made, and is perhaps not what was meant.
    IDENTICAL_VALUES = "identical-values"
    VECTOR_SCALING = "vector-scaling"
    VECTOR_FANS = "vector-fans"
    UNUSUAL_VARIANCE = "unusual-variance"
    IDLE_TRUNCATION = "idle-truncation"
    RANDOM_BIAS = "random-bias"
    DTYPE_UNDERFLOW = "dtype-underflow"
    DTYPE_RESOLUTION = "dtype-resolution"
    LARGE_RECEPTIVE_FIELD = "large-receptive-field"
    INTEGER_EXPRESSION = "integer-expression"
    NO_ELEMENTS = "no-elements"
    UNUSED_ALLOW = "unused-allow"


_CODES = tuple(Code)
#: The codes of warnings, the last ones of `Code`; a spec may silence them, with a reason.
WARNINGS: frozenset[Code] = frozenset(_CODES[_CODES.index(Code.IDENTICAL_VALUES) :])


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a document.

    Args:
        file: the name the user gave, or None for a spec that was built in Python.
        line: counted from 1; None where there is no text.
        column: counted in characters from 1.
        end_column: the column after the last character that the diagnostic is about.
        text: the source line, without its line break.
        path: keys and indices from the root of the document.
    """

    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_column: int | None = None
    text: str | None = None
    path: tuple[PathStep, ...] = ()

    def __str__(self) -> str:
        """``file:line:column`` as far as it is known, else the path (``$.layers.fc.params``)."""
        steps = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        if self.line is not None:
            return printable(":".join(steps))
        if self.file is not None and not self.path:
            return printable(self.file)
        dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return printable(f"{self.file}: ${dotted}" if self.file else f"${dotted}")


_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: what it is, where, and the way out.

    Args:
        code: the kind of problem.
        message: one sentence, lower case, without a full stop; values in ``repr``.
        where: the place, once it is known.
        hint: the way out.
        severity: ``error``, ``warning`` or ``note``.
    """

    code: Code
    message: str
    where: Location | None = None
    hint: str | None = None
    severity: Severity = "error"

    def __post_init__(self) -> None:
        """Shortens a message that quotes a long piece of a document."""
        if len(self.message) > _LONGEST:
            half = _LONGEST // 2
            object.__setattr__(self, "message", f"{self.message[:half]} ... {self.message[-half:]}")

    def at(self, where: Location) -> Diagnostic:
        """The same problem, with its place."""
        return dataclasses.replace(self, where=where)

    def __str__(self) -> str:
        """The problem as text: a headline, the source line with a caret, the help."""
        place = f"{self.where}: " if self.where else ""
        lines = [f"{place}{self.severity}[{self.code}]: {printable(self.message)}"]
        if self.where is not None:
            lines += _excerpt(self.where)
        if self.hint:
            lines.append(f"  help: {printable(self.hint)}")
        return "\n".join(lines)


# With the number of the line a terminal of 80 columns.
_EXCERPT_WIDTH = 71


def _excerpt(where: Location) -> list[str]:
    """The source line and a caret line under it; a long line is cut around the caret."""
    if where.text is None or where.line is None or where.column is None:
        return []
    first = where.column - 1
    last = max(where.end_column - 1, first + 1) if where.end_column else first + 1
    start = (
        0
        if last <= _EXCERPT_WIDTH
        else max(0, min(first - _EXCERPT_WIDTH // 2, len(where.text) - _EXCERPT_WIDTH))
    )
    shown = where.text[start : start + _EXCERPT_WIDTH]
    carets = min(last, start + _EXCERPT_WIDTH) - first
    gutter = f"{where.line:>6} | "
    # Escapes and East Asian characters widen the text: the caret is placed by width, not by column.
    before = text_width(printable(shown[: first - start]))
    under = max(1, text_width(printable(shown[first - start : first - start + carets])))
    return [f"{gutter}{printable(shown)}", f"{'| ':>{len(gutter)}}{' ' * before}{'^' * under}"]


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0  # accents and joiners stand in the column of the character before
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def printable(text: str) -> str:
    """`text` with what could steer a terminal, and so forge a line of a report, written as escapes."""
    if text.isascii() and text.isprintable():
        return text  # almost every text, and a plan has millions
    return "".join(
        char.encode("unicode_escape", "surrogatepass").decode("ascii") if _is_unsafe(char) else char
        for char in text
    )


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or ord(char) in _BIDI


# Problems with a model's names: one mend serves all copies, wherever each stands in the manifest.
_OF_NAMES = frozenset({Code.NO_INITIALIZER, Code.NOT_IN_SPEC})
# Patterns, compiled when first used.
_SEGMENT = r"(?<![^.])(0|[1-9][0-9]{0,17})(?![^.])"
# A word of a sentence that is more than a number.
_WORD = r"(?![-+.0-9]+(?:[\s'\"(),]|$))[^\s'\"(),]+"
# The part of a message of `Code.VALUES` that differs from copy to copy; only that of the first is shown.
_ELEMENT = r"(?s)\[[0-9, ]*\] is (?!.*\] is ).*"


def fold_copies(problems: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Puts together what is said of the copies of a layer, in the place of the first.

    Example:
        >>> each = [Diagnostic(Code.VALUES, f"'h.{at}.w' differs") for at in (0, 1, 2, 7)]
        >>> [problem.message for problem in fold_copies(each)]
        ["'h.{0..2,7}.w' differs (x4)"]
    """
    found = list(problems)
    groups: defaultdict[tuple[Diagnostic, bool], list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
    for at, problem in enumerate(found):
        template, numbers = _template(problem)
        # Copies that hold NaN are no copies of one with another number.
        groups[template, " is nan " in problem.message].append((at, numbers))
    told: dict[int, Diagnostic] = {}
    for (template, _), members in groups.items():
        for spans, ranks in number_spans([numbers for _, numbers in members]):
            at, _ = members[ranks[0]]
            told[at] = found[at]
            if len(ranks) > 1:
                message = f"{fill_numbers(template.message, spans)} (x{len(ranks):,})"
                if template.code is Code.VALUES and re.search(_ELEMENT, found[at].message):
                    message = f"{found[at].message}; likewise in {message}"
                hint = template.hint and fill_numbers(template.hint, spans)
                told[at] = dataclasses.replace(template, message=message, hint=hint, where=found[at].where)
    return tuple(told[at] for at in sorted(told))


def _template(problem: Diagnostic) -> tuple[Diagnostic, tuple[str, ...]]:
    """The problem with marks for the numbers of the first name in it, wherever they stand; and these."""
    found = (re.findall(_SEGMENT, word) for word in re.findall(_WORD, problem.message))
    numbers = tuple(next(filter(None, found), ()))

    def marked(text: str) -> str:
        return re.sub(_WORD, lambda word: mark_numbers(word[0], numbers, _SEGMENT), text)

    where = problem.where
    if where is not None and problem.code in _OF_NAMES:
        where = Location(where.file)
    elif where is not None and where.line is None:
        where = Location(where.file, path=tuple(marked(str(step)) for step in where.path))
    hint = problem.hint and marked(problem.hint)
    message = re.sub(_ELEMENT, "", problem.message) if problem.code is Code.VALUES else problem.message
    return dataclasses.replace(problem, message=marked(message), hint=hint, where=where), numbers


#: More problems than these, told at once, would help nobody.
MAX_TOLD = 100


def capped(problems: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The first `MAX_TOLD` problems and, in a note at the end, how many more there are."""
    rest = iter(problems)
    told = list(itertools.islice(rest, MAX_TOLD))
    return [*told, *more_problems(sum(1 for _ in rest), told)]


def more_problems(count: int, told: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The note that `count` problems more than those `told` are not shown; nothing where there are none."""
    if not count:
        return ()
    message = "1 more problem is not shown" if count == 1 else f"{count:,} more problems are not shown"
    return (Diagnostic(Code.TOO_LARGE, message, told[-1].where, severity="note"),)


def stopped(problems: Sequence[Diagnostic], what: str) -> list[Diagnostic]:
    """The problems and, where they are so many that the search of `what` has ended, a note of that."""
    if len(problems) < MAX_TOLD:
        return list(problems)
    message = f"after {MAX_TOLD} problems the rest of {what} was not looked at"
    return [*problems, Diagnostic(Code.TOO_LARGE, message, problems[-1].where, severity="note")]


class InitcfgError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        diagnostics: at least one, in the order of their places.
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics

    @classmethod
    def of(cls, code: Code, message: str, hint: str | None = None, where: Location | None = None) -> Self:
        """The error of a single diagnostic."""
        return cls(Diagnostic(code, message, where, hint))

    def __str__(self) -> str:
        return "\n".join(map(str, fold_copies(self.diagnostics)))


class SpecError(InitcfgError, ValueError):
    """A document has problems; every one that could be found in one reading is here."""


class InitializerError(InitcfgError, ValueError):
    """An initializer cannot be built from its config, or cannot make the shape or dtype asked for."""


class UnknownParameterError(InitcfgError, KeyError):
    """A plan has no parameter of that name, or none that a pattern matches."""


class FormatError(InitcfgError, ValueError):
    """A weights file is malformed, or its format cannot hold a name, dtype or shape."""


class OutputError(InitcfgError, OSError):
    """A file could not be written, and what stood there before is intact; or it could not be made durable.

    In the second case, which the message tells, the new file is in its place and whole.
    """


class AuditError(InitcfgError, AssertionError):
    """The code of a live model does not initialize it as it should; pytest shows it as a failed assertion."""


class PluginError(InitcfgError):
    """A plugin that the caller asked for is missing, cannot be loaded, or holds no initializer."""
