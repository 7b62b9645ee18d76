"""Names held against other names: the nearest, those that look alike, and those that all differ alike."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Comparing strings is slow, and a plan may have a million names.
_COMPARED_NAMES = 400


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest of `known`, or None when nothing is near."""
    near = nearest(name, known)
    return None if near is None else f"did you mean {near}?"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The nearest of `known`, quoted, or None when nothing is near.

    Names may look alike and be unequal, as two ways to write an accent are. So where what differs is not all
    ASCII, the hint gives the code points of both.

    Args:
        name: what was written.
        known: what could have been meant.
        cutoff: how alike they must be, from 0 to 1.

    Example:
        >>> nearest("weihgt", ["bias", "weight"])
        "'weight'"
        >>> print(nearest("caf\u00e9", ["cafe\u0301"]).partition(" ")[2])
        (U+0065 U+0301, not U+00E9)
    """
    candidates = list(known)
    twin = next((each for each in candidates if each != name and folded(each) == folded(name)), None)
    near = _nearest(name, candidates, cutoff) if twin is None else twin
    return None if near is None else f"{near!r}{told_apart(near, name)}"


def folded(name: str) -> str:
    """The form that names share which are the same text to a reader; Unicode writes some in several ways."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def _code_points(text: str) -> str:
    return " ".join(f"U+{ord(char):04X}" for char in text)


def told_apart(near: str, name: str) -> str:
    """The code points in which two names differ, to follow the first; nothing where a reader sees them."""
    begin = 0
    while begin < min(len(near), len(name)) and near[begin] == name[begin]:
        begin += 1
    end = 0
    while end < min(len(near), len(name)) - begin and near[-1 - end] == name[-1 - end]:
        end += 1
    differing, written = near[begin : len(near) - end], name[begin : len(name) - end]
    if (differing + written).isascii():
        return ""
    if not differing or not written:
        return f" ({'without' if written else 'with'} {_code_points(differing or written)})"
    return f" ({_code_points(differing)}, not {_code_points(written)})"


def _nearest(name: str, candidates: list[str], cutoff: float) -> str | None:
    if len(candidates) > _COMPARED_NAMES:
        candidates = [each for each in candidates if abs(len(each) - len(name)) < 2 and each[:1] == name[:1]]
    import difflib  # noqa: PLC0415  only a misspelling needs it

    near = difflib.get_close_matches(name, sorted(candidates)[:_COMPARED_NAMES], n=1, cutoff=cutoff)
    return near[0] if near else None


class NearestNames:
    """`did_you_mean` for many names: to search for each of thousands takes longer than what they are of.

    Args:
        searches: how many; after them there are no hints.
    """

    def __init__(self, searches: int = 100) -> None:
        self._left = searches

    def hint(self, name: str, known: Iterable[str]) -> str | None:
        """A hint that names the nearest of `known`; None when nothing is near or no search is left."""
        self._left -= 1
        return did_you_mean(name, known) if self._left >= 0 else None


def differ_alike(theirs: Collection[str], ours: Collection[str]) -> str | None:
    """What all of `theirs` have more or less than all of `ours` at one end, in words, or None.

    Example:
        >>> differ_alike({"model.a": 1, "model.b": 2}, {"a": 1, "b": 2})
        "begin with 'model.'"
    """
    if len(theirs) != len(ours) or not ours:
        return None
    first = next(iter(ours))
    for other in theirs:
        longer, shorter, verb = (other, first, "") if len(other) > len(first) else (first, other, "lack ")
        if len(longer) == len(shorter):
            continue
        for end, place, changed in (
            (longer.removesuffix(shorter), "begin with", "{0}{1}"),
            (longer.removeprefix(shorter), "end with", "{1}{0}"),
        ):
            many, few = (theirs, ours) if not verb else (ours, theirs)
            if end != longer and all(changed.format(end, name) in many for name in few):
                return f"{place} {end!r}" if not verb else f"lack {end!r}, which those of the plan {place}"
    return None
