"""The index of a sharded set of weights: which shard holds which tensor, in the layout of Hugging Face.

    {"metadata": {"total_size": 32}, "weight_map": {"h.0.w": "model-00001-of-00002.safetensors"}}

Here it is a value, its text, and the strict reader of that; `sharded` holds it against its shards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from initcfg.errors import Code, Diagnostic, FormatError, SpecError
from initcfg.formats.texts import read_content
from initcfg.process import gc_paused
from initcfg.text.json_entries import read_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    from initcfg.errors import Location
    from initcfg.text.json_entries import JsonEntries

INDEX_NAME = "model.safetensors.index.json"
"""The name of an index, which loaders look for in a folder."""
INDEX_ENDING = ".safetensors.index.json"
"""How the name of an index ends that is written here."""
INDEX_ENDINGS = (INDEX_ENDING, ".bin.index.json")
"""How the name of any index ends: those of safetensors files, and of files of torch."""
MAX_INDEX_BYTES = 2**28
"""The largest index that is read; a million tensors take about half of it."""

_SIZE = "total_size"
_PARAMETERS = "total_parameters"
TOTALS = (_SIZE, _PARAMETERS)
_METADATA = "metadata"
_MAP = "weight_map"
_MAX_PROBLEMS = 100
_WAY_OUT = 'an index is {"weight_map": {"h.0.w": "model-00001-of-00002.safetensors"}}'

_AGAIN = "write the index again, or fetch it again if it was copied"

_Problems: TypeAlias = "Iterator[Diagnostic]"


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says.

    Args:
        weight_map: the names of all tensors, each with the name of the file beside the index that holds it.
        total_size: the bytes of all elements, at least 0; None where a foreign index does not say it.
        total_parameters: how many elements there are, at least 0, or None.
        metadata: the texts that its writer stored.
        where: where each name stands in the file that was read; not compared.

    Raises:
        ValueError: a text of the metadata has the name of a total.
    """

    weight_map: Mapping[str, str]
    total_size: int | None = None
    total_parameters: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for key in TOTALS:
            if key in self.metadata:
                raise ValueError(f"{key} is a number, and no text of the metadata")


def index_text(index: Index) -> str:
    """An index as transformers writes it: JSON in the order of its keys, two blanks a level.

    Example:
        >>> print(index_text(Index({"w": "model-00001-of-00001.safetensors"}, total_size=24)), end="")
        {
          "metadata": {
            "total_size": 24
          },
          "weight_map": {
            "w": "model-00001-of-00001.safetensors"
          }
        }
    """
    totals = {_SIZE: index.total_size, _PARAMETERS: index.total_parameters}
    numbers = {key: number for key, number in totals.items() if number is not None}
    tree = {_METADATA: {**index.metadata, **numbers}, _MAP: dict(index.weight_map)}
    return json.dumps(tree, indent=2, sort_keys=True) + "\n"


def read_index(path: str | PathLike[str]) -> Index:
    """The index in a file; no shard is opened.

    Of the metadata of a foreign index the texts are kept, and so are the totals; it may have none.

    Args:
        path: of 256 MiB at most.

    Raises:
        FormatError: it cannot be read (code ``input``) or is no index (code ``format``), with every problem
            at its place.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> index = Index({"w": "model-00001-of-00001.safetensors"}, 24, metadata={"format": "pt"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, INDEX_NAME)
        ...     _ = path.write_text(index_text(index))
        ...     read_index(path) == index
        True
    """
    with _malformed():
        return _index(path, read_content(path, MAX_INDEX_BYTES, "an index of shards"))


def parse_index(path: str | PathLike[str], content: bytes) -> Index:
    """The index in bytes that somebody else has read.

    Args:
        path: for messages.
        content: the whole file.

    Raises:
        FormatError: as in `read_index`.
    """
    with _malformed():
        return _index(path, content)


def is_shard_name(name: object, ending: str = ".safetensors") -> bool:
    """Whether this is the plain name of a file with that ending, on any system: it stands beside its index.

    Example:
        >>> is_shard_name("model-00001-of-00002.safetensors"), is_shard_name("../a.safetensors")
        (True, False)
    """
    return (
        isinstance(name, str)
        and name.lower().endswith(ending)
        and name.isprintable()
        and not set("/\\:") & set(name)
    )


@contextlib.contextmanager
def _malformed() -> Iterator[None]:
    """A document that cannot be read as one is, here, a malformed weights file."""
    try:
        yield
    except SpecError as error:
        raise FormatError(*map(_recoded, error.diagnostics)) from None


def _recoded(problem: Diagnostic) -> Diagnostic:
    """A text that is no JSON is a malformed weights file like any other."""
    if problem.code in (Code.INPUT, Code.OUTSIDE_ROOT):
        return problem
    return dataclasses.replace(problem, code=Code.FORMAT, hint=problem.hint or _AGAIN)


def _index(path: str | PathLike[str], content: bytes) -> Index:
    with gc_paused():
        source = read_entries(content, os.fspath(path), frozenset({_METADATA, _MAP}))
    tree = source.tree
    problems = list(source.problems)
    if not isinstance(tree, dict) or not isinstance(tree.get(_MAP), dict):
        where = source.locate((_MAP,) if isinstance(tree, dict) and _MAP in tree else ())
        problems.append(_problem(f"an index has an object {_MAP!r} of names", where, _WAY_OUT))
        raise FormatError(*map(_recoded, problems))
    ending = ".bin" if os.fspath(path).lower().endswith(".bin.index.json") else ".safetensors"
    problems += [*_unknown(source), *_metadata_problems(source), *_shard_problems(source, ending)]
    if problems:
        raise FormatError(*map(_recoded, problems[:_MAX_PROBLEMS]))
    metadata: dict[str, Any] = tree.get(_METADATA, {})
    texts = {key: text for key, text in metadata.items() if isinstance(text, str)}
    places = dict(source.entries(_MAP)) if tree[_MAP] else {}
    return Index(tree[_MAP], metadata.get(_SIZE), metadata.get(_PARAMETERS), texts, places)


def _unknown(source: JsonEntries) -> _Problems:
    for key in source.tree:
        if key not in (_METADATA, _MAP):
            where = source.locate((key,), key=True)
            yield _problem(f"an index has no key {key!r}", where, f"its keys are {_METADATA} and {_MAP}")


def _metadata_problems(source: JsonEntries) -> _Problems:
    metadata = source.tree.get(_METADATA, {})
    if not isinstance(metadata, dict):
        yield _problem("the metadata of an index is an object", source.locate((_METADATA,)), _WAY_OUT)
        return
    for key in TOTALS:
        total = metadata.get(key, 0)
        if type(total) is not int or total < 0:
            where = source.locate((_METADATA, key))
            yield _problem(f"{key!r} is no whole number from 0 on", where, _AGAIN)


def _shard_problems(source: JsonEntries, ending: str) -> _Problems:
    """One for each wrong name of a shard, where it is first given, and of a tensor."""
    told = set()
    for name, shard in source.tree[_MAP].items():
        if not name:
            where = source.locate((_MAP, name), key=True)
            yield _problem("the name of a tensor is empty", where, _AGAIN)
        if is_shard_name(shard, ending) or repr(shard) in told:
            continue
        told.add(repr(shard))
        message = f"{shard!r} is not the name of a {ending} file beside the index"
        hint = "a shard stands in the folder of its index"
        yield _problem(message, source.locate((_MAP, name)), hint)
        if len(told) >= _MAX_PROBLEMS:
            return


def _problem(message: str, where: Location, hint: str) -> Diagnostic:
    return Diagnostic(Code.FORMAT, message, where, hint)
