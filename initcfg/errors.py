"""What can go wrong: one `Diagnostic` value, the closed set of its codes, and the exceptions that carry it.

    InitcfgError                 everything this package raises on purpose; `.diagnostics` holds the facts
    ├── SpecError                a spec, or another document a person writes, has problems (all of them)
    ├── InitializerError         an initializer's config, or the shape or dtype it is asked for, is unusable
    ├── UnknownParameterError    a plan has no parameter of that name
    ├── FormatError              a weights file cannot be read, or a format cannot hold what it is given
    ├── OutputError              a file could not be written; what stood there before is untouched
    └── PluginError              a plugin that the caller asked for is missing or unusable

Code raises these with diagnostics; prose is rendered here (plain text) and in `initcfg.cli` (colour, JSON).
Each code has a page, printed by ``initcfg explain CODE`` and kept in ``explanations.toml``.
"""

from __future__ import annotations

import dataclasses
import enum
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "WARNINGS",
    "Code",
    "Diagnostic",
    "FormatError",
    "InitcfgError",
    "InitializerError",
    "Location",
    "NearestNames",
    "OutputError",
    "PluginError",
    "SpecError",
    "UnknownParameterError",
    "did_you_mean",
    "differ_alike",
    "folded",
    "nearest",
    "printable",
    "told_apart",
]

PathStep = str | int
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

    # Specs in several files, and what is set from outside.
    OUTSIDE_ROOT = "outside-root"
    EXTENDS_CYCLE = "extends-cycle"
    MANIFEST = "manifest"
    SETTING = "setting"

    # Warnings: a plan that can be made, and is perhaps not what was meant.
    IDENTICAL_VALUES = "identical-values"
    VECTOR_SCALING = "vector-scaling"
    UNUSUAL_VARIANCE = "unusual-variance"
    IDLE_TRUNCATION = "idle-truncation"
    RANDOM_BIAS = "random-bias"
    DTYPE_UNDERFLOW = "dtype-underflow"
    DTYPE_RESOLUTION = "dtype-resolution"
    LARGE_RECEPTIVE_FIELD = "large-receptive-field"
    INTEGER_EXPRESSION = "integer-expression"
    UNUSED_ALLOW = "unused-allow"


#: The codes that are told as warnings; a spec may silence them, with a reason.
WARNINGS: frozenset[Code] = frozenset(
    {
        Code.IDENTICAL_VALUES,
        Code.VECTOR_SCALING,
        Code.UNUSUAL_VARIANCE,
        Code.IDLE_TRUNCATION,
        Code.RANDOM_BIAS,
        Code.DTYPE_UNDERFLOW,
        Code.DTYPE_RESOLUTION,
        Code.LARGE_RECEPTIVE_FIELD,
        Code.INTEGER_EXPRESSION,
        Code.UNUSED_ALLOW,
    }
)


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
        return printable(":".join(steps)) if self.line is not None else self._dotted()

    def _dotted(self) -> str:
        if self.file is not None and not self.path:
            return printable(self.file)
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        prefix = f"{self.file}: " if self.file else ""
        return printable(f"{prefix}${steps}")


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


_EXCERPT_WIDTH = 110


