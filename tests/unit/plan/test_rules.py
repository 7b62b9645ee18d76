"""Rules decide how parameters begin that name no initializer, and each of them wins something."""

from __future__ import annotations

import pytest

from initcfg.distributions import Fill, Normal
from initcfg.errors import SpecError
from initcfg.layout import Fans
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import plan_of, plan_reading
from initcfg.plan.read import read_plan
from initcfg.spec import dump_tree, load, read, reads

LAYERS = """
    layers:
      h.{i}:
        repeat: {i: 3}
        params:
          out.weight: {shape: [4, 2]}
          out.bias: {shape: [4]}
          norm: {shape: [4], initializer: ones}
"""


def by_manifest(rules, entries, **document):
    """The plan of a manifest and rules alone."""
    return plan_reading(read({"initcfg": 1, "rules": rules, **document}, manifest=Manifest(entries)))


def refused(rules, entries, **document):
    with pytest.raises(SpecError) as caught:
        by_manifest(rules, entries, **document)
    return caught.value.diagnostics


class TestWinning:
    def test_the_first_rule_that_matches_wins(self, plan) -> None:
        found = plan(
            LAYERS
            + """
    rules:
      - {match: "h.1.**.bias", initializer: ones}
      - {match: "**.bias", initializer: zeros}
      - {match: "**", initializer: {constant: {value: 3}}}
"""
        )
        assert [found[f"h.{i}.out.bias"].distribution for i in range(3)] == [Fill(0), Fill(1), Fill(0)]
        assert [found[f"h.{i}.out.bias"].rule for i in range(3)] == ["**.bias", "h.1.**.bias", "**.bias"]
        assert (found["h.0.norm"].rule, found["h.0.norm"].distribution) == (None, Fill(1))
        assert found["h.0.out.bias"].where.path == ("layers", "h.{i}", "params", "out.bias")

    def test_captures_stand_for_numbers_in_the_rules_initializer(self, plan) -> None:
        found = plan(
            LAYERS
            + """
    rules:
      - {match: "h.{layer}.*.weight", initializer: {random_normal: {stddev: 1 / (layer + 1)}}}
      - {match: "**", initializer: zeros}
"""
        )
        laws = [found[f"h.{i}.out.weight"].distribution for i in range(3)]
        assert laws == [Normal(0.0, 1 / (i + 1)) for i in range(3)]

    def test_named_initializers_may_use_captures(self) -> None:
        found = by_manifest(
            [{"match": "h.{i}.w", "initializer": "deep"}],
            {"h.0.w": (2,), "h.5.w": (2,)},
            initializers={"deep": {"constant": {"value": "i + 1"}}},
        )
        assert [parameter.distribution for parameter in found] == [Fill(1), Fill(6)]

    def test_ndim_decides_among_rules_of_one_name(self) -> None:
        rules = [
            {"match": "**", "ndim": 2, "initializer": "ones"},
            {"match": "**", "initializer": "zeros"},
        ]
        found = by_manifest(rules, {"a": (2, 2), "b": (2,)})
        assert [parameter.distribution for parameter in found] == [Fill(1), Fill(0)]

    def test_dtype_is_the_parameters_then_the_rules_then_for_integers_the_manifests(self) -> None:
        params = {
            "a": {"shape": [1], "dtype": "int8"},
            "b": {"shape": [1]},
            "c": {"shape": [1]},
            "d": {"shape": [1]},
        }
        rules = [
            {"match": "[ab]", "initializer": "zeros", "dtype": "int16"},
            {"match": "**", "initializer": "zeros"},
        ]
        entry = ManifestEntry((1,), "int32")
        entries = {"a": entry, "b": entry, "c": entry, "d": (1,)}
        found = by_manifest(rules, entries, dtype="int64", params=params)
        assert [parameter.dtype.name for parameter in found] == ["int8", "int16", "int32", "int64"]

    @pytest.mark.parametrize(
        ("stated", "settings", "expected"),
        [
            ({}, (), ["bfloat16", "float32", "int64", "bool"]),
            ({"dtype": "float16"}, (), ["float16", "float16", "int64", "bool"]),
            ({"dtype": "float32"}, (), ["float32", "float32", "int64", "bool"]),
            ({}, ["dtype=float16"], ["float16", "float16", "int64", "bool"]),
            ({"dtype": "float16"}, {"dtype": "float64"}, ["float64", "float64", "int64", "bool"]),
            ({"rule": "float16", "dtype": "float64"}, (), ["float16", "float16", "int64", "bool"]),
            ({"rule": "int8"}, (), ["int8", "int8", "int8", "int8"]),
        ],
    )
    def test_a_stated_dtype_is_for_what_the_manifest_has_as_floats(self, stated, settings, expected) -> None:
        rule = {"match": "**", "initializer": "ones"}
        if "rule" in stated:
            rule["dtype"] = stated.pop("rule")
        dtypes = {"half": "bfloat16", "plain": None, "count": "int64", "mask": "bool"}
        manifest = Manifest({name: ManifestEntry((1,), dtype) for name, dtype in dtypes.items()})
        document = {"initcfg": 1, "rules": [rule], **stated}
        plan = plan_reading(read(document, manifest=manifest, settings=settings))
        assert [parameter.dtype.name for parameter in plan] == expected

    def test_a_stated_dtype_is_written_back_also_where_it_is_the_usual_one(self) -> None:
        stated = load({"initcfg": 1, "dtype": "float32"})
        assert dump_tree(stated)["dtype"] == "float32"
        assert "dtype" not in dump_tree(load({"initcfg": 1}))

    def test_layout_is_the_parameters_then_the_rules_then_the_documents(self) -> None:
        params = {"a": {"shape": [2, 3], "layout": "OI"}, "b": {"shape": [2, 3]}, "c": {"shape": [2, 3]}}
        rules = [
            {"match": "[ab]", "initializer": "zeros", "layout": "in_out"},
            {"match": "**", "initializer": "zeros"},
        ]
        document = {"initcfg": 1, "params": params, "rules": rules, "layout": "out_in"}
        found = plan_of(load(document))
        assert [parameter.fans for parameter in found] == [Fans(3, 2), Fans(2, 3), Fans(3, 2)]

    def test_what_a_rule_skips_is_no_part_of_the_plan_and_is_told(self) -> None:
        rules = [{"match": "**.mask", "skip": True}, {"match": "**", "initializer": "zeros"}]
        found = by_manifest(rules, {"h.mask": (2,), "h.w": (2,)})
        assert [parameter.name for parameter in found] == ["h.w"]
        assert [(each.name, each.rule) for each in found.skipped] == [("h.mask", "**.mask")]
        assert found.fingerprint == by_manifest(rules[1:], {"h.w": (2,)}).fingerprint

    def test_how_a_parameter_came_by_its_law_does_not_change_its_values(self, plan) -> None:
        by_rule = by_manifest([{"match": "**", "initializer": "random_normal"}], {"w": (3,)})
        assert (
            by_rule.fingerprint == plan("params: {w: {shape: [3], initializer: random_normal}}").fingerprint
        )


