"""Manifests: the names and shapes of a model, from a document, from weights, or from an index of shards.

    .json .yaml .yml           {"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}
    .safetensors               the header of the file
    .safetensors.index.json    the headers of the shards beside it

No element of an array is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from initcfg.collector import collector_at_rest
from initcfg.dtypes import DTYPES, as_dtype
from initcfg.errors import Code, Diagnostic, InitcfgError, InitializerError, Location, SpecError, did_you_mean
from initcfg.formats.header import read_header
from initcfg.inputs import open_input
from initcfg.manifest import Manifest, ManifestEntry, shape_problem
from initcfg.text.decoding import decoded
from initcfg.text.json_entries import read_entries
from initcfg.text.yaml_source import read_yaml
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from initcfg.errors import PathStep

__all__ = ["MAX_JSON", "MAX_YAML", "manifest_json", "manifest_yaml", "read_manifest"]

#: The most bytes of a manifest. YAML takes about a second for ten thousand parameters, JSON a tenth of that.
MAX_JSON = 2**28
MAX_YAML = 2**21
_MAX_PROBLEMS = 100
_KEYS = ("shape", "dtype")
_INDEX = ".safetensors.index.json"
_WAY_OUT = 'write {"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}'
_STALE = "take the index and the shards from one place"

Path_ = tuple["PathStep", ...]


class _Places(Protocol):
    """Where the parts of a document stand."""

    def locate(self, path: Path_, *, key: bool = False) -> Location:
        """The place of a value, or of its key."""


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    r"""The manifest that a file holds; the end of its name says what the file is.

    Args:
        path: ends in ``.json``, ``.yaml``, ``.yml``, ``.safetensors`` or ``.safetensors.index.json``.

    Raises:
        SpecError: the document cannot be read, or is no manifest; every problem has its place.
        FormatError: the weights cannot be read, or are no whole safetensors file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "shapes.yaml")
        ...     _ = path.write_text("params:\n  fc.weight: {shape: [256, 784]}\n")
        ...     read_manifest(path).entries["fc.weight"].shape
        (256, 784)
    """
    file = os.fspath(path)
    lowered = file.lower()
    reader = _from_index if lowered.endswith(_INDEX) else _READERS.get(Path(lowered).suffix)
    if reader is None:
        hint = f"a manifest ends in {', '.join(_READERS)} or {_INDEX}"
        message = f"the name ends in {Path(file).suffix!r}, and so does no manifest"
        raise SpecError(Diagnostic(Code.INPUT, message, Location(file), hint))
    with collector_at_rest():
        return reader(file)


def manifest_json(manifest: Manifest) -> str:
    """A manifest as JSON, one parameter a line, in its order.

    Example:
        >>> print(manifest_json(Manifest({"w": (2, 3)})), end="")
        {
          "params": {
            "w": {"shape": [2, 3]}
          }
        }
    """
    rows = [f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in _tree(manifest).items()]
    body = "\n" + ",\n".join(rows) + "\n  " if rows else ""
    return '{\n  "params": {' + body + "}\n}\n"


def manifest_yaml(manifest: Manifest) -> str:
    """A manifest as YAML, one parameter a line, in its order.

    Raises:
        SpecError: the text would be larger than what `read_manifest` reads (code ``too-large``).

    Example:
        >>> print(manifest_yaml(Manifest({"w": (2, 3)})), end="")
        params:
          w: {shape: [2, 3]}
    """
    text = write_yaml({"params": _tree(manifest)})
    if len(text.encode()) > MAX_YAML:
        raise SpecError(_too_large("this manifest", MAX_YAML, None))
    return text


def _tree(manifest: Manifest) -> dict[str, Any]:
    return {
        name: {"shape": list(entry.shape)} | ({} if entry.dtype is None else {"dtype": entry.dtype})
        for name, entry in manifest.entries.items()
    }


# --- Documents ----------------------------------------------------------------------------------------------


def _text(file: str, limit: int) -> str:
    with open_input(file, SpecError) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(min(size, limit) + 1)
    if len(content) > limit:
        raise SpecError(_too_large("the file", limit, file))
    return decoded(content, file)


def _too_large(what: str, limit: int, file: str | None) -> Diagnostic:
    kind = "YAML" if limit == MAX_YAML else "JSON"
    message = f"{what} is larger than the {limit // 2**20} MiB that a manifest in {kind} may have"
    hint = f"write it as JSON, which may have {MAX_JSON // 2**20} MiB" if kind == "YAML" else None
    return Diagnostic(Code.TOO_LARGE, message, Location(file) if file else None, hint)


def _from_json(file: str) -> Manifest:
    source = read_entries(_text(file, MAX_JSON), file, frozenset({"params"}))
    problems = _top_problems(source.tree, source)
    params = source.tree["params"] if not problems else {}
    places = source.entries("params") if params else ()
    return _manifest(params, places, source, file, [*source.problems, *problems])


def _from_yaml(file: str) -> Manifest:
    source = read_yaml(_text(file, MAX_YAML), file)
    problems = _top_problems(source.tree, source)
    params: Mapping[str, Any] = source.tree["params"] if not problems else {}  # type: ignore[index]
    places = ((name, source.locate(("params", name), key=True)) for name in params)
    return _manifest(params, places, source, file, [*source.problems, *problems])


def _top_problems(tree: object, places: _Places) -> list[Diagnostic]:
    """What is wrong around the entries."""
    if not isinstance(tree, Mapping):
        return [_problem("a manifest is a mapping with the key 'params'", places.locate(()), _WAY_OUT)]
    problems = []
    for key in tree:
        if key != "params":
            hint = (
                f"rename the file so that it ends in {_INDEX}"
                if key == "weight_map"
                else "the one key is params"
            )
            where = places.locate((key,), key=True)
            problems.append(Diagnostic(Code.UNKNOWN_KEY, f"unknown key {key!r}", where, hint))
    if "params" not in tree:
        problems.append(
            Diagnostic(Code.MISSING_KEY, "the key 'params' is missing", places.locate(()), _WAY_OUT)
        )
    elif not isinstance(tree["params"], Mapping):
        message = "expected a mapping of names to shapes"
        problems.append(Diagnostic(Code.WRONG_TYPE, message, places.locate(("params",)), _WAY_OUT))
    return problems


def _problem(message: str, where: Location | None, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Code.MANIFEST, message, where, hint)


def _manifest(
    params: Mapping[str, Any],
    places: Iterable[tuple[str, Location]],
    source: _Places,
    file: str,
    problems: list[Diagnostic],
) -> Manifest:
    """The entries, all of them checked; `source` places what is wrong inside one."""
    entries: dict[str, ManifestEntry] = {}
    for name, where in places:
        written = params[name]
        fault = _entry_fault(name, written)
        if fault is None:
            entries[name] = ManifestEntry(tuple(written["shape"]), written.get("dtype"), where)
            continue
        path, is_key, problem = fault
        problems.append(problem.at(source.locate(("params", name, *path), key=is_key)))
        if len(problems) >= _MAX_PROBLEMS:
            break
    if problems:
        raise SpecError(*problems)
    return Manifest(entries, file)


_Fault = tuple[Path_, bool, Diagnostic]


def _entry_fault(name: str, written: object) -> _Fault | None:
    """What is wrong with an entry, the path of that within it, and whether it is about the key there."""
    if not isinstance(written, dict):
        hint = 'write {"shape": [768, 3072]}'
        return (), False, Diagnostic(Code.WRONG_TYPE, f"{name!r} is no mapping with a shape", hint=hint)
    for key in written:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or "the keys here are shape, dtype"
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
    return _dtype_fault(written)


def _dtype_fault(written: dict[str, Any]) -> _Fault | None:
    dtype = written.get("dtype")
    if "dtype" not in written or (isinstance(dtype, str) and dtype in DTYPES):
        return None
    if not isinstance(dtype, str):
        message = "expected the name of a dtype"
        return (
            ("dtype",),
            False,
            Diagnostic(Code.WRONG_TYPE, message, hint="write float32, or delete the key"),
        )
    try:
        as_dtype(dtype)
    except InitializerError as error:
        return ("dtype",), False, error.diagnostics[0]
    return None


# --- Weights ------------------------------------------------------------------------------------------------


def _from_header(file: str) -> Manifest:
    return Manifest(_stored(file), file)


def _stored(file: str) -> dict[str, ManifestEntry]:
    """The entries of a safetensors file."""
    return {
        name: ManifestEntry(tensor.shape, tensor.dtype.name, Location(file, path=(name,)))
        for name, tensor in read_header(file).tensors.items()
    }


def _from_index(file: str) -> Manifest:
    source = read_entries(_text(file, MAX_JSON), file, frozenset({"weight_map"}))
    weight_map = source.tree.get("weight_map") if isinstance(source.tree, dict) else None
    if not isinstance(weight_map, dict):
        hint = 'an index is {"weight_map": {"h.0.w": "model-00001-of-00002.safetensors"}}'
        raise SpecError(
            *source.problems, _problem("an index has a mapping 'weight_map'", source.locate(()), hint)
        )
    problems = list(source.problems)
    shards = _shards(weight_map, file, source, problems)
    entries: dict[str, ManifestEntry] = {}
    for name, where in source.entries("weight_map") if weight_map else ():
        tensors = shards.get(str(weight_map[name]))
        if tensors is None or len(problems) >= _MAX_PROBLEMS:
            continue
        stored = tensors.pop(name, None)
        if stored is None:
            message = f"the shard {weight_map[name]!r} does not hold {name!r}"
            problems.append(_problem(message, where, _STALE))
        else:
            entries[name] = ManifestEntry(stored.shape, stored.dtype, where)
    for shard, tensors in shards.items():
        problems += [
            _problem(
                f"the shard {shard!r} holds {name!r}, which the index does not list", Location(file), _STALE
            )
            for name in list(tensors or ())[: _MAX_PROBLEMS - len(problems)]
        ]
    if problems:
        raise SpecError(*problems)
    return Manifest(entries, file)


def _shards(
    weight_map: Mapping[str, Any], file: str, places: _Places, problems: list[Diagnostic]
) -> dict[str, dict[str, ManifestEntry] | None]:
    """What each shard holds; None for one that cannot be read, which is noted where it is first named."""
    shards: dict[str, dict[str, ManifestEntry] | None] = {}
    for name, shard in weight_map.items():
        if str(shard) in shards or len(problems) >= _MAX_PROBLEMS:
            continue
        shards[str(shard)] = None
        where = places.locate(("weight_map", name))
        if not _is_beside(shard):
            message = f"{shard!r} is not the name of a .safetensors file beside the index"
            problems.append(_problem(message, where, "a shard stands in the folder of its index"))
            continue
        try:
            shards[shard] = _stored(os.path.join(os.path.dirname(file), shard))  # noqa: PTH118, PTH120
        except InitcfgError as error:
            problems += [_at_index(each, shard, where) for each in error.diagnostics]
    return shards


def _at_index(problem: Diagnostic, shard: str, where: Location) -> Diagnostic:
    """A file that is not there is a fault of the index; one that is malformed is its own."""
    if problem.code is not Code.INPUT:
        return problem
    return Diagnostic(Code.INPUT, f"the shard {shard!r}: {problem.message}", where, problem.hint)


def _is_beside(shard: object) -> bool:
    """Whether this is a plain file name, on any system."""
    return (
        isinstance(shard, str)
        and shard.lower().endswith(".safetensors")
        and shard.isprintable()
        and not set("/\\:") & set(shard)
    )


_READERS: dict[str, Callable[[str], Manifest]] = {
    ".json": _from_json,
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
    ".safetensors": _from_header,
}
