"""Flat names as nested dicts."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.adapters import matching
from initcfg.adapters.matching import nest
from initcfg.errors import Code, SpecError

SEGMENTS = st.text("ab01", min_size=1, max_size=2)


def flat(tree: dict, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    found: dict[tuple[str, ...], object] = {}
    for key, value in tree.items():
        found |= flat(value, (*prefix, key)) if isinstance(value, dict) else {(*prefix, key): value}
    return found


def test_the_example_gives_what_it_says() -> None:
    results = doctest.testmod(matching)
    assert results.attempted > 0
    assert results.failed == 0


@given(st.lists(st.lists(SEGMENTS, min_size=1, max_size=4).map(tuple), unique=True), st.sampled_from("./"))
def test_nested_names_flatten_to_themselves_or_are_refused(
    paths: list[tuple[str, ...]], separator: str
) -> None:
    values = {separator.join(path): at for at, path in enumerate(paths)}
    clashing = {path for path in paths for other in paths if path != other and other[: len(path)] == path}
    if not clashing:
        assert flat(nest(values, separator)) == {path: at for at, path in enumerate(paths)}
        return
    with pytest.raises(SpecError) as raised:
        nest(values, separator)
    assert [each.code for each in raised.value.diagnostics] == [Code.BAD_NAME] * len(clashing)


def test_numbers_stay_texts_and_the_order_stays() -> None:
    assert nest({"h.1.w": 0, "h.0.w": 1}) == {"h": {"1": {"w": 0}, "0": {"w": 1}}}
    assert list(nest({"h.1.w": 0, "h.0.w": 1})["h"]) == ["1", "0"]


def test_a_name_inside_another_is_told_with_both_names() -> None:
    with pytest.raises(SpecError, match=r"'h\.w' is a parameter, and 'h\.w\.scale' would stand inside it"):
        nest({"h.w": 1, "h.w.scale": 2})
