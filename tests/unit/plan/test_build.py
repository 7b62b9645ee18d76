"""From a spec to its plan: names, order, values, and every problem in one run."""

from __future__ import annotations

import pytest

from initcfg.distributions import Fill, Normal, Uniform
from initcfg.errors import SpecError
from initcfg.initializers import Concatenate, Dirac, RandomNormal, Zeros
from initcfg.layout import Fans, Layout
from initcfg.manifest import Manifest
from initcfg.plan import check_base, layers, plan_of, scope
from initcfg.spec import Layer, Param, Spec, read
from initcfg.stream import Stream


def names(plan):
    return [parameter.name for parameter in plan]


def places(diagnostics):
    return [(str(found.code), found.where.line, found.where.column) for found in diagnostics]


class TestNamesAndOrder:
    def test_top_level_params_come_first_then_layers_as_written(self, plan) -> None:
        text = """
            layers:
              b: {params: {w: {shape: [1], initializer: zeros}}}
              a: {params: {w: {shape: [1], initializer: zeros}}}
            params:
              cls: {shape: [1], initializer: zeros}
        """
        assert names(plan(text)) == ["cls", "b.w", "a.w"]

    def test_copies_follow_each_other_with_the_last_index_fastest(self, plan) -> None:
        text = """
            layers:
              s{s}.b{b}:
                repeat: {s: 2, b: 2}
                params:
                  w: {shape: [1], initializer: zeros}
                  v: {shape: [1], initializer: zeros}
        """
        assert names(plan(text)) == [
            "s0.b0.w",
            "s0.b0.v",
            "s0.b1.w",
            "s0.b1.v",
            "s1.b0.w",
            "s1.b0.v",
            "s1.b1.w",
            "s1.b1.v",
        ]

    def test_later_counts_use_earlier_indices_and_lists(self, plan) -> None:
        text = """
            vars: {depth: [1, 3]}
            layers:
              stage{s + 1}.{b}:
                repeat: {s: 2, b: depth(s)}
                params:
                  w: {shape: [s + b + 1], initializer: zeros}
        """
        assert [(parameter.name, parameter.shape) for parameter in plan(text)] == [
            ("stage1.0.w", (1,)),
            ("stage2.0.w", (2,)),
            ("stage2.1.w", (3,)),
            ("stage2.2.w", (4,)),
        ]

    def test_ranges_and_texts_repeat(self, plan) -> None:
        text = """
            layers:
              "{side}.{i}":
                repeat: {side: [left, right], i: {from: 3, to: 8, step: 2}}
                params:
                  w: {shape: [1], initializer: zeros}
        """
        assert names(plan(text)) == [
            "left.3.w",
            "left.5.w",
            "left.7.w",
            "right.3.w",
            "right.5.w",
            "right.7.w",
        ]

    def test_no_copies_make_no_parameters(self, plan) -> None:
        text = """
            layers:
              h.{i}:
                repeat: {i: 0}
                params:
                  w: {shape: [1], initializer: zeros}
        """
        assert len(plan(text)) == 0

    def test_param_names_may_hold_braces_too(self, plan) -> None:
        text = """
            layers:
              h:
                repeat: {i: 2}
                params:
                  w{i}: {shape: [1], initializer: zeros}
        """
        assert names(plan(text)) == ["h.w0", "h.w1"]


