"""Which file a path to weights means, and the index of a sharded set: which shard holds which tensor.

    {"metadata": {"total_size": 32}, "weight_map": {"h.0.w": "model-00001-of-00002.safetensors"}}

The layout is that of Hugging Face. Here it is a value, its text, the strict reader of that, and the check of
an index against the headers of its shards. A tensor in another shard than the index says, one that it does
not name, or shards of two plans are what remains of a run that was not finished, or of two that were mixed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initcfg.errors import MAX_TOLD, Code, Diagnostic, FormatError, Location, SpecError, capped, stopped
from initcfg.formats.base import (
    PLAN_KEY,
    SELECT_KEY,
    TIED_KEY,
    FilePool,
    Header,
    common_texts,
    refused,
    tied_names,
)
from initcfg.formats.safetensors import header_in
from initcfg.process import gc_paused
from initcfg.text.inputs import read_content
from initcfg.text.json_values import read_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    from initcfg.text.source import Source

INDEX_NAME = "model.safetensors.index.json"
"""The name of an index, which loaders look for in a folder."""
INDEX_ENDING = ".safetensors.index.json"
"""How the name of an index ends that is written here."""
INDEX_ENDINGS = (INDEX_ENDING, ".bin.index.json")
"""How the name of any index ends: those of safetensors files, and of files of torch."""
MAX_INDEX_BYTES = 2**27
"""The largest index that is read; a million tensors may have 128 bytes each."""

_SIZE = "total_size"
_PARAMETERS = "total_parameters"
TOTALS = (_SIZE, _PARAMETERS)
_METADATA = "metadata"
_MAP = "weight_map"
_WAY_OUT = 'an index is {"weight_map": {"h.0.w": "model-00001-of-00002.safetensors"}}'

_AGAIN = "write the index again, or fetch it again if it was copied"

STALE = "take the index and the shards from one place, or write them again"
"""The way out of most disagreements."""
_MIXED = "the shards of a set are made from one plan: write those of the other plan again"
_Origin = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says: the file of each tensor, totals where it tells them, and texts."""

    weight_map: Mapping[str, str]
    total_size: int | None = None  # bytes
    total_parameters: int | None = None  # elements
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Where each name stands in the file that was read.
    where: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in TOTALS:
            if key in self.metadata:
                raise ValueError(f"{key} is a number, and no text of the metadata")


def index_text(index: Index) -> str:
    """An index as transformers writes it: JSON in the order of its keys, two blanks a level."""
    totals = {_SIZE: index.total_size, _PARAMETERS: index.total_parameters}
    numbers = {key: number for key, number in totals.items() if number is not None}
    tree = {_METADATA: {**index.metadata, **numbers}, _MAP: dict(index.weight_map)}
    return json.dumps(tree, indent=2, sort_keys=True) + "\n"


def read_index(path: str | PathLike[str], content: bytes | None = None) -> Index:
    """The index in a file or in its bytes; a FormatError tells every problem at its place."""
    try:
        return _index(path, content)
    except SpecError as error:
        # A document that cannot be read as one is, here, a malformed weights file.
        raise FormatError(*map(_recoded, error.diagnostics)) from None


def is_shard_name(name: object, ending: str = ".safetensors") -> bool:
    """Whether this is the plain name of a file with that ending, on any system: it is beside its index."""
    return (
        isinstance(name, str)
        and name.lower().endswith(ending)
        and name.isprintable()
        and not set("/\\:") & set(name)
    )


def _content(path: str | PathLike[str]) -> bytes:
    message = f"the file is larger than the {MAX_INDEX_BYTES // 2**20} MiB that an index of shards may have"
    too_large = Diagnostic(Code.TOO_LARGE, message, Location(os.fspath(path)))
    return read_content(path, MAX_INDEX_BYTES, too_large)


def _recoded(problem: Diagnostic) -> Diagnostic:
    """A text that is no JSON is a malformed weights file like any other."""
    if problem.code in (Code.INPUT, Code.OUTSIDE_ROOT):
        return problem
    return dataclasses.replace(problem, code=Code.FORMAT, hint=problem.hint or _AGAIN)


def _index(path: str | PathLike[str], content: bytes | None) -> Index:
    shared: dict[object, object] = {}  # a million names may name one shard

    def entry(_: str, written: object) -> object:
        return shared.setdefault(written, written) if isinstance(written, str) else written

    with gc_paused():
        # No name for the bytes of a file: they would be held beside the text.
        groups = frozenset({_METADATA, _MAP})
        source = read_entries(_content(path) if content is None else content, os.fspath(path), groups, entry)
    tree: Any = source.tree
    problems = list(source.problems)
    if not isinstance(tree, dict) or not isinstance(tree.get(_MAP), dict):
        where = source.locate((_MAP,) if isinstance(tree, dict) and _MAP in tree else ())
        problems.append(_problem(f"an index has an object {_MAP!r} of names", where, _WAY_OUT))
        raise FormatError(*map(_recoded, problems))
    ending = ".bin" if os.fspath(path).lower().endswith(".bin.index.json") else ".safetensors"
    problems += _top_problems(tree, source)
    problems += _shard_problems(tree, source, ending)
    if problems:
        raise FormatError(*capped(map(_recoded, problems)))
    metadata: dict[str, Any] = tree.get(_METADATA, {})
    texts = {key: text for key, text in metadata.items() if isinstance(text, str)}
    size, parameters = metadata.get(_SIZE), metadata.get(_PARAMETERS)
    return Index(tree[_MAP], size, parameters, texts, source.places(_MAP))