class TestStreams:
    def test_captures_fill_the_stream_so_that_a_renamed_model_keeps_its_values(self) -> None:
        rule = {"match": "**", "initializer": "random_normal"}
        moved = {**rule, "match": "vit.layers.{i}.q", "stream": "vit.encoder.{i}.query"}
        new = by_manifest([moved], {f"vit.layers.{i}.q": (3,) for i in range(12)})
        old = by_manifest([rule], {f"vit.encoder.{i}.query": (3,) for i in range(12)})
        assert [each.stream_name for each in new] == [each.name for each in old]
        assert [each.stream for each in new] == [each.stream for each in old]

    def test_are_the_parameters_then_the_rules_then_its_name(self, plan) -> None:
        found = plan("""
    layers:
      h.{i}:
        repeat: {i: 2}
        params:
          a: {shape: [2], stream: "own.{i}"}
          b: {shape: [2]}
          c: {shape: [2]}
    rules:
      - {match: "h.{k}.[ab]", initializer: random_normal, stream: "rule.{k + 1}"}
      - {match: "**", initializer: random_normal}
""")
        names = [found[f"h.1.{key}"].stream_name for key in "abc"]
        assert names == ["own.1", "rule.2", "h.1.c"]

    def test_a_name_that_nothing_has_is_told_once_with_where_captures_come_from(self) -> None:
        rules = [{"match": "h.{i}", "initializer": "zeros", "stream": "old.{layer}"}]
        [found] = refused(rules, {"h.0": (1,), "h.1": (1,)})
        assert (found.code, found.where.path) == ("unknown-name", ("rules", 0, "stream"))
        assert found.hint == "a name here uses vars and what 'match' captures, as {i} in 'h.{i}.**'"

    def test_what_has_no_value_for_one_parameter_names_it(self) -> None:
        rules = [{"match": "h.{i}", "initializer": "zeros", "stream": "old.{6 // i}"}]
        [found] = refused(rules, {"h.1": (1,), "h.0": (1,)})
        assert found.message.startswith("for 'h.0': ")

    def test_a_var_that_is_wrong_is_told_alone(self) -> None:
        rules = [{"match": "h.{i}", "initializer": "zeros", "stream": "old.{i + v}"}]
        assert [str(each.code) for each in refused(rules, {"h.0": (1,)}, vars={"v": "1 / 0"})] == [
            "expression-value"
        ]


