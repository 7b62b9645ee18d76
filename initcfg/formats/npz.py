"""NumPy's npz files: a zip archive with one stored ``.npy`` member a tensor, no pickles.

Formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and ZIP64. Files are written
as a stream. Metadata, for which npz has no place, is the archive's comment, as JSON. Members have a fixed
date, so equal tensors give equal files. Only what NumPy's ``savez`` and this package write is read: members
stored as they are, in C order and little endian, so that any element can be read alone.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from initcfg.dtypes import as_dtype
from initcfg.errors import FormatError, InitializerError
from initcfg.formats.atomic import replacing
from initcfg.formats.base import (
    Elements,
    Header,
    StoredTensor,
    TensorInfo,
    check_unique,
    finish,
    malformed,
    refuse,
    tensors_in_place,
    write_elements,
)
from initcfg.layout import shape_problem
from initcfg.text.inputs import open_input
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path


_MAX_COMMENT_BYTES = 65_535
_MAX_NAME_BYTES = 4_096
# Local header, central directory entry, their ZIP64 fields and the end records, rounded up.
_BYTES_A_MEMBER = 256
_UNIX = 3
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")
_SUFFIX = ".npy"
_LOCAL = struct.Struct("<4s22xHH")
_ENCRYPTED = 1
# Python's parser takes a thousand times the memory of a text; 64 axes take less than this.
_MAX_HEAD = 2048
# How many bytes tell the length of a header, and its reader, by version.
_VERSIONS = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}


def write(path: Path, tensors: Sequence[TensorInfo], elements: Elements, metadata: Mapping[str, str]) -> int:
    """Writes an archive, whole or not at all, in the memory of a chunk, its members in this order."""
    check_unique(tensors)
    headers = [_npy_header(tensor) for tensor in tensors]
    members = [_member(tensor) for tensor in tensors]
    comment = _comment(metadata)
    overhead = sum(len(member.filename.encode()) * 2 + _BYTES_A_MEMBER for member in members)
    nbytes = sum(tensor.nbytes for tensor in tensors) + sum(map(len, headers)) + overhead + len(comment)
    with replacing(path, nbytes) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.comment = comment
            chunks = elements.in_order(tensors)
            for tensor, header, member in zip(tensors, headers, members, strict=True):
                with archive.open(member, "w", force_zip64=True) as body:
                    body.write(header)
                    write_elements(body, tensor, chunks)
            finish(chunks)
        return file.tell()


def _member(tensor: TensorInfo) -> zipfile.ZipInfo:
    """The archive's entry, with everything in it fixed that zipfile would take from the machine."""
    problem = _problem(tensor.name)
    if problem:
        raise refuse(
            f"an npz file cannot hold a tensor named {tensor.name!r}: {problem}",
            "write a .safetensors file, which takes any name, or rename the parameter",
        )
    member = zipfile.ZipInfo(f"{tensor.name}.npy")
    member.create_system = _UNIX
    member.external_attr = 0o644 << 16
    return member


def _problem(name: str) -> str | None:
    """Whether an unpacker could write it elsewhere, or `np.load` would not find it again."""
    segments = name.split("/")
    if not name or "" in segments or "." in segments or ".." in segments:
        return "its path has an empty, '.' or '..' segment"
    if "\\" in name or "\0" in name or _DRIVE.match(name):
        return "it holds a backslash, a NUL or a drive letter"
    if any(_DEVICE.fullmatch(segment) for segment in segments):
        return "it names a device of Windows"
    if name.endswith(".npy"):
        return "np.load takes '.npy' away from names"
    try:
        too_long = len(name.encode()) > _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return "it holds a lone surrogate"
    return f"it is longer than {_MAX_NAME_BYTES:,} bytes" if too_long else None


def _npy_header(tensor: TensorInfo) -> bytes:
    """The magic string, version 1.0 and the description of one array."""
    dtype = tensor.dtype.numpy
    if dtype.isbuiltin != 1:
        raise refuse(
            f"an npz file cannot hold {tensor.name!r}: NumPy has no type {tensor.dtype.name!r} of its own",
            "write a .safetensors file, or give the parameter another dtype",
        )
    header = io.BytesIO()
    description = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": tensor.shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def _comment(metadata: Mapping[str, str]) -> bytes:
    comment = json.dumps(dict(metadata), sort_keys=True, separators=(",", ":")).encode() if metadata else b""
    if len(comment) > _MAX_COMMENT_BYTES:
        raise refuse(
            f"the metadata takes {len(comment):,} bytes, an npz file may have {_MAX_COMMENT_BYTES:,}",
            "write a .safetensors file, or less metadata",
        )
    return comment


