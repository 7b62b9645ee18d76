"""Many parameters in few lines, as a person writes them: patterns that decide, and stages as one layer."""

from __future__ import annotations

import re
from itertools import combinations, count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from initcfg.capture.layers import is_number
from initcfg.globs import Glob, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

_LONGEST_TAIL = 3
# Parts of a segment that say what it is.
_WORDS = ("norm", "Norm", "embed", "Embed")
# So many meanings are tried as the one that the last rule, `**`, says.
_TRIED = 3
_INDICES = ("s", "t", "u", "v", "stage")
_LISTED = re.compile(r"(\w+)\((\d+)\)")
_MULTIPLE = re.compile(r"(?:(\d+) \* )?([A-Za-z_].*)")


class Decision(NamedTuple):
    """A pattern over full names, and what it says of those that no earlier pattern matches."""

    match: str
    meaning: str


class _Case(NamedTuple):
    """Names that are alike but for their numbers and mean the same; `patterns` are those thought of."""

    meaning: str
    example: str
    patterns: frozenset[str]


def decisions(meanings: Mapping[str, str], plain: Collection[str] = ()) -> list[Decision]:
    """The patterns that give each name its meaning, where the first that matches decides.

    Args:
        meanings: what each full name means, in any words; equal words are one meaning.
        plain: meanings that the last pattern, ``**``, is not to have where another will do as well.

    Example:
        >>> names = {"h.0.ln.bias": "0", "h.0.ln.weight": "1", "h.0.fc.weight": "w", "h.0.fc.bias": "0"}
        >>> decisions(names, plain="01")[1:]
        [Decision(match='**.ln.weight', meaning='1'), Decision(match='**', meaning='w')]
    """
    cases = _cases(meanings)
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.meaning] = counts.get(case.meaning, 0) + 1
    tried = sorted(counts, key=lambda each: (each in plain, -counts[each], len(each)))[:_TRIED]
    chooser = _Chooser(cases)
    lists = [chooser.chosen(last) for last in tried]
    return min(lists, key=lambda found: len(found) + (found[-1].meaning in plain), default=[])


def _cases(meanings: Mapping[str, str]) -> list[_Case]:
    """The names, those taken together that differ in numbers only and mean the same."""
    families: dict[str, list[str]] = {}
    for name in meanings:
        families.setdefault(starred(name), []).append(name)
    cases = []
    for stem, names in families.items():
        at = _telling(names, meanings)
        groups: dict[str, str] = {}
        for name in names:
            groups.setdefault(starred(name, at), name)
        cases += [
            _Case(meanings[example], example, frozenset((name, _numbered(name), *_patterns(stem))))
            for name, example in groups.items()
        ]
    return cases


def _telling(names: Sequence[str], meanings: Mapping[str, str]) -> tuple[int, ...]:
    """The places of the numbers that tell names of different meaning apart, as few as will do."""
    segments = names[0].split(".")
    numbers = [at for at, segment in enumerate(segments) if is_number(segment)]
    for size in range(len(numbers) + 1):
        for places in combinations(numbers, size):
            told: dict[str, str] = {}
            if all(
                told.setdefault(starred(each, places), meanings[each]) == meanings[each] for each in names
            ):
                return places
    raise AssertionError("all numbers tell all names apart")


def starred(name: str, kept: Collection[int] = ()) -> str:
    """The pattern of a name, with a star in the place of each number, but for those in some places."""
    segments = enumerate(name.split("."))
    return ".".join("*" if is_number(each) and at not in kept else literal(each) for at, each in segments)


def _numbered(stem: str) -> str:
    """The pattern in which numbers alone stand for the stars."""
    numbers = count()
    return ".".join(f"{{n{next(numbers)}}}" if each == "*" else each for each in stem.split("."))


def _patterns(stem: str) -> Iterator[str]:
    """The patterns that are thought of for a name: its last segments, loosely or exactly, and the whole."""
    yield stem
    segments = stem.split(".")
    for size in range(1, min(_LONGEST_TAIL, len(segments)) + 1):
        head, *rest = segments[-size:]
        heads = [] if head == "*" else [head]
        heads += [f"*{word}*" for word in _WORDS if word in head and size > 1]
        yield from (f"**.{'.'.join((each, *rest))}" for each in heads)


