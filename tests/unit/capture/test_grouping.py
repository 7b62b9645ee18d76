"""The fewest patterns that say what each name means, and stages written as one layer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg.capture.grouping import decisions, staged
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


_ODD = st.lists(
    st.sampled_from(["x{y}", "{n0}", "}", "{", "*", "**", "a*", "ab", "[", "]", "[b]", "b", "?", "a,b", "0"]),
    min_size=1,
    max_size=3,
).map(".".join)


@given(st.dictionaries(_NAMES | _ODD, st.sampled_from("abc"), min_size=1, max_size=25))
def test_every_name_has_its_meaning(meanings: dict[str, str]) -> None:
    assert decided(meanings) == meanings


@pytest.mark.parametrize("meanings", [{}, {"w": "a"}])
def test_few_names(meanings: dict[str, str]) -> None:
    assert [each.match for each in decisions(meanings)] == ["**"] * len(meanings)


# Stages.


def stage(shape: list[Any], count: Any = None) -> dict[str, Any]:
    params = {"w": {"shape": shape}}
    return {"params": params} if count is None else {"repeat": {"i": count}, "params": params}


def test_stages_by_lists_are_one_layer() -> None:
    layers = {
        f"net.{s}.blocks.{{i}}": stage([f"sizes({s})", f"sizes({s}) // 4"], f"depths({s})") for s in range(3)
    }
    found = staged({"stem": stage([3]), **layers, "head": stage([7])})
    assert list(found) == ["stem", "net.{s}.blocks.{i}", "head"]
    assert found["net.{s}.blocks.{i}"] == {
        "repeat": {"s": 3, "i": "depths(s)"},
        "params": {"w": {"shape": ["sizes(s)", "sizes(s) // 4"]}},
    }


def test_the_first_stage_may_be_another() -> None:
    layers = {"net.0.down": stage(["sizes(0)", "stem"])}
    layers |= {f"net.{s}.down": stage([f"sizes({s})", f"sizes({s - 1})"]) for s in (1, 2, 3)}
    found = staged(layers)
    assert list(found) == ["net.0.down", "net.{s}.down"]
    assert found["net.{s}.down"]["repeat"] == {"s": {"from": 1, "to": 4}}
    assert found["net.{s}.down"]["params"]["w"]["shape"] == ["sizes(s)", "sizes(s - 1)"]


@pytest.mark.parametrize(
    ("first", "texts", "said"),
    [
        (0, ["d", "2 * d", "4 * d"], "2**s * d"),
        (0, ["2 * d", "4 * d", "8 * d"], "2**(s + 1) * d"),
        (1, ["d", "2 * d"], "2**(s - 1) * d"),
        (0, ["3 * d * r", "6 * d * r"], "3 * 2**s * d * r"),
    ],
)
def test_widths_that_double(first: int, texts: list[str], said: str) -> None:
    layers = {f"net.{at}": stage([text]) for at, text in enumerate(texts, first)}
    found = staged(layers)
    assert found["net.{s}"]["params"]["w"]["shape"] == [said]
    spec = {"initcfg": 1, "vars": {"d": 8, "r": 2}, "rules": [{"match": "**", "initializer": "zeros"}]}
    one, other = (initcfg.make_plan(spec | {"layers": each}) for each in (layers, found))
    assert {each.name: each.shape for each in one} == {each.name: each.shape for each in other}


def test_an_index_is_taken_once_in_a_name() -> None:
    layers = {f"net.{s}.at.{t}": stage([f"sizes({s})"]) for s in range(3) for t in (0, 2)}
    assert staged(layers) == {
        "net.{s}.at.{t}": {
            "repeat": {"t": ["0", "2"], "s": 3},
            "params": {"w": {"shape": ["sizes(s)"]}},
        }
    }


@pytest.mark.parametrize(
    ("kinds", "repeats"),
    [
        ("abab", [["0", "2"], ["1", "3"]]),
        ("aabaabaab", [["0", "1", "3", "4", "6", "7"], {"from": 2, "to": 9, "step": 3}]),
        ("abbab", [["0", "3"], ["1", "2", "4"]]),
    ],
)
def test_layers_of_one_kind_are_one_wherever_they_stand(kinds: str, repeats: list[Any]) -> None:
    layers = {f"net.{at}": stage([ord(kind), 3]) for at, kind in enumerate(kinds)}
    found = staged(layers)
    assert [each["repeat"] for each in found.values()] == [
        {index: repeat} for index, repeat in zip("st", repeats, strict=True)
    ]
    spec = {"initcfg": 1, "rules": [{"match": "**", "initializer": "zeros"}]}
    one, other = (initcfg.make_plan(spec | {"layers": each}) for each in (layers, found))
    assert {each.name: each.shape for each in one} == {each.name: each.shape for each in other}


@pytest.mark.parametrize(
    "layers",
    [
        {"net.0": stage([64]), "net.1": stage([128])},  # no names: equal by chance, perhaps
        {"net.0": stage(["d"]), "net.1": stage(["3 * d"])},
        {"net.0": stage(["d // 2"]), "net.1": stage(["2 * d // 2"])},
        {"net.0": stage(["d"]), "net.1": stage(["d"], "n")},
    ],
)
def test_what_is_otherwise_stays_apart(layers: dict[str, Any]) -> None:
    assert staged(layers) == layers
    assert staged({"net.0": stage(["d"]), "net.1": stage(["d"])}, kept=["net.0"]).keys() == {"net.0", "net.1"}
