"""Globs match what their definition says, in one pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.globs import MAX_PATTERN, Automaton, Glob, glob_hint, literal

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        ("[]a]", ["]", "a"], ["b", "]a]"]),
        ("[!]a]", ["b", "!"], ["]", "a"]),
        ("{a,b.c}.w", ["a.w", "b.c.w"], ["b.w", "c.w", "a,b.c.w"]),
        ("x{,y}", ["x", "xy"], ["y", "xyy"]),
        ("{a{1,2},b*}", ["a1", "a2", "b", "bcd"], ["a", "a12", "b.c"]),
        ("w_*_[qk]*", ["w_0_q", "w__k_proj"], ["w_q", "w_0_v"]),
        ("a,b", ["a,b"], ["a", "b"]),
        ("(a|b)+$^\\d", ["(a|b)+$^\\d"], ["ab"]),
        ("{i}", ["0", "7", "10", "9" * 40], ["01", "-1", "1.0", "x", "", "\u0663"]),
        ("h.{i}.w", ["h.0.w", "h.12.w"], ["h.w", "h.x.w", "h.1x.w", "h.1.2.w"]),
        ("**.{i}.**.{j}", ["1.2", "a.1.2", "1.a.b.2"], ["1", "a.1", "1.a"]),
    ],
)
def test_patterns_match_whole_names(pattern, yes, no) -> None:
    glob = Glob(pattern)
    assert [name for name in yes if not glob.matches(name)] == []
    assert [name for name in no if glob.matches(name)] == []


@given(st.text("*?[]{},!-.ab", min_size=1, max_size=8), st.text("*?[]{},!-.ab", max_size=8))
def test_a_literal_matches_its_text_alone(text: str, other: str) -> None:
    glob = Glob(literal(text))
    assert glob.matches(text)
    assert glob.matches(other) == (other == text)


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
        ("{i}x", "whole segment that is a number"),
        ("x{i}", "whole segment that is a number"),
        ("{i}{j}", "whole segment that is a number"),
        ("{a,{i}}", "cannot stand inside braces"),
        ("{i}.{i}", "'{i}' stands in it twice"),
        ("{1}", "two texts or more"),
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


@settings(max_examples=10 * settings().max_examples)
@given(patterns, st.lists(names, min_size=1, max_size=5))
def test_matches_agree_with_the_definition(pattern, tried) -> None:
    glob = Glob(pattern)
    # An empty option can bring two stars together, which are no "**" then.
    plains = expanded(re.sub(r"\*\*", "\0", pattern))
    for name in tried:
        expected = any(covers(plain.split("."), name.split(".")) for plain in plains)
        assert glob.matches(name) == expected, name


HARD = [
    "*a" * 200 + "b",
    "?*" * 200,
    "{a,*}" * 90,
    "**." * 100 + "b",
    "{a,aa}" * 80 + "b",
    "**.{i}.**.{j}.**",
]


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """How many states each step of an automaton began with."""
    taken: list[int] = []
    original = Automaton.step

    def counted(self, states, char):
        taken.append(len(states))
        return original(self, states, char)

    monkeypatch.setattr(Automaton, "step", counted)
    return taken


@pytest.mark.parametrize("pattern", HARD)
@pytest.mark.parametrize("name", ["a" * 500, "a." * 250 + "a", "1." * 250 + "1"])
def test_work_grows_with_the_name_and_not_with_the_ways_to_match_it(pattern, name, steps) -> None:
    glob = Glob(pattern)
    for _ in range(20):
        glob.matches(name)
    # A step is made once for each set of states and character; matching again costs none.
    assert len(steps) <= len(name) + 1


@pytest.mark.parametrize("pattern", HARD)
def test_a_step_costs_no_more_than_the_pattern_has_states(pattern, steps) -> None:
    glob = Glob(pattern)
    glob.matches("a.1" * 100)
    assert max(steps) <= len(glob._automaton.free) <= 8 * len(pattern)


def test_what_is_kept_is_bounded_and_found_again(monkeypatch) -> None:
    monkeypatch.setattr("initcfg.globs._ROOM", 200)
    glob = Glob("**.*a?b")
    for at in range(500):
        assert glob.matches(f"x{at}.aaaa{at}axb")
        assert not glob.matches(f"x{at}.aaaa{at}xxb")
        kept = glob._lazy._nodes.values()
        assert sum(len(node.states) + len(node.moves) for node in kept) <= 2 * 200


@pytest.mark.parametrize(
    ("pattern", "name", "numbers"),
    [
        ("h.{i}.w", "h.12.w", {"i": 12}),
        ("**.{i}.w", "a.1.b.2.w", {"i": 2}),
        ("{layer}.**.{expert}", "3.a.b.40", {"layer": 3, "expert": 40}),
        ("{a,b}.{i}.*", "b.0.c", {"i": 0}),
        ("{a.b,c}.{i}", "a.b.7", {"i": 7}),
        ("{a.b,c}.{i}.**", "c.7.8.9", {"i": 7}),
        # Where there is a choice, the first segment that can be it is it.
        ("**.{i}.**", "a.1.2.3", {"i": 1}),
        ("**.{i}.**.{j}.**", "a.1.b.2.3", {"i": 1, "j": 2}),
        ("**.{i}.x.**.{j}.y.**", "1.2.x.3.4.y.5.x.6.y", {"i": 2, "j": 4}),
        ("h.**", "h.0", {}),
    ],
)
def test_numbers_are_captured(pattern, name, numbers) -> None:
    glob = Glob(pattern)
    assert glob.matches(name)
    assert glob.numbers(name) == numbers
    assert glob.captures == tuple(numbers)


def ways(pattern: list[str], name: list[str]) -> Iterator[tuple[int, ...]]:
    """Where the captured segments of a name can stand, by definition; the leftmost first."""
    if not pattern:
        if not name:
            yield ()
    elif pattern[0] == "**":
        for cut in range(len(name) + 1):
            yield from (tuple(cut + at for at in rest) for rest in ways(pattern[1:], name[cut:]))
    elif name and pattern[0] in (name[0], "#" if name[0].isdigit() else None):
        here = (0,) if pattern[0] == "#" else ()
        yield from ((*here, *(1 + at for at in rest)) for rest in ways(pattern[1:], name[1:]))


@settings(max_examples=5 * settings().max_examples)
@given(
    st.lists(st.sampled_from(["**", "#", "#", "a", "1"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "1", "2"]), min_size=1, max_size=7),
)
def test_captures_are_the_leftmost_of_the_definition(pattern, name) -> None:
    letters = iter("ijklmnop")
    glob = Glob(".".join(f"{{{next(letters)}}}" if part == "#" else part for part in pattern))
    expected = min(ways(pattern, name), default=None)
    assert glob.matches(".".join(name)) == (expected is not None)
    if expected is not None:
        assert list(glob.numbers(".".join(name)).values()) == [int(name[at]) for at in expected]


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("a.b", True),
        ("bias", True),
        ("**.running_var", True),
        ("h.*.b", True),
        ("**.{a,b}", True),
        ("{a.b,c}", True),
        ("**", False),
        ("a.**", False),
        ("**.*", False),
        ("**.b?", False),
        ("**.[ab]", False),
        ("**.{a,b*}", False),
        ("h.{i}", False),
        ("**.running_*", False),
    ],
)
def test_a_last_segment_is_a_name_if_it_has_no_wildcard(pattern: str, named: bool) -> None:
    assert Glob(pattern).ends_in_a_name is named


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("h.*", "h.**"),
        ("h.0", "h.0.**"),
        ("bias", "**.bias"),
        ("mlp.*", "**.mlp.*"),
        ("mlp", "**.mlp.**"),
        ("h.0.mlp.bais", "h.0.mlp.bias"),
    ],
)
def test_a_glob_that_matches_nothing_leads_to_one_that_does(written: str, meant: str) -> None:
    names = ["wte.weight", "h.0.mlp.bias", "h.1.mlp.bias"]
    assert glob_hint(written, names) == f"did you mean {meant!r}?"


@pytest.mark.parametrize("written", ["**.none", "none", "{x.*,y}", "[!a-z0]", "x" * 512])
def test_no_hint_where_no_glob_or_name_is_near(written: str) -> None:
    assert glob_hint(written, ["wte.weight", "h.0.mlp.bias"]) is None