class TestValues:
    def test_fans_of_the_parameter_stand_in_expressions(self, plan) -> None:
        text = """
            layout: out_in
            params:
              w:
                shape: [4, 3, 5, 5]
                initializer:
                  random_normal:
                    stddev: sqrt(2 / (5 * fan_in)) + 0 * (fan_out + fan_avg + numel + ndim)
        """
        assert plan(text)["w"].distribution == Normal(0.0, (2 / (5 * 75)) ** 0.5)

    def test_parts_see_their_own_fans(self, plan) -> None:
        text = """
            layout: in_out
            params:
              w:
                shape: [8, 12]
                initializer:
                  concatenate:
                    axis: 1
                    sizes: [4, 8]
                    initializers:
                      - random_uniform: {minval: -1 / fan_out, maxval: 1 / fan_out}
                      - random_uniform: {minval: -1 / fan_out, maxval: 1 / fan_out}
        """
        initializer = plan(text)["w"].initializer
        assert isinstance(initializer, Concatenate)
        assert [part.maxval for part in initializer.initializers] == [1 / 4, 1 / 8]  # type: ignore[attr-defined]

    def test_named_initializers_use_the_indices_of_their_user(self, plan) -> None:
        text = """
            initializers:
              deep: {constant: {value: i + 1}}
              same: deep
            layers:
              h.{i}:
                repeat: {i: 2}
                params:
                  w: {shape: [1], initializer: same}
        """
        assert [parameter.distribution for parameter in plan(text)] == [Fill(1), Fill(2)]

    def test_dtype_and_layout_of_the_parameter_win(self, plan) -> None:
        text = """
            dtype: float16
            layout: in_out
            params:
              a: {shape: [2, 3], initializer: zeros}
              b: {shape: [2, 3], initializer: zeros, dtype: int8, layout: out_in}
        """
        found = plan(text)
        assert (found["a"].dtype.name, found["a"].fans) == ("float16", Fans(2, 3))
        assert (found["b"].dtype.name, found["b"].fans, found["b"].nbytes) == ("int8", Fans(3, 2), 6)

    def test_letters_for_the_document_leave_other_ranks_without_fans(self, plan) -> None:
        text = """
            layout: OIHW
            params:
              w: {shape: [4, 3, 2, 2], initializer: he_uniform}
              b: {shape: [4], initializer: zeros}
        """
        found = plan(text)
        assert found["w"].fans == Fans(12, 16)
        assert found["b"].fans is None
        assert found["b"].layout == Layout("OIHW")

    def test_streams_follow_seed_and_full_name(self, plan) -> None:
        text = """
            seed: 9
            layers:
              a: {params: {w: {shape: [2], initializer: random_normal}}}
        """
        found = plan(text)
        assert found["a.w"].stream == Stream.of_parameter(9, "a.w")

    def test_a_stream_name_keeps_the_values_of_another_name(self, plan) -> None:
        text = """
            seed: 9
            params:
              new: {shape: [2], initializer: random_normal, stream: a.w}
        """
        found = plan(text)
        assert found["new"].stream == Stream.of_parameter(9, "a.w")
        assert found["new"].stream_name == "a.w"

    def test_a_seed_of_its_own_decides_the_stream(self, plan) -> None:
        found = plan("params: {a: {shape: [2], initializer: {random_normal: {seed: 3}}}}")
        assert found["a"].stream == Stream.of_seed(3, "RandomNormal", (2,))

    def test_where_points_at_the_key(self, plan) -> None:
        text = """
            params:
              w: {shape: [2], initializer: zeros}
        """
        where = plan(text)["w"].where
        assert (where.line, where.column, where.end_column) == (3, 3, 4)

    def test_tied_parameters_share_their_targets_law_and_stream(self, plan) -> None:
        text = """
            params:
              head: {shape: [4], tied_to: "emb{0}"}
              emb0: {shape: [4], initializer: random_normal}
        """
        found = plan(text)
        assert found["head"].tied_to == "emb0"
        assert found["head"].stream == found["emb0"].stream
        assert (found.numel, found.nbytes) == (4, 16)

    def test_twelve_blocks_read_well_in_python(self) -> None:
        residual = RandomNormal(stddev=0.02 / 24**0.5)
        spec = Spec(
            seed=1,
            layout="in_out",
            vars={"d": 64},
            layers={
                "h.{i}": Layer(
                    repeat={"i": 12},
                    params={
                        "attn.w": Param(shape=["d", "3 * d"], initializer=RandomNormal(stddev=0.02)),
                        "proj.w": Param(shape=["d", "d"], initializer=residual),
                        "proj.b": Param(shape=["d"], initializer="zeros"),
                        "mlp.w": {"shape": ["d", "4 * d"], "initializer": "he_normal"},
                    },
                )
            },
        )
        found = plan_of(spec)
        assert len(found) == 48
        assert found["h.11.proj.w"].distribution == Normal(0.0, 0.02 / 24**0.5)
        assert found["h.0.proj.b"].initializer == Zeros()
        assert str(found["h.0.attn.w"].where) == "$.layers.h.{i}.params.attn.w"


