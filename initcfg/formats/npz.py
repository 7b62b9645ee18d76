"""NumPy's npz files, written as a stream: a zip archive with one stored ``.npy`` member a tensor, no pickles.

Formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and ZIP64. Metadata, for which
npz has no place, is the archive's comment, as JSON. Members have a fixed date, so equal tensors give equal
files.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

from initcfg.formats.atomic import replacing
from initcfg.formats.base import check_unique, finish, refuse, write_elements

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from initcfg.formats.base import Elements, TensorInfo

_MAX_COMMENT_BYTES = 65_535
_MAX_NAME_BYTES = 4_096
# Local header, central directory entry, their ZIP64 fields and the end records, rounded up.
_BYTES_A_MEMBER = 256
_UNIX = 3
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def write(path: Path, tensors: Sequence[TensorInfo], elements: Elements, metadata: Mapping[str, str]) -> int:
    """Writes an archive, whole or not at all, in the memory of a chunk.

    Args:
        path: the file to make or to replace.
        tensors: what the archive holds, in the order of its members.
        elements: gives them in that order; a member's checksum is known only when it has passed.
        metadata: texts for the archive's comment, 65,535 bytes at most.

    Returns:
        The size of the file in bytes.

    Raises:
        FormatError: the format cannot hold a name, a dtype or the metadata; nothing is written.
        OutputError: the file cannot be written; what stood there before is untouched.
    """
    import zipfile  # noqa: PLC0415  only this format needs it

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
    import zipfile  # noqa: PLC0415  as above

    _check_name(tensor.name)
    member = zipfile.ZipInfo(f"{tensor.name}.npy")
    member.create_system = _UNIX
    member.external_attr = 0o644 << 16
    return member


def _check_name(name: str) -> None:
    """Refuses what an unpacker could write elsewhere, and what `np.load` would not find again."""
    problem = _problem(name)
    if problem:
        raise refuse(
            f"an npz file cannot hold a tensor named {name!r}: {problem}",
            "write a .safetensors file, which takes any name, or rename the parameter",
        )


def _problem(name: str) -> str | None:
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
    import numpy as np  # noqa: PLC0415  to read other files takes no numpy

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
