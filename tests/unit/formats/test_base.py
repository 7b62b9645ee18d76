"""The texts of files, and those of a set as one."""

from __future__ import annotations

import pytest

from initcfg.formats.base import TIED_KEY, common_texts, tied_names


def test_names_that_are_tied_are_read() -> None:
    assert tied_names({}) == {}
    assert tied_names({TIED_KEY: '{"é": "w"}'}) == {"é": "w"}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "[" * 100_000, '{"a": ["b"]}'])
def test_what_is_no_object_of_names_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON object of names"):
        tied_names({TIED_KEY: text})


def test_a_text_that_anybody_contradicts_is_dropped() -> None:
    assert common_texts([{"a": "1"}, {"b": "2", "a": "1"}, {"b": "3"}, {"b": "2"}, {"c": ""}]) == {
        "a": "1",
        "c": "",
    }
    assert common_texts([]) == {}
