"""From recordings of how a model is made to what is wrong with it: garbage, lost writes, ties, other laws.

Each function below gives one kind of finding; `audit_recordings` puts them together. A finding says of which
parameter it is and for which way of making the model it is true, and stands at a line of the model's code.
"""

from __future__ import annotations

import linecache
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initcfg.capture.values import Lost, Table, Unsaid
from initcfg.checks.laws import vector_kind
from initcfg.dtypes import DTYPES
from initcfg.engines.rounding import round_once
from initcfg.errors import AuditError, Code, Diagnostic, Location, fold_copies
from initcfg.initializers import Elementwise, Zeros, serialize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from initcfg.capture.values import Box, Law, Recorded, Recording, Site, Write
    from initcfg.errors import Severity


@dataclass(frozen=True, slots=True)
class Audit:
    """What the code of a model leaves out, does twice or undoes when it initializes the model.

    It is true when something was found; notes alone are no finding. As text it is the report.

    Args:
        diagnostics: each once for all copies of a layer, at a line of the model's own code. Garbage in a
            model that is constructed on CPU is an error, other findings are warnings.
    """

    diagnostics: tuple[Diagnostic, ...] = ()

    def __bool__(self) -> bool:
        return any(each.severity != "note" for each in self.diagnostics)

    def __str__(self) -> str:
        return "\n".join(map(str, self.diagnostics)) or "nothing found"

    def require_fine(self) -> None:
        """Raises what was found.

        Raises:
            AuditError: something was found; its text is the report.
        """
        if self:
            raise AuditError(*self.diagnostics)


class Idle(NamedTuple):
    """A value of a model's config that its init code names and that changes nothing."""

    setting: str
    site: Site


def audit_recordings(
    constructed: Recording, deferred: Recording | None = None, idle: Iterable[Idle] = ()
) -> Audit:
    """What two ways of making a model show: constructed, and by meta, ``to_empty`` and its init function."""
    ways = _Ways(constructed, deferred)
    found = chain(
        _broken_ties(ways),
        _half_parametrizations(ways),
        _unwritten(ways),
        _lost_writes(ways),
        _other_paths(ways),
        _random_vectors(ways),
        map(_idle_setting, idle),
    )
    return Audit(fold_copies(found))


class _Ways:
    """The two recordings by name, and the names with a finding: one fault gives one."""

    def __init__(self, constructed: Recording, deferred: Recording | None) -> None:
        self.constructed = constructed
        self.built = _named(constructed)
        self.deferred = {} if deferred is None else _named(deferred)
        self.told: set[str] = set()
        pretrained = (
            ", and in from_pretrained() where the checkpoint lacks it" if constructed.pretrained else ""
        )
        self.by_meta = f"after meta, to_empty() and the init function{pretrained}"

    def untold(self, tensors: Mapping[str, Recorded]) -> Iterator[Recorded]:
        """Tensors with elements of their own that have no finding yet."""
        own = (each for each in tensors.values() if each.tied_to is None and all(each.shape))
        return (each for each in own if each.name not in self.told)


def _named(recording: Recording) -> dict[str, Recorded]:
    return {each.name: each for each in recording.tensors}


# Garbage.


def _unwritten(ways: _Ways) -> Iterator[Diagnostic]:
    for recorded in ways.untold(ways.built):
        if recorded.unwritten:
            also = ways.deferred.get(recorded.name)
            where = "" if also is None else " where the model is constructed on CPU"
            where = ", however the model is made" if also is not None and also.unwritten else where
            hint = "give it values where it is made, as torch.zeros(...) has them, or in reset_parameters()"
            ways.told.add(recorded.name)
            yield _garbage(recorded, where, recorded.made or recorded.last_site(), hint)
    for recorded in ways.untold(ways.deferred):
        if recorded.unwritten:
            built = ways.built.get(recorded.name)
            before = built.last_site("constructor") if built else None
            said = f"a model constructed on CPU is right, by {_short(before)}" if before else ""
            hint = "; ".join(filter(None, ("write it in the init function too", said)))
            site = before or recorded.made
            ways.told.add(recorded.name)
            yield _garbage(recorded, f" {ways.by_meta}", site, hint, "warning")


