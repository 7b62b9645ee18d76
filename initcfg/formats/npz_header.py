"""The strict reader of what an npz file holds: places, dtypes and shapes of its arrays, no elements.

Only what NumPy's ``savez`` and this package write is read: members stored as they are, in C order and little
endian, so that any element can be read alone.
"""

from __future__ import annotations

import os
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from initcfg.dtypes import as_dtype
from initcfg.errors import FormatError, InitializerError
from initcfg.formats.header import Header, StoredTensor, is_shape, malformed, tensors_in_place
from initcfg.inputs import open_input
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from os import PathLike

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


def read_npz_header(path: str | PathLike[str]) -> Header:
    """What an npz file holds; its comment, where it is a JSON object of texts, is the metadata.

    Raises:
        FormatError: it cannot be read (code ``input``), is no npz file, or holds what is not read here: a
            compressed, big-endian or Fortran-ordered array, or a dtype that is not known (code ``format``).
    """
    with open_input(path, FormatError) as file:
        return npz_header_in(file, path)


def npz_header_in(file: BinaryIO, path: str | PathLike[str]) -> Header:
    """What an npz file holds that is open for reading; `path` is for messages.

    Raises:
        FormatError: as `read_npz_header`.
    """
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
        texts = parse_json(comment.decode())
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
        if row.numpy != dtype or not is_shape(shape):
            self.fail(member, f"has the dtype {dtype} or the shape {shape}, which are not read")
        return row, shape
