"""Weights files as a source: what they hold, and any stretch of elements, read by place from any thread."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from initcfg.errors import Code, Diagnostic, FormatError, Location
from initcfg.formats import format_of
from initcfg.formats.header import read_header
from initcfg.formats.npz_header import read_npz_header
from initcfg.inputs import open_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from initcfg.formats import Array
    from initcfg.formats.header import Header, StoredTensor

__all__ = ["WeightsFile", "read_weights_header"]

_HEADERS: dict[str, Callable[[str | PathLike[str]], Header]] = {
    "safetensors": read_header,
    "npz": read_npz_header,
}


def read_weights_header(path: str | PathLike[str]) -> Header:
    """What a weights file holds; its suffix says which format it has.

    Raises:
        FormatError: no format has the suffix, it cannot be read, or it is malformed.
    """
    return _HEADERS[format_of(path).name](path)


@dataclass
class WeightsFile:
    """A weights file that is open for reading, used as a context.

    Args:
        path: the file.
    """

    path: Path
    header: Header = field(init=False)
    _file: BinaryIO = field(init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __enter__(self) -> Self:
        self.header = read_weights_header(self.path)
        self._file = open_input(self.path, FormatError)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, tensor: StoredTensor, start: int, stop: int) -> Array:
        """The elements [start, stop) of a tensor, in C order; several threads may read at once.

        Raises:
            FormatError: the file has become shorter since its header was read, or the disk fails.
        """
        elements = np.empty(stop - start, tensor.dtype.numpy)
        # Through uint8, because ml_dtypes arrays do not offer their own bytes.
        left = elements.view(np.uint8).data
        at = tensor.begin + start * tensor.dtype.itemsize
        try:
            while left:
                count = self._read_into(left, at)
                if not count:
                    raise OSError(0, "it ends too early; was it changed meanwhile?")
                left, at = left[count:], at + count
        except OSError as error:
            message = f"cannot read the tensor {tensor.name!r}: {error.strerror}"
            raise FormatError(Diagnostic(Code.INPUT, message, Location(os.fspath(self.path)))) from None
        return elements if sys.byteorder == "little" else elements.byteswap()

    def _read_into(self, buffer: memoryview, at: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [buffer], at)
        with self._lock:
            self._file.seek(at)
            return self._file.readinto(buffer) or 0  # type: ignore[attr-defined]
