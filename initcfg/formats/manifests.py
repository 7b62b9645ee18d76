"""Manifests: the names and shapes of a model, from a document, from weights, or from an index of shards.

    .json .yaml .yml           {"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}
    .safetensors .npz          the header of the file
    .safetensors.index.json    the headers of the shards beside it
    .pt .pth .bin .ckpt        what torch reads of it; a .bin.index.json names several
    a folder                   its index, else its only .safetensors file

An entry of a buffer, which no rule need match, says ``"buffer": true`` as well. The order is that of who
wrote it. Where it is only that of the alphabet, as in a .safetensors file and most indexes, the numbers in
names count by their size: ``h.2`` before ``h.10``. No element of an array is read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from initcfg.dtypes import DTYPES, as_dtype
from initcfg.errors import (
    MAX_TOLD,
    Code,
    Diagnostic,
    InitializerError,
    Location,
    PathStep,
    SpecError,
    more_problems,
)
from initcfg.formats import format_of
from initcfg.formats.base import FilePool, LoadedTensor, StoredTensor, natural_key
from initcfg.formats.index import INDEX_ENDING, TORCH_ENDINGS, find_weights, is_index, is_torch_file, read_set
from initcfg.formats.safetensors import read_header
from initcfg.layout import shape_problem
from initcfg.manifest import Manifest, ManifestEntry, PlacedEntries, buffers_among
from initcfg.names import did_you_mean
from initcfg.process import LOADING, gc_paused
from initcfg.text.inputs import decoded, read_content
from initcfg.text.json_values import read_entries
from initcfg.text.yaml_source import read_yaml
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from initcfg.text.source import Source


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """The manifest in a file, by the end of its name; a SpecError or FormatError if it is none."""
    file = os.fspath(find_weights(path))
    reader = (
        _from_torch
        if is_torch_file(file)
        else _from_index
        if is_index(file)
        else _READERS.get(Path(file).suffix.lower())
    )
    if reader is None:
        hint = f"a manifest ends in {', '.join((*_READERS, *TORCH_ENDINGS))} or {INDEX_ENDING}"
        message = f"the name ends in {Path(file).suffix!r}, and so does no manifest"
        raise SpecError.of(Code.INPUT, message, hint=hint, where=Location(file))
    with gc_paused():
        return reader(file)


def _from_safetensors(file: str) -> Manifest:
    return _of_tensors(file, _in_order(read_header(file).tensors))


def _from_npz(file: str) -> Manifest:
    return _of_tensors(file, format_of(file).module.read_header(file).tensors)


def _from_torch(file: str) -> Manifest:
    # It needs numpy, which a spec and its manifest do not.
    with LOADING:
        from initcfg.formats.torch_files import torch_tensors  # noqa: PLC0415

    return _of_tensors(file, torch_tensors(Path(file)))


def _from_index(file: str) -> Manifest:
    with FilePool() as files:
        header, index = read_set(Path(file), files)
    names = list(header.tensors)
    ordered = _in_order(header.tensors) if names == sorted(names) else header.tensors
    return _of_tensors(file, ordered, index.where)


def _of_tensors(
    file: str,
    tensors: Mapping[str, StoredTensor] | Mapping[str, LoadedTensor],
    places: Mapping[str, Location] = MappingProxyType({}),
) -> Manifest:
    """What weights hold; what names tell to be a buffer is marked as one, as in a live module's manifest."""
    buffers = buffers_among(tensors)

    def entry(name: str) -> ManifestEntry:
        where = places.get(name) or Location(file, path=(name,))
        return ManifestEntry(tensors[name].shape, tensors[name].dtype.name, where, buffer=name in buffers)

    return Manifest({name: entry(name) for name in tensors}, file)


