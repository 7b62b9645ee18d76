"""What is laid over a document: the spec that extends it, and settings.

A setting is ``vars.d=1024`` on a command line, or ``{"vars.d": 1024}`` in Python. Settings reach ``seed``,
``dtype``, ``vars.X`` and ``initializers.X``, and only what the document has already, so that a misspelt name
is an error. A value is read as YAML, by the reader of documents.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic_core import PydanticCustomError

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.initializers.registry import KERAS_MODEL_HINT, lookup
from initcfg.initializers.values import diagnostic_of, shown
from initcfg.names import did_you_mean
from initcfg.spec.files import MAX_BYTES, moved, named_at, read_file
from initcfg.spec.scalars import format_version
from initcfg.text.inputs import confined_to
from initcfg.text.source import Source
from initcfg.text.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from initcfg.errors import Path
    from initcfg.spec.files import Root

#: Initializers with an argument 'file'.
_FILE_READERS = ("pretrained", "Pretrained")
#: The inherited keys of a parameter that a key of it removes.
_EXCLUDED = {"tied_to": ("initializer", "stream", "layout"), "initializer": ("tied_to",)}
#: What is about one file alone, and not about those that extend it.
_NOT_INHERITED = ("$schema", "base")


class Places(Protocol):
    """Where the parts of a document were written."""

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:
        """As `initcfg.text.source.Source.locate`."""

    def is_inherited(self, path: Path) -> bool:
        """Whether the part at a path was written in a file that the document's own extends."""


class Unwritten(NamedTuple):
    """The places of a document that was built in Python: paths."""

    file: str | None = None

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:  # noqa: ARG002
        """The path."""
        return Location(self.file, path=path)

    def is_inherited(self, path: Path) -> bool:  # noqa: ARG002
        """Never."""
        return False


class Document(NamedTuple):
    """A spec as plain data, before it is checked."""

    tree: Any  # a mapping, if it is a spec at all
    places: Places
    problems: tuple[Diagnostic, ...] = ()
    is_whole: bool = True  # whether every file that it extends could be read


class Overlay(NamedTuple):
    """The places of a document that has parts of other texts: of what it extends, or of settings."""

    document: Places
    parts: Mapping[Path, tuple[Places, Path]]  # the places of the other text, and where the part stands there
    inherits: bool  # whether the parts are those of what it extends

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:
        """The place in the text that the part stands in."""
        size = self._beginning(path)
        # The key of what is set is the document's.
        if not size or (key and size == len(path) and not self.inherits):
            return self.document.locate(path, key=key, offset=offset)
        places, start = self.parts[path[:size]]
        return replace(places.locate((*start, *path[size:]), key=key, offset=offset), path=path)

    def is_inherited(self, path: Path) -> bool:
        """Whether the part stands in what is extended, or in what that extends."""
        return self.inherits if self._beginning(path) else self.document.is_inherited(path)

    def _beginning(self, path: Path) -> int:
        """How much of a path leads to a part of another text; 0 where none of it does."""
        return next((size for size in range(len(path), 0, -1) if path[:size] in self.parts), 0)


def lay_over(upper: Document, lower: Document) -> Document:
    """The upper document over the lower one, which is what its ``extends`` names; both trees are mappings."""
    inherited: dict[Path, Path] = {}
    written = {key: value for key, value in upper.tree.items() if key != "extends"}
    below = {key: value for key, value in lower.tree.items() if key not in _NOT_INHERITED}
    tree = _merged(written, below, (), inherited)
    above = written.get("rules")
    first = len(above) if isinstance(above, list) and ("rules",) not in inherited else 0
    problems = (*upper.problems, *(_shifted(problem, first) for problem in lower.problems))
    parts = {path: (lower.places, below) for path, below in inherited.items()}
    return Document(
        tree, Overlay(upper.places, parts, inherits=True), problems, upper.is_whole and lower.is_whole
    )


