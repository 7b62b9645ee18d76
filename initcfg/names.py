"""Names held against other names, copies of a layer put together, and numbers in a few characters."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import defaultdict
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from initcfg.process import load

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence

# Comparing strings is slow, and a plan may have a million names.
_COMPARED_NAMES = 400
# A search among more names counts as several.
_SEARCHED = 40_000
# Names that differ in more characters do not look alike.
_LOOK_ALIKE = 4


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest of `known`, or None when nothing is near."""
    near = _nearest(name, known)
    return None if near is None else _meant(near, name)


def _meant(near: str, name: str) -> str:
    return f"did you mean {near!r}{told_apart(near, name)}?"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The nearest of `known`, quoted, or None when nothing is near.

    Names may look alike and be unequal, as two ways to write an accent are. So where what differs is not all
    ASCII, the hint gives the code points of both.

    Example:
        >>> print(nearest("caf\u00e9", ["bias", "cafe\u0301"]).partition(" ")[2])
        (U+0065 U+0301, not U+00E9)
    """
    near = _nearest(name, known, cutoff)
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
    if (differing + written).isascii() or max(len(differing), len(written)) > _LOOK_ALIKE:
        return ""
    if not differing or not written:
        return f" ({'without' if written else 'with'} {_code_points(differing or written)})"
    return f" ({_code_points(differing)}, not {_code_points(written)})"


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    candidates = list(known)
    twin = next((each for each in candidates if each != name and folded(each) == folded(name)), None)
    if twin is not None:
        return twin
    if len(candidates) > _COMPARED_NAMES:
        candidates = [each for each in candidates if abs(len(each) - len(name)) < 2 and each[:1] == name[:1]]
    # Only a misspelling needs it.
    near = load("difflib").get_close_matches(name, sorted(candidates)[:_COMPARED_NAMES], n=1, cutoff=cutoff)
    return near[0] if near else None


# A segment of a name that is a whole number; in between stands what copies of a layer share.
_NUMBER = re.compile(r"(?<![^.])([0-9]+)(?![^.])")


class NearestNames:
    """`did_you_mean` for many names: to search for each of thousands takes longer than what they are of.

    Copies of a layer are searched for once, and none is taken for a misspelling of another. After so many
    `searches`, each among `_SEARCHED` names, there are no hints.
    """

    def __init__(self, searches: int = 100) -> None:
        self._left = searches
        self._found: dict[tuple[str, ...], tuple[str, ...]] = {}

    def hint(self, name: str, known: Collection[str]) -> str | None:
        """A hint that names the nearest of `known`; None when nothing is near or no search is left."""
        texts, numbers = _parts(name)
        near = "".join(chain.from_iterable(zip_longest(self._found.get(texts, ()), numbers, fillvalue="")))
        if near in known:
            return _meant(near, name)
        self._left -= 1 + len(known) // _SEARCHED
        found = _nearest(name, known) if self._left >= 0 else None
        if found is None:
            return None
        others, same = _parts(found)
        if same == numbers:
            self._found[texts] = others
        return _meant(found, name) if others != texts else None


def _parts(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What copies of a name share, and the numbers between."""
    parts = _NUMBER.split(name)
    return tuple(parts[::2]), tuple(parts[1::2])


# More exceptions than this are a difference of another kind.
_MOST_APART = 10
_SHOWN = 3


class Affix(NamedTuple):
    """What names have more, or lack, at one end against those that they are held against; but for a few.

    `apart` are the names to which that does not apply, `unknown` those to which it does and which the others
    still lack, `missing` those of the others that are none of the names.
    """

    text: str
    is_prefix: bool
    is_lacking: bool
    apart: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = "begin with" if self.is_prefix else "end with"
        lacking = f"lack {self.text!r}, which those of the plan {place}"
        words = f"all {lacking if self.is_lacking else f'{place} {self.text!r}'}"
        words += f", but for {few(self.apart)}" if self.apart else ""
        words += f"; the plan has no {few(self.unknown)}" if self.unknown else ""
        words += f"; only the plan has {few(self.missing)}" if self.missing else ""
        return words

    def is_at(self, name: str) -> bool:
        """Whether a name has the text."""
        return name.startswith(self.text) if self.is_prefix else name.endswith(self.text)

    def adds(self, name: str) -> str:
        """A name with the text."""
        return self.text + name if self.is_prefix else name + self.text


