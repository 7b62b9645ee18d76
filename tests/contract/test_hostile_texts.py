"""Texts that were made to hurt: each ends in diagnostics, whatever its size, never in another exception."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

import initcfg
from initcfg.errors import Code, SpecError
from initcfg.spec import loads
from initcfg.spec.files import MAX_BYTES

SIZE = MAX_BYTES - 200
HEAD = "initcfg: 1\n"
NOISE = random.Random(1)


def filled(piece: str, around: str = "{}") -> str:
    """A text of nearly the largest size, of one piece again and again."""
    return around.replace("{}", piece * ((SIZE - len(around)) // len(piece)))


def lines(template: str, head: str = HEAD) -> str:
    """A text of nearly the largest size, of numbered lines."""
    count = SIZE // (len(template) + 5 * template.count("#"))
    return head + "".join(template.replace("#", str(index)) + "\n" for index in range(count))


def bomb(factor: int = 9) -> str:
    levels = "abcdefgh"
    rows = (f"{name}: &{name} [{', '.join([f'*{before}'] * factor)}]\n" for before, name in pairwise(levels))
    return f"{HEAD}a: &a [{', '.join(['0'] * factor)}]\n" + "".join(rows)


YAML = {
    "brackets": (filled("["), Code.TOO_DEEP),
    "braces": (filled("{a: "), Code.TOO_DEEP),
    "dashes": (filled("- "), Code.TOO_DEEP),
    "questions": (filled("? "), Code.TOO_DEEP),
    "blocks": ("".join("  " * level + "a:\n" for level in range(300)), Code.TOO_DEEP),
    "alias_bomb": (bomb(), Code.ALIAS),
    "aliases": (filled("*a, ", "a: &a [1, 1]\nb: [{}]"), Code.ALIAS),
    "unknown_aliases": (filled("*a, ", "vars: {w: [{}]}"), Code.ALIAS),
    "anchors": (lines("a#: &a# 1"), Code.UNKNOWN_KEY),
    "tags": (filled("!t x, ", "vars: {w: [{}]}"), Code.TAG),
    "tag_directives": (lines("%TAG !a#! b", head=""), Code.TAG),
    "version_directives": (filled("%YAML 1.2\n"), Code.TAG),
    "documents": (filled("---\n"), Code.SYNTAX),
    "unknown_keys": (lines("k#:"), Code.UNKNOWN_KEY),
    "equal_keys": (filled("a:\n", "initcfg: 1\n{}"), Code.DUPLICATE_KEY),
    "parameters_that_are_numbers": (lines("  p#: 1", head=f"{HEAD}params:\n"), Code.WRONG_TYPE),
    "unknown_arguments": (lines("  p#: {zeros: {a: 1}}", head=f"{HEAD}initializers:\n"), Code.UNKNOWN_KEY),
    "wrong_names": (HEAD + f"vars: {{{','.join(f'{at}a: 1' for at in range(20_000))}}}", Code.BAD_NAME),
    "digits": (filled("9", "initcfg: 1\nseed: {}"), Code.OUT_OF_RANGE),
    "hexadecimal_digits": (filled("9", "initcfg: 1\nseed: 0x{}"), Code.OUT_OF_RANGE),
    "exponent_digits": (filled("9", "initcfg: 1\nseed: 1e{}"), Code.NOT_FINITE),
    "one_expression": (filled("1+", "initcfg: 1\nvars: {x: {}1}"), Code.EXPRESSION_SYNTAX),
    "parentheses": (filled("(", "initcfg: 1\nvars: {x: {}}"), Code.EXPRESSION_SYNTAX),
    "faulty_expressions": (filled("a b,", "initcfg: 1\nvars: {x: [{}]}"), Code.EXPRESSION_SYNTAX),
    "open_calls": (filled("max(a, ", "initcfg: 1\nvars: {x: [{}]}"), Code.EXPRESSION_SYNTAX),
    "one_open_call": (filled("a, ", "initcfg: 1\nvars: {x: [max({}]}"), Code.EXPRESSION_SYNTAX),
    "shape": (filled("1,", "initcfg: 1\nparams: {w: {shape: [{}]}}"), Code.SHAPE),
    "key": (filled("k", "initcfg: 1\n? {}\n: 1"), Code.UNKNOWN_KEY),
    "template": (filled("{i}", "initcfg: 1\nparams: {w: {shape: [1], stream: '{}'}}"), Code.TEMPLATE),
    "open_quote": (filled("x", 'a: "{}'), Code.SYNTAX),
    "tabs": (filled("\t"), Code.SYNTAX),
    "line_breaks": (filled("\n"), Code.WRONG_TYPE),
    "comments": (filled("#\n"), Code.WRONG_TYPE),
    "noise": ("".join(map(chr, NOISE.choices(range(32, 127), k=SIZE))), None),
    "signs": ("".join(NOISE.choices(" \n:-[]{}ab,*&#'", k=SIZE)), None),
    "too_large": ("#" * (MAX_BYTES + 1), Code.TOO_LARGE),
}
JSON = {
    "brackets": (filled("["), Code.TOO_DEEP),
    "braces": (filled('{"a":'), Code.TOO_DEEP),
    "digits": (filled("9", '{"seed": {}}'), Code.OUT_OF_RANGE),
    "open_string": (filled("a", '"{}'), Code.SYNTAX),
    "not_finite": (filled("NaN,", '{"vars": {"x": [{}1]}}'), Code.NOT_FINITE),
    "surrogates": (filled("\\ud800", '{"name": "{}"}'), Code.ENCODING),
    "keys": ("{" + ",".join(f'"k{index}":1' for index in range(SIZE // 12)) + "}", Code.UNKNOWN_KEY),
    "equal_keys": (filled('"k":1,', '{{}"k":1}'), Code.DUPLICATE_KEY),
    "spaces": (filled(" "), Code.WRONG_TYPE),
    "noise": ("".join(map(chr, NOISE.choices(range(32, 127), k=SIZE))), None),
}
CASES = [
    *(("yaml", name, *case) for name, case in YAML.items()),
    *(("json", name, *case) for name, case in JSON.items()),
]


@pytest.mark.parametrize(
    ("form", "text", "code"),
    [(form, text, code) for form, _, text, code in CASES],
    ids=[f"{form}-{name}" for form, name, _, _ in CASES],
)
def test_a_hostile_text_ends_in_diagnostics(form, text, code):
    with pytest.raises(SpecError) as raised:
        loads(text, form, "hostile")
    assert len(raised.value.diagnostics) <= 202
    assert code is None or code in {each.code for each in raised.value.diagnostics}
    assert all(len(line) < 1000 for line in str(raised.value).splitlines())


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!python/module:os",
        "{_target_: os.system, _args_: ['true']}", "{class_path: os.system, init_args: {}}",
        "{class_name: os.system, module: os, config: {}}", "{class_name: function, config: system}",
        "${oc.env:HOME}", "${HOME}", "{{ 7 * 7 }}", "{0.__class__}", "__import__('os').system('true')",
        "().__class__.__bases__", "lambda: 0", "open('/etc/passwd')", "eval(1)", "d.__class__", "d['x']",
        "'%s' % d", "f'{d}'", "`id`", "$(id)", "<script>", "../../etc/passwd", "file:///etc/passwd",
        "[x for x in d]", "d if d else exit(1)", "import os", "print(1)", "getattr(d, 1)", "d := 3", "d @ d",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["vars: {d: 1, x: %s}", "params: {w: {shape: [%s], initializer: zeros}}"])
def test_code_in_the_place_of_a_number_is_refused(value, place):
    quoted = value if value.startswith(("!!", "{_", "{class")) else '"' + value.replace('"', '\\"') + '"'
    text = HEAD + place.replace("%s", quoted)
    with pytest.raises(SpecError):
        initcfg.make_plan(loads(text))
