"""Weights as a source: what they hold, and any stretch of elements, read by place from any thread."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from initcfg.errors import Code, FormatError, Location
from initcfg.formats import FORMATS, format_of
from initcfg.formats.base import KEPT, TIED_KEY, FilePool, Header, StoredTensor
from initcfg.formats.discovery import TORCH_ENDINGS, find_weights, is_index, is_torch_file
from initcfg.formats.index import read_set
from initcfg.formats.renaming import Renames
from initcfg.formats.torch_files import torch_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path
    from typing import Self

    from initcfg.formats import Array
    from initcfg.formats.base import LoadedTensor
    from initcfg.formats.renaming import RenamesLike

_ENDINGS = (
    f"weights that can be read end in {', '.join((*FORMATS, *TORCH_ENDINGS))}, or are a folder of shards; "
    "a spec or a plan is none"
)


def open_weights(path: str | PathLike[str], rename: RenamesLike = (), *, kept: int = KEPT) -> WeightsFile:
    """Weights that are open for reading, as a context: a single file, a sharded set, or what torch reads.

    Args:
        path: what `find_weights` takes, and names weights.
        rename: what `Renames.of` takes, for the names that its tensors are to have.
        kept: how many files stay open while nobody reads; with 0 it need not be left as a context.

    Raises:
        FormatError: it is none of these or cannot be read, a file is malformed, or index and shards do not
            say the same.
        SpecError: a rename is malformed, fits no name, or two names become one.
    """
    found = find_weights(path)
    if is_torch_file(found):
        return LoadedWeights(found, torch_tensors(found), {}, rename)
    return WeightsFile(found, rename, kept)


class WeightsFile:
    """Weights that are open for reading, used as a context; a shard is opened when it is first read."""

    what = "the file"
    """What messages call the weights."""

    def __init__(self, path: str | PathLike[str], rename: RenamesLike = (), kept: int = KEPT) -> None:
        self.path = find_weights(path)
        """The file, or the index of a set."""
        self._files = FilePool(kept)
        self._lock = threading.Lock()
        try:
            self.header = Renames.of(rename).applied(self._read_header(), self.path)
        except BaseException:
            self._files.close()
            raise
        self._shards = {shard: self.path.parent / shard for shard in self.header.shards}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def is_file(self) -> bool:
        """Whether the weights are no live model's."""
        return self.what == WeightsFile.what

    def read(self, tensor: StoredTensor, start: int, stop: int) -> Array:
        """The elements [start, stop) of a tensor, in C order; several threads may read at once."""
        elements = np.empty(stop - start, tensor.dtype.numpy)
        # Through uint8, because ml_dtypes arrays do not offer their own bytes.
        left = elements.view(np.uint8).data
        at = tensor.begin + start * tensor.dtype.itemsize
        try:
            with self._files.using(self.file_of(tensor)) as file:
                while left:
                    count = self._read_into(file, left, at)
                    if not count:
                        raise OSError(0, "it ends too early; was it changed meanwhile?")
                    left, at = left[count:], at + count
        except OSError as error:
            message = f"cannot read the tensor {tensor.name!r}: {error.strerror}"
            raise FormatError.of(Code.INPUT, message, where=self.place_of(tensor)) from None
        return elements if sys.byteorder == "little" else elements.byteswap()

    def file_of(self, tensor: StoredTensor) -> Path:
        """The file that holds a tensor."""
        return self.path if tensor.shard is None else self._shards[tensor.shard]

    def place_of(self, tensor: StoredTensor) -> Location:
        """The file that holds a tensor, as the place of a diagnostic."""
        return Location(os.fspath(self.file_of(tensor)))

    def _read_header(self) -> Header:
        if is_index(self.path):
            return read_set(self.path, self._files)[0]
        with self._files.using(self.path) as file:
            return format_of(self.path, _ENDINGS).module.header_in(file, self.path)

    def _read_into(self, file: BinaryIO, buffer: memoryview, at: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(file.fileno(), [buffer], at)
        with self._lock:
            file.seek(at)
            return file.readinto(buffer) or 0  # type: ignore[attr-defined]


class LoadedWeights(WeightsFile):
    """Weights that another library holds, used as `WeightsFile` is; `path` is what messages call them."""

    def __init__(
        self,
        path: Path,
        tensors: Mapping[str, LoadedTensor],
        tied: Mapping[str, str],
        rename: RenamesLike = (),
        what: str = "the file",
    ) -> None:
        self.path = path
        self.what = what
        self._files = FilePool()
        self._tensors = list(tensors.values())
        # The place of a tensor is its number, which a rename leaves as it is.
        stored = {
            name: StoredTensor(name, each.dtype, each.shape, at)
            for at, (name, each) in enumerate(tensors.items())
        }
        metadata = {TIED_KEY: json.dumps(dict(tied))} if tied else {}
        nbytes = sum(math.prod(each.shape) * each.dtype.itemsize for each in self._tensors)
        self.header = Renames.of(rename).applied(Header(stored, metadata, nbytes), path, what)

    def read(self, tensor: StoredTensor, start: int, stop: int) -> Array:
        """The elements [start, stop) of a tensor, in C order; several threads may read at once."""
        return self._tensors[tensor.begin].read(start, stop)

    def file_of(self, tensor: StoredTensor) -> Path:  # noqa: ARG002 - all are in one
        """What holds a tensor."""
        return self.path
