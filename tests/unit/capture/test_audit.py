"""What recordings show: one fault each, by hand; tests/interop/test_torch_audit.py has real models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from initcfg.capture.audit import Audit, Idle, audit_recordings, is_idle, same_law
from initcfg.capture.values import Lost, Recorded, Recording, Site, Table, Unsaid, Write
from initcfg.errors import AuditError, Code
from initcfg.initializers import Constant, Formula, Ones, RandomNormal, RandomUniform, Zeros

HERE = Site(__file__, 1, "test")
LAYER = Site("torch/nn/modules/linear.py", 117, "reset_parameters")


def write(
    line: int, call: str = "normal_(std=0.02)", phase: Any = "constructor", inner: Site | None = None
) -> Write:
    site = Site(__file__, line, "build")
    return Write(call, inner or site, site, phase)


def recorded(name: str, law: Any = None, **fields: Any) -> Recorded:
    given = {"shape": (4, 2), "dtype": "float32", "module": "Linear", "writes": (write(10),), "made": HERE}
    return Recorded(name=name, law=law or Zeros(), **{**given, **fields})


def recording(*tensors: Recorded, **fields: Any) -> Recording:
    return Recording(tensors, **fields)


WHOLE = ((0, 4), (0, 2))
EMPTY = recorded("w", Unsaid("never written"), unwritten=(WHOLE,), writes=())


def codes(found: Audit) -> list[tuple[Code, str]]:
    return [(each.code, each.severity) for each in found.diagnostics]


def test_nothing_is_found_in_a_model_that_is_written() -> None:
    found = audit_recordings(recording(recorded("w")), recording(recorded("w")))
    assert not found
    assert str(found) == "nothing found"
    found.require_fine()


@pytest.mark.parametrize(
    ("deferred", "way"),
    [
        (None, "never written: it holds"),
        (recording(EMPTY), "never written, however the model is made: it holds"),
        (recording(recorded("w")), "never written where the model is constructed on CPU: it holds"),
    ],
)
def test_garbage_in_a_constructed_model_is_an_error_with_the_way_it_is_true_for(deferred, way: str) -> None:
    found = audit_recordings(recording(EMPTY), deferred)
    assert codes(found) == [(Code.NEVER_WRITTEN, "error")]
    assert way in found.diagnostics[0].message
    with pytest.raises(AssertionError, match="never-written"):
        found.require_fine()


def test_garbage_by_way_of_meta_names_the_line_that_only_the_constructor_runs() -> None:
    found = audit_recordings(recording(recorded("w"), pretrained=True), recording(EMPTY))
    assert codes(found) == [(Code.NEVER_WRITTEN, "warning")]
    (problem,) = found.diagnostics
    assert problem.where.line == 10
    assert "from_pretrained() where the checkpoint lacks it" in problem.message


def test_an_unwritten_part_is_told_as_an_index() -> None:
    part = recorded("w", Unsaid("in part"), unwritten=(((3, 4), (0, 2)), ((0, 2), (1, 2))))
    (problem,) = audit_recordings(recording(part)).diagnostics
    assert problem.code is Code.PARTLY_WRITTEN
    assert "not at [3, :], [:2, 1]" in problem.message


def test_copies_of_a_layer_are_told_once() -> None:
    copies = (replace(EMPTY, name=f"h.{layer}.w") for layer in range(3))
    (problem,) = audit_recordings(recording(*copies)).diagnostics
    assert problem.message.startswith("'h.{0..2}.w' is never written")


def test_a_place_is_a_line_of_the_source_from_its_first_character() -> None:
    (problem,) = audit_recordings(recording(EMPTY)).diagnostics
    assert problem.where.text == Path(__file__).read_text().splitlines()[0]
    assert (problem.where.line, problem.where.column) == (1, 1)


LOST = Lost("w", write(7, "zeros_()"), Zeros(), RandomNormal(0, 0.02), write(10), first=False)


@pytest.mark.parametrize(
    ("lost", "count"),
    [
        (LOST, 1),
        (replace(LOST, write=write(7, inner=LAYER)), 0),  # a default of torch.nn
        (replace(LOST, first=True), 0),  # only to have memory
        (replace(LOST, first=True, write=write(7, phase="init")), 1),
        (replace(LOST, write=write(10)), 0),  # the line lives on elsewhere
        (replace(LOST, law=RandomNormal(0, 0.02 + 1e-16)), 0),
        (replace(LOST, law=Unsaid("qr")), 0),
        (replace(LOST, by=None), 1),
    ],
)
def test_a_line_of_which_nothing_is_left_is_told_where_that_matters(lost: Lost, count: int) -> None:
    found = audit_recordings(recording(recorded("w", RandomNormal(0, 0.02)), lost=(lost,)))
    assert codes(found) == [(Code.LOST_WRITE, "warning")] * count


def parts(first: Recorded, second: Recorded) -> Recording:
    names = (f"conv.parametrizations.weight.original{at}" for at in range(2))
    return recording(*(replace(part, name=name) for name, part in zip(names, (first, second), strict=True)))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (parts(recorded(""), recorded("")), []),
        (parts(EMPTY, EMPTY), ["never-written", "never-written"]),
        (parts(recorded(""), EMPTY), ["half-parametrization"]),
        (parts(recorded("", writes=(write(5, inner=LAYER),)), recorded("")), ["half-parametrization"]),
        (parts(recorded(""), recorded("", writes=(write(5, inner=LAYER),))), []),  # the length alone
    ],
)
def test_one_part_of_a_parametrization_is_told(model: Recording, expected: list[str]) -> None:
    assert [each.code for each in audit_recordings(model).diagnostics] == expected


def test_a_tie_that_init_or_to_empty_breaks_is_told_once() -> None:
    tied = (recorded("a"), recorded("b", tied_to="a"))
    apart = (recorded("a"), recorded("b", Ones()))
    (problem,) = audit_recordings(recording(*apart, ties=(("b", "a"),))).diagnostics
    assert problem.message.startswith("'b' is no longer tied to 'a', as the constructor has it")
    (problem,) = audit_recordings(recording(*tied, ties=(("b", "a"),)), recording(*apart)).diagnostics
    assert "to_empty()" in problem.message
    assert not audit_recordings(recording(*tied, ties=(("b", "a"),)), recording(*tied))


def test_a_law_that_depends_on_the_way_is_told_with_both() -> None:
    (problem,) = audit_recordings(
        recording(recorded("w", Ones())), recording(recorded("w", Zeros()))
    ).diagnostics
    assert problem.code is Code.OTHER_PATH
    assert "is Zeros() after meta" in problem.message
    assert "Ones() where the model is constructed on CPU" in problem.message


@pytest.mark.parametrize(
    ("name", "fields", "count"),
    [
        ("fc.bias", {}, 1),
        ("fc.weight", {}, 0),
        ("fc.weight", {"module": "RMSNorm"}, 1),
        ("fc.bias", {"writes": (write(3, inner=LAYER),)}, 0),
        ("fc.bias", {"shape": (4, 4)}, 0),
        ("fc.bias", {"law": Formula("x**2", of=RandomNormal())}, 0),
        ("fc.bias", {"law": Constant(3.0)}, 0),
    ],
)
def test_a_random_bias_of_other_code_than_torchs_own_is_told(name: str, fields: dict, count: int) -> None:
    tensor = recorded(name, **{"law": RandomUniform(-1, 1), "shape": (4,), **fields})
    assert codes(audit_recordings(recording(tensor))) == [(Code.RANDOM_BIAS, "warning")] * count


def test_an_idle_setting_is_a_note_and_no_finding() -> None:
    found = audit_recordings(recording(recorded("w")), idle=[Idle("n_layer", HERE)])
    assert codes(found) == [(Code.IDLE_SETTING, "note")]
    assert not found
    found.require_fine()


def test_a_setting_is_idle_where_no_law_or_shape_of_a_common_name_changes() -> None:
    before = [recorded("w")]
    assert is_idle(before, [recorded("w"), recorded("more")])
    assert not is_idle(before, [recorded("w", Ones())])
    assert not is_idle(before, [recorded("w", shape=(5, 2))])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Constant(1e-6), Constant(float(np.float32(1e-6))), True),
        (Constant(5.656854249492381), Constant(5.656854), True),
        (Constant(1e300), Constant(1e301), False),
        (RandomNormal(0, 0.02), RandomNormal(0, 0.02001), False),
        (RandomNormal(0, 0.02), RandomUniform(0, 0.02), False),
        (Formula("0.1 * x", of=RandomNormal()), Formula("0.1000000000000001 * x", of=RandomNormal()), True),
        (Formula("0.1 * x", of=RandomNormal()), Formula("0.2 * x", of=RandomNormal()), False),
        (Table(np.zeros(2)), Table(np.zeros(2)), True),
        (Table(np.zeros(2)), Table(np.ones(2)), False),
        (Table(np.zeros(2)), Zeros(), False),
        (Unsaid("qr"), Zeros(), True),
    ],
)
def test_laws_are_the_same_to_the_digits_of_a_parameters_type(one: Any, other: Any, same: bool) -> None:
    assert same_law(one, other, "float32") is same
    assert same_law(other, one, "float32") is same


def test_the_error_carries_the_diagnostics() -> None:
    with pytest.raises(AuditError) as caught:
        audit_recordings(recording(EMPTY)).require_fine()
    assert [each.code for each in caught.value.diagnostics] == [Code.NEVER_WRITTEN]


def test_what_is_general_may_come_before_what_is_special() -> None:
    others = tuple(recorded(name, Ones(), writes=(write(12),)) for name in ("a", "b"))
    lost = (LOST, *(replace(LOST, name=each.name, by=write(12)) for each in others))
    special = recorded("w", RandomNormal(0, 0.02))
    assert audit_recordings(recording(special, *others, lost=lost[:1]))
    assert not audit_recordings(recording(special, *others, lost=lost))