def _garbage(
    recorded: Recorded, where: str, site: Site | None, hint: str, severity: Severity = "error"
) -> Diagnostic:
    noun = f"the {'' if recorded.persistent else 'unsaved '}buffer " if recorded.buffer else ""
    if _is_whole(recorded.unwritten, recorded.shape):
        code, text = Code.NEVER_WRITTEN, f"{noun}{recorded.name!r} is never written{where}"
    else:
        boxes = ", ".join(_box(box, recorded.shape) for box in recorded.unwritten[:3])
        boxes += ", ..." if len(recorded.unwritten) > 3 else ""
        code = Code.PARTLY_WRITTEN
        text = f"{noun}{recorded.name!r} is written in part{where}, and not at {boxes}"
    return Diagnostic(code, f"{text}: it holds what its memory held before", _place(site), hint, severity)


def _is_whole(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> bool:
    return any(
        all(start == 0 and stop == size for (start, stop), size in zip(box, shape, strict=True))
        for box in boxes
    )


def _box(box: Box, shape: tuple[int, ...]) -> str:
    """A part as an index: ``[7, :]``."""

    def axis(start: int, stop: int, size: int) -> str:
        if stop - start == 1:
            return str(start)
        return f"{start or ''}:{'' if stop == size else stop}"

    return f"[{', '.join(axis(*span, size) for span, size in zip(box, shape, strict=True))}]"


# Writes of which nothing is left.


def _lost_writes(ways: _Ways) -> Iterator[Diagnostic]:
    """A line of the model's own code of which no write survives in any parameter, where that matters."""
    tensors = ways.constructed.tensors
    survives = {write.site for each in tensors for write in each.writes}
    reach: defaultdict[Site, set[str]] = defaultdict(set)
    for name, write in chain(
        ((each.name, write) for each in tensors for write in each.writes),
        ((lost.name, lost.write) for lost in ways.constructed.lost),
    ):
        reach[write.site].add(name)
    for lost in ways.constructed.lost:
        final = ways.built.get(lost.name)
        if final is None or lost.write.site in survives or not _is_own(lost.write) or _is_stand_in(lost):
            continue
        where = _place(lost.write.site)
        if lost.by is None:
            text = f"{_called(lost.name)} is computed, and what {lost.write.call} writes to it is thrown away"
            hint = "write to the parameters that it is computed of, or before it is parametrized"
            yield Diagnostic(Code.LOST_WRITE, text, where, hint, "warning")
        elif len(reach[lost.by.site]) < len(reach[lost.write.site]):
            continue  # what is general came first, and what is special over it
        elif not same_law(lost.law, _now(lost, final), final.dtype):
            over = f"{lost.by.call} at {_short(lost.by.site)}"
            text = f"{lost.name!r} keeps nothing of {lost.write.call}: {over} comes after it"
            hint = "write what is special last, or leave it out of what is general"
            yield Diagnostic(Code.LOST_WRITE, text, where, hint, "warning")


def _now(lost: Lost, final: Recorded) -> Law:
    """The law of the elements in the end; of a part that is no box, that of all elements."""
    return final.law if isinstance(lost.now, Unsaid) and isinstance(final.law, Elementwise) else lost.now


def _is_own(write: Write) -> bool:
    """Whether a line of the model's code wrote, and neither a layer of torch nor the base of all models."""
    return write.inner == write.site and not write.site.file.endswith("transformers/modeling_utils.py")


def _is_stand_in(lost: Lost) -> bool:
    """Whether the values may only have made the memory, as those of ``Parameter(torch.randn(8))``."""
    return lost.first and lost.write.phase == "constructor"


# Parametrizations.

_PARTS = (
    re.compile(r"(?P<at>.*?)parametrizations\.(?P<name>[^.]+)\.original(?P<part>\d+)"),
    re.compile(r"(?P<at>(?:.*\.)?)(?P<name>[^.]+)_(?P<part>[gv])"),
)
# The length of weight normalization, which follows from the direction where both are made of one weight.
_LENGTHS = ("0", "g")


def _half_parametrizations(ways: _Ways) -> Iterator[Diagnostic]:
    for tensors, where in ((ways.built, ""), (ways.deferred, f" {ways.by_meta}")):
        for name, parts in _parametrized(tensors).items():
            names = [part.name for part in parts.values()]
            if len(parts) > 1 and ways.told.isdisjoint(names):
                found = _half_garbage(name, parts, where) or _half_redone(name, parts, where)
                if found is not None:
                    ways.told.update(names)
                    yield found


def _parametrized(tensors: Mapping[str, Recorded]) -> dict[str, dict[str, Recorded]]:
    """By the names of parametrized tensors their parts, such as ``g`` and ``v``."""
    groups: dict[str, dict[str, Recorded]] = {}
    for recorded in tensors.values():
        match = next(filter(None, (form.fullmatch(recorded.name) for form in _PARTS)), None)
        if match is not None:
            groups.setdefault(match["at"] + match["name"], {})[match["part"]] = recorded
    return groups


def _half_garbage(name: str, parts: Mapping[str, Recorded], where: str) -> Diagnostic | None:
    empty = [part for part in parts.values() if part.unwritten]
    if not empty or len(empty) == len(parts):
        return None
    text = f"{name!r} is parametrized, and of its parts {empty[0].name!r} is never written{where}"
    site = empty[0].made or empty[0].last_site()
    return Diagnostic(Code.HALF_PARAMETRIZATION, text, _place(site), "write all parts of it", "error")


def _half_redone(name: str, parts: Mapping[str, Recorded], where: str) -> Diagnostic | None:
    """One part is written anew, and the others are still those of the value from before."""
    own = {label: [write for write in part.writes if _is_own(write)] for label, part in parts.items()}
    redone = [label for label, writes in own.items() if writes]
    if not redone or len(redone) == len(parts) or set(redone) <= set(_LENGTHS):
        return None
    rest = next(part.name for label, part in parts.items() if label not in redone)
    text = (
        f"{name!r} is parametrized, and of its parts {parts[redone[0]].name!r} alone is written anew{where}"
    )
    hint = f"write {rest!r} too, or all parts at once by assigning to {name!r}"
    return Diagnostic(Code.HALF_PARAMETRIZATION, text, _place(own[redone[0]][-1].site), hint, "warning")


# Ties.


def _broken_ties(ways: _Ways) -> Iterator[Diagnostic]:
    for name, to in ways.constructed.ties:
        if not _are_tied(ways.built, name, to):
            yield _untied(ways, ways.built, name, to, "")
    for recorded in ways.built.values():
        if recorded.tied_to is not None and not _are_tied(ways.deferred, recorded.name, recorded.tied_to):
            yield _untied(ways, ways.deferred, recorded.name, recorded.tied_to, f" {ways.by_meta}")


def _are_tied(tensors: Mapping[str, Recorded], one: str, other: str) -> bool:
    """Whether two names are one memory; also where nothing is known of one."""
    if one not in tensors or other not in tensors:
        return True
    first, second = tensors[one], tensors[other]
    return (first.tied_to or first.name) == (second.tied_to or second.name)


def _untied(ways: _Ways, tensors: Mapping[str, Recorded], name: str, to: str, where: str) -> Diagnostic:
    ways.told.add(name)
    recorded, built = tensors[name], ways.built[name]
    as_built = f"is no longer tied to {to!r}{where}, as the constructor has it"
    site = recorded.last_site() or built.last_site() or recorded.made
    hint = "tie them again where the weights are initialized"
    text = f"{name!r} {as_built}: two parameters are trained"
    return Diagnostic(Code.BROKEN_TIE, text, _place(site), hint, "warning")


# Laws.


def _other_paths(ways: _Ways) -> Iterator[Diagnostic]:
    """A law that depends on how the model is made."""
    for deferred in ways.untold(ways.deferred):
        built = ways.built.get(deferred.name)
        if built is None or built.tied_to is not None or same_law(built.law, deferred.law, built.dtype):
            continue
        later = [write for write in built.writes if write.phase == "constructor" and _is_own(write)]
        site = later[-1].site if later else deferred.last_site()
        constructed = f"{_law(built.law)} where the model is constructed on CPU"
        text = f"{deferred.name!r} is {_law(deferred.law)} {ways.by_meta}, and {constructed}"
        hint = "let the constructor and the init function do the same: the one may call the other at its end"
        yield Diagnostic(Code.OTHER_PATH, text, _place(site), hint, "warning")


def _random_vectors(ways: _Ways) -> Iterator[Diagnostic]:
    """Biases and scales of norms that are drawn in another way than the framework's own layers draw them."""
    lost = [each for each in ways.constructed.lost if each.write.inner != each.write.site]
    defaults = {each.name: each.law for each in lost if not isinstance(each.law, Unsaid)}
    for recorded in ways.untold(ways.built):
        if recorded.buffer or len(recorded.shape) != 1 or not recorded.writes or not _is_random(recorded):
            continue
        if same_law(recorded.law, defaults.get(recorded.name, Zeros()), recorded.dtype):
            continue
        kind = vector_kind(recorded.name)
        if kind is None and "Norm" in recorded.module:
            kind = ("scale", "ones")
        if kind is not None and _is_own(recorded.writes[-1]):
            noun, usual = kind
            law = type(recorded.law).__name__
            text = f"{recorded.name!r} is a {noun} that begins with random values, from {law}"
            hint = f"use {usual}, or leave it out of what the weights are given"
            yield Diagnostic(Code.RANDOM_BIAS, text, _place(recorded.writes[-1].site), hint, "warning")


def _is_random(recorded: Recorded) -> bool:
    """Whether its elements are plain draws; a formula over a draw says on purpose what it begins with."""
    law = recorded.law
    return isinstance(law, Elementwise) and type(law.resolve(recorded.shape, None)).__name__ != "Fill"


def _idle_setting(idle: Idle) -> Diagnostic:
    text = f"{idle.setting!r} of the config is named by the init code, and no law or shape depends on it"
    hint = "the code that uses it never runs, or what it writes is written over"
    return Diagnostic(Code.IDLE_SETTING, text, _place(idle.site), hint, "note")


def is_idle(before: Iterable[Recorded], after: Iterable[Recorded]) -> bool:
    """Whether a changed config has left every law and shape of the names in both models as it was."""
    changed = {each.name: each for each in after}
    pairs = ((each, changed[each.name]) for each in before if each.name in changed)
    return all(one.shape == other.shape and same_law(one.law, other.law, one.dtype) for one, other in pairs)


_NUMBERS = re.compile(r"(\d+\.?\d*(?:e[-+]?\d+)?)")
_RELATIVE = 1e-12


def same_law(one: Law, other: Law, dtype: str) -> bool:
    """Whether two laws are equal, numbers to 1e-12 or in a parameter's dtype; also where one is not known.

    Example:
        >>> from initcfg.initializers import RandomNormal
        >>> same_law(RandomNormal(0, 0.02), RandomNormal(0, 0.1 / 5), "float32")
        True
    """
    if isinstance(one, Unsaid) or isinstance(other, Unsaid):
        return True
    if isinstance(one, Table) or isinstance(other, Table):
        both = isinstance(one, Table) and isinstance(other, Table)
        return both and np.array_equal(one.values, other.values, equal_nan=True)  # type: ignore[union-attr]
    return _same(serialize(one), serialize(other), _rounding(dtype))


def _rounding(dtype: str) -> Callable[[float], float]:
    kind = DTYPES.get(dtype)
    if kind is None or kind.format is None:
        return float
    most = kind.bounds[1]
    return lambda number: round_once(number, kind) if abs(number) <= most else number


def _same(one: Any, other: Any, rounded: Callable[[float], float]) -> bool:
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_same(one[key], other[key], rounded) for key in one)
        case list() | tuple(), list() | tuple():
            return len(one) == len(other) and all(map(_same, one, other, [rounded] * len(one)))
        case float() | int(), float() | int():
            return math.isclose(one, other, rel_tol=_RELATIVE) or rounded(one) == rounded(other)
        case str(), str() if one != other:  # formulas: every second piece is a number
            pieces, others = _NUMBERS.split(one), _NUMBERS.split(other)
            left, right = (list(map(float, each[1::2])) for each in (pieces, others))
            return pieces[::2] == others[::2] and _same(left, right, rounded)
    return bool(one == other)


def _law(law: Law) -> str:
    if isinstance(law, Table):
        return "a table"
    return f"of no known law ({law.reason})" if isinstance(law, Unsaid) else repr(law)


# Places.


def _called(name: str) -> str:
    """The name that the code has for a parametrized tensor."""
    return repr(re.sub(r"parametrizations\.([^.]+)\.original\d*$", r"\1", name))


def _short(site: Site) -> str:
    return f"{Path(site.file).name}:{site.line}"


def _place(site: Site | None) -> Location | None:
    """The line, from its first character that is no space to its last."""
    if site is None:
        return None
    path = Path(site.file)
    file = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else site.file
    text = linecache.getline(site.file, site.line).rstrip("\n")
    if not text.strip():
        return Location(file, site.line)
    indent = len(text) - len(text.lstrip())
    return Location(file, site.line, indent + 1, len(text) + 1, text)
