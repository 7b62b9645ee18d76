"""Plan files read back: the same plan, or a refusal that says what is wrong."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg import initializers
from initcfg.plan import Plan
from initcfg.plan import read as reading
from initcfg.plan.plan import is_plan
from initcfg.plan.read import read_plan, read_plan_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Edit = Callable[[dict[str, Any]], object]

SPEC = {
    "initcfg": 1,
    "name": "all",
    "seed": 2**64 - 1,
    "layout": "in_out",
    "params": {
        "w": {"shape": [4, 6], "initializer": "he_normal"},
        "again": {"shape": [4, 6], "initializer": "he_normal"},
        "conv": {"shape": [6, 4, 3, 3], "layout": "OIHW", "dtype": "bfloat16", "initializer": "he_uniform"},
        "empty": {"shape": [0, 3], "initializer": "zeros"},
        "scalar": {"shape": [], "initializer": {"constant": {"value": -0.0}}},
        "flag": {"shape": [2], "dtype": "bool", "initializer": {"constant": {"value": True}}},
        "wide": {"shape": [2], "dtype": "uint64", "initializer": {"constant": {"value": 2**64 - 1}}},
        "array": {"shape": [2, 2], "initializer": {"constant": {"value": [[0, 1], [2.5, -0.0]]}}},
        "cut": {"shape": [3], "initializer": {"truncated_normal": {"low": -1, "high": 3}}},
        "own": {"shape": [3], "initializer": {"random_normal": {"seed": 7}}},
        "frame": {"shape": [4, 4], "initializer": {"orthogonal": {"gain": 2}}},
        "port": {"shape": [3], "stream": "elsewhere", "initializer": "random_uniform"},
        "head": {"shape": [4, 6], "tied_to": "w"},
        "fused": {
            "shape": [4, 9],
            "initializer": {
                "concatenate": {
                    "axis": 1,
                    "sizes": [3, 6],
                    "initializers": [
                        {"random_normal": {"stddev": 0.5, "seed": 3}},
                        {"concatenate": {"axis": 0, "sizes": [1, 3], "initializers": ["ones", "he_normal"]}},
                    ],
                }
            },
        },
    },
}


def made() -> Plan:
    return initcfg.make_plan(SPEC)


def edited(edit: Edit) -> dict[str, Any]:
    document = copy.deepcopy(made().to_dict())
    edit(document)
    return document


def problems(source: object) -> tuple[initcfg.Diagnostic, ...]:
    with pytest.raises(initcfg.SpecError) as caught:
        read_plan(source)  # type: ignore[arg-type]
    return caught.value.diagnostics


def test_a_plan_file_gives_the_plan_that_was_written(tmp_path: Path) -> None:
    plan = made()
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    again = read_plan(tmp_path / "plan.json")
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    assert again.to_json() == plan.to_json()
    before, after = initcfg.materialize(plan), initcfg.materialize(again)
    assert list(after) == list(before)
    for name, array in before.items():
        assert array.tobytes() == after[name].tobytes()
    assert after["head"] is after["w"]


def test_places_rules_and_what_rules_leave_out_come_back(tmp_path: Path) -> None:
    text = (
        "initcfg: 1\nrules:\n  - {match: '**.freq', skip: true}\n  - {match: '**.b', initializer: zeros}\n"
        "layers:\n  fc:\n    params:\n      b: {shape: [2]}\n      freq: {shape: [2]}\n"
    )
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    plan = initcfg.make_plan(tmp_path / "spec.yaml")
    again = read_plan(json.loads(plan.to_json()))
    assert again["fc.b"].rule == "**.b"
    assert str(again["fc.b"].where) == str(plan["fc.b"].where)
    assert [(each.name, each.rule) for each in again.skipped] == [("fc.freq", "**.freq")]
    assert again.to_json() == plan.to_json()


def test_the_order_of_keys_and_white_space_do_not_count() -> None:
    document = json.dumps(made().to_dict(), sort_keys=True, indent=7)
    assert read_plan_bytes(b"\xef\xbb\xbf" + document.encode()) == made()


def test_parameters_that_say_the_same_share_one_initializer() -> None:
    again = read_plan(made().to_dict())
    assert again["w"].initializer is again["again"].initializer


def test_a_registered_class_comes_back_and_is_made_for_each_parameter() -> None:
    @initializers.register(package="tests", name="Slope")
    class Slope(initcfg.Initializer):
        def __init__(self, step: float) -> None:
            self.step = step

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return (np.arange(np.prod(shape)) * self.step).reshape(shape).astype(dtype)

        def get_config(self) -> dict[str, Any]:
            return {"step": self.step}

    params = {name: initcfg.Param(shape=[3], initializer=Slope(0.5)) for name in "ab"}
    plan = initcfg.make_plan(initcfg.Spec(params=params))
    again = read_plan(json.loads(plan.to_json()))
    assert again.fingerprint == plan.fingerprint
    assert initcfg.materialize(again)["b"].tolist() == [0.0, 0.5, 1.0]
    assert again["a"].initializer is not again["b"].initializer


def test_a_class_that_is_not_registered_is_named() -> None:
    def rename(document: dict[str, Any]) -> None:
        document["parameters"][0]["initializer"] = {
            "class_name": "Mine", "config": {}, "registered_name": "theirs>Mine",
        }  # fmt: skip

    (problem,) = problems(edited(rename))
    assert problem.code == "unknown-initializer"
    assert "theirs>Mine" in problem.message
    assert problem.where is not None
    assert problem.where.path == ("parameters", 0)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda document: document.update(format="other"), "wrong-type"),
        (lambda document: document.pop("format"), "wrong-type"),
        (lambda document: document.update(version=2), "format-version"),
        (lambda document: document.update(version=True), "format-version"),
        (lambda document: document.update(stream_version=2), "format-version"),
        (lambda document: document.update(seed=3), "edited-plan"),
        (lambda document: document.update(seed=-1), "wrong-type"),
        (lambda document: document.update(extra=1), "unknown-key"),
        (lambda document: document.pop("fingerprint"), "missing-key"),
        (lambda document: document.update(fingerprint="0" * 64), "edited-plan"),
        (lambda document: document.update(numel=1), "edited-plan"),
        (lambda document: document.update(parameters={}), "wrong-type"),
        (lambda document: document["parameters"].pop(), "edited-plan"),
        (lambda document: document["parameters"].append(document["parameters"][0]), "duplicate-parameter"),
    ],
)
def test_a_document_that_does_not_agree_with_itself_is_refused(edit: Edit, code: str) -> None:
    found = problems(edited(edit))
    assert {problem.code for problem in found} == {code}
    assert all(problem.hint for problem in found)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, "bad-name"),
        ({"name": "a..b"}, "bad-name"),
        ({"name": "a\n"}, "bad-name"),
        ({"name": "other"}, "tied"),  # the target of 'head' is gone
        ({"shape": [4, 7]}, "edited-plan"),
        ({"shape": [-4, 6]}, "wrong-type"),
        ({"shape": [4.0, 6]}, "wrong-type"),
        ({"shape": [2**63, 6]}, "wrong-type"),
        ({"shape": [2**62, 2**62]}, "shape"),
        ({"dtype": "float31"}, "unknown-dtype"),
        ({"dtype": "float16"}, "edited-plan"),
        ({"dtype": "int8"}, "distribution"),
        ({"layout": "sideways"}, "layout"),
        ({"layout": "out_in"}, "edited-plan"),
        ({"fan_in": None}, "edited-plan"),
        ({"fan_in": "4"}, "wrong-type"),
        ({"initializer": {"class_name": "Nothing", "config": {}}}, "unknown-initializer"),
        ({"initializer": {"class_name": "HeNormal", "config": {"gain": 1}}}, "unknown-key"),
        ({"initializer": {"class_name": "Zeros", "config": {}}}, "edited-plan"),
        ({"distribution": None}, "edited-plan"),
        ({"distribution": {"kind": "normal", "mean": 0.0, "std": 0.5}}, "edited-plan"),
        ({"distribution": {"kind": "normal", "mean": 0.0, "std": -1.0}}, "edited-plan"),
        ({"distribution": {"kind": "cauchy"}}, "wrong-type"),
        ({"stream": "0" * 32}, "edited-plan"),
        ({"stream": "x"}, "wrong-type"),
        ({"stream_name": "other"}, "edited-plan"),
        ({"stream_name": "\ud800"}, "bad-name"),
        ({"tied_to": "nothing"}, "tied"),
        ({"tied_to": "head"}, "tied"),
        ({"tied_to": "w"}, "tied"),
        ({"nbytes": 1}, "edited-plan"),
        ({"where": {"file": "x"}}, "missing-key"),
    ],
)
def test_an_entry_that_was_edited_is_refused(changes: dict[str, Any], code: str) -> None:
    found = problems(edited(lambda document: document["parameters"][0].update(changes)))
    assert code in {problem.code for problem in found}, found
    assert all(problem.where and problem.where.path[0] == "parameters" for problem in found)


def test_every_edited_entry_is_told_in_one_reading() -> None:
    def edit(document: dict[str, Any]) -> None:
        for at in (5, 1, 3):
            document["parameters"][at]["stream"] = "f" * 32

    assert [problem.where.path for problem in problems(edited(edit)) if problem.where] == [
        ("parameters", at) for at in (1, 3, 5)
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "syntax"),
        (b"{", "syntax"),
        (b"\xff\xfe{", "encoding"),
        (b"[]", "wrong-type"),
        (b"null", "wrong-type"),
        (b"{}", "wrong-type"),
        (b'{"format": NaN}', "not-finite"),
        (b'{"format": ' + b"1" * 5000 + b"}", "out-of-range"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 100_000, "too-deep"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(content: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    (problem,) = problems(path)
    assert problem.code == code
    assert problem.where is not None
    assert problem.where.file == str(path)


def test_a_plan_that_was_cut_short_says_where(tmp_path: Path) -> None:
    text = made().to_json()
    (tmp_path / "plan.json").write_text(text[: len(text) // 2], encoding="utf-8")
    (problem,) = problems(tmp_path / "plan.json")
    assert problem.code == "syntax"
    assert problem.where is not None
    assert problem.where.line is not None
    assert problem.where.line > 1


def test_a_plan_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_text(made().to_json(), encoding="utf-8")
    size = path.stat().st_size
    monkeypatch.setattr(reading, "MAX_PLAN_BYTES", size)
    assert read_plan(path) == made()
    monkeypatch.setattr(reading, "MAX_PLAN_BYTES", size - 1)
    assert [problem.code for problem in problems(path)] == ["too-large"]


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing", "a\0b"):
        assert [problem.code for problem in problems(path)] == ["input"]
    assert [problem.code for problem in problems(3)] == ["wrong-type"]


DOCUMENT = made().to_json()


@given(st.integers(0, len(DOCUMENT) - 1), st.text(max_size=3), st.integers(0, 3))
def test_no_edit_is_taken_for_another_plan(at: int, text: str, cut: int) -> None:
    """Whatever is changed in the text: the same plan, or a refusal, and never other values."""
    changed = DOCUMENT[:at] + text + DOCUMENT[at + cut :]
    try:
        plan = read_plan_bytes(changed.encode("utf-8", "surrogatepass"))
    except initcfg.SpecError:
        return
    assert plan.fingerprint == made().fingerprint
    assert plan.seed == made().seed


@pytest.mark.parametrize(
    ("beginning", "plan"),
    [
        (DOCUMENT[:100].encode(), True),
        (b' \n{"fingerprint": "", "format" : "initcfg.plan"', True),
        (b'\xef\xbb\xbf{"format":"initcfg.plan"', True),
        (b'{"initcfg": 1}', False),
        (b'format: "initcfg.plan"', False),
        (b"", False),
    ],
)
def test_a_plan_is_known_by_what_it_holds(beginning: bytes, plan: bool) -> None:
    assert is_plan(beginning) is plan


def test_a_file_that_is_not_there_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = {"shape": [4], "initializer": {"pretrained": {"file": "w.safetensors"}}}
    names = [f"w{at}" for at in range(3)]
    spec = {"initcfg": 1, "params": dict.fromkeys(names, copied)}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(initcfg.SpecError) as planning:
        initcfg.make_plan(spec, root=".")
    assert len(planning.value.diagnostics) == 1
    ones = {"shape": [4], "initializer": "ones"}
    initcfg.save({"initcfg": 1, "params": dict.fromkeys(names, ones)}, "w.safetensors")
    text = initcfg.make_plan(spec, root=".").to_json()
    assert len(read_plan_bytes(text.encode(), None)) == 3
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with pytest.raises(initcfg.SpecError) as reading_it:
        read_plan_bytes(text.encode(), None)
    (problem,) = reading_it.value.diagnostics
    assert problem.where.path == ("parameters", 0)
    assert "the folder where it was made" in problem.hint
