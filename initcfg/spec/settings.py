"""Settings: ``vars.d=1024`` on a command line, or ``{"vars.d": 1024}`` in Python, put over a document.

They reach ``seed``, ``dtype``, ``vars.X`` and ``initializers.X``, and only what the document has already, so
that a misspelt name is an error. A value is read as YAML, by the reader of documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.initializers.values import shown
from initcfg.names import did_you_mean
from initcfg.spec.overlay import Document, Unwritten, split_at
from initcfg.text.source import Source
from initcfg.text.yaml_source import read_yaml

if TYPE_CHECKING:
    from initcfg.spec.overlay import Path, Places

Settings = Sequence[str] | Mapping[str, Any]

_MAX_LENGTH = 2**16
_ALONE = ("seed", "dtype")
_GROUPS = ("vars", "initializers")
_HINT = "a setting is seed=1, dtype=bfloat16, vars.NAME=VALUE or initializers.NAME=VALUE"


class _Setting(NamedTuple):
    """One setting: the target as it was written, the value, and where its parts stand."""

    target: str
    value: Any
    places: Places
    problems: tuple[Diagnostic, ...] = ()

    def refused(self, message: str, hint: str) -> SpecError:
        where = Location(self.places.locate(()).file)
        if isinstance(self.places, Source):
            where = replace(self.places.place(0, len(self.target)), path=())
        return SpecError(Diagnostic(Code.SETTING, message, where, hint))


class _Places(NamedTuple):
    """The places of a document that settings were put over; `settings` has theirs, by the path they set."""

    document: Places
    settings: Mapping[Path, Places]

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:
        split: tuple[Places, Path] | None = split_at(path, self.settings)
        if split is None or (key and not split[1]):
            return self.document.locate(path, key=key, offset=offset)
        places, rest = split
        return replace(places.locate(rest, key=key, offset=offset), path=path)

    def is_inherited(self, path: Path) -> bool:
        return split_at(path, self.settings) is None and self.document.is_inherited(path)


def with_settings(document: Document, settings: Settings) -> Document:
    """The document, a mapping, with the values that settings give; its problems say what cannot be set."""
    if not settings:
        return document
    tree = dict(document.tree)
    problems = list(document.problems)
    places: dict[Path, Places] = {}
    for given in _items(settings):
        try:
            setting = _read(*given)
            path = _path(setting, tree, places)
        except SpecError as error:
            problems += error.diagnostics
            continue
        problems += (_below(problem, path) for problem in setting.problems)
        places[path] = setting.places
        tree[path[0]] = setting.value if len(path) == 1 else {**tree[path[0]], path[1]: setting.value}
    return document._replace(tree=tree, places=_Places(document.places, places), problems=tuple(problems))


def _items(settings: Settings) -> list[tuple[str, Any]]:
    """Texts with nothing beside them, or targets with their values in a tuple of one."""
    if isinstance(settings, Mapping):
        items: list[tuple[str, Any]] = [(target, (value,)) for target, value in settings.items()]
    elif isinstance(settings, str) or not isinstance(settings, Sequence):
        message = f"expected a list of settings or a mapping, got {shown(settings)}"
        raise SpecError(Diagnostic(Code.WRONG_TYPE, message, hint='write settings=["vars.d=1024"]'))
    else:
        items = [(text, ()) for text in settings]
    for target, _ in items:
        if not isinstance(target, str):
            raise SpecError(
                Diagnostic(Code.WRONG_TYPE, f"expected a setting, got {shown(target)}", hint=_HINT)
            )
    return items


def _read(text: str, value: tuple[Any, ...]) -> _Setting:
    """A setting, taken apart."""
    if value:
        return _Setting(text, value[0], Unwritten(f"setting {text}"))
    target, equals, written = text.partition("=")
    source = Source(f"--set {target.strip()}", text)
    if not equals or not written.strip() or len(text) > _MAX_LENGTH or len(text.splitlines()) > 1:
        message = f"{shown(text)} is no setting"
        raise SpecError(Diagnostic(Code.SETTING, message, source.place(0, len(text)), _HINT))
    # The value is read at its own column, so that every place in it is one in the setting.
    try:
        read = read_yaml(" " * (len(text) - len(written)) + written, source.file)
    except SpecError as error:
        raise SpecError(*(_within(source, problem) for problem in error.diagnostics)) from None
    problems = tuple(_within(source, problem) for problem in read.problems)
    return _Setting(target.strip(), read.tree, replace(read, text=text), problems)


def _within(source: Source, problem: Diagnostic) -> Diagnostic:
    """A problem of a value, shown in the whole setting; it is at no part of a document."""
    where = problem.where or Location()
    return problem.at(replace(where, file=source.file, text=source.text, path=()))


def _below(problem: Diagnostic, path: Path) -> Diagnostic:
    return problem.at(replace(problem.where or Location(), path=path))


def _path(setting: _Setting, tree: Mapping[str, Any], before: Mapping[Path, Places]) -> Path:
    """The path that a setting sets."""
    group, dot, name = setting.target.partition(".")
    path: Path = (group, name) if dot else (group,)
    if path in before:
        message = f"{setting.target!r} is set twice"
        raise setting.refused(message, "keep one of the settings")
    if setting.target in _ALONE:
        return path
    if group not in _GROUPS or not name:
        near = None if group in tree or group in _GROUPS else did_you_mean(group, (*_ALONE, *_GROUPS))
        raise setting.refused(f"{setting.target!r} cannot be set", near or _HINT)
    entries = tree.get(group)
    names = [str(key) for key in entries] if isinstance(entries, Mapping) else []
    if name not in names:
        known = f"it has {', '.join(names[:20])}" if names else f"it has no {group}"
        raise setting.refused(f"the document has no {group}.{name}", did_you_mean(name, names) or known)
    return path
