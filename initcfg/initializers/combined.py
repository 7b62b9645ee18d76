"""Initializers made of others: parts side by side, parts over a whole, and one that is repeated."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic_core import PydanticCustomError, ValidationError

from initcfg.errors import Code, Diagnostic
from initcfg.frozen import FrozenDict
from initcfg.initializers.annotations import Items, Limits, ReadBy, Sizes, Whole
from initcfg.initializers.base import Combined, Share, draw, initializer, stream_of
from initcfg.initializers.configs import Part, read_part, serialize
from initcfg.initializers.values import (
    Faults,
    fault,
    faults_of,
    halves_of,
    listed,
    misfit,
    plain,
    refusal,
    shown,
)
from initcfg.names import did_you_mean
from initcfg.process import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from initcfg.errors import Path
    from initcfg.initializers.configs import Identifier
    from initcfg.initializers.custom import Initializer, Request
    from initcfg.layout import Layout
else:
    np = lazy("numpy")

__all__ = ["Concatenate", "Patch", "RepeatOf"]


@initializer
class Concatenate(Combined):
    """Parts beside each other along one axis, each from an initializer of its own.

    Formula:
        w = concatenate(w_0, w_1, ...), w_i of size sizes[i] along axis

    Fused parameters, such as the query, key and value matrices of attention in one, begin in this way as if
    they were apart: fans are those of the part, and part i draws from the parameter's child stream of label
    i. A seed that a part's own initializer has goes before that.

    Args:
        axis: the axis along which the parts lie; a negative one counts from the end.
        sizes: the size of each part along the axis; they add up to the parameter's.
        initializers: one a part, written in any way that an initializer can be.

    Example:
        >>> Concatenate(axis=0, sizes=[1, 2], initializers=["ones", {"constant": {"value": 0.5}}])((3, 2))
        array([[1. , 1. ],
               [0.5, 0.5],
               [0.5, 0.5]], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    axis: Whole
    sizes: Sizes
    initializers: Annotated[tuple[Part, ...], Items()]

    if TYPE_CHECKING:  # what the arguments may be, which is more than the attributes then are

        def __init__(self, axis: int, sizes: Sequence[int], initializers: Sequence[Identifier]) -> None: ...

    def _conflict(self) -> Diagnostic | None:
        if len(self.sizes) == len(self.initializers) > 0:
            return None
        return Diagnostic(
            Code.INITIALIZER_CONFIG,
            f"{len(self.sizes)} sizes need as many initializers, got {len(self.initializers)}",
            hint="give 'sizes' and 'initializers' of equal length, one entry a part",
        )

    @staticmethod
    def divide(
        shape: tuple[int, ...], layout: Layout | None, arguments: Mapping[str, Any]
    ) -> tuple[Share, ...]:
        """The parts, whose shapes are `shape` but for the axis.

        Example:
            >>> parts = Concatenate.divide((768, 2304), None, {"axis": 1, "sizes": (768, 768, 768)})
            >>> [part.shape for part in parts]
            [(768, 768), (768, 768), (768, 768)]
        """
        axis, sizes = arguments["axis"], arguments["sizes"]
        at = _axis(axis, shape, "lay parts")
        if sum(sizes) != shape[axis]:
            raise misfit(
                f"sizes {tuple(sizes)} do not add up to {shape[axis]}, the size of axis {axis} of {shape}",
                f"their sum is {sum(sizes)}",
            )
        before, after = tuple(map(range, shape[:at])), tuple(map(range, shape[at + 1 :]))
        shares = []
        for index, (end, size) in enumerate(zip(itertools.accumulate(sizes), sizes, strict=True)):
            part = (*shape[:at], size, *shape[at + 1 :])
            box = (*before, range(end - size, end), *after)
            shares.append(Share(("initializers", index), box, part, layout, str(index)))
        return tuple(shares)


@initializer
class RepeatOf(Combined):
    """Values of another initializer, each slice along an axis several times in a row.

    Formula:
        w[..., i, ...] = v[..., i // times, ...], v of `of`

    With an axis of outputs, times = r**2 and a sub-pixel layer that shuffles r**2 channels into the plane,
    this is ICNR: the layer begins as an upsampling without checkerboards. The fans are those of v, which
    draws from the parameter's own stream.

    Args:
        of: the initializer of v, written in any way that one can be.
        axis: along which slices are repeated; a negative one counts from the end.
        times: how often each is there, at least 1; it divides the size of the axis.

    Reference:
        Aitken, Ledig, Theis, Caballero, Wang, Shi, "Checkerboard artifact free sub-pixel convolution", 2017,
        https://arxiv.org/abs/1707.02937

    Example:
        >>> RepeatOf({"constant": {"value": [[1], [2]]}}, axis=0, times=2)((4, 2))
        array([[1., 1.],
               [1., 1.],
               [2., 2.],
               [2., 2.]], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    of: Part
    axis: Whole
    times: Annotated[int, Limits(ge=1)]

    if TYPE_CHECKING:  # as that of Concatenate

        def __init__(self, of: Identifier, axis: int, times: int) -> None: ...

    @property
    def initializers(self) -> tuple[Initializer, ...]:
        """The one that is repeated."""
        return (self.of,)

    @staticmethod
    def divide(
        shape: tuple[int, ...], layout: Layout | None, arguments: Mapping[str, Any]
    ) -> tuple[Share, ...]:
        """The array that is repeated, whose shape is `shape` but for the axis."""
        axis, times = arguments["axis"], arguments["times"]
        at = _axis(axis, shape, "repeat")
        if shape[at] % times:
            message = f"{times} does not divide {shape[at]}, the size of axis {axis} of {shape}"
            raise misfit(message, "give 'times' a divisor of that size")
        short = (*shape[:at], shape[at] // times, *shape[at + 1 :])
        return (Share(("of",), tuple(map(range, shape)), short, layout, None),)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the repeated slices; those outside it are not made."""
        if not out.size:
            return
        ((part, share),) = self.parts(request.shape, request.layout)
        inner = math.prod(share.shape[self.axis % len(share.shape) + 1 :])
        # Rows of `inner` elements: row r of the whole is row r // times of what is repeated.
        first, last = (at // inner // self.times for at in (start, start + out.size - 1))
        rows = np.empty((last + 1 - first, inner), request.dtype.numpy)
        stream = stream_of(part, share.shape, request.stream)
        small = request._replace(shape=share.shape, layout=share.layout, stream=stream)
        draw(part, rows.reshape(-1), first * inner, small)
        skipped = start - first * self.times * inner
        out[...] = np.repeat(rows, self.times, axis=0).reshape(-1)[skipped : skipped + out.size]


def _axis(axis: int, shape: tuple[int, ...], purpose: str) -> int:
    """The number of an axis, counted from the first."""
    if -len(shape) <= axis < len(shape):
        return axis % len(shape)
    way = f"give an axis from {-len(shape)} to {len(shape) - 1}" if shape else "give it an axis"
    raise misfit(f"shape {shape} has no axis {axis} to {purpose} along", way)


#: More would take long to hold against each other.
_MAX_PATCHES = 1024
_SLICE = r"\s*([-+]?[0-9]{1,19})?\s*:\s*([-+]?[0-9]{1,19})?\s*"
_REGION = "a mapping with 'at' and 'initializer', as {at: [0], initializer: zeros}"
_ENTRIES = (
    "an entry is an integer, 'start:stop' or ':', one for each of the first axes; quote those that end in ':'"
)


def read_region(value: object, info: Any) -> FrozenDict[str, Any]:
    """One of the patches: where it lies, and its initializer; of a document with texts of expressions."""
    if not isinstance(value, Mapping):
        raise fault(Code.WRONG_TYPE, f"a patch is {_REGION}, got {shown(value)}")
    faults: Faults = []
    for key in value:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or f"a patch is {_REGION}"
            faults.append(((key,), fault(Code.UNKNOWN_KEY, f"a patch has no {shown(key)}", hint, key=True)))
    read: dict[str, Any] = {}
    for key, reader in _KEYS.items():
        if key not in value:
            message = f"a patch needs {key!r}"
            faults.append(((), fault(Code.MISSING_KEY, message, f"a patch is {_REGION}", key=True)))
            continue
        try:
            read[key] = reader(value[key], info)
        except (PydanticCustomError, ValidationError) as error:
            faults += faults_of(error, key)
    if faults:
        raise refusal("patch", faults)
    return FrozenDict(read)


def _read_at(value: object, info: Any) -> tuple[int | str, ...]:
    entries = listed(value)
    if not isinstance(entries, list | tuple):
        raise fault(Code.WRONG_TYPE, f"'at' must be a list, got {shown(entries)}", _ENTRIES)
    read: list[int | str] = []
    faults: Faults = []
    for at, entry in enumerate(entries):
        try:
            read.append(_read_entry(plain(entry), info.context and info.context.expression))
        except PydanticCustomError as error:
            faults.append(((at,), error))
    if faults:
        raise refusal("at", faults)
    return tuple(read)


def _read_entry(entry: object, expression: Callable[[str], str] | None) -> int | str:
    if isinstance(entry, float) and entry.is_integer():
        entry = int(entry)
    if isinstance(entry, int) and not isinstance(entry, bool):
        return entry
    if not isinstance(entry, str):
        raise fault(Code.WRONG_TYPE, f"'at' holds {shown(entry)}", _ENTRIES)
    if expression is not None:
        halves = halves_of(entry)
        if len(halves) > 2:
            message = f"{shown(entry)} has a step, and a patch takes every position from start to stop"
            raise fault(Code.EXPRESSION_SYNTAX, message, _ENTRIES, len(halves[0]) + len(halves[1]) + 1)
        for half in halves:
            if half.strip() or len(halves) == 1:
                expression(half)
        return entry
    if not (found := re.fullmatch(_SLICE, entry)):
        raise fault(Code.WRONG_TYPE, f"'at' holds {shown(entry)}", _ENTRIES)
    return ":".join(half or "" for half in found.groups())


def _written_region(region: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": list(region["at"]), "initializer": serialize(region["initializer"])}


_KEYS: dict[str, Callable[[Any, Any], object]] = {"at": _read_at, "initializer": read_part}
Region = Annotated[
    Mapping[str, Any],
    ReadBy(
        read_region,
        "a mapping with at and initializer",
        "mappings with at and initializer",
        _written_region,
        holds_expressions=True,
    ),
]


@initializer
class Patch(Combined):
    """Values of one initializer, and those of others over parts of them.

    Formula:
        w = base, and w[at] = initializer for each patch

    A padding row, the forget gate's bias, the one matrix in the middle of a kernel. The base has the fans of
    the whole and draws as it would without patches. A patch has fans and layout of its own, those of its
    shape, and draws from a child stream that its place gives: no patch changes what another one draws. A
    seed that its initializer has goes before that.

    Args:
        base: the initializer of all that no patch lies over, written in any way that one can be.
        patches: mappings with ``at``, where the patch lies, and ``initializer``. ``at`` has an entry for each
            of the first axes, and takes the others whole: an integer, which leaves the axis out of the shape
            and the layout of the patch; ``start:stop``, of which either may be missing; or ``:``. Negative
            numbers count from the end. Patches hold at least one position an axis and do not overlap.

    Example:
        >>> Patch("ones", [{"at": [0], "initializer": "zeros"}])((2, 3))
        array([[0., 0., 0.],
               [1., 1., 1.]], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    base: Part
    patches: Annotated[tuple[Region, ...], Items()]

    if TYPE_CHECKING:  # as that of Concatenate

        def __init__(self, base: Identifier, patches: Sequence[Mapping[str, Any]]) -> None: ...

    @property
    def initializers(self) -> tuple[Initializer, ...]:
        """The base and those of the patches."""
        return (self.base, *(region["initializer"] for region in self.patches))

    def _conflict(self) -> Diagnostic | None:
        if len(self.patches) <= _MAX_PATCHES:
            return None
        message = f"a parameter has at most {_MAX_PATCHES:,} patches, this one {len(self.patches):,}"
        return Diagnostic(Code.INITIALIZER_CONFIG, message, hint="lay parts side by side: concatenate")

    @staticmethod
    def divide(
        shape: tuple[int, ...], layout: Layout | None, arguments: Mapping[str, Any]
    ) -> tuple[Share, ...]:
        """The whole for the base, and over it the patches.

        Example:
            >>> from initcfg.layout import Layout
            >>> _, row = Patch.divide((50257, 768), Layout("in_out"), {"patches": [{"at": [-1]}]})
            >>> row.box, row.shape, str(row.layout), row.label
            ((range(50256, 50257), range(0, 768)), (768,), 'O', 'at 50256')
        """
        regions = [region["at"] for region in arguments["patches"]]
        patches = [_share(shape, layout, index, at) for index, at in enumerate(regions)]
        _refuse_overlap(patches)
        return (Share(("base",), tuple(map(range, shape)), shape, layout, None), *patches)


def _share(shape: tuple[int, ...], layout: Layout | None, index: int, at: tuple[int | str, ...]) -> Share:
    place: Path = ("patches", index)
    if len(at) > len(shape):
        message = f"'at' has {len(at)} entries, and shape {shape} has {len(shape)} axes"
        raise misfit(message, "an entry stands for an axis; those that are left out are whole", *place, "at")
    box = [_positions(entry, axis, shape, (*place, "at", axis)) for axis, entry in enumerate(at)] + [
        range(size) for size in shape[len(at) :]
    ]
    dropped = {axis for axis, entry in enumerate(at) if not isinstance(entry, str)}
    entries = [_label(box[axis], shape[axis], is_one=axis in dropped) for axis in range(len(at))]
    while entries and entries[-1] == ":":
        entries.pop()
    left = tuple(len(taken) for axis, taken in enumerate(box) if axis not in dropped)
    return Share(
        (*place, "initializer"),
        tuple(box),
        left,
        layout.without(dropped, len(shape)) if layout else None,
        f"at {','.join(entries) or ':'}",
    )


def _label(taken: range, size: int, *, is_one: bool) -> str:
    if is_one:
        return str(taken.start)
    return ":" if len(taken) == size else f"{taken.start}:{taken.stop}"


def _positions(entry: int | str, axis: int, shape: tuple[int, ...], place: Path) -> range:
    """The positions that an entry of ``at`` takes of an axis."""
    size = shape[axis]
    if isinstance(entry, str):
        start, stop = (int(half) if half else None for half in entry.split(":"))
        numbers, greatest = [each for each in (start, stop) if each is not None], size
    else:
        start, stop, numbers, greatest = entry, None, [entry], size - 1
    for number in numbers:
        if not -size <= number <= greatest:
            message = f"{number} lies outside axis {axis} of shape {shape}"
            way = f"positions there run from {-size} to {size - 1}" if size else "it has no positions"
            raise misfit(message, f"{way}; a stop is one more" if isinstance(entry, str) else way, *place)
    taken = range(size)[slice(start, stop)] if isinstance(entry, str) else range(size)[entry:][:1]
    if not taken and size:
        message = f"{entry!r} takes nothing of axis {axis} of shape {shape}"
        raise misfit(message, "the stop is the position after the last one: it lies above the start", *place)
    return taken


def _refuse_overlap(patches: Sequence[Share]) -> None:
    """Refuse patches of which two have a position in common."""
    if len(patches) < 2:
        return
    # Along the axis where they differ most, only those that meet there are held against each other.
    axes = range(len(patches[0].box))
    along = max(axes, key=lambda axis: len({each.box[axis].start for each in patches}), default=None)
    met: list[Share] = []
    for patch in patches if along is None else sorted(patches, key=lambda each: each.box[along].start):
        if along is not None:
            met = [each for each in met if each.box[along].stop > patch.box[along].start]
        for other in met:
            if all(
                mine.start < its.stop and its.start < mine.stop
                for mine, its in zip(patch.box, other.box, strict=True)
            ):
                first, second = sorted((other, patch), key=lambda each: each.place)
                message = f"this patch overlaps patch {first.place[1]}: both hold {_common(first, second)}"
                raise misfit(message, "patches do not overlap; cut one of them", *second.place[:-1], "at")
        met.append(patch)


def _common(one: Share, other: Share) -> str:
    """The first position of two boxes that meet."""
    return f"position {tuple(max(a.start, b.start) for a, b in zip(one.box, other.box, strict=True))}"