class TestCost:
    def test_copies_that_differ_in_their_names_only_are_resolved_once(self, plan, monkeypatch) -> None:
        calls = []
        original = RandomNormal.resolve
        monkeypatch.setattr(
            RandomNormal, "resolve", lambda self, *rest: calls.append(self) or original(self, *rest)
        )
        text = """
            layers:
              h.{i}:
                repeat: {i: 500}
                params:
                  w: {shape: [2, 2], initializer: random_normal}
        """
        assert len(plan(text)) == 500
        assert len(calls) <= 2  # once to check and once to resolve, whatever the number of copies

    def test_an_index_in_the_initializer_is_resolved_for_each_value(self, plan) -> None:
        text = """
            layers:
              h.{i}.{j}:
                repeat: {i: 2, j: 3}
                params:
                  w: {shape: [2], initializer: {random_uniform: {minval: -1 - i, maxval: 1}}}
        """
        assert [parameter.distribution for parameter in plan(text)] == [Uniform(-1, 1)] * 3 + [
            Uniform(-2, 1)
        ] * 3

    def test_more_parameters_than_a_plan_holds_are_refused(self, problems) -> None:
        text = f"""
            layers:
              h.{{i}}:
                repeat: {{i: {scope.MAX_PARAMETERS + 1}}}
                params:
                  w: {{shape: [1], initializer: zeros}}
        """
        assert [str(found.code) for found in problems(text)] == ["repeat"]

    def test_a_repeat_without_its_index_in_the_name_ends_early(self, problems) -> None:
        text = """
            layers:
              h:
                repeat: {i: 1000000}
                params:
                  w: {shape: [1], initializer: zeros}
        """
        [found] = problems(text)
        assert (str(found.code), found.hint) == (
            "duplicate-parameter",
            "put every index of the repeat into the name, as h.{i}",
        )


