"""Names of weights as a plan has them: leading segments replaced, numbers captured."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.errors import Code, FormatError, Location, SpecError
from initcfg.formats.base import TIED_KEY, tied_names

if TYPE_CHECKING:
    from os import PathLike

    from initcfg.formats.base import Header

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WILD = re.compile(r"[*?\[\]{}]")


@dataclass(frozen=True, slots=True)
class _Rename:
    """One pattern of leading segments, and what takes their place."""

    source: str
    target: str
    pattern: re.Pattern[str]

    def __call__(self, name: str) -> str | None:
        found = self.pattern.fullmatch(name)
        if found is None:
            return None
        begun = _CAPTURE.sub(lambda capture: found[capture[1]], self.target)
        return ".".join(part for part in (begun, found["rest_of_the_name"]) if part)


@dataclass(frozen=True, slots=True)
class Renames:
    """What a plan calls the tensors of weights whose names are others.

    Each rename replaces the leading segments of a name and keeps the rest; ``{i}`` stands for a segment that
    is a whole number. The first that fits a name counts, and a name that none fits stays.
    """

    renames: tuple[_Rename, ...] = ()

    @classmethod
    def of(cls, given: RenamesLike) -> Renames:
        """The renames that a mapping says, or texts such as ``"old.{i}=new.{i}"``.

        Old names are those of the weights. An empty new name takes the segments away, an empty old one puts
        segments before every name. A SpecError where one is malformed.

        Example:
            >>> renames = Renames.of({"layers.{i}.q_proj": "layer.{i}.query", "model": ""})
            >>> [renames(name) for name in ("layers.3.q_proj.bias", "model.norm", "head")]
            ['layer.3.query.bias', 'norm', 'head']
        """
        if isinstance(given, Renames):
            return given
        pairs = given.items() if isinstance(given, Mapping) else map(_halves, given)
        return cls(tuple(_rename(source, target) for source, target in pairs))

    def __bool__(self) -> bool:
        return bool(self.renames)

    def __call__(self, name: str) -> str:
        """The name that the plan has."""
        return next((new for each in self.renames if (new := each(name)) is not None), name)

    def of_all(self, names: Iterable[str], where: str) -> dict[str, str]:
        """The plan's name for each of all names of `where`, as messages call it.

        A SpecError where a rename is the first that fits for no name, or two names become one.
        """
        if not self:
            return {name: name for name in names}
        renamed: dict[str, str] = {}
        taken: dict[str, str] = {}
        idle = dict.fromkeys(self.renames)
        for name in names:
            found = next(((each, new) for each in self.renames if (new := each(name)) is not None), None)
            if found is not None:
                idle.pop(found[0], None)
            new = renamed[name] = name if found is None else found[1]
            other = taken.setdefault(new, name)
            if other != name:
                message = f"{other!r} and {name!r} in {where} are both called {new!r} after they are renamed"
                raise _refused(message, "let each rename give names of its own")
        for each in idle:
            message = f"the rename {each.source}={each.target} fits no name in {where}"
            hint = "the name that the weights have stands first, that of the plan after it"
            raise _refused(message, hint)
        return renamed

    def applied(self, header: Header, path: str | PathLike[str], what: str = "the file") -> Header:
        """A header with the names that the plan has; the errors are those of `of_all`."""
        if not self:
            return header
        try:
            tied = tied_names(header.metadata)
        except ValueError as error:
            message = f"the metadata {TIED_KEY!r} of the file {error}"
            raise FormatError.of(Code.FORMAT, message, where=Location(str(path))) from None
        names = self.of_all(dict.fromkeys((*header.tensors, *tied)), what)
        tensors = {
            names[name]: dataclasses.replace(tensor, name=names[name])
            for name, tensor in header.tensors.items()
        }
        metadata = dict(header.metadata)
        if tied:
            moved = {names[name]: names.get(target, target) for name, target in tied.items()}
            metadata[TIED_KEY] = json.dumps(moved, sort_keys=True, ensure_ascii=False)
        return dataclasses.replace(header, tensors=tensors, metadata=metadata)


RenamesLike = Renames | Mapping[str, str] | Iterable[str]
"""What `Renames.of` takes."""


def _halves(text: str) -> tuple[str, str]:
    source, equals, target = text.partition("=")
    if not equals:
        raise _refused(f"the rename {text!r} has no '='", "write WEIGHTS_NAME=PLAN_NAME, as model.h=h")
    return source.strip(), target.strip()


def _rename(source: str, target: str) -> _Rename:
    captures = _CAPTURE.findall(source)
    for half in (source, target):
        if _WILD.search(_CAPTURE.sub("", half)):
            message = f"{half!r} in a rename has a wildcard or a brace that captures nothing"
            raise _refused(message, "write leading segments, with {i} where one is a number")
        if half and not all(half.split(".")):
            raise _refused(f"{half!r} in a rename has an empty segment", "write whole segments, as model.h")
    wrong = [part for part in source.split(".") if "{" in part and not _CAPTURE.fullmatch(part)]
    if wrong or len(set(captures)) != len(captures):
        message = f"the captures of {source!r} in a rename cannot be told apart from what is around them"
        raise _refused(message, "let each {i} be a segment of its own, and each name stand once")
    unknown = [name for name in _CAPTURE.findall(target) if name not in captures]
    if unknown:
        message = f"{{{unknown[0]}}} in {target!r} is not captured in {source!r}"
        raise _refused(message, "use the names of the left side on the right")
    if source == target:
        raise _refused(f"{source!r} is renamed to itself", "leave the rename out")
    parts = [
        f"(?P<{capture[1]}>[0-9]+)" if (capture := _CAPTURE.fullmatch(part)) else re.escape(part)
        for part in source.split(".")
    ]
    begun = r"\.".join(parts)
    rest = r"(?:\.(?P<rest_of_the_name>.+))?" if source else r"(?P<rest_of_the_name>.+)"
    return _Rename(source, target, re.compile(begun + rest, re.DOTALL))


def _refused(message: str, hint: str) -> SpecError:
    return SpecError.of(Code.PATTERN, message, hint=hint)