def _excerpt(where: Location) -> list[str]:
    """The source line and a caret line under it; a long line is cut around the caret."""
    if where.text is None or where.line is None or where.column is None:
        return []
    first = where.column - 1
    last = max(where.end_column - 1, first + 1) if where.end_column else first + 1
    start = 0 if last <= _EXCERPT_WIDTH else max(0, first - _EXCERPT_WIDTH // 2)
    shown = where.text[start : start + _EXCERPT_WIDTH]
    carets = min(last, start + _EXCERPT_WIDTH) - first
    gutter = f"{where.line:>6} | "
    # Escapes and East Asian characters widen the text: the caret is placed by width, not by column.
    before = _columns(printable(shown[: first - start]))
    under = max(1, _columns(printable(shown[first - start : first - start + carets])))
    return [f"{gutter}{printable(shown)}", f"{'| ':>{len(gutter)}}{' ' * before}{'^' * under}"]


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0  # accents and joiners stand in the column of the character before
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def printable(text: str) -> str:
    r"""`text` with what could steer a terminal written as escapes.

    Control characters, line and paragraph separators, bidirectional overrides and lone surrogates become
    ``\x1b``-style escapes, so that a name in a document can never forge a line of a report.
    """
    if text.isascii() and text.isprintable():
        return text  # almost every text, and a plan has millions
    return "".join(_escaped(char) if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or ord(char) in _BIDI


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


#: Comparing strings is slow, and a plan may have a million names.
_COMPARED_NAMES = 400


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest of `known`, or None when nothing is near."""
    near = nearest(name, known)
    return None if near is None else f"did you mean {near}?"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The nearest of `known`, quoted, or None when nothing is near.

    Names may look alike and be unequal, as two ways to write an accent are. So where what differs is not all
    ASCII, the hint gives the code points of both.

    Args:
        name: what was written.
        known: what could have been meant.
        cutoff: how alike they must be, from 0 to 1.

    Example:
        >>> nearest("weihgt", ["bias", "weight"])
        "'weight'"
        >>> print(nearest("caf\u00e9", ["cafe\u0301"]).partition(" ")[2])
        (U+0065 U+0301, not U+00E9)
    """
    candidates = list(known)
    twin = next((each for each in candidates if each != name and folded(each) == folded(name)), None)
    near = _nearest(name, candidates, cutoff) if twin is None else twin
    return None if near is None else f"{near!r}{told_apart(near, name)}"


def folded(name: str) -> str:
    """The form that names share which are the same text to a reader; Unicode writes some in several ways."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def _code_points(text: str) -> str:
    return " ".join(f"U+{ord(char):04X}" for char in text)


def told_apart(near: str, name: str) -> str:
    """The code points in which two names differ, to follow the first; nothing where a reader sees them."""
    begin = 0
    while begin < min(len(near), len(name)) and near[begin] == name[begin]:
        begin += 1
    end = 0
    while end < min(len(near), len(name)) - begin and near[-1 - end] == name[-1 - end]:
        end += 1
    differing, written = near[begin : len(near) - end], name[begin : len(name) - end]
    if (differing + written).isascii():
        return ""
    if not differing or not written:
        return f" ({'without' if written else 'with'} {_code_points(differing or written)})"
    return f" ({_code_points(differing)}, not {_code_points(written)})"


def _nearest(name: str, candidates: list[str], cutoff: float) -> str | None:
    if len(candidates) > _COMPARED_NAMES:
        candidates = [each for each in candidates if abs(len(each) - len(name)) < 2 and each[:1] == name[:1]]
    import difflib  # noqa: PLC0415  only a misspelling needs it

    near = difflib.get_close_matches(name, sorted(candidates)[:_COMPARED_NAMES], n=1, cutoff=cutoff)
    return near[0] if near else None


class NearestNames:
    """`did_you_mean` for many names: to search for each of thousands takes longer than what they are of.

    Args:
        searches: how many; after them there are no hints.
    """

    def __init__(self, searches: int = 100) -> None:
        self._left = searches

    def hint(self, name: str, known: Iterable[str]) -> str | None:
        """A hint that names the nearest of `known`; None when nothing is near or no search is left."""
        self._left -= 1
        return did_you_mean(name, known) if self._left >= 0 else None


def differ_alike(theirs: Collection[str], ours: Collection[str]) -> str | None:
    """What all of `theirs` have more or less than all of `ours` at one end, in words, or None.

    Example:
        >>> differ_alike({"model.a": 1, "model.b": 2}, {"a": 1, "b": 2})
        "begin with 'model.'"
    """
    if len(theirs) != len(ours) or not ours:
        return None
    first = next(iter(ours))
    for other in theirs:
        longer, shorter, verb = (other, first, "") if len(other) > len(first) else (first, other, "lack ")
        if len(longer) == len(shorter):
            continue
        for end, place, changed in (
            (longer.removesuffix(shorter), "begin with", "{0}{1}"),
            (longer.removeprefix(shorter), "end with", "{1}{0}"),
        ):
            many, few = (theirs, ours) if not verb else (ours, theirs)
            if end != longer and all(changed.format(end, name) in many for name in few):
                return f"{place} {end!r}" if not verb else f"lack {end!r}, which those of the plan {place}"
    return None


class InitcfgError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        diagnostics: at least one, in the order of their places.
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(str(diagnostic) for diagnostic in self.diagnostics)


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


class PluginError(InitcfgError):
    """A plugin that the caller asked for is missing, cannot be loaded, or holds no initializer."""
