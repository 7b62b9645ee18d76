"""What a notebook shows of values: tables that fold, with a picture of each law, and nothing unescaped."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

import initcfg
from initcfg.capture.captured import Captured
from initcfg.capture.values import Recorded
from initcfg.initializers import RandomNormal

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</th><script>alert('1')</script>\u202e"
EMPTY = {"meta", "br", "polygon"}


def spec(std: float = 0.02) -> dict[str, Any]:
    params = {
        f"h.{i}.w": {"shape": [8, 8], "initializer": {"random_normal": {"stddev": std}}} for i in range(3)
    }
    return {"initcfg": 1, "name": "<b>net", "params": {**params, "b": {"shape": [8], "initializer": "zeros"}}}


class Balanced(HTMLParser):
    """Fails where an element is not shut, or shut where none is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag


def shown(value: Any) -> str:
    text: str = value._repr_html_()
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert not parser.seen & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?://|url\(|\son\w+=", text)
    return text


def test_a_plan_folds_and_draws_its_laws() -> None:
    text = shown(initcfg.make_plan(spec()))
    assert "Plan &#39;&lt;b&gt;net&#39;" in text
    assert "<summary>h.{0..2}.w</summary>" in text
    assert "h.0.w<br>h.1.w<br>h.2.w<br>" in text
    assert text.count("<svg") == 2
    assert "<title>mean 0, std 0.02; from -0.064 to 0.064</title>" in text


def test_a_parameter_is_shown_with_its_place_in_the_spec(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("initcfg: 1\nparams:\n  w: {shape: [4], initializer: ones}\n")
    text = shown(initcfg.make_plan(tmp_path / "net.yaml")["w"])
    assert "fill(1)" in text
    assert "net.yaml:3:3" in text


def test_a_difference_tells_what_changed() -> None:
    text = shown(initcfg.diff_plans(initcfg.make_plan(spec()), initcfg.make_plan(spec(0.05))))
    assert "PlanDiff: 3 changed, 1 unchanged" in text
    assert "normal(0, 0.02) -&gt; normal(0, 0.05)" in text


def test_a_verification_tells_what_differs(tmp_path: Path) -> None:
    path = initcfg.save(spec(), tmp_path / "w.safetensors").path
    assert "w.safetensors: equal" in shown(initcfg.verify(path, spec()))
    text = shown(initcfg.verify(path, spec(0.05), law=True))
    assert re.search(r"w\.safetensors: \d problems?", text)
    assert "h.{0..2}.w" in text


def test_a_captured_model_is_shown_as_its_plan() -> None:
    weights = [Recorded(f"h.{i}.w", (8, 8), "float32", RandomNormal(0, 0.02), "Linear") for i in range(4)]
    assert "h.{0..3}.w" in shown(Captured("tiny", weights))


@pytest.mark.parametrize("what", ["plan", "parameter", "diff"])
def test_a_name_is_inert(what: str) -> None:
    plan = initcfg.make_plan(spec())
    hostile = dataclasses.replace(
        plan, parameters=(dataclasses.replace(plan["b"], name=HOSTILE), *plan.parameters[1:])
    )
    value = {"plan": hostile, "parameter": hostile[0], "diff": initcfg.diff_plans(plan, hostile)}[what]
    text = shown(value)
    assert "\\u202e" in text
    assert "\u202e" not in text


def test_a_plan_as_text_is_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = str(initcfg.make_plan(spec())).splitlines()
    assert lines[0].startswith("name")
    assert lines[1].startswith("h.{0..2}.w  x3  (8, 8)")
    assert max(map(len, lines)) <= 75
    assert repr(initcfg.make_plan(spec())) == "<Plan '<b>net', parameters=4, elements=200, seed=0>"


def test_records_are_plain_data() -> None:
    plan = initcfg.make_plan(spec())
    records = plan.records()
    assert [each["name"] for each in records] == [each.name for each in plan]
    assert sum(each["elements"] for each in records) == plan.numel
    (folded, bias) = plan.records(fold=True)
    assert (folded["name"], folded["copies"], folded["elements"]) == ("h.{0..2}.w", 3, 192)
    assert (folded["kind"], bias["kind"]) == ("random", "constant")
    assert {type(value) for each in records for value in each.values()} <= {
        str,
        int,
        float,
        tuple,
        type(None),
    }
