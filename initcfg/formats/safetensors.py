"""Safetensors files, written as a stream: a JSON header of names, dtypes, shapes and offsets, then bytes.

Format: https://github.com/huggingface/safetensors#format. Tensors stand in the order of the reference writer,
the data starts at a multiple of 64, and nothing depends on the time or the machine: equal tensors and
metadata give equal files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from initcfg.formats.atomic import placing
from initcfg.formats.base import check_unique, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from initcfg.formats.base import Elements, TensorInfo

MAX_HEADER_BYTES = 100_000_000
_ALIGNMENT = 64
_METADATA = "__metadata__"
# The reference writer sorts by its own list of dtypes, the most aligned first, then by name.
_WIDE = ("U64", "I64", "F64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16")
_NARROW = ("F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL")
_RANK = {tag: rank for rank, tag in enumerate((*_WIDE, *_NARROW))}


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Where everything stands in a file.

    Args:
        header: the first bytes of the file, up to the data.
        tensors: in the order of the file.
        nbytes: the size of the file.
    """

    header: bytes
    tensors: tuple[TensorInfo, ...]
    nbytes: int


def layout(tensors: Sequence[TensorInfo], metadata: Mapping[str, str] | None = None) -> FileLayout:
    """The layout of a file with these tensors.

    Args:
        tensors: in any order; names are unique.
        metadata: texts for ``__metadata__``, beside ``"format": "pt"``, which transformers asks for.

    Raises:
        FormatError: a name, the metadata or the size of the header is not possible in this format.
    """
    check_unique(tensors)
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
    """Writes a file, whole or not at all, in the memory of a few chunks.

    Args:
        path: the file to make or to replace.
        tensors: what the file holds, in any order.
        elements: writes them, each at its place.
        metadata: texts for ``__metadata__``.

    Returns:
        The size of the file in bytes.

    Raises:
        FormatError: the format cannot hold a name or the header; nothing is written.
        OutputError: the file cannot be written; what stood there before is untouched.
    """
    place = layout(tensors, metadata)
    write_file(path, place, elements)
    return place.nbytes


def write_file(path: Path, place: FileLayout, elements: Elements, *, sweeping: bool = True) -> None:
    """Writes a file whose layout is known, whole or not at all, in the memory of a few chunks.

    Args:
        path: where.
        place: where everything stands in it.
        elements: of the tensors.
        sweeping: as in `placing`.

    Raises:
        OutputError: the file cannot be written; what stood there before is untouched.
    """
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