class TestProblems:
    def test_all_are_reported_in_the_order_of_their_places(self, problems) -> None:
        text = """
            vars: {a: 1 / 0, b: a + 1, fan_in: 3}
            initializers: {zeros: ones, x: y, y: x}
            params:
              p: {shape: [b, -1 * 4, 1 / 2], initializer: nope}
              q: {shape: [2], initializer: x}
              r: {shape: [2]}
        """
        assert places(problems(text)) == [
            ("expression-value", 1, 13),
            ("hidden-name", 1, 28),
            ("hidden-name", 2, 16),
            ("initializer-cycle", 2, 29),
            ("shape", 4, 18),
            ("expression-value", 4, 26),
            ("unknown-initializer", 4, 47),
            ("no-initializer", 6, 3),
        ]

    def test_a_repeated_layer_reports_a_problem_once(self, problems) -> None:
        text = """
            layers:
              h.{i}:
                repeat: {i: 64}
                params:
                  w: {shape: [-1 - i], initializer: zeros}
        """
        assert len(problems(text)) == 1

    def test_an_expression_without_a_value_says_what_its_names_stand_for(self, problems) -> None:
        text = """
            vars: {d: 4, one: 1 / 0}
            layers:
              h.{i}:
                repeat: {i: 3}
                params:
                  a: {shape: [d], initializer: {constant: {value: d / (i - 1)}}}
                  b: {shape: [d], layout: I, initializer: {constant: {value: 1 / (fan_in - d)}}}
                  c: {shape: [d + 1 / 2], initializer: zeros}
        """
        assert [found.hint for found in problems(text)] == [
            None,
            "here d is 4, i is 1",
            "here d is 4, fan_in is 4",
            "// divides without a remainder",
        ]

    def test_what_follows_from_a_reported_problem_is_not_reported(self, problems) -> None:
        text = """
            vars: {a: missing}
            layers:
              h{a}:
                params:
                  w: {shape: [a], initializer: {constant: {value: a}}}
        """
        assert places(problems(text)) == [("unknown-name", 1, 11)]

    def test_definitions_that_nothing_uses_are_checked(self, problems) -> None:
        text = """
            initializers:
              a: {random_normal: {stddev: sqrt(fan_in * i * typo)}}
              b: glorot_unifrom
            layers:
              h.{i}:
                repeat: {i: 1}
                params:
                  w: {shape: [1], initializer: zeros}
        """
        assert places(problems(text)) == [("unknown-name", 2, 49), ("unknown-initializer", 3, 6)]

    def test_both_of_two_equal_names_are_told(self, problems) -> None:
        text = """
            params:
              a.b: {shape: [1], initializer: zeros}
            layers:
              a: {params: {b: {shape: [1], initializer: zeros}}}
        """
        [found] = problems(text)
        assert found.code == "duplicate-parameter"
        assert found.hint.startswith("the other one stands at ")

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("tied_to: b", "which is not a parameter"),
            ("tied_to: a", "which is tied itself"),
            ("tied_to: chain", "which is tied itself"),
            ("tied_to: other", "cannot share the array"),
            ("tied_to: good, initializer: zeros", "no 'initializer' of its own"),
            ("tied_to: good, stream: c", "no 'stream' of its own"),
            ("tied_to: good, layout: O", "no 'layout' of its own"),
        ],
    )
    def test_ties_that_cannot_be(self, problems, entry, message) -> None:
        text = f"""
            params:
              a: {{shape: [2], {entry}}}
              good: {{shape: [2], initializer: zeros}}
              chain: {{shape: [2], tied_to: good}}
              other: {{shape: [3], initializer: zeros}}
        """
        [found] = problems(text)
        assert found.code == "tied"
        assert message in found.message

    @pytest.mark.parametrize(
        "other",
        [
            "params: {bad: {shape: [1 / 0], initializer: zeros}}",
            "params: {bad: {shape: [2], initializer: glorot_unifrom}}",
            "vars: {v: 1 / 0}\nparams: {bad: {shape: [v], initializer: zeros}}",
            "rules: [{match: '**', initializer: glorot_unifrom}]\nparams: {}",
            "layers: {'{i}': {repeat: {i: 2}, params: {w: {shape: [1 / 0], tied_to: w}}}}\nparams: {}",
        ],
    )
    def test_a_missing_target_is_told_beside_other_problems(self, problems, other) -> None:
        head, _, params = other.rpartition("params: {")
        tie = "tie: {shape: [2], tied_to: good.typo}"
        found = problems(f"{head}params: {{{tie}{', ' if len(params) > 1 else ''}{params}")
        assert sorted(each.code == "tied" for each in found) == [False, True]

    @pytest.mark.parametrize(
        "text",
        [
            "params: {w: {shape: [1 / 0], initializer: zeros}, tie: {shape: [2], tied_to: w}}",
            "params: {w: {shape: ['2 +'], initializer: zeros}, tie: {shape: [2], tied_to: w}}",
            "params: {'w{1 / 0}': {shape: [2], initializer: zeros}, tie: {shape: [2], tied_to: w1}}",
            """
            params: {tie: {shape: [2], tied_to: h.0.w}}
            layers: {"h.{i}": {repeat: {i: 1 / 0}, params: {w: {shape: [2], initializer: zeros}}}}
            """,
            """
            params: {tie: {shape: [2], tied_to: h.0.0.w}}
            layers: {"h.{i}.{j}": {repeat: {i: 2, j: 1 // i}, params: {w: {shape: [2], initializer: zeros}}}}
            """,
            """
            params: {tie: {shape: [2], tied_to: h.0.w}}
            layers: {"h.{1 / i}": {repeat: {i: 1}, params: {w: {shape: [2], initializer: zeros}}}}
            """,
        ],
    )
    def test_a_target_that_has_a_problem_itself_is_not_called_missing(self, problems, text) -> None:
        [found] = problems(text)
        assert found.code != "tied"

    @pytest.mark.parametrize("use", ["2 * late", "late(0)", "[1, late]"])
    def test_a_var_that_is_used_above_its_definition_is_told_to_move(self, problems, use) -> None:
        [found] = problems(f"vars: {{early: {use}, late: 3}}")
        assert found.code == "unknown-name"
        assert found.hint == "'late' is defined further down: move its line up, above the vars that use it"

    @pytest.mark.parametrize("text", ["{a: 2 * b, b: a}", "{a: 1 + b, b: [1, c], c: 2 * a}"])
    def test_vars_that_need_each_other_are_not_told_to_move(self, problems, text) -> None:
        [found] = problems(f"vars: {text}")
        assert found.code == "unknown-name"
        assert found.hint == "'b' needs 'a' itself: give one of them a value without the other"

    @pytest.mark.parametrize("text", ["vars: {a: a + 1}", "vars: {a: 1, b: c}"])
    def test_a_var_that_is_defined_nowhere_below_is_not(self, problems, text) -> None:
        [found] = problems(text)
        assert "further down" not in (found.hint or "")

    def test_a_shape_too_large_to_number_is_refused_at_once(self, problems) -> None:
        [found] = problems("params: {w: {shape: [2 ** 62, 2 ** 62], initializer: zeros}}")
        assert found.code == "shape"


