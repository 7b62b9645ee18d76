"""Weights formats: names, dtypes, shapes and bytes out to a file, chosen by its suffix.

They know no spec and no plan. A format is a module with a `write` and a row in `FORMATS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from initcfg.errors import did_you_mean
from initcfg.formats import npz, safetensors
from initcfg.formats.base import Array, Elements, TensorInfo, WriteAt, WriteFunction, refuse

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "FORMATS",
    "Array",
    "Elements",
    "Format",
    "TensorInfo",
    "WriteAt",
    "WriteFunction",
    "format_of",
]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Args:
        name: what errors and listings call it.
        suffix: the end of its files' names, with the dot.
        write: streams a file, from its beginning to its end or by places, as the format allows.
        lists_aliases: whether readers expect a tied name to be left out and listed in the metadata; readers
            of other formats look each name up, so each is written.
    """

    name: str
    suffix: str
    write: WriteFunction
    lists_aliases: bool


FORMATS: dict[str, Format] = {
    row.suffix: row
    for row in (
        Format("safetensors", ".safetensors", safetensors.write, lists_aliases=True),
        Format("npz", ".npz", npz.write, lists_aliases=False),
    )
}


def format_of(path: str | PathLike[str]) -> Format:
    """The format that a file's suffix names, in either case.

    Raises:
        FormatError: no format has the suffix (code ``format``).

    Example:
        >>> format_of("runs/gpt2.safetensors").name
        'safetensors'
    """
    suffix = Path(path).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    known = " or ".join(FORMATS)
    problem = f"{suffix!r} names no weights format" if suffix else f"{str(path)!r} has no suffix"
    hint = f"end the file name in {known}; a folder for shards ends in '/' here, or goes to save_sharded"
    raise refuse(problem, did_you_mean(suffix, FORMATS) or hint)
