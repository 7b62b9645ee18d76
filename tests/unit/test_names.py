"""Names near each other, names that only look alike, and names that nearly all differ alike."""

from __future__ import annotations

import pytest

from initcfg import names
from initcfg.names import NearestNames, did_you_mean, differ_alike, nearest


def test_did_you_mean_names_the_nearest_or_nothing():
    known = ["glorot_uniform", "glorot_normal", "zeros"]
    assert did_you_mean("glorot_unifrom", known) == "did you mean 'glorot_uniform'?"
    assert did_you_mean("transformer", known) is None
    assert did_you_mean("zeros", []) is None


def test_did_you_mean_does_not_depend_on_the_order_of_the_names():
    assert did_you_mean("ab", ["abc", "abd"]) == did_you_mean("ab", ["abd", "abc"])


def test_the_nearest_of_many_names_is_found_whatever_their_order() -> None:
    names = {f"h.{i}.weight" for i in range(5000)} | {"embedding.weight"}
    assert did_you_mean("embeding.weight", names) == "did you mean 'embedding.weight'?"


def test_another_copy_of_a_layer_is_no_misspelling():
    near = NearestNames()
    assert [near.hint(f"{at}.weight", {"0.weight": 0, "0.bias": 0}) for at in (1, 2)] == [None, None]
    assert near.hint("h.12.weight", dict.fromkeys(f"h.{at}.weight" for at in range(12))) is None


def test_copies_of_a_misspelling_are_searched_for_once_and_told_alike():
    near, known = NearestNames(searches=1), dict.fromkeys(f"h.{at}.weight" for at in range(200))
    hints = [near.hint(f"h.{at}.wieght", known) for at in range(200)]
    assert hints == [f"did you mean 'h.{at}.weight'?" for at in range(200)]


@pytest.mark.parametrize(
    ("written", "meant", "told"),
    [
        ("h.caf\u00e9.w", "h.cafe\u0301.w", "U+0065 U+0301, not U+00E9"),  # composed and decomposed
        ("h.cafe\u0301.w", "h.caf\u00e9.w", "U+00E9, not U+0065 U+0301"),
        ("\u00e9", "e\u0301", "U+0065 U+0301, not U+00E9"),
        ("h.w\u0435ight", "h.weight", "U+0065, not U+0435"),  # a Cyrillic letter
        ("h.weight", "h.w\u0435ight", "U+0435, not U+0065"),
        ("\uff57", "w", "U+0077, not U+FF57"),  # a wide letter
        ("h.weight\ufe0f", "h.weight", "without U+FE0F"),  # a mark that shows nothing
        ("h.weight", "h.weight\ufe0f", "with U+FE0F"),
    ],
)
def test_names_that_look_alike_are_told_apart_by_code_points(written: str, meant: str, told: str):
    assert did_you_mean(written, ["bias", meant]) == f"did you mean {meant!r} ({told})?"


def test_what_a_reader_sees_is_not_spelled_out():
    assert nearest("w\u00e9ihgt", ["w\u00e9ight"]) == "'w\u00e9ight'"


def test_names_that_do_not_look_alike_are_not_spelled_out():
    assert nearest("h.0.gate.\u03b1", ["h.0.attn.qkv"], cutoff=0.3) == "'h.0.attn.qkv'"


def test_a_twin_is_found_among_many_names():
    names = [f"a.{at}" for at in range(1000)]
    assert nearest("\u00e9", [*names, "e\u0301"]) == "'e\u0301' (U+0065 U+0301, not U+00E9)"


NAMES = [f"h.{at}.w" for at in range(8)]


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        ([f"model.{each}" for each in NAMES], NAMES, "all begin with 'model.'"),
        ([f"{each}.value" for each in NAMES], NAMES, "all end with '.value'"),
        (NAMES, [f"model.{each}" for each in NAMES], "all lack 'model.', which those of the plan begin with"),
        (
            [*(f"model.{each}" for each in NAMES), "head"],
            [*NAMES, "head"],
            "all begin with 'model.', but for 'head'",
        ),
        (
            ["head", *(f"model.{each}" for each in NAMES[1:]), "model.x"],
            ["lm", *NAMES],
            "all begin with 'model.', but for 'head'; the plan has no 'model.x'; "
            "only the plan has 'lm', 'h.0.w'",
        ),
        (
            [*NAMES, "head"],
            [*(f"model.{each}" for each in NAMES), "head"],
            "all lack 'model.', which those of the plan begin with, but for 'head'",
        ),
        ([*(f"model.{each}" for each in NAMES[:4]), *NAMES[4:]], NAMES, None),
        (NAMES, NAMES, None),
        ([], NAMES, None),
        (NAMES, [], None),
        (["a", "b"], ["c", "d"], None),
    ],
)
def test_names_that_nearly_all_differ_alike_are_found_with_their_exceptions(theirs, ours, told) -> None:
    found = differ_alike(dict.fromkeys(theirs), dict.fromkeys(ours))
    assert (found and str(found)) == told


def test_a_search_among_very_many_names_counts_as_several(monkeypatch) -> None:
    monkeypatch.setattr(names, "_SEARCHED", 2)
    near = NearestNames(5)
    known = ["weight", "bias", "scale"]
    written = ["weihgt", "baes", "scael", "wieght"]
    assert [near.hint(name, known) is not None for name in written] == [True, True, False, False]
