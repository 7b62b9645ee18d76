"""Pictures of figures: their marks stand where the numbers say, and hold nothing that a name could break."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

import initcfg
from initcfg.probe import Block, Probe, Run, Signal
from initcfg.report import figures_of, page_of
from initcfg.report.pictures import (
    density,
    depth_picture,
    map_picture,
    short_name,
    signal_picture,
    spectrum_picture,
    told,
)

if TYPE_CHECKING:
    from initcfg.report.values import Model

CONFIGS = Path(__file__).parents[3] / "configs"
SVG = "{http://www.w3.org/2000/svg}"


def model_of(source: object) -> Model:
    return figures_of([("s.yaml", initcfg.make_plan(source), ())]).models[0]  # type: ignore[arg-type]


def marks(text: str) -> list[ET.Element]:
    return [each for each in ET.fromstring(text).iter() if "mark" in each.get("class", "").split()]


def test_each_matrix_has_a_mark_that_tells_its_numbers() -> None:
    model = model_of(CONFIGS / "gpt2.yaml")
    text = map_picture(model)
    assert text is not None
    found = [each for each in marks(text) if each.find(f"{SVG}title") is not None]
    matrices = [row for row in model.rows if row.kind == "matrix" and row.std]
    assert sorted(each.findtext(f"{SVG}title") or "" for each in found) == sorted(map(told, matrices))
    assert {each.get("data-row") for each in found} == {str(model.rows.index(row)) for row in matrices}


def test_marks_stand_on_the_theory_that_they_follow() -> None:
    """Of LeCun's matrices with other fans the marks stand on one line, parallel to the picture's."""
    shapes = {f"m{n}": {"shape": [n, 8], "initializer": "lecun_normal"} for n in (16, 64, 512)}
    text = map_picture(model_of({"initcfg": 1, "layout": "in_out", "params": shapes}))
    assert text is not None
    root = ET.fromstring(text)
    line = next(each for each in root.iter(f"{SVG}line") if each.get("class") == "theory")
    (x1, y1), (x2, y2) = ((float(line.get(f"x{n}", "")), float(line.get(f"y{n}", ""))) for n in (1, 2))
    circles = [each for each in marks(text) if each.find(f"{SVG}title") is not None]
    for mark in circles:
        if mark.tag == f"{SVG}circle":
            x, y = float(mark.get("cx", "")), float(mark.get("cy", ""))
        else:
            points = [tuple(map(float, pair.split(","))) for pair in (mark.get("points") or "").split()]
            x, y = ((min(axis) + max(axis)) / 2 for axis in zip(*points, strict=True))
        assert math.isclose(y, y1 + (x - x1) * (y2 - y1) / (x2 - x1), abs_tol=1.5)
    assert len(circles) == 3


def test_matrices_of_unequal_shapes_are_one_series() -> None:
    params = {f"fc{at}": {"shape": [8, 2**at], "initializer": "he_normal"} for at in range(1, 4)}
    drawn = depth_picture(model_of({"initcfg": 1, "layout": "out_in", "params": params}))
    assert drawn
    assert "fc{1..3}, block 2" in drawn


@pytest.mark.parametrize("shape", [[64, 64], [96, 24]])
def test_the_density_of_independent_elements_has_area_one_between_its_edges(shape: list[int]) -> None:
    params = {"w": {"shape": shape, "initializer": "lecun_normal"}}
    (spectrum,) = model_of({"initcfg": 1, "layout": "in_out", "params": params}).spectra
    low, high = spectrum.edges
    step = (high - low) / 5000
    assert sum(density(spectrum, low + step * (at + 0.5)) for at in range(5000)) * step == pytest.approx(
        1, rel=1e-3
    )
    assert density(spectrum, low) == density(spectrum, high) == density(spectrum, 2 * high) == 0
    root = ET.fromstring(spectrum_picture(spectrum))
    said = root.findtext(f"{SVG}desc") or ""
    assert said.startswith(f"{min(shape)} singular values from ")
    assert said.endswith(f"lie between {low:.4g} and {high:.4g}")
    (area,) = (each for each in root.iter(f"{SVG}polygon") if each.get("class") == "found")
    assert len((area.get("points") or "").split()) == 2 * max(8, min(shape) // 6) + 2


def test_a_page_shows_spectra_and_says_that_matrices_were_made() -> None:
    for params, is_shown in (
        ({"<b>'\"": {"shape": [16, 16], "initializer": "orthogonal"}}, True),
        ({"b": {"shape": [16, 16], "initializer": "zeros"}}, False),
    ):
        plan = initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": params})
        page = page_of(figures_of([("s.yaml", plan, ())]))
        assert ("<h2>Singular values</h2>" in page) is is_shown
        assert ("matrices that were made for this page" in page) is is_shown
        assert ("no weights were made or read" in page) is not is_shown
        assert "<b>" not in page


def test_a_plan_without_matrices_or_repeats_has_no_picture() -> None:
    model = model_of({"initcfg": 1, "params": {"b": {"shape": [3], "initializer": "zeros"}}})
    assert (map_picture(model), depth_picture(model)) == (None, None)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("transformer.h.{0..11}.attn.c_attn.weight", "attn.c_attn"),
        ("transformer.wte.weight", "wte"),
        ("kernel", "kernel"),
        ("h.{0..3,7}.w", "h.{0..3,7}"),
        ("block{0..2}.conv1", "conv1"),
    ],
)
def test_short_names_tell_matrices_of_a_layer_apart(name: str, short: str) -> None:
    assert short_name(name) == short


HOSTILE = ["</script><script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "n" * 4000]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(name: str) -> None:
    params = {name.replace(".", "_"): {"shape": [4, 5], "initializer": "he_normal"}}
    plan = initcfg.make_plan({"initcfg": 1, "name": name, "layout": "in_out", "params": params})
    page = page_of(figures_of([(f"{name}\x1b[31m\u202ea", plan, ())], command=f"{name}\x1b\u202e"))
    assert page.count("<script") == page.count("</script>") == 2  # the data and the code
    assert "<img" not in page
    assert not set(page) & {"\x1b", "\u202e"}
    assert re.search(r"Content-Security-Policy\" content=\"default-src &#39;none&#39;", page)


def test_a_probe_has_a_picture_each_way_and_a_section_of_the_page() -> None:
    blocks = tuple(
        Block(
            name=f"h.<{at}>",
            forward=Signal(square=(2.0**at,), mean=(0.0,), expected=(3.0**at,)),
            backward=Signal(square=(None if at else 1.0,), mean=(0.0,)),
            rank=(1.0,),
            rows=8,
        )
        for at in range(4)
    )
    run = Run(
        name="</pre>.yaml", fingerprint=None, seeds=(0,), loss=(1.5,), blocks=blocks, leaves=(),
        nonlinearities=(), weights=(), seconds=0.0, nbytes=0,
    )  # fmt: skip
    probe = Probe(version="1", model="Net", batch="8 rows", loss="as given", chance=None, runs=(run,))
    text = signal_picture(probe)
    assert text is not None
    told = [each.findtext(f"{SVG}title") for each in marks(text)]
    assert told == [f"</pre>.yaml, h.<{at}>: {2**at}" for at in range(4)]
    heights = [float(each.get("cy", "")) for each in marks(text)]
    assert heights == sorted(heights, reverse=True)
    assert ET.fromstring(text).find(f"{SVG}polyline[@class='series expected s0']") is not None
    assert signal_picture(probe.model_copy(update={"runs": ()})) is None
    page = page_of(figures_of([], probe=probe))
    assert page.count("<figure>") == 2
    assert "<title>Net" in page
    assert "</pre>.yaml" not in page
    assert "changes by a factor of 2 from block to block" in page