def _in_order(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    return {name: tensors[name] for name in sorted(tensors, key=natural_key)}


#: The most bytes of a manifest. YAML takes about a second for ten thousand parameters, JSON a tenth of that.
MAX_JSON = 2**27
MAX_YAML = 2**21
_KEYS = ("shape", "dtype", "buffer")
_WAY_OUT = 'write {"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}'
_AS_JSON = f"write it as JSON, which may have {MAX_JSON // 2**20} MiB"


def _top_problems(source: Source) -> list[Diagnostic]:
    """What is wrong around the entries."""
    tree = source.tree
    if not isinstance(tree, Mapping):
        return [_problem("a manifest is a mapping with the key 'params'", source.locate(()), _WAY_OUT)]
    other = _other_document(tree, source)
    if other is not None:
        return [other]
    if "params" not in tree:
        return [Diagnostic(Code.MISSING_KEY, "the key 'params' is missing", source.locate(()), _WAY_OUT)]
    problems = [
        Diagnostic(
            Code.UNKNOWN_KEY, f"unknown key {key!r}", source.locate((key,), key=True), "the one key is params"
        )
        for key in tree
        if key != "params"
    ]
    if not isinstance(tree["params"], Mapping):
        message = "expected a mapping of names to shapes"
        problems.append(Diagnostic(Code.WRONG_TYPE, message, source.locate(("params",)), _WAY_OUT))
    return problems


def _other_document(tree: Mapping[str, Any], source: Source) -> Diagnostic | None:
    """The one error for a document of another kind, at the key that tells it."""
    for key, (mark, what, hint) in _OTHERS.items():
        if key in tree and (mark is None or tree[key] == mark):
            message = f"this is {what}, and no manifest"
            return _problem(message, source.locate((key,), key=True), hint)
    return None


# By a key that a manifest does not have, and its value where that counts.
_OTHERS: dict[str, tuple[str | None, str, str]] = {
    "format": (
        "initcfg.plan",
        "a plan",
        "a plan is given in the place of a spec; for a manifest give the weights that it made",
    ),
    "initcfg": (
        None,
        "a spec",
        "a manifest has names and shapes only; to build upon a spec, name it in extends",
    ),
    "weight_map": (None, "an index of shards", f"rename the file so that it ends in {INDEX_ENDING}"),
}


def _problem(message: str, where: Location | None, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Code.MANIFEST, message, where, hint)


def _too_large(what: str, limit: int, language: str, file: str | None, hint: str | None = None) -> Diagnostic:
    message = f"{what} is larger than the {limit // 2**20} MiB that a manifest in {language} may have"
    return Diagnostic(Code.TOO_LARGE, message, None if file is None else Location(file), hint)


def _manifest(source: Source, file: str) -> Manifest:
    """The entries of a document, all of them checked."""
    problems = _top_problems(source)
    params: dict[str, Any] = {} if problems else source.tree["params"]  # type: ignore[index]
    problems = [*source.problems, *problems]
    untold, entry = 0, _Entries()
    for name, written in params.items():
        made = params[name] = written if isinstance(written, ManifestEntry) else entry(name, written)
        fault = None if isinstance(made, ManifestEntry) else _entry_fault(name, made)
        if fault is None:
            continue
        path, is_key, problem = fault
        if len(problems) < MAX_TOLD:
            problems.append(problem.at(source.locate(("params", name, *path), key=is_key)))
        else:
            untold += 1
    if problems:
        raise SpecError(*problems, *more_problems(untold, problems))
    return Manifest(PlacedEntries(params, source.places("params")), file)


# Models have few different shapes; of a million that all differ a table would cost more than it saves.
_MAX_SHARED = 2**12


class _Entries:
    """Makes the entries of a document; equal ones are made once, and of faulty ones the first are kept."""

    def __init__(self) -> None:
        self.shared: dict[ManifestEntry, ManifestEntry] = {}
        self.faults = 0

    def __call__(self, name: str, written: Any) -> object:
        if _entry_fault(name, written) is None:
            shape, dtype, buffer = tuple(written["shape"]), written.get("dtype"), written.get("buffer", False)
            entry = ManifestEntry(shape, None if dtype is None else sys.intern(dtype), buffer=buffer)
            is_full = len(self.shared) >= _MAX_SHARED
            return self.shared.get(entry, entry) if is_full else self.shared.setdefault(entry, entry)
        self.faults += 1
        return written if self.faults <= MAX_TOLD else None  # which is a fault as well, and counted


_Fault = tuple[tuple[PathStep, ...], bool, Diagnostic]


def _entry_fault(name: str, written: object) -> _Fault | None:
    """What is wrong with an entry, the path of that within it, and whether it is about the key there."""
    if not isinstance(written, dict):
        hint = 'write {"shape": [768, 3072]}'
        return (), False, Diagnostic(Code.WRONG_TYPE, f"{name!r} is no mapping with a shape", hint=hint)
    for key in written:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or "the keys here are shape, dtype, buffer"
            return (key,), True, Diagnostic(Code.UNKNOWN_KEY, f"unknown key {key!r}", hint=hint)
    if not name:
        return (), True, _problem("a name is empty", None, "write at least one character")
    if "shape" not in written:
        hint = 'write "shape": [768, 3072], or [] for a single number'
        return (), True, Diagnostic(Code.MISSING_KEY, f"{name!r} has no shape", hint=hint)
    shape = written["shape"]
    message = shape_problem(shape)
    if message is not None:
        return (
            ("shape",),
            False,
            _problem(f"the shape of {name!r} {message}", None, "write the sizes of the axes"),
        )
    return _value_fault(written)


def _value_fault(written: dict[str, Any]) -> _Fault | None:
    """What is wrong with the dtype of an entry, or with what it says of a buffer."""
    dtype = written.get("dtype", "float32")
    if not isinstance(dtype, str):
        hint = "write float32, or delete the key"
        return ("dtype",), False, Diagnostic(Code.WRONG_TYPE, "expected the name of a dtype", hint=hint)
    if dtype not in DTYPES:
        try:
            as_dtype(dtype)
        except InitializerError as error:
            return ("dtype",), False, error.diagnostics[0]
    if not isinstance(written.get("buffer", False), bool):
        hint = "write true, or delete the key"
        return ("buffer",), False, Diagnostic(Code.WRONG_TYPE, "expected true or false", hint=hint)
    return None


def manifest_json(manifest: Manifest) -> str:
    """A manifest as JSON, one parameter a line, in its order."""
    rows = [f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in _tree(manifest).items()]
    body = "\n" + ",\n".join(rows) + "\n  " if rows else ""
    return '{\n  "params": {' + body + "}\n}\n"


def manifest_yaml(manifest: Manifest) -> str:
    """A manifest as YAML, one parameter a line; a SpecError where it would be larger than what is read."""
    text = write_yaml({"params": _tree(manifest)})
    if len(text.encode()) > MAX_YAML:
        raise SpecError(_too_large("this manifest", MAX_YAML, "YAML", None, _AS_JSON))
    return text


def _tree(manifest: Manifest) -> dict[str, Any]:
    return {
        name: {"shape": list(entry.shape)}
        | ({} if entry.dtype is None else {"dtype": entry.dtype})
        | ({"buffer": True} if entry.buffer else {})
        for name, entry in manifest.entries.items()
    }


def _from_json(file: str) -> Manifest:
    # No name for the bytes: they would be held beside the text.
    source = read_entries(
        read_content(file, MAX_JSON, _too_large("the file", MAX_JSON, "JSON", file)),
        file,
        frozenset({"params"}),
        _Entries(),
    )
    return _manifest(source, file)


def _from_yaml(file: str) -> Manifest:
    content = read_content(file, MAX_YAML, _too_large("the file", MAX_YAML, "YAML", file, _AS_JSON))
    return _manifest(read_yaml(decoded(content, file), file), file)


_READERS: dict[str, Callable[[str], Manifest]] = {
    ".json": _from_json,
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
    ".safetensors": _from_safetensors,
    ".npz": _from_npz,
}
