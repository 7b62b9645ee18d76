"""What a person writes: text to a checked, frozen `Spec`, with every problem found at once, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import ValidationError

from initcfg.errors import Code, Diagnostic, InitcfgError, Location, SpecError
from initcfg.initializers.forms import InitializerConfig, nested_in
from initcfg.initializers.values import shown
from initcfg.process import LOADING, lazy
from initcfg.process import load as load_module
from initcfg.spec.diagnose import diagnostics_of
from initcfg.spec.files import MAX_BYTES, Root, as_tree, named_at, read_bytes, read_file, read_text
from initcfg.spec.models import Allow, Layer, Param, Range, Repeat, Rule, Spec
from initcfg.spec.overlay import (
    Document,
    Unwritten,
    extended,
    header_problems,
    is_another_document,
    with_settings,
)
from initcfg.text.inputs import confined_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Path
    from initcfg.formats import manifests
    from initcfg.manifest import Manifest
    from initcfg.spec.overlay import Settings
else:
    manifests = lazy("initcfg.formats.manifests")

__all__ = [
    "Allow",
    "InitializerConfig",
    "Layer",
    "Param",
    "Range",
    "Reading",
    "Repeat",
    "Rule",
    "Spec",
    "by_place",
    "dump_json",
    "dump_tree",
    "dump_yaml",
    "load",
    "loads",
    "read",
    "reads",
]

_NO_MANIFEST = frozenset({("manifest",)})


def load(
    document: Spec | str | os.PathLike[str] | Mapping[str, Any],
    *,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
) -> Spec:
    """The spec that a file or a mapping holds, with what it extends merged in; its manifest is not read.

    Arguments and errors are those of `initcfg.load_spec`.
    """
    reader, draft = _draft(document, root, settings)
    return _whole(reader.reading(draft))


def loads(text: str, format: str = "yaml", file: str | None = None) -> Spec:  # noqa: A002
    """The spec that a text in ``yaml`` or ``json`` holds; paths in it start from the folder of `file`."""
    reader, draft = _draft_of_text(text, format, file)
    return _whole(reader.reading(draft))


def reads(
    text: str | bytes,
    format: str = "yaml",  # noqa: A002
    file: str | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
) -> Reading:
    """As `read`, for a document that is at hand as text, or as the bytes of a file."""
    reader, draft = _draft_of_text(text, format, file, root, settings)
    return reader.with_manifest(reader.reading(draft))


def read(
    document: Spec | str | os.PathLike[str] | Mapping[str, Any],
    *,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
    manifest: Manifest | None = None,
) -> Reading:
    """As much as can be read of the spec that a file or a mapping holds, and what is wrong with the rest.

    Arguments are those of `load`; `manifest` takes the place of the one that the document names. A SpecError
    where there is no YAML or JSON to read.
    """
    if isinstance(document, Spec) and document.extends is None and not settings:
        # As it is: it may hold callables, which no document can.
        file = document.locate(()).file
        reader, reading = _Reader(file, Root(file, root), settings), Reading(document)
    else:
        reader, draft = _draft(document, root, settings)
        reading = reader.reading(draft)
    if manifest is None:
        return reader.with_manifest(reading)
    return reading._replace(manifest=manifest, root=reader.root)


def _draft(
    document: object, root: str | os.PathLike[str] | None, settings: Settings
) -> tuple[_Reader, Document]:
    """A document as plain data, and what reads the rest."""
    if isinstance(document, Spec):
        file = document.locate(()).file
        return _Reader(file, Root(file, root), settings), Document(dump_tree(document), document._places)
    if isinstance(document, Mapping):
        return _Reader(None, Root(None, root), settings), Document(as_tree(document), Unwritten())
    if not isinstance(document, str | os.PathLike):
        message = f"expected a path or a mapping, got {shown(document)}"
        hint = "give a path, or a mapping with initcfg: 1"
        raise SpecError.of(Code.WRONG_TYPE, message, hint=hint)
    file = os.fspath(document)
    reader = _Reader(file, Root(file, root), settings)
    source = read_file(file)
    return reader, Document(source.tree, source, source.problems)


def _draft_of_text(
    text: str | bytes,
    format: str,  # noqa: A002
    file: str | None,
    root: str | os.PathLike[str] | None = None,
    settings: Settings = (),
) -> tuple[_Reader, Document]:
    source = read_bytes(text, format, file) if isinstance(text, bytes) else read_text(text, format, file)
    return _Reader(file, Root(file, root), settings), Document(source.tree, source, source.problems)


def _whole(reading: Reading) -> Spec:
    if reading.spec is None or reading.problems:
        raise SpecError(*reading.problems)
    return reading.spec


class _Reader(NamedTuple):
    """Reads one document: `file` is its name; the rest is as of `read`."""

    file: str | None
    root: Root
    settings: Settings

    def reading(self, document: Document) -> Reading:
        """The document with what it extends and what is set, checked."""
        found = header_problems(document)
        if not isinstance(document.tree, Mapping) or is_another_document(document.tree):
            return Reading(None, self.in_order([*document.problems, *found]))
        document = extended(document, self.file, self.root)
        document = document._replace(tree=without_notes(document.tree))
        document = with_settings(document, self.settings)
        problems = [*document.problems, *found]
        spec, faults = _validated(document)
        if not document.is_whole:
            faults = tuple(fault for fault in faults if not _may_be_inherited(fault))
            return Reading(None, self.in_order([*problems, *faults]))
        left_out: frozenset[tuple[str, ...]] = frozenset()
        if faults and faults[-1].severity == "note":  # too many to leave each of them out
            return Reading(None, self.in_order([*problems, *faults]))
        if problems or faults:
            rest, left_out = without_faulty_entries(document.tree, [*problems, *faults])
            spec, _ = _validated(document._replace(tree=rest))
        return Reading(spec, self.in_order([*problems, *faults]), left_out)

    def with_manifest(self, reading: Reading) -> Reading:
        """The reading with the manifest that the spec names, or with what keeps it from being read."""
        reading = reading._replace(root=self.root)
        if reading.spec is None or reading.spec.manifest is None:
            return reading
        where = reading.spec.locate(("manifest",))
        try:
            path = reading.find(reading.spec.manifest, ("manifest",))
            with confined_to(self.root.folder), named_at(path, where):
                return reading._replace(manifest=manifests.read_manifest(path))
        except InitcfgError as error:
            problems = self.in_order([*reading.problems, *error.diagnostics])
            return reading._replace(problems=problems, left_out=reading.left_out | _NO_MANIFEST)

    def in_order(self, problems: list[Diagnostic]) -> tuple[Diagnostic, ...]:
        """The problems by their places; where two meet, the first found counts."""
        kept: dict[object, Diagnostic] = {}
        for problem in problems:
            where = problem.where or Location()
            place = (where.line, where.column) if where.line else (where.path, problem.code, problem.message)
            # A missing key has the place where its mapping begins, which is that of the first key too.
            missing = problem.message if problem.code is Code.MISSING_KEY else None
            kept.setdefault((where.file, place, missing, problem.severity), problem)
        return tuple(by_place(kept.values(), self.file))


def without_notes(tree: Mapping[Any, Any]) -> dict[Any, Any]:
    """A document without the keys that begin with ``x-``, which are a place for anchors and notes."""
    return {key: value for key, value in tree.items() if not (isinstance(key, str) and key.startswith("x-"))}


def _may_be_inherited(fault: Diagnostic) -> bool:
    """Whether what is missing may stand in a file that could not be read."""
    match fault.where and fault.where.path:
        case ("layers", _) | ("layers", _, "params", _) | ("params", _):
            return fault.code is Code.MISSING_KEY
    return False


def _validated(document: Document) -> tuple[Spec | None, tuple[Diagnostic, ...]]:
    try:
        with LOADING:
            spec = Spec.model_validate(document.tree)
    except ValidationError as error:
        return None, diagnostics_of(error, Spec, document.places)
    spec._places = document.places
    return spec, ()


def by_place(problems: Iterable[Diagnostic], file: str | None) -> list[Diagnostic]:
    """The problems of `file`, then those of the other files as they were found; in each by place."""
    found = [(problem.where or Location(), problem) for problem in problems]
    ranks = {file: 0}
    for where, _ in found:
        ranks.setdefault(where.file, len(ranks))
    found.sort(key=lambda each: (ranks[each[0].file], each[0].line or 0, each[0].column or 0))
    return [problem for _, problem in found]


Entry = tuple[str, ...]

# What planning goes on with: no other fault depends on which of the two layouts it is.
_SUBSTITUTES = {"layout": "in_out"}


class Reading(NamedTuple):
    """A document as far as it could be read."""

    spec: Spec | None  # without the entries that have problems; None where nothing is left to look at
    problems: tuple[Diagnostic, ...] = ()
    # The entries that `spec` lacks, as ``("vars", "d")`` or ``("layers", "h", "params", "w")``. In the
    # place of ``("rules", "3")`` stands a rule that skips what it matches: those after it keep their
    # places.
    left_out: frozenset[Entry] = frozenset()
    # what the spec names; None where it names none or that could not be read
    manifest: Manifest | None = None
    root: Root | None = None  # no file that it names is outside of this

    def find(self, written: str, path: Path) -> str:
        """The path of a file that the document names at `path`, relative to its folder."""
        assert self.spec is not None  # noqa: S101
        file = self.spec.locate(()).file
        root = self.root or Root(file)
        return root.find(written, root.folder_of(file), self.spec.locate(path))


def without_faulty_entries(
    tree: Mapping[Any, Any], problems: Iterable[Diagnostic]
) -> tuple[dict[str, Any], frozenset[Entry]]:
    """A copy of a document without the entries that problems point into, and which those are.

    An entry is a var, a named initializer, a parameter, a layer, a rule, or any other key at the top.
    """
    problems = tuple(problems)
    entries = frozenset(
        entry for problem in problems if problem.where and (entry := _entry(problem.where.path))
    )
    kept: dict[str, Any] = dict(tree)
    for entry in entries:
        kept = _without(kept, entry)
    if isinstance(kept.get("rules"), list):
        kept["rules"] = _with_substitutes(kept["rules"], problems)
    return kept | {key: value for key, value in _SUBSTITUTES.items() if (key,) in entries}, entries


def _entry(path: Path) -> Entry:
    """The smallest entry around a path."""
    match path:
        case ("rules", int(at), *_):
            return ("rules", str(at))
        case ("vars" | "initializers" | "params" as group, name, *_):
            return (group, str(name))
        case ("layers", layer, "params", name, *_):
            return ("layers", str(layer), "params", str(name))
        case ("layers", layer, *_):
            return ("layers", str(layer))
        case (key, *_):
            return (str(key),)
    return ()


def _with_substitutes(rules: list[Any], problems: Iterable[Diagnostic]) -> list[Any]:
    """The rules, each faulty one replaced by one that skips what it matches, or all where that is unknown."""
    paths = [problem.where.path for problem in problems if problem.where]
    faulty = {path[1] for path in paths if path[:1] == ("rules",) and len(path) > 1}
    unknown = {path[1] for path in paths if path[:1] == ("rules",) and path[2:3] == ("match",)}
    return [
        _substitute(None if at in unknown else rule) if at in faulty else rule
        for at, rule in enumerate(rules)
    ]


def _substitute(rule: object) -> dict[str, Any]:
    match = rule.get("match") if isinstance(rule, Mapping) else None
    return {"match": match if isinstance(match, str) else "**", "skip": True}


def _without(tree: Mapping[Any, Any], entry: Entry) -> dict[str, Any]:
    """A mapping without an entry, and without the keys beside it that are no texts."""
    key, *inner = entry
    kept = {name: value for name, value in tree.items() if isinstance(name, str) and (inner or name != key)}
    if inner and isinstance(kept.get(key), Mapping):
        kept[key] = _without(kept[key], tuple(inner))
    return kept


_MODELINE = "# yaml-language-server: $schema={}\n"


def dump_tree(spec: Spec) -> dict[str, Any]:
    """The document that `load` reads an equal spec from: dicts, lists, strings and numbers."""
    problems: list[Diagnostic] = []
    tree = {"initcfg": spec.initcfg} | _model_tree(spec, (), spec, problems)
    if problems:
        raise SpecError(*problems)
    return tree


def dump_yaml(spec: Spec, schema: str | None = None) -> str:
    """The spec as YAML; `schema` is the address of its JSON Schema, for editors, in a comment at the top.

    A SpecError as of `dump_tree`; or the text would be larger than a spec may be (code ``too-large``).
    """
    text: str = load_module("initcfg.text.yaml_writer").write_yaml(dump_tree(spec))
    return _readable((_MODELINE.format(schema) if schema else "") + text)


def dump_json(spec: Spec) -> str:
    """The spec as JSON; it fails as `dump_yaml`."""
    text: str = load_module("json").dumps(dump_tree(spec), indent=2, ensure_ascii=False, allow_nan=False)
    return _readable(text + "\n")


def _readable(text: str) -> str:
    """The text, unless it is larger than what `load` reads."""
    size = len(text.encode())
    if size <= MAX_BYTES:
        return text
    message = f"this spec takes {size:,} bytes, and a spec that can be read has at most {MAX_BYTES:,}"
    hint = "let repeat and expressions stand for what is alike, as layers: {h.{i}: {repeat: {i: 12}, ...}}"
    raise SpecError.of(Code.TOO_LARGE, message, hint=hint)


def _model_tree(model: BaseModel, path: Path, spec: Spec, problems: list[Diagnostic]) -> dict[str, Any]:
    """The fields that are not at their defaults, by the keys that documents have."""
    tree: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        key = info.alias or name
        if info.is_required() or value != info.get_default(call_default_factory=True):
            tree[key] = _tree(value, (*path, key), spec, problems)
    return tree


def _tree(value: Any, path: Path, spec: Spec, problems: list[Diagnostic]) -> Any:
    if isinstance(value, BaseModel):
        return _model_tree(value, path, spec, problems)
    if isinstance(value, InitializerConfig):
        problems += [_not_serializable(each, spec, path) for each in _instances(value)]
        return value.tree()
    if isinstance(value, Mapping):
        return {key: _tree(item, (*path, key), spec, problems) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_tree(item, (*path, at), spec, problems) for at, item in enumerate(value)]
    return value


def _instances(config: InitializerConfig) -> list[InitializerConfig]:
    """The objects without a name: an initializer, or those nested in it."""
    if config.instance is not None:
        return [config]
    return [found for each, _ in nested_in(config, ()) for found in _instances(each)]


def _not_serializable(config: InitializerConfig, spec: Spec, path: Path) -> Diagnostic:
    hint = "name a built-in, or register a subclass of Initializer"
    message = f"{config.name!r} is known to this program only and cannot be written down"
    return Diagnostic(Code.NOT_SERIALIZABLE, message, spec.locate(path), hint)
