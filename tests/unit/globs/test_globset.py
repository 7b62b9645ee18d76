"""Many patterns at once give what each gives alone, and the first wins."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import SpecError
from initcfg.globs import Automaton, Glob, GlobSet

parts = st.sampled_from(["**", "*", "a", "b", "a*", "?", "[ab]", "[!a]", "*b*", "{a,b}", "{i}"])
patterns = st.lists(parts, min_size=1, max_size=4).map(".".join).filter(lambda text: text.count("{i}") < 2)
names = st.lists(st.text("ab1", min_size=1, max_size=3), min_size=1, max_size=4).map(".".join)


def is_first(pattern: str, name: str) -> bool:
    """The definition, segment by segment, by Python's own fnmatch."""
    return covers(pattern.split("."), name.split("."))


def covers(pattern: list[str], name: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(covers(pattern[1:], name[cut:]) for cut in range(len(name) + 1))
    return (
        bool(name)
        and any(fits(part, name[0]) for part in options(pattern[0]))
        and covers(pattern[1:], name[1:])
    )


def options(part: str) -> list[str]:
    return part[1:-1].split(",") if part == "{a,b}" else [part]


def fits(part: str, segment: str) -> bool:
    if part == "{i}":
        return segment.isdigit() and str(int(segment)) == segment
    return fnmatch.fnmatchcase(segment, part)


@settings(max_examples=5 * settings().max_examples)
@given(
    st.lists(st.tuples(patterns, st.sampled_from([None, None, 1, 2])), min_size=1, max_size=8),
    st.lists(st.tuples(names, st.integers(1, 3)), min_size=1, max_size=8),
)
def test_the_first_match_wins_as_by_trying_one_after_the_other(rules, tried) -> None:
    together = GlobSet(rules)
    for name, ndim in tried:
        matching = [at for at, (pattern, _) in enumerate(rules) if is_first(pattern, name)]
        assert together.every(name) == tuple(matching)
        winner = next((at for at in matching if rules[at][1] in (None, ndim)), None)
        assert together.first(name, ndim) == winner


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(patterns, min_size=1, max_size=8), names)
def test_patterns_that_share_their_beginnings_do_not_disturb_each_other(several, name) -> None:
    assert GlobSet((pattern, None) for pattern in several).every(name) == tuple(
        at for at, pattern in enumerate(several) if Glob(pattern).matches(name)
    )


def test_a_thousand_patterns_that_begin_alike_are_tried_as_one(monkeypatch) -> None:
    taken = []
    step = Automaton.step
    monkeypatch.setattr(
        Automaton, "step", lambda self, states, char: taken.append(len(states)) or step(self, states, char)
    )
    together = GlobSet([(f"**.expert{at}.*.weight", None) for at in range(1000)])
    assert together.first("model.layers.3.expert999.up.weight", 2) == 999
    # All of them together are in fewer states than one for each pattern.
    assert max(taken) < 50


def test_a_malformed_pattern_is_refused() -> None:
    with pytest.raises(SpecError, match="malformed"):
        GlobSet([("a", None), ("a**", None)])