def _merged(
    upper: Mapping[Any, Any], lower: Mapping[Any, Any], path: Path, inherited: dict[Path, Path]
) -> dict[Any, Any]:
    """Two mappings as one; notes in `inherited` what is the lower one's."""
    excluded = {other for key in upper if upper[key] is not None for other in _excluded_by(key, path)}
    tree: dict[Any, Any] = {}
    for key in _in_order(upper, lower):
        where = (*path, key)
        if key not in upper:
            if key not in excluded:
                tree[key] = lower[key]
                inherited[where] = where
        elif key not in lower:
            tree[key] = upper[key]
        elif where == ("rules",):
            tree[key] = _joined(upper[key], lower[key], inherited)
        elif _has_entries(where) and isinstance(upper[key], Mapping) and isinstance(lower[key], Mapping):
            tree[key] = _merged(upper[key], lower[key], where, inherited)
        else:
            tree[key] = upper[key]
    return tree


def _has_entries(path: Path) -> bool:
    """Whether the mappings at a path merge, instead of the upper one counting alone."""
    match path:
        case ("vars" | "initializers" | "layers" | "params",) | ("params", _):
            return True
        case ("layers", _) | ("layers", _, "params") | ("layers", _, "params", _):
            return True
    return False


def _excluded_by(key: object, path: Path) -> Iterable[str]:
    """The inherited keys that a key of the mapping at `path` removes."""
    return _EXCLUDED.get(str(key), ()) if len(path) > 1 and path[-2] == "params" else ()


def _in_order(upper: Mapping[Any, Any], lower: Mapping[Any, Any]) -> list[Any]:
    """The lower one's keys in their order, the new ones of the upper before the next one that both have.

    So a var that replaces one may use a new one written before it, and a new one at the end may use all.
    """
    before: dict[Any, list[Any]] = {}
    new: list[Any] = []
    for key in upper:
        if key in lower:
            before[key], new = new, []
        else:
            new.append(key)
    return [each for key in lower for each in (*before.get(key, ()), key)] + new


def _joined(upper: object, lower: object, inherited: dict[Path, Path]) -> object:
    """The upper rules, then the lower ones; what is no list is kept alone, to be refused where it stands."""
    if not isinstance(upper, list):
        return upper
    if not isinstance(lower, list):
        inherited[("rules",)] = ("rules",)
        return lower
    for at in range(len(lower)):
        inherited[("rules", len(upper) + at)] = ("rules", at)
    return [*upper, *lower]


def _shifted(problem: Diagnostic, first: int) -> Diagnostic:
    """A problem of the lower text with its path in the merged document, where `first` rules come before."""
    where = problem.where
    if where is None or where.path[:1] != ("rules",) or len(where.path) == 1:
        return problem
    _, at, *rest = where.path
    shifted = ("rules", at + first if isinstance(at, int) else at, *rest)
    return problem.at(replace(where, path=shifted))


#: All the files together are answered in a few seconds, whatever they hold.
_MAX_FILES = 16
_MAX_TOTAL = 4 * MAX_BYTES
_VERSION_HINT = "begin the document with initcfg: 1, the version of this format"


def is_model_config(tree: Mapping[Any, object]) -> bool:
    """Whether a document is the config of a Keras model, as ``to_json`` or ``get_config`` writes it."""
    layers = tree.get("layers")
    first = layers[0] if isinstance(layers, list) and layers else None
    return "class_name" in tree or (isinstance(first, Mapping) and "class_name" in first)


def _is_plan(tree: Mapping[Any, object]) -> bool:
    return tree.get("format") == "initcfg.plan"


def is_another_document(tree: Mapping[Any, object]) -> bool:
    """Whether a document is of another known kind, so that nothing is said of its keys."""
    return is_model_config(tree) or _is_plan(tree)


