"""What people write instead of what a spec means: each gets the hint that says how it is written here."""

from __future__ import annotations

import pytest
import yaml

from initcfg.errors import SpecError
from initcfg.plan import plan_reading
from initcfg.spec import Param, loads, reads
from initcfg.spec.diagnose import shape_hint
from initcfg.spec.scalars import layout_hint

HINTS = [
    ("params: {w: {shape: 2 x 3, initializer: zeros}}", "write a list: [2, 3]"),
    ("params: {w: {shape: '(2, 3)', initializer: zeros}}", "write a list: [2, 3]"),
    ("params: {w: {shape: (2, 3), initializer: zeros}}", "write a list: [2, 3]"),
    ("params: {w: {shape: 'd, d', initializer: zeros}}", "write a list: [d, d]"),
    ("params: {w: {shape: 5, initializer: zeros}}", "write a list: [5]"),
    ("params: {w: {shape: 2; 3, initializer: zeros}}", "write a list, such as [2, 3]"),
    ("params: {w: {initializer: zeros}}", "write it as shape: [768, 3072]"),
    ("params: {w: {shape: [1], init: zeros}}", "did you mean 'initializer'?"),
    ("params: [a]", "the name is the key"),
    ("params:", "write {} for none"),
    ("params: {w: 3}", "write {shape: [768], initializer: zeros}"),
    ("layers: [a]", "the name is the key"),
    ("layers: {a: {params: {}, w: {shape: [1]}}}", "put 'w' under params:"),
    ("layers: {a: {params: {}, repeat: 3}}", "name the index: {i: 3}"),
    ("layers: {a: {params: {}, repeat: n}}", "name the index: {i: n}"),
    ("layers: {a: {params: {}, repeat: {i: {from: 1}}}}", "write where to stop, as to: 12"),
    ("layout: pytorch", "the layout of pytorch is out_in"),
    ("layout: keras", "the layout of keras is in_out"),
    ("layout: NCHW", "NCHW names the axes of data, not of weights"),
    ("seed:", "write a whole number"),
    ("seed: 1.5", "write a whole number"),
    ("seed: 1_000", "remove the underscores"),
    ("seed: d", "expressions are not read here"),
    ("vars: {d: 1_000}", "remove the underscores"),
    ("vars: {d: '2,5'}", "write a decimal point: 2.5"),
    ("vars: {d: np.sqrt(2)}", "write sqrt(...)"),
    ("vars: {d: 1 + math.log2(2)}", "write log2(...)"),
    ("vars: {d: 3d}", "a product is written 3 * d"),
    ("initializers: {2d: zeros}", "dots and hyphens"),
    ("dtype: half", "half precision is float16"),
    ("rules: 3", "write a list, as [{match"),
    ("rules: {'**.bias': zeros}", "write a list, as [{match"),
    ("rules: [zeros]", "write {match"),
    ("rules: [{initializer: zeros}]", "write the pattern of full names"),
    ("rules: [{match: '**'}]", "write initializer: zeros, or skip: true"),
    ("rules: [{match: '**', init: zeros}]", "did you mean 'initializer'?"),
    ("rules: [{match: '**', skip: yes}]", "write true"),
    ("rules: [{match: **.bias, initializer: zeros}]", 'quote a value that begins with *: "**.bias"'),
    ("rules:\n  - match: **.bias", 'quote a value that begins with *: "**.bias"'),
    ("rules:\n  - match: *.bias", 'quote a value that begins with *: "*.bias"'),
    ("rules:\n  - match: *bias", 'quote what begins with *: "*bias"'),
    ("rules:\n  - match: [ab].w", 'quote the pattern: "[ab].w"'),
    ("rules:\n  - match: [ab]", "put the pattern in quotes"),
    ("rules:\n  - match: {a,b}.w", 'quote the pattern: "{a,b}.w"'),
    ("rules: [{match: h.{i}.w, skip: true}]", 'quote the pattern: "h.{i}.w"'),
    ("rules: [{match: h.[01].w, skip: true}]", 'quote the pattern: "h.[01].w"'),
    ("allow: [{reason: so}]", "write the code of the warning"),
    ("allow: [{code: random-bias}]", "write why the warning does not matter here"),
    ("allow: [{code: random-bais, reason: so}]", "did you mean 'random-bias'?"),
    ("allow: random-bias", "write a list, as [{code"),
]


def problem(text):
    with pytest.raises(SpecError) as raised:
        loads(f"initcfg: 1\n{text}\n")
    return raised.value.diagnostics[0]


@pytest.mark.parametrize(("text", "hint"), HINTS, ids=[text for text, _ in HINTS])
def test_what_is_written_otherwise_elsewhere_gets_its_mend(text, hint):
    assert hint in problem(text).hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed:", "expected an integer, got null"),
        ("seed: true", "expected an integer, got true"),
        ("vars: {d: false}", "expected a number or an expression, got false"),
        ("params: {w: {shape: None}}", "expected a list of sizes, got 'None'"),
    ],
)
def test_messages_about_a_document_use_its_words(text, message):
    assert problem(text).message == message


def test_messages_about_values_from_python_use_the_words_of_python():
    with pytest.raises(SpecError, match="got None"):
        Param(shape=None)


@pytest.mark.parametrize("value", [True, None, 2.5, "x" * 1000])
def test_what_is_no_shape_at_all_gets_no_list(value):
    assert shape_hint(value) is None


@pytest.mark.parametrize("name", ["N", "in_out", "OIHW", ""])
def test_names_that_are_no_data_layouts_get_no_such_hint(name):
    assert layout_hint(name) is None


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="only libyaml wants the space")
def test_a_colon_without_its_space_is_told():
    assert problem("params: {w: {shape:[2], initializer: zeros}}").hint == "put a space after the colon"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("random_normal(stddev=0.02)", "arguments are written {random_normal: {stddev: 0.02}}"),
        ("'RandomUniform(minval=-1, maxval=1)'", "{random_uniform: {minval: -1, maxval: 1}}"),
        ("{random_normal: 0.02}", "name the argument: {random_normal: {stddev: 0.02}}"),
        ("{constant: 3}", "name the argument: {constant: {value: 3}}"),
        ("{orthogonal: 2}", "name the argument: {orthogonal: {gain: 2}}"),
        ("{random_uniform: 2}", "name its arguments: minval, maxval, seed"),
        ("{kaiming_uniform_: {a: sqrt(5)}}", "PyTorch's kaiming_uniform_ is written kaiming_uniform"),
        ("nn.init.normal_", "PyTorch's normal_ is written {random_normal: {stddev: 1}}"),
        ("nn.init.trunc_normal_(std=0.02)", "arguments are written {trunc_normal: {std: 0.02}}"),
    ],
)
def test_an_initializer_as_it_is_written_elsewhere_gets_its_mend(written: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan_reading(reads(f"initcfg: 1\nparams:\n  w: {{shape: [4, 4], initializer: {written}}}\n"))
    assert any(told in (problem.hint or "") for problem in caught.value.diagnostics)