class TestParametersOfTheManifest:
    def test_come_in_its_order_and_point_at_their_rule(self) -> None:
        text = "initcfg: 1\nrules:\n  - {match: '**', initializer: zeros}\n"
        reading = reads(text)
        found = plan_reading(read(reading.spec, manifest=Manifest({"b": (1,), "a": (2, 3)})))
        assert [(parameter.name, parameter.shape) for parameter in found] == [("b", (1,)), ("a", (2, 3))]
        assert (found["a"].where.line, found["a"].where.column) == (3, 13)

    def test_one_that_no_rule_matches_is_refused_with_a_rule_to_write(self) -> None:
        [found] = refused(
            [{"match": "**.bias", "initializer": "zeros"}], {"fc.bias": (2,), "fc.weight": (2, 2)}
        )
        assert found.code == "no-initializer"
        assert "'fc.weight'" in found.message
        assert '{match: "**.weight", initializer: NAME}' in found.hint

    def test_a_pattern_that_only_looks_like_the_name_is_told_apart(self) -> None:
        [found] = refused([{"match": "h.\u00e9", "initializer": "zeros"}], {"h.e\u0301": (2,)})
        assert found.hint.endswith("'h.\u00e9' (U+00E9, not U+0065 U+0301) comes nearest and does not match")

    def test_one_of_another_ndim_is_told_so(self) -> None:
        rules = [{"match": "**", "ndim": 1, "initializer": "zeros"}]
        [found] = refused(rules, {"fc.bias": (2,), "fc.weight": (2, 2)})
        assert found.hint == "'**' matches its name, but asks for ndim: 1, and it has 2"

    def test_what_a_rule_cannot_make_names_the_parameter(self) -> None:
        [found] = refused(
            [{"match": "**", "initializer": "orthogonal"}], {"w": (2, 2), "b": (2,)}, layout="in_out"
        )
        assert (found.code, found.where.path) == ("initializer-shape", ("rules", 0, "initializer"))
        assert found.message.startswith("for 'b': ")

    @pytest.mark.parametrize(
        ("entries", "code"),
        [
            ({"a..b": (1,)}, "bad-name"),
            ({"a": ManifestEntry((1,), "float31")}, "unknown-dtype"),
        ],
    )
    def test_names_and_dtypes_that_a_plan_cannot_hold_are_refused(self, entries, code) -> None:
        [found] = refused([{"match": "**", "initializer": "zeros"}], entries)
        assert found.code == code

    def test_share_what_they_have_in_common(self, monkeypatch) -> None:
        from initcfg.initializers import RandomNormal

        calls = []
        resolve = RandomNormal.resolve
        monkeypatch.setattr(
            RandomNormal, "resolve", lambda self, *rest: calls.append(self) or resolve(self, *rest)
        )
        rules = [{"match": "h.{i}.**", "initializer": {"random_normal": {"stddev": "1 / (i + 1)"}}}]
        found = by_manifest(rules, {f"h.{i}.e.{e}.w": (2, 2) for i in range(3) for e in range(200)})
        assert (len(found), len(calls)) == (600, 3)


