"""Initializers whose values stand elsewhere: in a tensor of a file, or in another parameter."""

from __future__ import annotations

import hashlib
import math
import os
from abc import abstractmethod
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from initcfg.errors import Code, Diagnostic, FormatError, InitializerError
from initcfg.initializers.annotations import Axes, FileName, ParameterName, Sizes, TensorName
from initcfg.initializers.base import Cuttable, Structured, draw, initializer, is_cut, make
from initcfg.initializers.configs import is_by_content, serialize
from initcfg.initializers.custom import Request
from initcfg.initializers.values import check_kind, misfit
from initcfg.names import did_you_mean
from initcfg.process import lazy
from initcfg.text.inputs import confined_to, confining_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.engines import FillFunction
    from initcfg.formats import base as formats
    from initcfg.formats import reading
    from initcfg.formats.base import StoredTensor
    from initcfg.formats.reading import WeightsFile
    from initcfg.initializers import arrays
    from initcfg.initializers.custom import Initializer
    from initcfg.layout import Layout
    from initcfg.stream import Stream
else:
    np, arrays = lazy("numpy"), lazy("initcfg.initializers.arrays")
    formats, reading = lazy("initcfg.formats.base"), lazy("initcfg.formats.reading")

__all__ = ["NormOf", "Parameter", "Pretrained"]


class Source(NamedTuple):
    """Another parameter: what makes it."""

    initializer: Initializer
    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    stream: Stream

    def request(self, fill: FillFunction) -> Request:
        """The request for its whole array."""
        return Request(self.shape, self.dtype, self.layout, self.stream, fill)


@initializer
class Derived(Structured):
    """A built-in whose values follow from those of a parameter of the plan that it is in.

    Planning makes one for each parameter that it initializes, and tells it its source once all are known.
    """

    MODULE: ClassVar[str] = "initcfg.initializers"

    parameter: ParameterName
    _source: ClassVar[Source | None] = None

    def follow(self, name: str, *source: Any) -> None:
        """Take as the source what is called `name`: its initializer, shape, dtype, layout and stream."""
        # It was made for one parameter of one plan, which nobody has seen yet.
        object.__setattr__(self, "parameter", name)
        object.__setattr__(self, "_source", Source(*source))

    @property
    def source(self) -> Source:
        """What makes the other parameter; an `InitializerError` outside of a plan."""
        if self._source is None:
            raise InitializerError.of(
                Code.UNKNOWN_PARAMETER,
                f"{type(self).__name__} follows {self.parameter!r}, a parameter of the plan that it is in",
                hint="use it in a spec, or in a plan made from one",
            )
        return self._source

    def get_config(self) -> dict[str, Any]:
        """The arguments by name; for the fingerprint of a plan what decides the source is among them."""
        config = super().get_config()
        if is_by_content():
            source = self.source
            config["parameter"] = {
                "initializer": serialize(source.initializer),
                "shape": list(source.shape),
                "dtype": source.dtype.name,
                "layout": source.layout and source.layout.name,
                **({"fans": source.layout.given} if source.layout and source.layout.given else {}),
                "stream": source.stream.digest.hex(),
            }
        return config

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:  # noqa: ARG002
        """Refuse what does not suit the source, once that is known."""
        if self._source is not None:
            self._check_source(self._source, shape, dtype)

    @abstractmethod
    def _check_source(self, source: Source, shape: tuple[int, ...], dtype: DType) -> None:
        """Refuse what does not suit the source."""


