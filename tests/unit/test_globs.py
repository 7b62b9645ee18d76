"""Globs match what their definition says, in one pass."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.globs import MAX_PATTERN, Glob


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "axb", "", "a.B"]),
        ("*", ["a", "bias", "\n"], ["a.b"]),
        ("*.bias", ["fc.bias"], ["bias", "a.fc.bias", "fc.bias2"]),
        ("**", ["a", "a.b.c"], []),
        ("**.bias", ["bias", "fc.bias", "a.b.bias"], ["abias", "a.bias.b"]),
        ("h.**", ["h", "h.0", "h.0.w"], ["h0", "x.h"]),
        ("h.**.w", ["h.w", "h.0.w", "h.0.1.w"], ["hw", "h.0w", "h.0.wx"]),
        ("**.h.**", ["h", "a.h", "h.b", "a.b.h.c.d"], ["ah", "hb"]),
        ("**.**", ["a", "a.b"], []),
        ("h.?", ["h.0"], ["h.10", "h.", "h.."]),
        ("h.[0-3]", ["h.0", "h.3"], ["h.4", "h.-"]),
        ("h.[!0-3x]", ["h.4", "h.-"], ["h.0", "h.x", "h.."]),
        ("[a-]", ["a", "-"], ["b"]),
        ("{a,b.c}.w", ["a.w", "b.c.w"], ["b.w", "c.w", "a,b.c.w"]),
        ("x{,y}", ["x", "xy"], ["y", "xyy"]),
        ("{a{1,2},b*}", ["a1", "a2", "b", "bcd"], ["a", "a12", "b.c"]),
        ("w_*_[qk]*", ["w_0_q", "w__k_proj"], ["w_q", "w_0_v"]),
        ("a,b", ["a,b"], ["a", "b"]),
        ("(a|b)+$^\\d", ["(a|b)+$^\\d"], ["ab"]),
    ],
)
def test_patterns_match_whole_names(pattern, yes, no) -> None:
    glob = Glob(pattern)
    assert [name for name in yes if not glob.matches(name)] == []
    assert [name for name in no if glob.matches(name)] == []


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "1 to 512 characters"),
        ("a" * (MAX_PATTERN + 1), "1 to 512 characters"),
        ("[", "needs characters and a closing"),
        ("[]", "needs characters and a closing"),
        ("[!]", "needs characters and a closing"),
        ("[z-a]", "'z-a' runs backwards"),
        ("a]", "']' closes nothing"),
        ("a}", "'}' closes nothing"),
        ("{a,b", "'{' is not closed"),
        ("{a}", "two texts or more"),
        ("{}", "two texts or more"),
        ("a**", "'**' stands for whole segments"),
        ("**a", "'**' stands for whole segments"),
        ("a.**b", "'**' stands for whole segments"),
        ("***", "'**' stands for whole segments"),
        ("{**,a}", "cannot stand inside braces"),
        ("{" * 200, "nest deeper than 8"),
    ],
)
def test_malformed_patterns_are_refused(pattern, problem) -> None:
    with pytest.raises(SpecError) as caught:
        Glob(pattern)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == Code.PATTERN
    assert problem in diagnostic.message


def expanded(pattern: str) -> list[str]:
    """The patterns that braces stand for."""
    if "{" not in pattern:
        return [pattern]
    opened = pattern.rindex("{")
    closed = pattern.index("}", opened)
    before, inside, after = pattern[:opened], pattern[opened + 1 : closed], pattern[closed + 1 :]
    return [whole for option in inside.split(",") for whole in expanded(before + option + after)]


def fits(pattern: str, text: str) -> bool:
    """One segment against one segment, by definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(fits(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and fits(pattern[1:], text[1:])


def covers(pattern: list[str], name: list[str]) -> bool:
    """Segments against segments, by definition."""
    if not pattern:
        return not name
    if pattern[0] == "\0":
        return any(covers(pattern[1:], name[cut:]) for cut in range(len(name) + 1))
    return bool(name) and fits(pattern[0], name[0]) and covers(pattern[1:], name[1:])


names = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4).map(".".join)
items = st.sampled_from(["a", "b", "*", "?", "{a,b}", "{a,?b}", "{,a.b}"])
single = st.lists(items, min_size=1, max_size=4).map(lambda parts: re.sub(r"\*+", "*", "".join(parts)))
segments = st.one_of(st.just("**"), single)
patterns = st.lists(segments, min_size=1, max_size=4).map(".".join)


@settings(max_examples=3000)
@given(patterns, st.lists(names, min_size=1, max_size=5))
def test_matches_agree_with_the_definition(pattern, tried) -> None:
    glob = Glob(pattern)
    # An empty option can bring two stars together, which are no "**" then.
    plains = expanded(re.sub(r"\*\*", "\0", pattern))
    for name in tried:
        expected = any(covers(plain.split("."), name.split(".")) for plain in plains)
        assert glob.matches(name) == expected, name


@pytest.mark.parametrize(
    "pattern", ["*a" * 200 + "b", "?*" * 200, "{a,*}" * 90, "**." * 100 + "b", "{a,aa}" * 80 + "b"]
)
def test_work_grows_with_the_name_and_not_with_the_ways_to_match_it(pattern, monkeypatch) -> None:
    steps = itertools.count()
    glob = Glob(pattern)
    step = glob._automaton.step

    def counted(_, *rest):
        next(steps)
        return step(*rest)

    monkeypatch.setattr(type(glob._automaton), "step", counted)
    name = "a" * 500
    for _ in range(20):
        glob.matches(name)
    # A step is made once for each set of states and character; matching again costs none.
    assert next(steps) <= len(name) + 1


def test_a_table_that_grows_too_large_is_begun_again(monkeypatch) -> None:
    monkeypatch.setattr("initcfg.globs._MAX_TABLE", 3)
    glob = Glob("*a?b")
    assert glob.matches("aaaaaaaxb")
    assert not glob.matches("aaaaaaaxxb")
    assert len(glob._table) <= 3
