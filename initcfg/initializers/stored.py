"""An initializer that copies a tensor of a weights file."""

from __future__ import annotations

import hashlib
import math
import os
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from initcfg.errors import Code, Diagnostic, FormatError, InitializerError
from initcfg.initializers.annotations import FileName, Sizes, TensorName
from initcfg.initializers.base import Cuttable, initializer
from initcfg.initializers.configs import is_by_content
from initcfg.initializers.values import check_kind, misfit
from initcfg.names import did_you_mean
from initcfg.process import LOADING
from initcfg.text.inputs import confined_to, confining_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.formats.base import StoredTensor
    from initcfg.formats.reading import WeightsFile
    from initcfg.initializers.custom import Request
    from initcfg.layout import Layout

__all__ = ["Pretrained"]

# Elements that are read at once for a digest.
_CHUNK = 1 << 20


@initializer
class Pretrained(Cuttable):
    """The values of a tensor in a weights file.

    Formula:
        w = file[name], or its rows from rows[0] up to rows[1]

    The tensor, or what `rows` takes of it, has the shape of the parameter. Floats are converted to the
    parameter's dtype and rounded once; integers and bools must be held exactly. Values are read slice by
    slice, when they are wanted.

    In a spec, `file` is relative to the document that names it and stays inside the root folder, `name` may
    hold vars and indices in braces, as ``h.{i}.weight``, and without it the tensor has the parameter's own
    full name. A plan's fingerprint covers the values, and neither the file nor the name.

    Args:
        file: a ``.safetensors`` or ``.npz`` file, the ``.safetensors.index.json`` of a sharded set, the
            folder of one, or, where torch is installed, a file that ``torch.save`` has written.
        name: the tensor in it; needed outside a spec.
        rows: two positions along the first axis, the first that is taken and the one after the last; default
            None, for all.

    Example:
        >>> import initcfg, tempfile
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [2, 3], "initializer": "ones"}}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = initcfg.save(spec, f"{folder}/base.safetensors")
        ...     Pretrained(f"{folder}/base.safetensors", "w")((2, 3), "float16")
        array([[1., 1., 1.],
               [1., 1., 1.]], dtype=float16)
    """

    MODULE: ClassVar[str] = "initcfg.initializers"

    file: FileName
    name: TensorName | None = None
    rows: Sizes | None = None

    if TYPE_CHECKING:  # a path may be of any kind; the attribute then is a text

        def __init__(
            self,
            file: str | os.PathLike[str],
            name: str | None = None,
            rows: Sequence[int] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Keeps the folder that the file may not be outside of, where a document is being planned."""
        object.__setattr__(self, "_root", confining_folder())

    def _conflict(self) -> Diagnostic | None:
        if self.rows is None or len(self.rows) == 2:
            return None
        hint = "give the first row and the one after the last: rows: [0, 100]"
        return Diagnostic(
            Code.INITIALIZER_CONFIG, f"'rows' are two positions, got {len(self.rows)}", hint=hint
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments by name; for the fingerprint of a plan a digest of the values."""
        return {"digest": self.digest()} if is_by_content() else super().get_config()

    @property
    def origin(self) -> str:
        """The tensor and its file."""
        rows = "" if self.rows is None else f"rows {self.rows[0]}:{self.rows[1]} of "
        return f"{rows}{self.name} of {self.file}"

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of dtype, shape and bytes of what is taken of the tensor.

        Raises:
            InitializerError: the file cannot be read, has no such tensor, or other values than an earlier
                digest was told of.
        """
        _, tensor, *_ = found = self._find()
        digest, told = _digest(*found), self._told()
        if told and told[0] != digest:
            message = f"tensor {tensor.name!r} of {self.file!r} has other values than when its plan was made"
            raise InitializerError.of(Code.INPUT, message, "put the old file back, or make the plan again")
        object.__setattr__(self, "_digest", (digest, _stamp(self.file)))
        return digest

    def _told(self) -> tuple[str, object] | None:
        """The digest that a fingerprint has, with the stamp of the file that it was taken of."""
        return getattr(self, "_digest", None)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:  # noqa: ARG002
        """Refuse a file that cannot be read, and a tensor of another shape or kind; reads no values."""
        _, tensor, found, _ = self._find()
        what = f"tensor {tensor.name!r} of {self.file!r}"
        if found != shape:
            what += "" if self.rows is None else f", rows {self.rows[0]} to {self.rows[1]},"
            hint = "give the parameter that shape, or name another tensor"
            raise misfit(f"{what} has shape {found}, not {shape}", hint)
        check_kind(what, tensor.dtype, dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the tensor, in the dtype of `request`."""
        with LOADING:
            from initcfg.initializers.arrays import converted  # noqa: PLC0415  numpy is not for planning

        self.check(request.shape, request.dtype, request.layout)
        weights, tensor, _, first = self._find()
        told = self._told()
        if told and told[1] != _stamp(self.file):
            self.digest()
        with self._naming():
            stored = weights.read(tensor, first + start, first + start + out.size)
        out[...] = converted(stored, request.dtype, f"tensor {tensor.name!r} of {self.file!r}")

    def _find(self) -> _Found:
        """The open file and the tensor; the file is opened once, for all that it initializes.

        Raises:
            InitializerError: there is no such file or tensor.
        """
        if self.name is None:
            hint = "give the argument 'name'; in a spec it is the parameter's own by default"
            raise InitializerError.of(Code.MISSING_KEY, "Pretrained needs the name of a tensor", hint)
        root: str | None = getattr(self, "_root", None)
        with self._naming():
            weights = _opened(self.file, root, _stamp(self.file))
        tensor = weights.header.tensors.get(self.name)
        if tensor is None:
            hint = (
                did_you_mean(self.name, weights.header.tensors) or f"initcfg inspect {self.file} lists them"
            )
            raise InitializerError.of(
                Code.UNKNOWN_PARAMETER, f"{self.file!r} has no tensor {self.name!r}", hint
            )
        if self.rows is None:
            return _Found(weights, tensor, tensor.shape, 0)
        start, stop = self.rows
        if not tensor.shape or not start <= stop <= tensor.shape[0]:
            message = f"tensor {tensor.name!r} of shape {tensor.shape} has no rows {start} to {stop}"
            hint = "give the first row and the one after the last, counted from 0"
            raise misfit(message, hint)
        width = math.prod(tensor.shape[1:])
        return _Found(weights, tensor, (stop - start, *tensor.shape[1:]), start * width)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """A block in which what is wrong with the file names it: its place is where it is asked for."""
        try:
            yield
        except FormatError as error:
            named = (replace(each, message=f"{self.file!r}: {each.message}") for each in error.diagnostics)
            raise InitializerError(*named) from None


class _Found(NamedTuple):
    """A tensor of a file, with the shape of what is taken of it and how many elements come before that."""

    weights: WeightsFile
    tensor: StoredTensor
    shape: tuple[int, ...]
    first: int


def _stamp(path: str) -> object:
    """What differs once a file was replaced; None where it is not there, which opening it tells."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _opened(path: str, root: str | None, stamp: object) -> WeightsFile:  # noqa: ARG001  a new file is opened anew
    with LOADING:
        from initcfg.formats.reading import open_weights  # noqa: PLC0415  numpy is not for planning

    with nullcontext() if root is None else confined_to(root):
        return open_weights(path, kept=0)


@lru_cache(maxsize=4096)
def _digest(weights: WeightsFile, tensor: StoredTensor, shape: tuple[int, ...], first: int) -> str:
    with LOADING:
        from initcfg.formats.base import little_endian  # noqa: PLC0415  as above

    content = hashlib.sha256(f"{tensor.dtype} {shape}\n".encode())
    last = first + math.prod(shape)
    for start in range(first, last, _CHUNK):
        content.update(little_endian(weights.read(tensor, start, min(start + _CHUNK, last))))
    return content.hexdigest()