def header_problems(document: Document) -> list[Diagnostic]:
    """What makes a document no spec at all: it is no mapping, or does not say its version."""
    tree, where = document.tree, document.places.locate(())
    if not isinstance(tree, Mapping):
        what = "the document is empty" if tree is None else f"expected a mapping, got {shown(tree)}"
        return [Diagnostic(Code.WRONG_TYPE, what, where, _VERSION_HINT)]
    if is_model_config(tree):
        if "class_name" in tree:
            where = document.places.locate(("class_name",), key=True)
            hint = KERAS_MODEL_HINT
            if isinstance(tree["class_name"], str) and lookup(tree["class_name"]) is not None:
                hint = "this is an initializer: write it as that of a parameter, under params"
            return [Diagnostic(Code.UNKNOWN_KEY, "unknown key 'class_name'", where, hint)]
        where = document.places.locate(("layers",))
        return [Diagnostic(Code.WRONG_TYPE, "expected a mapping, got a list", where, KERAS_MODEL_HINT)]
    if _is_plan(tree):
        hint = "initcfg.read_plan reads it, and commands take it in the place of a spec"
        where = document.places.locate(("format",))
        return [Diagnostic(Code.WRONG_TYPE, "this is a plan, where a spec is expected", where, hint)]
    if "initcfg" not in tree:
        return [Diagnostic(Code.MISSING_KEY, "the key 'initcfg' is missing", where, _VERSION_HINT)]
    return []


def extended(document: Document, file: str | None, root: Root) -> Document:
    """The document over all that it extends; what keeps that from being read is among its problems."""
    return _Chain(root, (_identity(file),), 0).over_parents(document, file)


def _identity(file: str | None) -> str:
    return os.path.realpath(file) if file else ""


class _Chain(NamedTuple):
    """The files that led to a document, and how much text they hold together."""

    root: Root
    files: tuple[str, ...]
    size: int

    def over_parents(self, document: Document, file: str | None) -> Document:
        written = document.tree.get("extends")
        if not isinstance(written, str):
            return document
        try:
            return lay_over(
                document,
                self.parent(written, self.root.folder_of(file), document.places.locate(("extends",))),
            )
        except SpecError as error:
            return document._replace(problems=(*document.problems, *error.diagnostics), is_whole=False)

    def parent(self, written: str, folder: str, where: Location) -> Document:
        """What a document in `folder` extends."""
        path = self.root.find(written, folder, where)
        if _identity(path) in self.files:
            message = f"{path!r} is extended in a circle"
            hint = "a file extends another one, and none that extends it"
            raise SpecError(Diagnostic(Code.EXTENDS_CYCLE, message, where, hint))
        with confined_to(self.root.folder), named_at(path, where):
            source = read_file(path)
        size = self.size + len(source.text)
        if len(self.files) >= _MAX_FILES or size > _MAX_TOTAL:
            message = f"a spec extends at most {_MAX_FILES - 1} files, of {_MAX_TOTAL // 1024} KiB together"
            raise SpecError(Diagnostic(Code.TOO_LARGE, message, where, "lay fewer files over each other"))
        document = Document(source.tree, source, source.problems)
        problems = (*document.problems, *header_problems(document))
        if not isinstance(document.tree, Mapping) or is_another_document(document.tree):
            raise SpecError(*problems)
        tree = _with_moved_paths(document.tree, self.root.folder_of(path), folder)
        document = document._replace(tree=tree, problems=(*problems, *_version_problems(document)))
        return _Chain(self.root, (*self.files, _identity(path)), size).over_parents(document, path)


def _version_problems(document: Document) -> list[Diagnostic]:
    """The version of a file is its own, so it is looked at before the one above replaces it."""
    try:
        format_version(document.tree.get("initcfg", 1))
    except PydanticCustomError as error:
        return [diagnostic_of(error, document.places.locate(("initcfg",)))]
    return []


def _with_moved_paths(tree: Mapping[str, Any], old: str, new: str) -> Mapping[str, Any]:
    """The tree of a file in the folder `old`, the paths in it as one in `new` would write them."""
    if os.path.realpath(old) == os.path.realpath(new):
        return tree
    made: dict[str, Any] = _with_moved_files(tree, old, new)
    manifest = tree.get("manifest")
    return {**made, "manifest": moved(manifest, old, new)} if isinstance(manifest, str) else made