class TestRulesThatWinNothing:
    def unused(self, rules, entries, **document):
        found = refused(rules, entries, **document)
        assert {str(each.code) for each in found} == {"unused-rule"}
        return [(each.where.path[1], each.message.partition(": ")[2]) for each in found]

    def test_because_nothing_matches(self) -> None:
        rules = [{"match": "x.**", "initializer": "zeros"}, {"match": "**", "initializer": "zeros"}]
        assert self.unused(rules, {"a": (1,)}) == [(0, "no parameter has a name that it matches")]

    def test_because_another_comes_before(self) -> None:
        rules = [
            {"match": "**.b", "initializer": "zeros"},
            {"match": "**", "initializer": "zeros"},
            {"match": "a.b", "initializer": "ones"},
            {"match": "a.*", "skip": True},
        ]
        assert self.unused(rules, {"a.b": (1,), "a.c": (1,)}) == [
            (2, "'**.b', at $.rules[0].match, comes before it and matches 'a.b'"),
            (3, "'**.b', at $.rules[0].match, comes before it and matches 'a.b'"),
        ]

    def test_because_of_ndim(self) -> None:
        rules = [{"match": "a", "ndim": 2, "initializer": "zeros"}, {"match": "**", "initializer": "zeros"}]
        assert self.unused(rules, {"a": (1,)}) == [
            (0, "it asks for ndim: 2, and what it matches has others, as 'a' has 1")
        ]

    def test_because_the_parameters_say_it_themselves(self, problems) -> None:
        [found] = problems(
            """
            params:
              e: {shape: [2], initializer: ones}
              t: {shape: [2], tied_to: e}
            rules: [{match: "**", initializer: zeros}]
        """
        )
        assert (found.code, found.where.line) == ("unused-rule", 4)
        assert "has initializers of its own" in found.message

    def test_is_only_noted_where_the_rule_is_inherited(self, tmp_path) -> None:
        (tmp_path / "base.yaml").write_text(
            "initcfg: 1\nrules: [{match: '**.bias', initializer: zeros}, {match: '**', initializer: ones}]\n"
        )
        (tmp_path / "spec.yaml").write_text("initcfg: 1\nextends: base.yaml\nparams: {w: {shape: [2]}}\n")
        found = plan_reading(read(tmp_path / "spec.yaml"))
        [note] = found.notes
        assert (note.code, note.severity, note.where.line) == ("unused-rule", "note", 2)
        assert note.where.file.endswith("base.yaml")

    def test_is_not_told_while_something_else_is_wrong(self) -> None:
        rules = [{"match": "x", "initializer": "zeros"}, {"match": "b", "initializer": "nope"}]
        assert [str(each.code) for each in refused(rules, {"b": (1,)})] == ["unknown-initializer"]


class TestFaultyRules:
    def test_a_rule_that_could_not_be_read_hides_no_other_problem_and_causes_none(self) -> None:
        text = """
initcfg: 1
params:
  a.bias: {shape: [2]}
  b: {shape: [x], initializer: zeros}
rules:
  - {match: "**.bias", initialiser: zeros}
  - {match: "**.weight", initializer: ones}
"""
        with pytest.raises(SpecError) as caught:
            plan_reading(reads(text))
        assert {str(each.code) for each in caught.value.diagnostics} <= {
            "unknown-key",
            "missing-key",
            "unknown-name",
        }

    @pytest.mark.parametrize("name", ["d", "sqrt", "pi", "fan_in", "ndim"])
    def test_a_capture_may_not_be_called_as_something_else(self, name) -> None:
        [found] = refused([{"match": f"h.{{{name}}}", "initializer": "zeros"}], {"h.0": (1,)}, vars={"d": 1})
        assert found.code == "hidden-name"

    def test_a_rule_is_looked_through_even_if_nothing_matches_it(self) -> None:
        rules = [
            {"match": "**", "initializer": "zeros"},
            {"match": "x", "initializer": {"constant": {"value": "typo"}}},
        ]
        assert [str(each.code) for each in refused(rules, {"a": (1,)})] == ["unknown-name"]


