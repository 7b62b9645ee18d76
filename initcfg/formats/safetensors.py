"""Safetensors files: a JSON header of names, dtypes, shapes and offsets, then bytes.

Format: https://github.com/huggingface/safetensors#format. Tensors are written in the order of the reference
writer, the data starts at a multiple of 64, and nothing depends on the time or the machine: equal tensors and
metadata give equal files. In reading nothing is taken on trust: the length of the header is held against the
size of the file before a byte of it is read, and the tensors must fill the rest of the file without a gap or
an overlap.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from initcfg.dtypes import DTYPES
from initcfg.errors import FormatError, SpecError
from initcfg.formats.atomic import placing
from initcfg.formats.base import (
    Elements,
    Header,
    StoredTensor,
    TensorInfo,
    check_unique,
    malformed,
    refuse,
    tensors_in_place,
)
from initcfg.layout import shape_problem
from initcfg.process import gc_paused
from initcfg.text.inputs import open_input
from initcfg.text.json_values import read_entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path


MAX_HEADER_BYTES = 100_000_000
#: So many tensors take three times the memory of the longest header.
MAX_TENSORS = 2**19
_ALIGNMENT = 64
_METADATA = "__metadata__"
# The reference writer sorts by its own list of dtypes, the most aligned first, then by name.
_WIDE = ("U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16")
_NARROW = ("F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL")
_RANK = {tag: rank for rank, tag in enumerate((*_WIDE, *_NARROW))}
_LENGTH_BYTES = 8
_KEYS = {"dtype", "shape", "data_offsets"}
_BY_TAG = {dtype.tag: dtype for dtype in DTYPES.values()}


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Where everything stands in a file: its first bytes up to the data, the tensors in order, its size."""

    header: bytes
    tensors: tuple[TensorInfo, ...]
    nbytes: int


