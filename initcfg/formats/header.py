"""What a weights file says that it holds, and the strict reader of a safetensors header.

Format: https://github.com/huggingface/safetensors#format. Nothing is taken on trust: the length of the header
is held against the size of the file before a byte of it is read, and the tensors must fill the rest of the
file without a gap or an overlap.
"""

from __future__ import annotations

import io
import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from initcfg.dtypes import DTYPES
from initcfg.errors import Code, Diagnostic, FormatError, Location
from initcfg.formats.safetensors import MAX_HEADER_BYTES
from initcfg.inputs import open_input
from initcfg.text.json_values import check_cost, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from initcfg.dtypes import DType

_LENGTH_BYTES = 8
_MAX_NDIM = 64  # as many as NumPy and manifests have
_METADATA = "__metadata__"
_KEYS = {"dtype", "shape", "data_offsets"}
_NUMBER = re.compile("0*([0-9]+)")
_BY_TAG = {dtype.tag: dtype for dtype in DTYPES.values()}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file.

    Args:
        name: as the file has it.
        dtype: of its elements.
        shape: dimensions, each at least 0.
        begin: where its first byte stands, counted from the beginning of the file.
        shard: the name of the file, where it is one of a sharded set.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    begin: int
    shard: str | None = None

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Header:
    """What a file or a sharded set holds, without its elements.

    Args:
        tensors: by name, in the order of the file's header, or of the set's index.
        metadata: the texts that its writer stored.
        nbytes: the size of the file, or of all shards.
        shards: the names of the shards; none in a single file.
    """

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    nbytes: int
    shards: tuple[str, ...] = ()


def read_header(path: str | PathLike[str]) -> Header:
    """The header of a safetensors file; no element is read, and nothing larger than the file is allocated.

    Raises:
        FormatError: it cannot be read (code ``input``), or is no whole safetensors file (code ``format``).

    Example:
        >>> import initcfg, tempfile
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [2, 3], "initializer": "ones"}}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = initcfg.save(spec, f"{folder}/w.safetensors").path
        ...     read_header(path).tensors["w"].shape
        (2, 3)
    """
    with open_input(path, FormatError) as file:
        return header_in(file, path)


def header_in(file: BinaryIO, path: str | PathLike[str]) -> Header:
    """The header of a safetensors file that is open at its beginning; `path` is for messages.

    Raises:
        FormatError: as `read_header`.
    """
    return _Reader(path, os.fstat(file.fileno()).st_size).header(file)


def parse_header(path: str | PathLike[str], content: bytes, nbytes: int) -> Header:
    """The header of a safetensors file whose first bytes somebody else has read.

    Args:
        path: for messages.
        content: from the beginning of the file to the end of its header at least.
        nbytes: the size of the file.

    Raises:
        FormatError: it is no whole safetensors file (code ``format``).
    """
    return _Reader(path, nbytes).header(io.BytesIO(content))


def natural_key(name: str) -> tuple[str, str]:
    """What names are sorted by as a person would: by the numbers in them, not by the digits of these.

    A safetensors file and an index have their tensors in the order of the alphabet, which says nothing of the
    model.

    Example:
        >>> sorted(["h.10.w", "h.2.w", "h.1.w", "h"], key=natural_key)
        ['h', 'h.1.w', 'h.2.w', 'h.10.w']
    """
    return ".".join(map(_sortable, name.split("."))), name


# The names of a model are made of few segments.
@lru_cache(4096)
def _sortable(segment: str) -> str:
    """A segment, each number in it begun by how many digits it has, so that texts sort as the numbers do."""
    return _NUMBER.sub(lambda found: f"{len(found[1]):09}{found[1]}", segment)


def tensors_in_place(path: str | PathLike[str], tensors: list[StoredTensor], begin: int, end: int) -> bool:
    """Whether tensors fill the bytes from `begin` to `end` without a gap.

    Raises:
        FormatError: two of them overlap, or one ends behind `end` (code ``format``).
    """
    solid, at = True, begin
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.nbytes)):
        if tensor.begin < at:
            raise malformed(path, f"the bytes of tensor {tensor.name!r} overlap with those before it")
        solid &= tensor.begin == at
        at = tensor.begin + tensor.nbytes
        if at > end:
            raise malformed(
                path, f"tensor {tensor.name!r} ends {at - end:,} bytes behind the end of the data"
            )
    return solid and at == end


def malformed(path: str | PathLike[str], message: str, hint: str | None = None) -> FormatError:
    """The error for a file that is not what its name says."""
    way_out = hint or "write the file again, or fetch it again if it was copied"
    return FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(path)), way_out))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one header; `path` is for messages, `size` is that of the file."""

    path: str | PathLike[str]
    size: int

    def header(self, file: BinaryIO) -> Header:
        entries = self.entries(file)
        begin = file.tell()
        metadata = self.metadata(entries.pop(_METADATA, {}))
        tensors = [self.tensor(name, entry, begin) for name, entry in entries.items()]
        if not tensors_in_place(self.path, tensors, begin, self.size):
            self.fail("the tensors do not fill the file: there are bytes that belong to none")
        return Header({tensor.name: tensor for tensor in tensors}, metadata, self.size)

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        raise malformed(self.path, f"this is no whole safetensors file: {message}", hint)

    def entries(self, file: BinaryIO) -> dict[str, Any]:
        """The JSON at the beginning; the file is then at its first tensor."""
        if self.size < _LENGTH_BYTES:
            self.fail(f"it has {self.size} bytes, and the length of its header alone takes 8")
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > self.size - _LENGTH_BYTES:
            self.fail(f"its header should have {length:,} bytes, the file has {self.size:,}")
        if length > MAX_HEADER_BYTES:
            self.fail(f"its header has {length:,} bytes, and {MAX_HEADER_BYTES:,} are allowed")
        text = file.read(length)
        if len(text) < length or not text.startswith(b"{"):
            self.fail("its header is not a JSON object")
        try:
            check_cost(text)
            entries: dict[str, Any] = parse_json(text.decode())
        except ValueError as error:  # of UTF-8, or a JsonError
            self.fail(f"its header is not JSON: {error}")
        return entries

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
        if not is_shape(shape):
            self.fail(f"the shape of tensor {name!r} is not a list of up to 64 whole numbers from 0 on")
        if not is_shape(offsets) or len(offsets) != 2:
            self.fail(f"the data_offsets of tensor {name!r} are not two whole numbers from 0 on")
        tensor = StoredTensor(name, _BY_TAG[tag], tuple(shape), data + offsets[0])
        if tensor.nbytes != offsets[1] - offsets[0]:
            self.fail(
                f"tensor {name!r} takes {offsets[1] - offsets[0]:,} bytes, "
                f"its shape and dtype say {tensor.nbytes:,}"
            )
        return tensor


def is_shape(sizes: object) -> bool:
    """Whether this is a list or a tuple of at most 64 integers that a file may have bytes for."""
    return (
        isinstance(sizes, list | tuple)
        and len(sizes) <= _MAX_NDIM
        and all(type(size) is int and 0 <= size < 2**63 for size in sizes)
    )