def differ_alike(theirs: Collection[str], ours: Collection[str]) -> Affix | None:
    """What nearly all of `theirs` have more or less than `ours` at one end, or None.

    A quarter of the names, and no more than ten, may be exceptions. Both are quick to search.
    """
    limit = min(_MOST_APART, len(ours) // 4)
    absent = [name for name in ours if name not in theirs]
    if len(absent) < max(1, len(ours) - limit):
        return None
    tried: set[Affix] = set()
    for sample in absent[: limit + 1]:
        for affix in filter(None, (_affix(other, sample) for other in theirs)):
            if affix not in tried:
                tried.add(affix)
                found = _with_exceptions(affix, theirs, ours, limit)
                if found is not None:
                    return found
    return None


def _affix(theirs: str, ours: str) -> Affix | None:
    """What one name has more than another at one end."""
    is_lacking = len(theirs) < len(ours)
    longer, shorter = (ours, theirs) if is_lacking else (theirs, ours)
    if len(longer) == len(shorter) or not shorter:
        return None
    if longer.endswith(shorter):
        return Affix(longer.removesuffix(shorter), True, is_lacking)
    if longer.startswith(shorter):
        return Affix(longer.removeprefix(shorter), False, is_lacking)
    return None


def _with_exceptions(
    affix: Affix, theirs: Collection[str], ours: Collection[str], limit: int
) -> Affix | None:
    """The same with the names to which it does not apply; None where these are too many."""
    many, few = (ours, theirs) if affix.is_lacking else (theirs, ours)
    unlike = list(islice((name for name in few if affix.adds(name) not in many), limit + 1))
    if len(unlike) > limit or len(many) - (len(few) - len(unlike)) > limit:
        return None
    alike = {affix.adds(name) for name in few}
    others = [name for name in many if name not in alike]
    strange, missing = (unlike, others) if affix.is_lacking else (others, unlike)
    apart = tuple(name for name in strange if name in ours or affix.is_at(name) == affix.is_lacking)
    unknown = tuple(name for name in strange if name not in apart)
    return affix._replace(
        apart=apart, unknown=unknown, missing=tuple(name for name in missing if name not in theirs)
    )


def few(names: Sequence[str]) -> str:
    """The first names, quoted, and how many there are more."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


# A whole number anywhere; compiled when first used.
_WHOLE = r"(?<![0-9])(0|[1-9][0-9]{0,17})(?![0-9])"


def numbers_of(name: str) -> tuple[str, ...]:
    """The whole numbers in a name."""
    return tuple(re.findall(_WHOLE, name))


def mark_numbers(name: str, numbers: Sequence[str], pattern: str = _WHOLE) -> str:
    """A name with a mark in the place of each number that is the one of that rank in `numbers`."""
    ranks = itertools.count()

    def mark(found: re.Match[str]) -> str:
        rank = next(ranks)
        return f"\0{rank}\0" if rank < len(numbers) and found[0] == numbers[rank] else found[0]

    return re.sub(pattern, mark, name)


def fill_numbers(text: str, spans: Sequence[str]) -> str:
    """A text with `spans` in the place of its marks."""

    def fill(mark: re.Match[str]) -> str:
        rank = int(mark[1])
        return spans[rank] if rank < len(spans) else mark[0]

    return re.sub("\0([0-9]{1,4})\0", fill, text)


def number_spans(found: Sequence[tuple[str, ...]]) -> list[tuple[tuple[str, ...], list[int]]]:
    """Tuples of numbers, put together where they differ in one place only; the last places first.

    Gives spans, and the positions in `found` of those that they stand for.

    Example:
        >>> number_spans([("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")])
        [(('{0..1}', '{1..2}'), [0, 1, 2, 3])]
    """
    rows = [(row, [at]) for at, row in enumerate(found)]
    for place in reversed(range(len(found[0]))):
        alike: defaultdict[tuple[str, ...], list[tuple[str, list[int]]]] = defaultdict(list)
        for row, positions in rows:
            alike[*row[:place], *row[place + 1 :]].append((row[place], positions))
        rows = []
        for rest, merged in alike.items():
            span = _span(number for number, _ in merged)
            positions = sorted(chain.from_iterable(ranks for _, ranks in merged))
            rows.append(((*rest[:place], span, *rest[place:]), positions))
    return rows


def fold(rows: Sequence[tuple[Hashable, tuple[str, ...]]]) -> list[tuple[tuple[str, ...], list[int]]]:
    """Puts rows together that differ in the numbers of their names only, such as the copies of a layer.

    A row is a value that must be equal, and texts: a name, then names that may follow from it. Gives texts,
    and the positions of the rows that they stand for, in the order of the first of them.

    Example:
        >>> fold([((2,), ("h.0.w",)), ((3,), ("out",)), ((2,), ("h.1.w",))])
        [(('h.{0..1}.w',), [0, 2]), (('out',), [1])]
    """
    groups: defaultdict[Hashable, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    marked: list[tuple[str, ...]] = []
    split = re.compile(_WHOLE).split
    for at, (value, texts) in enumerate(rows):
        parts = split(texts[0])
        numbers = tuple(parts[1::2])
        name = "".join(part if rank % 2 == 0 else f"\0{rank // 2}\0" for rank, part in enumerate(parts))
        marked.append((name, *(text and mark_numbers(text, numbers) for text in texts[1:])))
        groups[value, marked[-1]].append((numbers, at))
    folded = [
        (tuple(fill_numbers(text, spans) for text in marked[members[0][1]]), [members[at][1] for at in ranks])
        for members in groups.values()
        for spans, ranks in number_spans([numbers for numbers, _ in members])
    ]
    return sorted(folded, key=lambda each: each[1][0])


def _span(numbers: Iterable[str]) -> str:
    """``3``, ``{0..11}`` or ``{0..3,7}``."""
    runs: list[list[int]] = []
    for number in sorted(set(map(int, numbers))):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(runs) == 1 and len(runs[0]) == 1:
        return str(runs[0][0])
    shown = (str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)
    return "{" + ",".join(shown) + "}"


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def count(value: int) -> str:
    """A whole number with its thousands marked."""
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """A count and its noun, in the plural where it must be."""
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def size(nbytes: int) -> str:
    """A number of bytes in the largest unit that leaves it at 1 or more: ``474.7 MiB``, ``1 byte``."""
    if nbytes < 1024:
        return counted(nbytes, "byte")
    power = min((nbytes.bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{nbytes / 1024**power:,.1f} {_UNITS[power]}"


def number(value: float) -> str:
    """A number to four significant digits; whole numbers in full."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}"
