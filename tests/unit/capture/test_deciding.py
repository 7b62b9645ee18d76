"""The fewest patterns that say what each name means."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.capture.deciding import decisions
from initcfg.globs import GlobSet

GPT2 = {
    f"h.{i}.{name}": meaning
    for i in range(3)
    for name, meaning in (
        ("ln_1.weight", "ones"),
        ("ln_1.bias", "zeros"),
        ("attn.c_attn.weight", "base"),
        ("attn.c_proj.weight", "scaled"),
        ("mlp.c_fc.weight", "base"),
        ("mlp.c_proj.weight", "scaled"),
        ("mlp.c_proj.bias", "zeros"),
    )
}


def decided(meanings: dict[str, str]) -> dict[str, str]:
    """What a document with these decisions would say."""
    found = decisions(meanings)
    globs = GlobSet((each.match, None) for each in found)
    places = {name: globs.first(name, 0) for name in meanings}
    assert set(places.values()) == set(range(len(found))), "each decides something"
    return {name: found[at].meaning for name, at in places.items() if at is not None}


def test_gpt2_needs_four_rules() -> None:
    assert [tuple(each) for each in decisions(GPT2, ["zeros", "ones"])] == [
        ("**.bias", "zeros"),
        ("**.c_proj.weight", "scaled"),
        ("**.ln_1.weight", "ones"),
        ("**", "base"),
    ]


def test_like_patterns_become_one_with_braces() -> None:
    meanings = {"m.x.w": "one", "m.y.w": "one", "m.a.z.w": "other", "m.b.q.w": "other"}
    assert decisions(meanings, ["other"])[0].match == "**.{z,q}.w"


def test_only_the_number_that_tells_stays_in_a_pattern() -> None:
    meanings = {f"stages.{i}.layers.{j}.weight": str(i) for i, j in itertools.product(range(3), range(4))}
    assert {each.match for each in decisions(meanings)} < {
        *(f"stages.{i}.layers.*.weight" for i in range(3)),
        "**",
    }


def test_zeros_are_not_what_the_last_rule_says() -> None:
    meanings = {"a.weight": "w", "a.bias": "zeros", "b.bias": "zeros"}
    assert decisions(meanings, ["zeros"])[-1] == ("**", "w")


_NAMES = st.lists(
    st.sampled_from(["h", "0", "1", "2", "norm", "fc", "weight", "bias"]), min_size=1, max_size=5
).map(".".join)


@given(st.dictionaries(_NAMES, st.sampled_from("abc"), min_size=1, max_size=25))
def test_every_name_has_its_meaning(meanings: dict[str, str]) -> None:
    assert decided(meanings) == meanings


@pytest.mark.parametrize("meanings", [{}, {"w": "a"}])
def test_few_names(meanings: dict[str, str]) -> None:
    assert [each.match for each in decisions(meanings)] == ["**"] * len(meanings)