class _Chooser:
    """Takes pattern after pattern; sets of cases are the bits of a number."""

    def __init__(self, cases: Sequence[_Case]) -> None:
        self._all = (1 << len(cases)) - 1
        self._of: dict[str, int] = {}
        self._matched: dict[str, int] = {}
        for at, case in enumerate(cases):
            self._of[case.meaning] = self._of.get(case.meaning, 0) | 1 << at
            for pattern in case.patterns:
                self._matched[pattern] = self._matched.get(pattern, 0) | 1 << at
        for pattern in self._matched:
            # A star takes more than the names that it was thought of for.
            if "*" in pattern.removeprefix("**.") or "{" in pattern:
                matches = Glob(pattern).matches
                self._matched[pattern] = sum(
                    1 << at for at, case in enumerate(cases) if matches(case.example)
                )

    def chosen(self, last: str) -> list[Decision]:
        """The list of decisions, of which the last is `**`."""
        left, found = self._all, []
        while left & ~self._of[last]:
            decision = self._best(left, last)
            left &= ~self._matched[decision.match]
            found.append(decision)
        return [*self._merged(found), *([Decision("**", last)] if left else [])]

    def _best(self, left: int, last: str) -> Decision:
        """The pattern of one meaning that covers most of what is left; the shortest of these."""
        best, measure = Decision("", ""), (0, 0, 0)
        for meaning, mine in self._of.items():
            if meaning == last:
                continue
            for pattern, matched in self._matched.items():
                reached = matched & left
                if reached and not reached & ~mine:
                    each = (reached.bit_count(), -pattern.count("."), -len(pattern))
                    if not best.match or each > measure:
                        best, measure = Decision(pattern, meaning), each
        return best

    def _merged(self, found: list[Decision]) -> list[Decision]:
        """Patterns that differ in one segment as one with braces, where nothing else comes between."""
        left, merged = self._all, []
        rest = list(found)
        while rest:
            match, meaning = rest.pop(0)
            reached = self._matched[match]
            alternatives, at = [match], None
            for other in list(rest):
                place = _differing(match, other.match)
                others = self._matched[other.match] & left
                alike = other.meaning == meaning and place is not None and at in (None, place)
                if alike and not others & ~self._of[meaning]:
                    alternatives.append(other.match)
                    at, reached = place, reached | self._matched[other.match]
                    rest.remove(other)
            left &= ~reached
            merged.append(Decision(_braced(alternatives, at), meaning))
        return merged


def _differing(one: str, other: str) -> int | None:
    """The one segment in which two patterns differ."""
    first, second = one.split("."), other.split(".")
    if len(first) != len(second) or "{" in one + other:
        return None
    places = [at for at, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1]]
    return places[0] if len(places) == 1 and "**" not in (first[places[0]], second[places[0]]) else None


def _braced(patterns: Sequence[str], at: int | None) -> str:
    if at is None:
        return patterns[0]
    segments = patterns[0].split(".")
    segments[at] = "{" + ",".join(pattern.split(".")[at] for pattern in patterns) + "}"
    return ".".join(segments)


# Stages.