class TestNamedInitializersThatLeadTooFar:
    def test_a_circle_is_reported_once_and_what_leads_into_it_is_not(self, problems) -> None:
        text = """
        initializers: {a: b, b: c, c: b}
        params: {w: {shape: [2], initializer: a}}
        """
        assert places(problems(text)) == [("initializer-cycle", 1, 22)]

    def test_a_long_chain_is_refused_at_its_first_name_that_is_too_deep(self, problems) -> None:
        chain = ", ".join(f"v{i}: v{i + 1}" for i in range(5000))
        text = f"initializers: {{{chain}, v5000: zeros}}\nparams: {{w: {{shape: [2], initializer: v0}}}}"
        assert [str(found.code) for found in problems(text)] == ["too-deep"]

    def test_doubling_is_refused_without_being_expanded(self, problems) -> None:
        doubles = "".join(
            f"  v{i + 1}: {{concatenate: {{axis: 0, sizes: [1, 1], initializers: [v{i}, v{i}]}}}}\n"
            for i in range(60)
        )
        text = f"initializers:\n  v0: zeros\n{doubles}params: {{w: {{shape: [2], initializer: v60}}}}"
        assert [str(found.code) for found in problems(text)] == ["too-large"]

    def test_parts_are_counted_where_they_are_used_too(self, problems) -> None:
        sizes, ones = ", ".join("1" * 6000), ", ".join(["ones"] * 6000)
        half = f"{{concatenate: {{axis: 0, sizes: [{sizes}], initializers: [{ones}]}}}}"
        both = "{concatenate: {axis: 0, sizes: [1, 1], initializers: [half, half]}}"
        text = f"initializers: {{half: {half}}}\nparams: {{w: {{shape: [2], initializer: {both}}}}}"
        assert [(str(found.code), found.where.line) for found in problems(text)] == [("too-large", 2)]

    def test_after_a_hundred_problems_planning_stops_and_says_so(self, problems) -> None:
        params = ", ".join(f"p{i}: {{shape: [x{i}], initializer: zeros}}" for i in range(250))
        found = problems(f"params: {{{params}}}")
        assert len(found) == 101
        assert found[-1].severity == "note"
        assert found[-1].message == "after 100 problems the rest of the document was not looked at"


class TestRepeatsBeyondWhatAPlanHolds:
    @pytest.mark.parametrize(
        ("repeat", "params"),
        [
            ("i: 1000, j: 1000, k: 1000", "w: {shape: [1], initializer: zeros}"),
            ("i: 3000, j: 3000, k: 0", "w: {shape: [1], initializer: zeros}"),
            ("i: 3000, j: 3000", ""),
            (", ".join(f"i{k}: 1" for k in range(1100)), "w: {shape: [1], initializer: zeros}"),
        ],
        ids=["a cube", "nothing inside", "no parameters", "too many indices"],
    )
    def test_are_refused_before_the_work_begins(self, problems, monkeypatch, repeat, params) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("a copy was made")

        monkeypatch.setattr(layers, "_nested", fail)
        found = problems(f"layers: {{h: {{repeat: {{{repeat}}}, params: {{{params}}}}}}}")
        assert [str(each.code) for each in found] == ["repeat"]

    def test_are_refused_on_the_way_where_counts_use_indices(self, problems, monkeypatch) -> None:
        monkeypatch.setattr(layers, "_plain_steps", lambda *_: 0)
        text = "layers: {'h.{i}.{j}': {repeat: {i: 3, j: 2 ** 20}, params: {}}}"
        assert [str(each.code) for each in problems(text)] == ["repeat"]


class TestABase:
    def check(self, **document) -> list[str]:
        try:
            check_base(read({"initcfg": 1, "base": True, **document}, manifest=Manifest({"a": (2, 3)})))
        except SpecError as error:
            return [str(each.code) for each in error.diagnostics]
        return []

    def test_may_leave_to_others_what_its_ties_name_and_its_manifest_has(self) -> None:
        assert self.check(params={"a": {"shape": [2, 3], "tied_to": "b"}}) == []
        assert self.check(layers={"h": {"params": {}}}) == []

    def test_is_told_what_no_document_over_it_mends(self) -> None:
        whole, other = {"shape": [2, 3], "initializer": "ones"}, {"shape": [3, 2], "tied_to": "a"}
        assert self.check(params={"a": whole, "b": other}) == ["tied"]


def test_an_object_does_not_become_the_documents_own_initializer_of_that_name() -> None:
    params = {"w": Param(shape=[3, 3, 4, 4], initializer=Dirac())}
    assert plan_of(Spec(layout="in_out", params=params))["w"].initializer == Dirac()
    with pytest.raises(SpecError, match="'dirac' of this document hides the built-in"):
        plan_of(Spec(layout="in_out", initializers={"dirac": "zeros"}, params=params))