def layout(tensors: Sequence[TensorInfo], metadata: Mapping[str, str] | None = None) -> FileLayout:
    """The layout of a file with tensors in any order; a FormatError where the format does not allow them."""
    check_unique(tensors)
    if len(tensors) > MAX_TENSORS:
        message = f"a safetensors file may have {MAX_TENSORS:,} tensors, and these are {len(tensors):,}"
        raise refuse(message, "write a sharded set: -o FOLDER/ --shard-size 5GB, or save_sharded")
    ordered = tuple(sorted(tensors, key=lambda tensor: (_RANK[tensor.dtype.tag], tensor.name)))
    ends = tuple(accumulate(tensor.nbytes for tensor in ordered))
    begins = (0, *ends)[: len(ends)]
    entries: dict[str, object] = {_METADATA: _checked({"format": "pt", **(metadata or {})})}
    for tensor, begin, end in zip(ordered, begins, ends, strict=True):
        if tensor.name == _METADATA:
            raise refuse(
                f"a safetensors file cannot hold a tensor named {_METADATA!r}", "rename the parameter"
            )
        entries[tensor.name] = {
            "dtype": tensor.dtype.tag,
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    header = _encoded(entries)
    return FileLayout(header, ordered, len(header) + (ends[-1] if ends else 0))


def write(path: Path, tensors: Sequence[TensorInfo], elements: Elements, metadata: Mapping[str, str]) -> int:
    """Writes a file, whole or not at all, in the memory of a few chunks; gives its size."""
    place = layout(tensors, metadata)
    write_file(path, place, elements)
    return place.nbytes


def write_file(path: Path, place: FileLayout, elements: Elements, *, sweeping: bool = True) -> None:
    """Writes a file whose layout is known, whole or not at all, in the memory of a few chunks."""
    with placing(path, place.nbytes, sweeping=sweeping) as file:
        file.write(memoryview(place.header), 0)
        elements.write_at(place.tensors, len(place.header), file.write)


def _checked(metadata: Mapping[Any, Any]) -> dict[str, str]:
    """Metadata in a fixed order of keys."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise refuse(
                f"safetensors metadata holds texts only, not {key!r}: {value!r}", "write the value as a text"
            )
    return dict(sorted(metadata.items()))


def _encoded(entries: Mapping[str, object]) -> bytes:
    """The length and the JSON, padded with spaces so that the data is aligned."""
    try:
        body = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        raise refuse(
            f"a name or a text of the metadata holds {text!r}, which is not a character",
            "remove the lone surrogate",
        ) from None
    body += b" " * (-(len(body) + 8) % _ALIGNMENT)
    if len(body) > MAX_HEADER_BYTES:
        raise refuse(
            f"the header takes {len(body):,} bytes, a safetensors file may have {MAX_HEADER_BYTES:,}",
            "split the parameters over several files with select",
        )
    return len(body).to_bytes(8, "little") + body


def read_header(path: str | PathLike[str]) -> Header:
    """The header of a safetensors file; no element is read, and nothing larger than the file is allocated."""
    with open_input(path, FormatError) as file:
        return header_in(file, path)


def header_in(file: BinaryIO, path: str | PathLike[str], nbytes: int | None = None) -> Header:
    """The header of a file that is open at its beginning and has `nbytes`; `path` is for messages."""
    return _Reader(path, os.fstat(file.fileno()).st_size if nbytes is None else nbytes).header(file)


# Models have few different shapes; of a million that all differ a table would cost more than it saves.
_MAX_SHARED = 2**12


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one header; `path` is for messages, `size` is that of the file."""

    path: str | PathLike[str]
    size: int
    shapes: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)

    def header(self, file: BinaryIO) -> Header:
        length = self.length(file)
        begin = _LENGTH_BYTES + length
        entries = self.entries([file.read(length)], length, begin)
        metadata = self.metadata(entries.pop(_METADATA, {}))
        if not tensors_in_place(self.path, list(entries.values()), begin, self.size):
            self.fail("the tensors do not fill the file: there are bytes that belong to none")
        return Header(entries, metadata, self.size)

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        raise malformed(self.path, f"this is no whole safetensors file: {message}", hint)

    def length(self, file: BinaryIO) -> int:
        """How many bytes the JSON takes that comes next."""
        if self.size < _LENGTH_BYTES:
            self.fail(f"it has {self.size} bytes, and the length of its header alone takes 8")
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > self.size - _LENGTH_BYTES:
            self.fail(f"its header should have {length:,} bytes, the file has {self.size:,}")
        if length > MAX_HEADER_BYTES:
            self.fail(f"its header has {length:,} bytes, and {MAX_HEADER_BYTES:,} are allowed")
        return length

    def entries(self, text: list[bytes], length: int, data: int) -> dict[str, Any]:
        """The tensors that the JSON text describes, which nobody else holds, and its metadata."""
        if len(text[0]) < length or not text[0].startswith(b"{"):
            self.fail("its header is not a JSON object")

        def entry(name: str, written: Any) -> object:
            return written if name == _METADATA else self.tensor(name, written, data)

        groups, most = frozenset({_METADATA}), MAX_TENSORS + 1
        try:
            with gc_paused():
                source = read_entries(text.pop(), None, groups, entry, flat=True, most=most)
            problems = source.problems
        except SpecError as error:
            problems = error.diagnostics
        if problems:
            self.fail(f"its header is not JSON: {problems[-1].message.removeprefix('not JSON: ')}")
        return source.tree  # type: ignore[return-value]  # it begins with a brace

    def metadata(self, texts: Any) -> dict[str, str]:
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            self.fail(f"its {_METADATA!r} is not an object of texts")
        return texts

    def tensor(self, name: str, entry: Any, data: int) -> StoredTensor:
        if not isinstance(entry, dict) or entry.keys() != _KEYS:
            self.fail(f"the entry of tensor {name!r} does not have just the keys dtype, shape, data_offsets")
        tag, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(tag, str) or tag not in _BY_TAG:
            known = f"the known ones are {', '.join(sorted(_BY_TAG))}"
            raise malformed(self.path, f"tensor {name!r} has the dtype {tag!r}, which is not known", known)
        if shape_problem(shape):
            self.fail(f"the shape of tensor {name!r} is not a list of up to 64 whole numbers from 0 on")
        if shape_problem(offsets) or len(offsets) != 2:
            self.fail(f"the data_offsets of tensor {name!r} are not two whole numbers from 0 on")
        sizes = tuple(shape)
        if len(self.shapes) < _MAX_SHARED:
            sizes = self.shapes.setdefault(sizes, sizes)
        tensor = StoredTensor(name, _BY_TAG[tag], sizes, data + offsets[0])
        if tensor.nbytes != offsets[1] - offsets[0]:
            self.fail(
                f"tensor {name!r} takes {offsets[1] - offsets[0]:,} bytes, "
                f"its shape and dtype say {tensor.nbytes:,}"
            )
        return tensor