def staged(layers: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """The layers of a spec, those as one that differ by a number in their names and their expressions alone.

    Args:
        layers: by their keys, as a spec has them.
        kept: the keys of layers that are to stay as they are.

    Example:
        >>> layers = {f"stages.{s}": {"params": {"w": {"shape": [f"sizes({s})", 8]}}} for s in range(4)}
        >>> staged(layers)
        {'stages.{s}': {'repeat': {'s': 4}, 'params': {'w': {'shape': ['sizes(s)', 8]}}}}
        >>> list(staged({f"h.{i}": {"params": {"w": {"shape": [8 + i % 3 // 2]}}} for i in range(6)}))
        ['h.{s}', 'h.{t}']
    """
    ways = (_runs, _equal), (_equal, _runs)
    return min((_taken(layers, kept, way) for way in ways), key=len)


_Finder: TypeAlias = "Callable[[Mapping[str, Any], Sequence[str], int], Iterator[list[str]]]"


def _taken(layers: Mapping[str, Any], kept: Collection[str], way: Sequence[_Finder]) -> dict[str, Any]:
    found = dict(layers)
    words = set(re.findall(r"\w+", repr(layers)))
    indices = [each for each in _INDICES if each not in words]
    for find in way:
        for at in range(max((key.count(".") for key in found), default=-1) + 1):
            for family in _families(found, at, kept):
                for keys in list(find(found, family, at)):
                    _take_together(found, keys, at, indices)
    return found


def _families(layers: Mapping[str, Any], at: int, kept: Collection[str]) -> list[list[str]]:
    """Keys that are alike but for the number in one place, by that number."""
    families: dict[tuple[str, ...], list[str]] = {}
    for key in layers:
        segments = key.split(".")
        if at < len(segments) and is_number(segments[at]) and key not in kept:
            families.setdefault((*segments[:at], "", *segments[at + 1 :]), []).append(key)
    return [sorted(family, key=lambda each: _number(each, at)) for family in families.values()]


def _runs(layers: Mapping[str, Any], family: Sequence[str], at: int) -> Iterator[list[str]]:
    """Neighbours that can be written as one, in terms of their number."""
    run: list[str] = []
    for key in family:
        longer = [*run, key]
        numbers = [_number(each, at) for each in longer]
        if run and _one([layers[each] for each in longer], numbers, "s") is None:
            yield run
            longer = [key]
        run = longer
    yield run


def _equal(layers: Mapping[str, Any], family: Sequence[str], at: int) -> Iterator[list[str]]:  # noqa: ARG001
    """Those that hold the same, wherever they stand: of a hybrid model, every layer of one kind."""
    same: dict[str, list[str]] = {}
    for key in family:
        same.setdefault(repr(layers[key]), []).append(key)
    yield from same.values()


def _take_together(layers: dict[str, Any], keys: Sequence[str], at: int, indices: Sequence[str]) -> None:
    """Put one layer in the place of some."""
    numbers = [_number(each, at) for each in keys]
    segments = keys[0].split(".")
    free = (each for each in indices if f"{{{each}}}" not in segments)
    named = ((each, ".".join((*segments[:at], f"{{{each}}}", *segments[at + 1 :]))) for each in free)
    index, name = next((each for each in named if each[1] not in layers), ("", ""))
    if len(keys) < 2 or not index:
        return
    parts = [layers[each] for each in keys]
    whole = _one(parts, numbers, index) or parts[0]
    whole = {
        "repeat": {index: _count(numbers), **whole.get("repeat", {})},
        **{key: each for key, each in whole.items() if key != "repeat"},
    }
    held = list(layers.items())
    layers.clear()
    for key, layer in held:
        if key == keys[0]:
            layers[name] = whole
        elif key not in keys:
            layers[key] = layer


def _count(numbers: Sequence[int]) -> Any:
    """Some numbers as a repeat has them."""
    first, stop, step = numbers[0], numbers[-1] + 1, numbers[1] - numbers[0]
    if stop - first == len(numbers):
        return {"from": first, "to": stop} if first else stop
    if len(numbers) > 2 and list(numbers) == list(range(first, stop, step)):
        return {"from": first, "to": stop, "step": step}
    return list(map(str, numbers))


def _number(key: str, at: int) -> int:
    return int(key.split(".")[at])


def _one(parts: Sequence[Any], numbers: Sequence[int], index: str) -> Any:
    """What stages hold, in terms of the index of the stage; None where nothing says all of them."""
    first = parts[0]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    if all(type(each) is type(first) and each == first for each in parts):
        return first
    if all(isinstance(each, dict) and list(each) == list(first) for each in parts):
        made = {key: _one([each[key] for each in parts], numbers, index) for key in first}
        return None if None in made.values() else made
    if all(isinstance(each, list) and len(each) == len(first) for each in parts):
        listed = [_one(each, numbers, index) for each in zip(*parts, strict=True)]
        return None if None in listed else listed
    if not all(isinstance(each, str) for each in parts):
        return None
    return _by_place(parts, numbers, index) or _by_doubling(parts, numbers, index)


def _by_place(texts: Sequence[str], numbers: Sequence[int], index: str) -> str | None:
    """``sizes(0)``, ``sizes(1)`` as ``sizes(s)``."""

    def placed(text: str, number: int) -> str:
        def place(match: re.Match[str]) -> str:
            by = int(match[2]) - number
            return f"{match[1]}({index}{f' {by:+d}'.replace('+', '+ ').replace('-', '- ') if by else ''})"

        return _LISTED.sub(place, text)

    made = {placed(text, number) for text, number in zip(texts, numbers, strict=True)}
    return made.pop() if len(made) == 1 else None


def _by_doubling(texts: Sequence[str], numbers: Sequence[int], index: str) -> str | None:
    """``width``, ``2 * width``, ``4 * width`` as ``2**s * width``."""
    matches = [_MULTIPLE.fullmatch(text) for text in texts]
    found = [(int(match[1] or 1), match[2]) for match in matches if match]
    if len(found) < len(texts) or len({rest for _, rest in found}) > 1 or re.search(r"[-+/%]", found[0][1]):
        return None
    factor, rest = found[0]
    if any(each != factor * 2**at for at, (each, _) in enumerate(found)):
        return None
    twos = (factor & -factor).bit_length() - 1
    shift, odd = twos - numbers[0], factor >> twos
    power = f"2**({index} {'+' if shift > 0 else '-'} {abs(shift)})" if shift else f"2**{index}"
    return f"{'' if odd == 1 else f'{odd} * '}{power} * {rest}"
