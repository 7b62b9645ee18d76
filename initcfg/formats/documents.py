"""Manifests as documents: read from JSON and YAML, and written.

{"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}

An entry of a buffer, which no rule need match, says ``"buffer": true`` as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from initcfg.dtypes import DTYPES, as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError, did_you_mean
from initcfg.formats.index import INDEX_ENDING
from initcfg.formats.texts import read_content, too_large
from initcfg.manifest import Manifest, ManifestEntry, shape_problem
from initcfg.text.decoding import decoded
from initcfg.text.json_entries import read_entries
from initcfg.text.yaml_source import read_yaml
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from initcfg.errors import PathStep

#: The most bytes of a manifest. YAML takes about a second for ten thousand parameters, JSON a tenth of that.
MAX_JSON = 2**28
MAX_YAML = 2**21
_MAX_PROBLEMS = 100
_KEYS = ("shape", "dtype", "buffer")
_WAY_OUT = 'write {"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}'
_AS_JSON = f"write it as JSON, which may have {MAX_JSON // 2**20} MiB"

Path_ = tuple["PathStep", ...]


class _Places(Protocol):
    """Where the parts of a document stand."""

    def locate(self, path: Path_, *, key: bool = False) -> Location:
        """The place of a value, or of its key."""


def from_json(file: str) -> Manifest:
    """The manifest in a JSON file.

    Raises:
        SpecError: it cannot be read, or is no manifest; every problem has its place.
    """
    source = read_entries(read_content(file, MAX_JSON, "a manifest in JSON"), file, frozenset({"params"}))
    problems = _top_problems(source.tree, source)
    params = source.tree["params"] if not problems else {}
    places = source.entries("params") if params else ()
    return _manifest(params, places, source, file, [*source.problems, *problems])


def from_yaml(file: str) -> Manifest:
    """The manifest in a YAML file.

    Raises:
        SpecError: it cannot be read, or is no manifest; every problem has its place.
    """
    source = read_yaml(decoded(read_content(file, MAX_YAML, "a manifest in YAML", _AS_JSON), file), file)
    problems = _top_problems(source.tree, source)
    params: Mapping[str, Any] = source.tree["params"] if not problems else {}  # type: ignore[index]
    places = ((name, source.locate(("params", name), key=True)) for name in params)
    return _manifest(params, places, source, file, [*source.problems, *problems])


def _top_problems(tree: object, places: _Places) -> list[Diagnostic]:
    """What is wrong around the entries."""
    if not isinstance(tree, Mapping):
        return [_problem("a manifest is a mapping with the key 'params'", places.locate(()), _WAY_OUT)]
    other = _other_document(tree, places)
    if other is not None:
        return [other]
    if "params" not in tree:
        return [Diagnostic(Code.MISSING_KEY, "the key 'params' is missing", places.locate(()), _WAY_OUT)]
    problems = [
        Diagnostic(
            Code.UNKNOWN_KEY, f"unknown key {key!r}", places.locate((key,), key=True), "the one key is params"
        )
        for key in [key for key in tree if key != "params"][:_MAX_PROBLEMS]
    ]
    if not isinstance(tree["params"], Mapping):
        message = "expected a mapping of names to shapes"
        problems.append(Diagnostic(Code.WRONG_TYPE, message, places.locate(("params",)), _WAY_OUT))
    return problems


def _other_document(tree: Mapping[str, Any], places: _Places) -> Diagnostic | None:
    """The one error for a document of another kind, at the key that tells it."""
    for key, (mark, what, hint) in _OTHERS.items():
        if key in tree and (mark is None or tree[key] == mark):
            message = f"this is {what}, and no manifest"
            return _problem(message, places.locate((key,), key=True), hint)
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
            shape, dtype = tuple(written["shape"]), written.get("dtype")
            entries[name] = ManifestEntry(shape, dtype, where, buffer=written.get("buffer", False))
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
    return _dtype_fault(written) or _buffer_fault(written)


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


def _buffer_fault(written: dict[str, Any]) -> _Fault | None:
    if isinstance(written.get("buffer", False), bool):
        return None
    hint = "write true, or delete the key"
    return ("buffer",), False, Diagnostic(Code.WRONG_TYPE, "expected true or false", hint=hint)


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
        raise SpecError(too_large("this manifest", MAX_YAML, "a manifest in YAML", None, _AS_JSON))
    return text


def _tree(manifest: Manifest) -> dict[str, Any]:
    return {
        name: {"shape": list(entry.shape)}
        | ({} if entry.dtype is None else {"dtype": entry.dtype})
        | ({"buffer": True} if entry.buffer else {})
        for name, entry in manifest.entries.items()
    }
