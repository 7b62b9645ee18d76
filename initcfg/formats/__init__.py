"""Weights formats by suffix: a row of `FORMATS` and a module, loaded for its first file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from initcfg.errors import Code, FormatError, Location
from initcfg.formats.base import Array, Elements, Header, TensorInfo, WriteAt
from initcfg.names import did_you_mean
from initcfg.process import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike


__all__ = ["FORMATS", "Array", "Elements", "Format", "TensorInfo", "WriteAt", "format_of"]


class FormatModule(Protocol):
    """What the module of a format has."""

    @staticmethod
    def write(
        path: Path, tensors: Sequence[TensorInfo], elements: Elements, metadata: Mapping[str, str]
    ) -> int:
        """Writes a file, whole or not at all, and gives its size in bytes."""

    @staticmethod
    def read_header(path: str | PathLike[str]) -> Header:
        """What a file holds; no element is read."""

    @staticmethod
    def header_in(file: BinaryIO, path: str | PathLike[str]) -> Header:
        """The same, of a file that is open at its beginning; `path` is for messages."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its module, its suffix, and whether tied names are listed in the metadata."""

    name: str
    suffix: str
    lists_aliases: bool

    @property
    def module(self) -> FormatModule:
        """What writes and reads its files."""
        return cast("FormatModule", load(f"initcfg.formats.{self.name}"))


FORMATS: dict[str, Format] = {
    row.suffix: row
    for row in (
        Format("safetensors", ".safetensors", lists_aliases=True),
        Format("npz", ".npz", lists_aliases=False),
    )
}


def format_of(path: str | PathLike[str], hint: str | None = None) -> Format:
    """The format that a file's suffix names, in either case; a FormatError where none has it."""
    suffix = Path(path).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    known = " or ".join(FORMATS)
    problem = f"{suffix!r} is not a format of weights" if suffix else f"{str(path)!r} has no suffix"
    hint = (
        hint or f"end the file name in {known}; for a folder of shards write -o DIR/, in Python save_sharded"
    )
    hint = did_you_mean(suffix, FORMATS) or hint
    raise FormatError.of(Code.FORMAT, problem, hint=hint, where=Location(os.fspath(path)))
