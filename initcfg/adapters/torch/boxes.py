"""Parts of a memory as boxes of indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.capture.values import Box


class Geometry(NamedTuple):
    """Which elements of a memory a tensor is, in what order."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


def box_of(frame: Geometry, part: Geometry) -> Box | None:
    """The box of a frame that another geometry is; None where it is none."""
    if any(step == 0 and size > 1 for size, step in zip(part.size, part.stride, strict=True)):
        return None
    left = part.offset - frame.offset
    axes = [axis for axis, size in enumerate(frame.size) if size > 1]
    axes.sort(key=lambda axis: -frame.stride[axis])
    start, length = [0] * len(frame.size), [1] * len(frame.size)
    for axis in axes:
        start[axis], left = divmod(left, frame.stride[axis])
    if left:
        return None
    for size, step in _joined(part):
        while size > 1:
            fitting = [axis for axis in axes if frame.stride[axis] == step and length[axis] == 1]
            if not fitting:
                return None
            axis = fitting[0]
            most = frame.size[axis]
            if size <= most:
                length[axis], size = size, 1  # noqa: PLW2901
            elif size % most or start[axis]:
                return None
            else:
                length[axis], size, step = most, size // most, step * most  # noqa: PLW2901
    box = tuple((at, at + size) for at, size in zip(start, length, strict=True))
    return box if all(stop <= size for (_, stop), size in zip(box, frame.size, strict=True)) else None


def _joined(part: Geometry) -> list[tuple[int, int]]:
    """The sizes and steps of a part, axes that go on where the next ends taken as one."""
    axes: list[tuple[int, int]] = []
    for size, step in zip(part.size, part.stride, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * step:
            axes[-1] = axes[-1][0] * size, step
        else:
            axes.append((size, step))
    return axes


def intersection(one: Box, other: Box) -> Box | None:
    """What two boxes share; None where that is nothing."""
    both = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
    return both if all(start < stop for start, stop in both) else None


def within(box: Box, outer: Box) -> Box:
    """A box as one in it has it."""
    return tuple((start - at, stop - at) for (start, stop), (at, _) in zip(box, outer, strict=True))


def beyond(box: Box, outer: Box) -> Box:
    """A box in another as that one's frame has it: the inverse of `within`."""
    return tuple((start + at, stop + at) for (start, stop), (at, _) in zip(box, outer, strict=True))


def entries_of(box: Box, shape: tuple[int, ...]) -> list[int | str]:
    """A box as a patch has it, without the last axes that are taken whole."""
    entries: list[int | str] = [
        ":" if span == (0, size) else f"{span[0]}:{span[1]}" for span, size in zip(box, shape, strict=True)
    ]
    while len(entries) > 1 and entries[-1] == ":":
        entries.pop()
    return entries


def rest_of(boxes: list[Box], shape: tuple[int, ...]) -> Iterator[Box]:
    """Boxes of what some boxes leave out."""
    left: list[Box] = [tuple((0, size) for size in shape)]
    for box in boxes:
        left = without(left, box)
    yield from left


def without(boxes: list[Box], box: Box) -> list[Box]:
    """Boxes of what one leaves of some others."""
    left: list[Box] = []
    for each in boxes:
        both = intersection(each, box)
        if both is None:
            left.append(each)
            continue
        rest = list(each)
        for axis, (start, stop) in enumerate(both):
            first, last = rest[axis]
            for span in ((first, start), (stop, last)):
                if span[0] < span[1]:
                    left.append((*rest[:axis], span, *rest[axis + 1 :]))
            rest[axis] = (start, stop)
    return left
