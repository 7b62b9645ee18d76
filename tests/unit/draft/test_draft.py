"""Drafts of specs: exactly the manifest's parameters, without errors or warnings, whatever the names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from initcfg.api import materialize
from initcfg.checks import check_plan
from initcfg.draft import new_spec
from initcfg.dtypes import DTYPES
from initcfg.errors import Code, SpecError
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import Plan, plan_of
from initcfg.plan.parameters import name_problem
from initcfg.spec import Spec, loads

WORDS = (
    "h",
    "mlp",
    "attn",
    "weight",
    "bias",
    "kernel",
    "norm",
    "embed_tokens",
    "cls_token",
    "shared",
    "n_h",
    "i",
)
ODD = (
    "{i}",
    "}",
    "a{b",
    "'",
    '"',
    "#",
    ": ",
    "- x",
    "*",
    "[",
    "no",
    "~",
    "&a",
    "!t",
    "é",
    " ",
    "01",
    "-1",
    "1e3",
)

segments = st.one_of(
    st.sampled_from(WORDS),
    st.integers(0, 4).map(str),
    st.sampled_from(ODD),
    st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=4),
)
names = (
    st.lists(segments, min_size=1, max_size=5)
    .map(".".join)
    .filter(lambda name: name_problem(name) is None and ("." in name or not {"{", "}"} & set(name)))
)
shapes = st.lists(st.sampled_from((0, 1, 2, 8, 768, 5000)), max_size=4).map(tuple)
entries = st.builds(ManifestEntry, shapes, st.none() | st.sampled_from(list(DTYPES)))
# Few names and few shapes, so that copies with gaps and copies that differ are met.
copies = st.builds(
    "{}.{}.{}".format,
    st.sampled_from(("h", "h.0", "h.1")),
    st.integers(0, 4),
    st.sampled_from(("w", "0.w", "1.w")),
)
alike = st.dictionaries(copies, st.sampled_from(((2, 8), (2, 8), (8, 8))), max_size=24)
manifests = (st.dictionaries(names, entries, max_size=12) | alike).map(Manifest)


def drafted(manifest: Manifest | None, name: str | None = None) -> tuple[Spec, Plan]:
    spec = loads(new_spec(manifest, name))
    return spec, plan_of(spec)


def layers(spec: Spec) -> dict[str, tuple[Any, list[str]]]:
    """The repeat and the parameters of each layer."""
    return {key: (layer.repeat, list(layer.params)) for key, layer in spec.layers.items()}


@settings(max_examples=3 * settings().max_examples // 2)
@given(manifests)
@example(Manifest({}))
@example(Manifest({"s": ()}))
@example(Manifest({f"a.{i}.{j}.weight": (2, 3) for i in range(3) for j in range(2)}))
@example(Manifest({"0.w": (2,), "1.w": (2,), "0.1.w": (2,), "1.1.w": (2,), "0": (1,)}))
@example(Manifest({"{.w": (2,), "}.w": (2,), "h.0.{": (2,), "h.1.{": (2,)}))
def test_a_draft_covers_its_manifest_exactly_and_nothing_is_complained_of(manifest: Manifest) -> None:
    spec, plan = drafted(manifest)
    assert {each.name: (each.shape, each.dtype.name) for each in plan} == {
        name: (entry.shape, entry.dtype or "float32") for name, entry in manifest.entries.items()
    }
    codes = {each.code for each in check_plan(plan, spec.allow, spec)}
    assert codes == (set() if plan.numel else {Code.NO_ELEMENTS})


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=settings().max_examples // 2)
def test_a_name_is_read_back_whatever_it_holds(name: str) -> None:
    assert drafted(Manifest({"w": (2,)}), name)[0].name == name
    assert drafted(None, name)[0].name == name


def test_shapes_by_names_are_a_manifest() -> None:
    assert new_spec({"fc.weight": (3, 4)}) == new_spec(Manifest({"fc.weight": (3, 4)}))


def test_the_example_plans_without_warnings() -> None:
    spec, plan = drafted(None)
    assert len(plan) == 25
    assert check_plan(plan, spec.allow, spec) == ()


def test_numbered_copies_become_one_layer_with_a_var_for_their_count() -> None:
    spec, _ = drafted(
        Manifest({f"net.h.{i}.fc.{leaf}": (4,) for i in range(5) for leaf in ("weight", "bias")})
    )
    assert spec.vars == {"n_h": 5}
    assert layers(spec) == {"net.h.{i}": ({"i": "n_h"}, ["fc.weight", "fc.bias"])}


def test_copies_inside_copies_are_repeated_twice() -> None:
    shapes = {f"h.{i}.experts.{j}.w1.weight": (64, 64) for i in range(3) for j in range(8)}
    spec, _ = drafted(Manifest(shapes))
    assert layers(spec) == {"h.{i}.experts.{j}": ({"i": "n_h", "j": "n_experts"}, ["w1.weight"])}


def test_what_only_one_copy_has_or_has_in_another_shape_stands_under_its_own_name() -> None:
    shapes = {f"h.{i}.fc.weight": (768, 768) for i in range(4)} | {"h.0.rel.weight": (32, 8)}
    shapes |= {f"h.{i}.odd.weight": (768, 768 + i) for i in range(4)}
    spec, _ = drafted(Manifest(shapes))
    found = layers(spec)
    assert found["h.{i}"] == ({"i": "n_h"}, ["fc.weight"])
    assert found["h.0"] == (None, ["rel.weight", "odd.weight"])
    assert found["h.3"] == (None, ["odd.weight"])


def test_copies_from_some_number_on_are_a_range() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    shapes |= {f"h.{i}.{'mlp' if i < 1 else 'moe'}.weight": (768, 768) for i in range(6)}
    shapes |= {f"h.{i}.norm.weight": (768,) for i in range(6)}
    repeats = [repeat for repeat, _ in layers(drafted(Manifest(shapes))[0]).values()]
    ranges = [each for repeat in repeats if repeat for each in repeat.values() if not isinstance(each, str)]
    assert [(each.start, each.to) for each in ranges] == [(1, "n_h")]


def test_every_rule_wins_something_and_what_no_rule_knows_is_named() -> None:
    spec, plan = drafted(
        Manifest({"fc.weight": (768, 768), "fc.bias": (768,), "temperature": (), "a_log": (8,)})
    )
    assert [rule.match.split("{")[1].split(",")[0] for rule in spec.rules] == ["bias", "weight"]
    assert {each.name for each in plan if each.rule is None} == {"temperature", "a_log"}


def test_the_commonest_dtype_is_the_documents() -> None:
    given_ = {"a": "bfloat16", "b": "bfloat16", "step": "int64"}
    spec, _ = drafted(Manifest({name: ManifestEntry((2,), dtype) for name, dtype in given_.items()}))
    assert spec.dtype == "bfloat16"
    assert {key: param.dtype for key, param in spec.params.items()} == {"a": None, "b": None, "step": "int64"}


@pytest.mark.parametrize(("leaf", "layout"), [("weight", "out_in"), ("kernel", "in_out"), ("w", "in_out")])
def test_the_layout_is_guessed_from_names_and_the_text_says_so(leaf: str, layout: str) -> None:
    text = new_spec(Manifest({f"fc.{leaf}": (768, 768)}))
    assert loads(text).layout == layout
    assert text.splitlines()[text.splitlines().index(f"layout: {layout}") - 1].startswith("# ")
    assert "# Guessed" in text


def test_a_stack_of_matrices_has_letters() -> None:
    spec, _ = drafted(Manifest({"experts.weight": (8, 768, 2048)}))
    assert spec.layers["experts"].params["weight"].layout == "BOI"


@pytest.mark.parametrize("name", ["a..b", "a\n", "{x}", "}"])
def test_a_name_that_no_spec_can_have_is_refused(name: str) -> None:
    with pytest.raises(SpecError) as raised:
        new_spec(Manifest({"good": (1,), name: (1,)}))
    assert [each.code for each in raised.value.diagnostics] == [Code.BAD_NAME]


def test_a_draft_that_could_not_be_read_is_refused() -> None:
    with pytest.raises(SpecError) as raised:
        new_spec(Manifest({f"{'x' * 200}_{at}": (at,) for at in range(1500)}))
    assert raised.value.diagnostics[0].code is Code.TOO_LARGE


@pytest.mark.parametrize("row", [0, 1, 9])
def test_a_row_at_zero_is_drafted_as_one_and_buffers_are_left_out(row: int) -> None:
    entries = {
        "embed_tokens.weight": ManifestEntry((10, 4), "float32", zero_row=row),
        "other.embed_tokens.weight": ManifestEntry((10, 4), "float32"),
        "norm.seen": ManifestEntry((4,), "float32", buffer=True),
    }
    spec, plan = drafted(Manifest(entries))
    assert len(spec.rules) == 1
    assert [each.name for each in plan] == ["embed_tokens.weight", "other.embed_tokens.weight"]
    [patch] = plan["embed_tokens.weight"].initializer.get_config()["patches"]
    assert patch["at"] == [row]
    weights = materialize(plan)["embed_tokens.weight"]
    assert abs(weights).max() < 0.1
    assert [at for at in range(10) if not weights[at].any()] == [row]
