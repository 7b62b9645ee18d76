"""Stages of a model that differ by their place in lists of its config, written as one layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from initcfg.draft.layers import is_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_INDICES = ("s", "t", "u", "v", "stage")
_LISTED = re.compile(r"(\w+)\((\d+)\)")
_MULTIPLE = re.compile(r"(?:(\d+) \* )?([A-Za-z_].*)")


def staged(layers: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """The layers of a spec, those as one that a count in their names and their expressions tells apart.

    Args:
        layers: by their keys, as a spec has them.
        kept: the keys of layers that are to stay as they are.

    Example:
        >>> layers = {f"stages.{s}": {"params": {"w": {"shape": [f"sizes({s})", 8]}}} for s in range(4)}
        >>> staged(layers)
        {'stages.{s}': {'repeat': {'s': 4}, 'params': {'w': {'shape': ['sizes(s)', 8]}}}}
    """
    found = dict(layers)
    words = set(re.findall(r"\w+", repr(layers)))
    indices = [each for each in _INDICES if each not in words]
    for at in range(max((key.count(".") for key in found), default=-1) + 1):
        for run in list(_runs(found, at, kept)):
            _take_together(found, run, at, indices)
    return found


def _runs(layers: Mapping[str, Any], at: int, kept: Collection[str]) -> Iterator[list[str]]:
    """Keys that are alike but for one number, which counts, and whose layers can be written as one."""
    families: dict[tuple[str, ...], list[str]] = {}
    for key in layers:
        segments = key.split(".")
        if at < len(segments) and is_number(segments[at]) and key not in kept:
            families.setdefault((*segments[:at], "", *segments[at + 1 :]), []).append(key)
    for family in families.values():
        run: list[str] = []
        for key in sorted(family, key=lambda each: _number(each, at)):
            longer = [*run, key]
            if (
                run
                and _one([layers[each] for each in longer], [_number(each, at) for each in longer], "s")
                is None
            ):
                yield run
                longer = [key]
            run = longer
        yield run


def _take_together(layers: dict[str, Any], run: Sequence[str], at: int, indices: Sequence[str]) -> None:
    """Put one layer in the place of some."""
    numbers = [_number(each, at) for each in run]
    segments = run[0].split(".")
    named = ((each, ".".join((*segments[:at], f"{{{each}}}", *segments[at + 1 :]))) for each in indices)
    index, name = next((each for each in named if each[1] not in layers), ("", ""))
    if len(run) < 2 or not index:
        return
    whole = _one([layers[each] for each in run], numbers, index)
    first, stop = numbers[0], numbers[-1] + 1
    count = stop if first == 0 else {"from": first, "to": stop}
    whole = {"repeat": {index: count, **whole.pop("repeat", {})}, **whole}
    held = list(layers.items())
    layers.clear()
    for key, layer in held:
        if key == run[0]:
            layers[name] = whole
        elif key not in run:
            layers[key] = layer


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
