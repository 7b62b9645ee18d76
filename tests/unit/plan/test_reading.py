"""A document with structural faults is planned as far as it goes, so that one run reports everything."""

from __future__ import annotations

import textwrap

import pytest

from initcfg.errors import SpecError
from initcfg.plan import plan_reading
from initcfg.spec import reads


def found(text):
    with pytest.raises(SpecError) as caught:
        plan_reading(reads(text))
    return [(str(problem.code), problem.where.line) for problem in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("faulty", "expected"),
    [
        pytest.param(
            """
            vars: {d: 1 +}
            params:
              w: {shape: [d], initializer: nope}
            """,
            ["expression-syntax", "unknown-initializer"],
            id="expression that does not parse",
        ),
        pytest.param(
            """
            initializers:
              a: {random_normal: {std: 1}}
            params:
              w: {shape: [x], initializer: a}
            """,
            ["unknown-key", "unknown-name"],
            id="initializer with an unknown field",
        ),
        pytest.param(
            """
            layout: inout
            params:
              w: {shape: [2, 3], initializer: he_normal}
              v: {shape: [x], initializer: ones}
            """,
            ["layout", "unknown-name"],
            id="unknown layout",
        ),
        pytest.param(
            """
            params:
              w: {shape: [-1]}
              t: {shape: [2], tied_to: w}
              v: {shape: [1 / 0], initializer: ones}
            """,
            ["out-of-range", "expression-value"],
            id="target of a tie with a bad shape",
        ),
        pytest.param(
            """
            layers:
              h.{i}: {repeat: {i: -1}, params: {}}
            params:
              v: {shape: [x], initializer: ones}
            """,
            ["out-of-range", "unknown-name"],
            id="negative repeat",
        ),
        pytest.param(
            """
            nme: x
            params:
              v: {shape: [x], initializer: ones}
            """,
            ["unknown-key", "unknown-name"],
            id="unknown key of the document",
        ),
    ],
)
def test_faults_of_structure_and_of_meaning_come_together(faulty, expected) -> None:
    assert [code for code, _ in found(f"initcfg: 1\n{textwrap.dedent(faulty)}")] == expected


def test_a_missing_version_does_not_hide_the_rest() -> None:
    assert found("params: {v: {shape: [x], initializer: ones}}") == [("missing-key", 1), ("unknown-name", 1)]


def test_a_text_that_is_no_mapping_is_one_problem() -> None:
    assert found("- 1\n") == [("wrong-type", 1)]


def test_the_left_out_entries_are_named() -> None:
    text = """
        initcfg: 1
        vars: {a: [x], b: 2}
        layers:
          h:
            params:
              w: {shape: 3}
              v: {shape: [1]}
    """
    reading = reads(textwrap.dedent(text))
    assert reading.left_out == {("layers", "h", "params", "w")}
    assert list(reading.spec.layers["h"].params) == ["v"]