def _top_problems(tree: Mapping[str, Any], source: Source) -> Iterator[Diagnostic]:
    """What is wrong with the keys of an index, and with its metadata."""
    for key in tree:
        if key not in (_METADATA, _MAP):
            where = source.locate((key,), key=True)
            yield _problem(f"an index has no key {key!r}", where, f"its keys are {_METADATA} and {_MAP}")
    metadata = tree.get(_METADATA, {})
    if not isinstance(metadata, dict):
        yield _problem("the metadata of an index is an object", source.locate((_METADATA,)), _WAY_OUT)
        return
    for key in TOTALS:
        total = metadata.get(key, 0)
        if type(total) is not int or total < 0:
            where = source.locate((_METADATA, key))
            yield _problem(f"{key!r} is no whole number from 0 on", where, _AGAIN)


def _shard_problems(tree: Mapping[str, Any], source: Source, ending: str) -> Iterator[Diagnostic]:
    """One for each wrong name of a shard, where it is first given, and of a tensor."""
    told = set()
    for name, shard in tree[_MAP].items():
        if not name:
            where = source.locate((_MAP, name), key=True)
            yield _problem("the name of a tensor is empty", where, _AGAIN)
        if is_shard_name(shard, ending) or repr(shard) in told:
            continue
        told.add(repr(shard))
        message = f"{shard!r} is not the name of a {ending} file beside the index"
        hint = "a shard stands in the folder of its index"
        yield _problem(message, source.locate((_MAP, name)), hint)


def read_set(path: Path, files: FilePool) -> tuple[Header, Index]:
    """What the shards beside an index hold, as one header; and the index."""
    index = read_index(path)
    headers = _headers(path, index, files)
    problems = capped(index_problems(path, index, headers))
    if problems:
        raise FormatError(*problems)
    tensors = {
        name: dataclasses.replace(headers[shard].tensors[name], shard=shard)
        for name, shard in index.weight_map.items()
    }
    texts = [index.metadata, *(header.metadata for header in headers.values())]
    tied = {name: shared for each in texts for name, shared in tied_names(each).items()}
    metadata = common_texts(texts)
    metadata.pop(TIED_KEY, None)
    if tied:
        metadata[TIED_KEY] = json.dumps(tied, sort_keys=True, ensure_ascii=False)
    nbytes = sum(header.nbytes for header in headers.values())
    return Header(tensors, metadata, nbytes, tuple(headers)), index


def _headers(path: Path, index: Index, files: FilePool) -> dict[str, Header]:
    """The header of every shard, in the order in which the index first names them."""
    headers: dict[str, Header] = {}
    problems: list[Diagnostic] = []
    named: dict[str, str] = {}
    for name, shard in index.weight_map.items():
        named.setdefault(shard, name)
    for shard, name in named.items():
        try:
            with files.using(path.parent / shard) as file:
                headers[shard] = header_in(file, path.parent / shard)
        except FormatError as error:
            # Placed in the index where the shard cannot be read, else where it was found.
            problems += (
                Diagnostic(
                    Code.INPUT, f"the shard {shard!r}: {each.message}", index.where[name], each.hint or STALE
                )
                if each.code is Code.INPUT
                else each
                for each in error.diagnostics
            )
        if len(problems) >= MAX_TOLD:
            break
    if problems:
        raise FormatError(*stopped(problems, "the set"))
    return headers