@initializer
class Parameter(Derived, Cuttable):
    """The values of another parameter of the same plan.

    Formula:
        w = other

    The other parameter is drawn again, so that the two need not be in one file or on one machine. Its values
    are those that it has in its own dtype; they are then converted and rounded once. To share one array
    between two names, write ``tied_to`` in its place.

    In a spec it may be written ``{parameter: NAME}``.

    Args:
        parameter: the name of a parameter in the same layer, or else a full name. In a spec it may hold
            indices and vars in braces, as ``h.{i - 1}.weight``.

    Example:
        >>> import initcfg
        >>> params = {
        ...     "a": {"shape": [2], "initializer": "random_normal"},
        ...     "b": {"shape": [2], "initializer": {"parameter": "a"}},
        ... }
        >>> weights = initcfg.materialize({"initcfg": 1, "params": params})
        >>> weights["a"].tolist() == weights["b"].tolist()
        True
    """

    SHORT: ClassVar[str] = "parameter"

    @property
    def origin(self) -> str:
        """The parameter that is copied."""
        return f"values of {self.parameter}"

    @property
    def is_cut(self) -> bool:
        """Whether the source is."""
        return self._source is not None and is_cut(self._source.initializer)

    def _check_source(self, source: Source, shape: tuple[int, ...], dtype: DType) -> None:
        if source.shape != shape:
            message = f"the parameter {self.parameter!r} has shape {source.shape}, not {shape}"
            raise misfit(message, "name a parameter of the same shape")
        check_kind(f"the parameter {self.parameter!r}", source.dtype, dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the source, in the dtype of `request`."""
        source = self.source
        stored = np.empty(out.size, source.dtype.numpy)
        draw(source.initializer, stored, start, source.request(request.fill))
        out[...] = arrays.converted(stored, request.dtype, f"the parameter {self.parameter!r}")


@initializer
class NormOf(Derived):
    """The Euclidean norm of another parameter of the same plan over some of its axes.

    Formula:
        w = sqrt(sum(other**2 over axes))

    The magnitude of weight normalization, so that the product begins as the direction was drawn. The shape is
    the other's with the axes left out, or 1 in their place. Sums are float64 and in a fixed order, the norm
    is rounded once. The other parameter is drawn again, as a whole.

    Args:
        parameter: the name of a parameter in the same layer, or else a full name. In a spec it may hold
            indices and vars in braces.
        axes: those that are summed over; negative ones count from the end.

    Reference:
        Salimans, Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep
        Neural Networks", 2016, https://arxiv.org/abs/1602.07868

    Example:
        >>> import initcfg
        >>> params = {
        ...     "v": {"shape": [2, 3], "initializer": {"constant": {"value": [[1, 2, 2], [0, 3, 4]]}}},
        ...     "g": {"shape": [2, 1], "initializer": {"norm_of": {"parameter": "v", "axes": [1]}}},
        ... }
        >>> initcfg.materialize({"initcfg": 1, "params": params})["g"]
        array([[3.],
               [5.]], dtype=float32)
    """

    axes: Axes

    @property
    def origin(self) -> str:
        """The parameter, and the axes that are summed over."""
        return f"norm of {self.parameter} over axes {', '.join(map(str, self.axes))}"

    def _check_source(self, source: Source, shape: tuple[int, ...], dtype: DType) -> None:
        ndim = len(source.shape)
        outside = [axis for axis in self.axes if not -ndim <= axis < ndim]
        if outside:
            message = f"the parameter {self.parameter!r} of shape {source.shape} has no axis {outside[0]}"
            raise misfit(message, f"give axes from {-ndim} to {ndim - 1}")
        summed = {axis % ndim for axis in self.axes}
        ones = tuple(1 if axis in summed else size for axis, size in enumerate(source.shape))
        without = tuple(size for axis, size in enumerate(source.shape) if axis not in summed)
        if shape not in (ones, without):
            norm = f"the norm of {self.parameter!r} over axes {self.axes}"
            message = f"{norm} has shape {ones} or {without}, not {shape}"
            raise misfit(message, "give the parameter one of these shapes, or other axes")
        for each, name in ((source.dtype, f"the parameter {self.parameter!r}"), (dtype, "a norm")):
            if each.drawn is None:
                message = f"{name} cannot be {each}: norms are of floats and are floats"
                raise InitializerError.of(Code.DISTRIBUTION, message, hint="give floating dtypes")

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """The norms, of the shape and dtype of `request`."""
        source = self.source
        ndim = len(source.shape)
        axes = sorted({axis % ndim for axis in self.axes})
        whole = make(source.initializer, source.request(request.fill)).astype(np.float64)
        # Both lengths are given: numpy cannot infer one where the other is 0.
        length = math.prod(source.shape[axis] for axis in axes)
        rows = np.moveaxis(whole, axes, range(len(axes))).reshape(length, math.prod(request.shape))
        norms = np.sqrt(arrays.summed(rows * rows))
        return arrays.converted(norms, request.dtype, f"the {self.origin}").reshape(request.shape)


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
    _root: ClassVar[str | None] = None  # the folder that the file may not be outside of
    #: The digest that a fingerprint has, with the stamp of the file that it was taken of.
    _digest: ClassVar[tuple[str, object] | None] = None

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
        message = f"'rows' are two positions, got {len(self.rows)}"
        hint = "give the first row and the one after the last: rows: [0, 100]"
        return Diagnostic(Code.INITIALIZER_CONFIG, message, hint=hint)

    def get_config(self) -> dict[str, Any]:
        """The arguments by name; for the fingerprint of a plan a digest of the values."""
        return {"digest": self.digest()} if is_by_content() else super().get_config()

    @property
    def origin(self) -> str:
        """The tensor and its file."""
        rows = "" if self.rows is None else f"rows {self.rows[0]}:{self.rows[1]} of "
        return f"{rows}{self.name} of {self.file}"

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of dtype, shape and bytes of what is taken; they stay what they were."""
        _, tensor, *_ = found = self._find()
        digest, before = _digest(*found), self._digest
        if before and before[0] != digest:
            message = f"tensor {tensor.name!r} of {self.file!r} has other values than when its plan was made"
            raise InitializerError.of(Code.INPUT, message, "put the old file back, or make the plan again")
        object.__setattr__(self, "_digest", (digest, _stamp(self.file)))
        return digest

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
        self.check(request.shape, request.dtype, request.layout)
        weights, tensor, _, first = self._find()
        if self._digest and self._digest[1] != _stamp(self.file):
            self.digest()
        with self._naming():
            stored = weights.read(tensor, first + start, first + start + out.size)
        out[...] = arrays.converted(stored, request.dtype, f"tensor {tensor.name!r} of {self.file!r}")

    def _find(self) -> _Found:
        """The open file and the tensor; the file is opened once, for all that it initializes."""
        if self.name is None:
            hint = "give the argument 'name'; in a spec it is the parameter's own by default"
            raise InitializerError.of(Code.MISSING_KEY, "Pretrained needs the name of a tensor", hint)
        with self._naming():
            weights = _opened(self.file, self._root, _stamp(self.file))
        tensor = weights.header.tensors.get(self.name)
        if tensor is None:
            near = did_you_mean(self.name, weights.header.tensors)
            message, hint = (
                f"{self.file!r} has no tensor {self.name!r}",
                f"initcfg inspect {self.file} lists them",
            )
            raise InitializerError.of(Code.UNKNOWN_PARAMETER, message, near or hint)
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
    with nullcontext() if root is None else confined_to(root):
        return reading.open_weights(path, kept=0)


@lru_cache(maxsize=4096)
def _digest(weights: WeightsFile, tensor: StoredTensor, shape: tuple[int, ...], first: int) -> str:
    content = hashlib.sha256(f"{tensor.dtype} {shape}\n".encode())
    last = first + math.prod(shape)
    for start in range(first, last, _CHUNK):
        content.update(formats.little_endian(weights.read(tensor, start, min(start + _CHUNK, last))))
    return content.hexdigest()