def _with_moved_files(value: Any, old: str, new: str) -> Any:
    """As `_with_moved_paths`, for the files that initializers anywhere in the tree read."""
    if isinstance(value, list):
        return [_with_moved_files(item, old, new) for item in value]
    if not isinstance(value, Mapping):
        return value
    made = {key: _with_moved_files(item, old, new) for key, item in value.items()}
    for key, config in made.items():
        name = value.get("class_name") if key == "config" else key
        if name in _FILE_READERS and isinstance(config, Mapping) and isinstance(config.get("file"), str):
            made[key] = {**config, "file": moved(config["file"], old, new)}
    return made


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


def with_settings(document: Document, settings: Settings) -> Document:
    """The document, a mapping, with the values that settings give; its problems say what cannot be set."""
    if not settings:
        return document
    tree = dict(document.tree)
    problems = list(document.problems)
    places: dict[Path, tuple[Places, Path]] = {}
    for given in _items(settings):
        try:
            setting = _Setting(*given, Unwritten(f"setting {given[0]}")) if len(given) == 2 else _read(*given)
            path = _path(setting, tree, places)
        except SpecError as error:
            problems += error.diagnostics
            continue
        problems += (_below(problem, path) for problem in setting.problems)
        places[path] = setting.places, ()
        tree[path[0]] = setting.value if len(path) == 1 else {**tree[path[0]], path[1]: setting.value}
    return document._replace(
        tree=tree, places=Overlay(document.places, places, inherits=False), problems=tuple(problems)
    )


def _items(settings: Settings) -> list[tuple[str] | tuple[str, Any]]:
    """Texts alone, or targets with their values."""
    items: list[tuple[str] | tuple[str, Any]]
    if isinstance(settings, Mapping):
        items = list(settings.items())
    elif isinstance(settings, str) or not isinstance(settings, Sequence):
        message = f"expected a list of settings or a mapping, got {shown(settings)}"
        raise SpecError.of(Code.WRONG_TYPE, message, hint='write settings=["vars.d=1024"]')
    else:
        items = [(text,) for text in settings]
    for target, *_ in items:
        if not isinstance(target, str):
            raise SpecError.of(Code.WRONG_TYPE, f"expected a setting, got {shown(target)}", hint=_HINT)
    return items


def _read(text: str) -> _Setting:
    """A setting, taken apart."""
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
    return _Setting(target.strip(), read.tree, Source(read.file, text, read.tree, read.root), problems)


def _within(source: Source, problem: Diagnostic) -> Diagnostic:
    """A problem of a value, shown in the whole setting; it is at no part of a document."""
    where = problem.where or Location()
    return problem.at(replace(where, file=source.file, text=source.text, path=()))


def _below(problem: Diagnostic, path: Path) -> Diagnostic:
    return problem.at(replace(problem.where or Location(), path=path))


def _path(setting: _Setting, tree: Mapping[str, Any], before: Container[Path]) -> Path:
    """The path that a setting sets."""
    group, dot, name = setting.target.partition(".")
    path: Path = (group, name) if dot else (group,)
    if path in before:
        message = f"{setting.target!r} is set twice"
        raise setting.refused(message, "keep one of the settings")
    if setting.target in _ALONE:
        return path
    entries = tree.get(group if group in _GROUPS else "vars")
    names = [str(key) for key in entries] if isinstance(entries, Mapping) else []
    if group not in _GROUPS or not name:
        near = None if group in tree or group in _GROUPS else did_you_mean(group, (*_ALONE, *_GROUPS))
        if setting.target in names:
            near = f"did you mean 'vars.{setting.target}'?"
        raise setting.refused(f"{setting.target!r} cannot be set", near or _HINT)
    if name not in names:
        known = f"it has {', '.join(names[:20])}" if names else f"it has no {group}"
        raise setting.refused(f"the document has no {group}.{name}", did_you_mean(name, names) or known)
    return path