def index_problems(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """What index and shards do not agree about: first the tensors; if these agree, the rest."""
    misplaced = _misplaced(path, index, headers)
    first = next(misplaced, None)
    if first is not None:
        yield first
        yield from misplaced
        return
    nbytes = sum(tensor.nbytes for header in headers.values() for tensor in header.tensors.values())
    if index.total_size not in (None, nbytes):
        message = f"'total_size' is {index.total_size:,}, the tensors have {nbytes:,} bytes"
        yield _problem(message, Location(os.fspath(path), path=("metadata", "total_size")))
    yield from _other_plans(path, index, headers)
    yield from _ties(path, index, headers)


def _misplaced(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """Tensors that are not where the index says, and those that a shard holds beyond it."""
    for name, shard in index.weight_map.items():
        if name not in headers[shard].tensors:
            others = [other for other, header in headers.items() if name in header.tensors]
            there = f"; {others[0]!r} does" if others else ""
            yield _problem(f"the shard {shard!r} does not hold {name!r}{there}", index.where[name])
    for shard, header in headers.items():
        for name in header.tensors:
            named = index.weight_map.get(name)
            if named is None:
                message = f"the shard {shard!r} holds {name!r}, which the index does not list"
                yield _problem(message, _at(path, shard))
            elif named != shard and name in headers[named].tensors:
                message = f"{name!r} is in two shards: {named!r}, where the index has it, and {shard!r}"
                yield _problem(message, index.where[name])


def _other_plans(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """The shards that are not of the plan that the index names, or, if it names none, of the first's."""
    origins = {shard: _origin(header.metadata) for shard, header in headers.items()}
    told, ours = "the index", _origin(index.metadata)
    if ours == (None, None) and origins:
        told, ours = next((repr(shard), origin) for shard, origin in origins.items())
    for shard, origin in origins.items():
        if origin != ours:
            message = f"the set is mixed: {shard!r} is of {_words(origin)}, {told} is of {_words(ours)}"
            yield _problem(message, _at(path, shard), _MIXED)


def _origin(metadata: Mapping[str, str]) -> _Origin:
    """The fingerprint of a plan, and the part of it; None for what a file does not say."""
    return metadata.get(PLAN_KEY), metadata.get(SELECT_KEY)


def _words(origin: _Origin) -> str:
    plan, part = origin
    return (f"the plan {plan[:16]!r}" if plan else "no plan") + (f" (only {part!r})" if part else "")


def _ties(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """Ties that are malformed, or that contradict each other."""
    known: dict[str, str] = {}
    texts = {path.name: index.metadata} | {shard: header.metadata for shard, header in headers.items()}
    for file, metadata in texts.items():
        try:
            tied = tied_names(metadata)
        except ValueError as error:
            yield _problem(f"the metadata {TIED_KEY!r} of the file {error}", _at(path, file))
            continue
        for name, shared in tied.items():
            if known.setdefault(name, shared) != shared:
                message = f"{name!r} shares {shared!r} here, and {known[name]!r} elsewhere in the set"
                yield _problem(message, _at(path, file), _MIXED)


def _at(path: Path, shard: str) -> Location:
    return Location(os.fspath(path.parent / shard))


def _problem(message: str, where: Location, hint: str = STALE) -> Diagnostic:
    return Diagnostic(Code.FORMAT, message, where, hint)


#: How the names of files end that ``torch.save`` writes.
TORCH_ENDINGS = (".pt", ".pth", ".bin", ".ckpt")
_ENDING = ".safetensors"
_WHOLE = "model.safetensors"
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$", re.IGNORECASE)
CLAIM_NAME = ".initcfg-run.json"
"""The file that says, while a set is unfinished, which set the folder is for."""


def is_index(path: str | PathLike[str]) -> bool:
    """Whether the name is that of an index of shards."""
    return os.fspath(path).lower().endswith(INDEX_ENDINGS)


def is_torch_file(path: str | PathLike[str]) -> bool:
    """Whether the name is that of a file that ``torch.save`` writes, or of an index of such files."""
    return os.fspath(path).lower().removesuffix(".index.json").endswith(TORCH_ENDINGS)


def find_weights(path: str | PathLike[str]) -> Path:
    """The file to read: in a folder its index, else its only safetensors file, else a FormatError."""
    if not isinstance(path, str | os.PathLike):
        way = "give the path of a file or a folder; a live module is held by initcfg.adapters.torch.verify"
        raise TypeError(f"weights are read from a path, not from {type(path).__name__}: {way}")
    given = Path(path)
    if "://" in os.fspath(path):
        message = "weights are read from local files, and this is a URL"
        raise refused(path, message, "fetch the file or the folder first", Code.INPUT)
    # Path.is_dir raises or not, by the version of Python; what cannot be looked at cannot be opened either.
    if not os.path.isdir(given):  # noqa: PTH112
        return given
    try:
        names = sorted(entry.name for entry in given.iterdir() if entry.name.lower().endswith(_ENDING))
    except OSError as error:
        message = f"cannot read the folder: {(error.strerror or str(error)).lower()}"
        raise refused(given, message, None, Code.INPUT) from None
    return _in_folder(given, names)


def _in_folder(folder: Path, names: list[str]) -> Path:
    index = folder / INDEX_NAME
    if os.path.lexists(index):
        if _WHOLE in names:
            # Loaders take the file, and leave a set that is newer unread.
            message = f"the folder has both {_WHOLE!r} and {INDEX_NAME!r}"
            raise refused(folder, message, "name the one that is meant, or delete the other")
        return index
    shards = [name for name in names if _SHARD.search(name)]
    if shards or os.path.lexists(folder / CLAIM_NAME):
        message = f"the folder holds an unfinished set: there is no {INDEX_NAME!r}"
        hint = (
            "give the command that wrote it again, or, where ranks did, initcfg finalize "
            f"{os.fspath(folder)!r}; if the shards were copied, fetch the index"
        )
        raise refused(folder, message, hint)
    if len(names) == 1:
        return folder / names[0]
    if names:
        shown = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
        message = f"the folder has {len(names)} safetensors files and no index: {shown}"
        raise refused(folder, message, "name the one that is meant")
    message = f"the folder has no weights: neither {INDEX_NAME!r} nor a {_ENDING} file"
    raise refused(folder, message, "name the file of the weights", Code.INPUT)
