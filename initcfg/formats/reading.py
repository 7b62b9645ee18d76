"""Weights as a source, read by place from any thread; and their names as a plan has them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self

from initcfg.errors import Code, FormatError, Location, SpecError
from initcfg.formats import FORMATS, Array, format_of
from initcfg.formats.base import KEPT, TIED_KEY, FilePool, Header, LoadedTensor, StoredTensor, tied_names
from initcfg.formats.index import TORCH_ENDINGS, find_weights, is_index, is_torch_file, read_set
from initcfg.formats.torch_files import torch_tensors
from initcfg.process import lazy

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    import numpy as np
else:
    np = lazy("numpy")


_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WILD = re.compile(r"[*?\[\]{}]")


@dataclass(frozen=True, slots=True)
class _Rename:
    """One pattern of leading segments, and what takes their place."""

    source: str
    target: str
    pattern: re.Pattern[str]

    def __call__(self, name: str) -> str | None:
        found = self.pattern.fullmatch(name)
        if found is None:
            return None
        begun = _CAPTURE.sub(lambda capture: found[capture[1]], self.target)
        return ".".join(part for part in (begun, found["rest_of_the_name"]) if part)


@dataclass(frozen=True, slots=True)
class Renames:
    """What a plan calls the tensors of weights: the first rename that fits replaces leading segments."""

    renames: tuple[_Rename, ...] = ()

    @classmethod
    def of(cls, given: RenamesLike) -> Renames:
        """The renames that a mapping says, or texts such as ``"old.{i}=new.{i}"``.

        Old names are those of the weights. An empty new name takes the segments away, an empty old one puts
        segments before every name. A SpecError where one is malformed.

        Example:
            >>> renames = Renames.of({"layers.{i}.q_proj": "layer.{i}.query", "model": ""})
            >>> [renames(name) for name in ("layers.3.q_proj.bias", "model.norm", "head")]
            ['layer.3.query.bias', 'norm', 'head']
        """
        if isinstance(given, Renames):
            return given
        pairs = given.items() if isinstance(given, Mapping) else map(_halves, given)
        return cls(tuple(_rename(source, target) for source, target in pairs))

    def __bool__(self) -> bool:
        return bool(self.renames)

    def arguments(self) -> list[str]:
        """The renames as they are written on a command line."""
        return [word for each in self.renames for word in ("--rename", f"{each.source}={each.target}")]

    def __call__(self, name: str) -> str:
        """The name that the plan has."""
        return next((new for each in self.renames if (new := each(name)) is not None), name)

    def of_all(self, names: Iterable[str], where: str) -> dict[str, str]:
        """The plan's name for each; a SpecError where a rename fits no name, or two become one."""
        if not self:
            return {name: name for name in names}
        renamed: dict[str, str] = {}
        taken: dict[str, str] = {}
        idle = dict.fromkeys(self.renames)
        for name in names:
            found = next(((each, new) for each in self.renames if (new := each(name)) is not None), None)
            if found is not None:
                idle.pop(found[0], None)
            new = renamed[name] = name if found is None else found[1]
            other = taken.setdefault(new, name)
            if other != name:
                message = f"{other!r} and {name!r} in {where} are both called {new!r} after they are renamed"
                raise _refused(message, "let each rename give names of its own")
        for each in idle:
            message = f"the rename {each.source}={each.target} fits no name in {where}"
            hint = "the name that the weights have stands first, that of the plan after it"
            raise _refused(message, hint)
        return renamed

    def applied(self, header: Header, path: str | PathLike[str], what: str = "the file") -> Header:
        """A header with the names that the plan has; the errors are those of `of_all`."""
        if not self:
            return header
        try:
            tied = tied_names(header.metadata)
        except ValueError as error:
            message = f"the metadata {TIED_KEY!r} of the file {error}"
            raise FormatError.of(Code.FORMAT, message, where=Location(str(path))) from None
        names = self.of_all(dict.fromkeys((*header.tensors, *tied)), what)
        tensors = {
            names[name]: dataclasses.replace(tensor, name=names[name])
            for name, tensor in header.tensors.items()
        }
        metadata = dict(header.metadata)
        if tied:
            moved = {names[name]: names.get(target, target) for name, target in tied.items()}
            metadata[TIED_KEY] = json.dumps(moved, sort_keys=True, ensure_ascii=False)
        return dataclasses.replace(header, tensors=tensors, metadata=metadata)


RenamesLike = Renames | Mapping[str, str] | Iterable[str]
"""What `Renames.of` takes."""


def _halves(text: str) -> tuple[str, str]:
    source, equals, target = text.partition("=")
    if not equals:
        raise _refused(f"the rename {text!r} has no '='", "write WEIGHTS_NAME=PLAN_NAME, as model.h=h")
    return source.strip(), target.strip()


def _rename(source: str, target: str) -> _Rename:
    captures = _CAPTURE.findall(source)
    for half in (source, target):
        if _WILD.search(_CAPTURE.sub("", half)):
            message = f"{half!r} in a rename has a wildcard or a brace that captures nothing"
            raise _refused(message, "write leading segments, with {i} where one is a number")
        if half and not all(half.split(".")):
            raise _refused(f"{half!r} in a rename has an empty segment", "write whole segments, as model.h")
    wrong = [part for part in source.split(".") if "{" in part and not _CAPTURE.fullmatch(part)]
    if wrong or len(set(captures)) != len(captures):
        message = f"the captures of {source!r} in a rename cannot be told apart from what is around them"
        raise _refused(message, "let each {i} be a segment of its own, and each name stand once")
    unknown = [name for name in _CAPTURE.findall(target) if name not in captures]
    if unknown:
        message = f"{{{unknown[0]}}} in {target!r} is not captured in {source!r}"
        raise _refused(message, "use the names of the left side on the right")
    if source == target:
        raise _refused(f"{source!r} is renamed to itself", "leave the rename out")
    parts = [
        f"(?P<{capture[1]}>[0-9]+)" if (capture := _CAPTURE.fullmatch(part)) else re.escape(part)
        for part in source.split(".")
    ]
    begun = r"\.".join(parts)
    rest = r"(?:\.(?P<rest_of_the_name>.+))?" if source else r"(?P<rest_of_the_name>.+)"
    return _Rename(source, target, re.compile(begun + rest, re.DOTALL))


def _refused(message: str, hint: str) -> SpecError:
    return SpecError.of(Code.PATTERN, message, hint=hint)


_ENDINGS = (
    f"weights that can be read end in {', '.join((*FORMATS, *TORCH_ENDINGS))}, or are a folder of shards; "
    "a spec or a plan holds no weights"
)


def open_weights(path: str | PathLike[str], rename: RenamesLike = (), *, kept: int = KEPT) -> WeightsFile:
    """Weights that are open for reading, as a context; `kept` files stay open while nobody reads."""
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