BUFFERS = Manifest(
    {
        "bn.weight": (4,),
        "bn.running_mean": ManifestEntry((4,), "float32", buffer=True),
        "bn.count": ManifestEntry((), "int64", buffer=True),
    }
)


def with_buffers(*rules, **more):
    document = {"initcfg": 1, "rules": [{"match": match, "initializer": "ones"} for match in rules], **more}
    return plan_reading(read(document, manifest=BUFFERS))


def test_a_rule_reaches_a_buffer_only_by_its_last_name():
    found = with_buffers("**")
    assert [each.name for each in found] == ["bn.weight"]
    assert [(each.name, each.rule) for each in found.skipped] == [
        ("bn.running_mean", None),
        ("bn.count", None),
    ]
    assert [(each.severity, each.message) for each in found.notes] == [
        ("note", "2 buffers are left as the model has them, such as 'bn.running_mean'")
    ]
    found = with_buffers("**.{running_mean,count}", "**")
    assert [(each.name, each.dtype.name) for each in found] == [
        ("bn.weight", "float32"),
        ("bn.running_mean", "float32"),
        ("bn.count", "int64"),
    ]
    assert found.notes == ()


def test_a_rule_that_matches_buffers_alone_says_why_it_wins_nothing():
    with pytest.raises(SpecError, match=r"it matches buffers only, such as 'bn.running_mean'"):
        with_buffers("**.weight", "**.running_*")


def test_a_buffer_need_not_be_described():
    params = {"bn.weight": {"shape": [4], "initializer": "ones"}}
    document = {"initcfg": 1, "params": params}
    found = plan_reading(read(document, manifest=BUFFERS))
    assert [each.name for each in found.skipped] == ["bn.running_mean", "bn.count"]


def test_a_plan_document_keeps_the_buffers_that_are_left(tmp_path):
    found = with_buffers("**")
    path = tmp_path / "plan.json"
    path.write_text(found.to_json(), "utf-8")
    assert read_plan(path).skipped == found.skipped


@pytest.mark.parametrize(("written", "said"), [("**.{out_proj}.weight", True), ("h.{i}.weight", False)])
def test_a_word_alone_in_braces_is_said_to_be_a_number_where_it_matches_nothing(written, said):
    names = {"a.out_proj.weight": {"shape": [2]}}
    rules = [{"match": written, "initializer": "zeros"}, {"match": "**", "initializer": "ones"}]
    with pytest.raises(SpecError) as caught:
        plan_of(load({"initcfg": 1, "params": names, "rules": rules}))
    (found,) = caught.value.diagnostics
    assert found.code == "unused-rule"
    assert ("{out_proj} stands for a whole number" in found.message) == said
    assert ("write out_proj without braces" in found.hint) == said


class TestStarsInsideASegment:
    def test_a_star_that_was_to_reach_further_is_told_where_a_rule_is_missing(self) -> None:
        (missing,) = refused([{"match": "h.*", "initializer": "zeros"}], {"h.0.w": (2,)})
        assert missing.hint == "* stays inside a segment: write 'h.**' for 'h.*' to match 'h.0.w'"

    def test_and_where_another_rule_takes_what_it_was_for(self) -> None:
        rules = [{"match": each, "initializer": "zeros"} for each in ("*.b", "h.*", "**")]
        unused = refused(rules, {"h.0.b": (2,), "h.0.w": (2,)})
        assert [each.hint.partition(" to ")[0] for each in unused] == [
            "* stays inside a segment: write '**.b' for '*.b'",
            "* stays inside a segment: write 'h.**' for 'h.*'",
        ]

    def test_a_pattern_that_is_then_too_long_is_left_alone(self) -> None:
        pattern = f"{'x' * 508}.*.y"
        unused = refused([{"match": each, "initializer": "zeros"} for each in (pattern, "**")], {"w": (2,)})
        assert unused[0].hint.startswith("mend the pattern")