def read_header(path: str | PathLike[str]) -> Header:
    """What an npz file holds, and its comment as metadata; a FormatError unless all is stored plainly."""
    with open_input(path, FormatError) as file:
        return header_in(file, path)


def header_in(file: BinaryIO, path: str | PathLike[str]) -> Header:
    """What an npz file holds that is open for reading; `path` is for messages."""
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            reader = _Reader(path, file, size)
            tensors = [reader.tensor(member) for member in archive.infolist()]
            metadata = _metadata(archive.comment)
    except FormatError:
        raise
    except (
        Exception
    ) as error:  # what zipfile and Python's own parser answer to bytes that are none has no list
        is_archive = isinstance(error, zipfile.BadZipFile | EOFError | OSError)
        reason = str(error).partition(".")[0] if is_archive else "the header of a member describes no array"
        raise malformed(path, f"this is no whole npz file: {reason}") from None
    tensors_in_place(path, tensors, 0, size)
    named = {tensor.name: tensor for tensor in tensors}
    if len(named) < len(tensors):
        raise malformed(path, "two arrays of the file have one name")
    return Header(named, metadata, size)


def _metadata(comment: bytes) -> dict[str, str]:
    """The texts in an archive's comment; none in one that another program wrote."""
    try:
        texts = parse_json(comment)
    except ValueError:
        return {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        return {}
    return texts


class _Reader:
    """Reads the heads of an archive's members."""

    def __init__(self, path: str | PathLike[str], file: BinaryIO, size: int) -> None:
        self.path = path
        self.file = file
        self.size = size

    def fail(self, member: zipfile.ZipInfo, message: str, hint: str | None = None) -> NoReturn:
        raise malformed(self.path, f"the member {member.filename!r} {message}", hint)

    def tensor(self, member: zipfile.ZipInfo) -> StoredTensor:
        if not member.filename.endswith(_SUFFIX):
            self.fail(member, "is no .npy file", "an npz file holds arrays only")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            self.fail(member, "is compressed or encrypted", "write it with numpy.savez, which stores arrays")
        begin = self.body(member)
        dtype, shape = self.head(member, begin)
        data = self.file.tell()
        tensor = StoredTensor(member.filename.removesuffix(_SUFFIX), dtype, shape, data)
        if data + tensor.nbytes != begin + member.file_size or data + tensor.nbytes > self.size:
            self.fail(member, "does not have the bytes that its shape and dtype say")
        return tensor

    def body(self, member: zipfile.ZipInfo) -> int:
        """Where a member's content begins, behind the header that stands before it."""
        self.file.seek(member.header_offset)
        local = self.file.read(_LOCAL.size)
        if len(local) < _LOCAL.size or not local.startswith(b"PK\x03\x04"):
            self.fail(member, "does not begin where the archive says")
        _, name, extra = _LOCAL.unpack(local)
        return member.header_offset + _LOCAL.size + int(name) + int(extra)

    def head(self, member: zipfile.ZipInfo, begin: int) -> tuple[Any, tuple[int, ...]]:
        """The dtype and the shape of an array; the file is then at its first element."""
        self.file.seek(begin)
        version = np.lib.format.read_magic(self.file)
        if version not in _VERSIONS:
            self.fail(member, f"is a .npy file of version {version}", "the versions 1.0 and 2.0 are read")
        length_bytes, read = _VERSIONS[version]
        at = self.file.tell()
        # NumPy would make room for as many bytes as the file claims.
        length = int.from_bytes(self.file.read(length_bytes), "little")
        if length > self.size - self.file.tell():
            self.fail(member, f"should have a header of {length:,} bytes, which are not there")
        self.file.seek(at)
        with warnings.catch_warnings():
            # Of aliases of dtypes, and of text that Python will refuse one day.
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(self.file, max_header_size=_MAX_HEAD)
        if dtype.hasobject or not dtype.isnative or (fortran and len(shape) > 1):
            self.fail(
                member,
                "holds objects, or is big endian or in Fortran order",
                "save numpy.ascontiguousarray(array) of a plain dtype",
            )
        try:
            row = as_dtype(dtype)
        except InitializerError as error:
            raise malformed(self.path, f"{member.filename!r}: {error.diagnostics[0].message}") from None
        if row.numpy != dtype or shape_problem(shape):
            self.fail(member, f"has the dtype {dtype} or the shape {shape}, which are not read")
        return row, shape
