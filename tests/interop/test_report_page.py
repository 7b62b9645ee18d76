"""The page of a report in a browser: it asks nothing of anybody, and shows what the figures say."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import initcfg
from initcfg.report import Source, figures_of, page_of
from initcfg.report.pictures import told
from initcfg.report.values import Warned
from initcfg.verification import verify

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.report.values import Figures

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {"vars.d": 64, "vars.n_layer": 3, "vars.vocab": 500}
HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "'\"><img src=x onerror=document.title='owned'>",
    "a\u202egnp.x\u2066b",
    "\x1b[31mred\x07",
    "n" * 10_000,
    "<!--",
    "{0..9}.w",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page with all that it asks for and complains of."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())

    def widths(self) -> tuple[int, int]:
        """Of what there is, and of what is seen."""
        root = "document.documentElement"
        width: int = self.page.evaluate(f"{root}.scrollWidth")
        return width, self.page.evaluate(f"{root}.clientWidth")

    def names(self) -> list[str]:
        return [text.partition(" = ")[0] for text in self.page.locator(".rows tbody th").all_inner_texts()]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    opened = []

    def open_one(figures: Figures, **options: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(page_of(figures), encoding="utf-8")
        opened.append(Opened(browser, path, **options))
        return opened[-1]

    yield open_one
    for each in opened:
        each.context.close()


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """Two specs, the second with weights of which some differ."""
    first, second = (
        initcfg.make_plan(CONFIGS / "gpt2.yaml", settings=SMALL | more)
        for more in ({}, {"dtype": "bfloat16"})
    )
    weights = {name: np.array(values) for name, values in initcfg.materialize(first).items()}
    weights["transformer.h.1.mlp.c_fc.weight"] *= 3
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    np.savez(path, **weights)  # type: ignore[arg-type]
    found = verify(path, first, law=True, histograms=True)
    return figures_of(
        [Source("a.yaml", first, found=found), Source("b.yaml", second)], command="initcfg report"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_asks_nothing_and_fits(
    scheme: str, width: int, checked: Figures, open_page: Callable[..., Opened]
) -> None:
    opened = open_page(checked, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert [each.partition(":")[0] for each in opened.asked] == ["file"]
    assert opened.said == []
    assert opened.widths() == (width, width)
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 23, 29)"
    )
    # Nothing of a picture lies beyond it, and no label over another.
    for picture in opened.page.locator("figure svg").all()[:6]:
        boxes = picture.locator("text").evaluate_all(
            "texts => texts.map((text) => { const box = text.getBoundingClientRect(); "
            "return [box.left, box.top, box.right, box.bottom, text.textContent]; })"
        )
        frame = picture.evaluate(
            "svg => [svg.getBoundingClientRect().left, svg.getBoundingClientRect().right]"
        )
        assert all(frame[0] - 2 <= box[0] and box[2] <= frame[1] + 2 for box in boxes), boxes


def test_marks_and_rows_are_the_figures(checked: Figures, open_page: Callable[..., Opened]) -> None:
    opened = open_page(checked)
    for at, model in enumerate(checked.models):
        section = opened.page.locator(f"#model-{at}")
        matrices = [row for row in model.rows if row.kind == "matrix" and row.fan_in and row.std]
        marks = section.locator(".pictures .mark[data-row]")
        assert marks.count() == len(matrices)
        assert sorted(map(int, marks.evaluate_all("marks => marks.map((mark) => mark.dataset.row)"))) == [
            model.rows.index(row) for row in matrices
        ]
        assert section.locator(".rows tbody tr").count() == len(model.rows)
        cells = section.locator(".rows tbody tr").first.locator("td.right").all_inner_texts()
        assert f"{model.rows[0].elements:,}" in cells
        for row in matrices[:3]:
            section.locator(f".mark[data-row='{model.rows.index(row)}']").first.dispatch_event(
                "pointerover", {"bubbles": True}
            )
            assert opened.page.locator("#tip").inner_text() == told(row)
            assert section.locator("tr.chosen th").inner_text().startswith(row.name)
    laws = checked.models[0].weights.laws
    assert opened.page.locator("figure.law:not(.spectrum)").count() == sum(
        law.counts is not None for law in laws
    )
    (bad,) = [law for law in laws if law.problem]
    (shown,) = opened.page.locator("figure.law.differs").all()
    assert shown.locator("figcaption").inner_text() == bad.problem == "std is 3 x the law's 0.02"
    assert bad.name in shown.inner_text()
    assert opened.page.locator(".differences tbody tr").count() == len(checked.comparison.differences)


def test_filter_fold_sort_and_keyboard(checked: Figures, open_page: Callable[..., Opened]) -> None:
    opened = open_page(figures_of([Source("gpt2.yaml", initcfg.make_plan(CONFIGS / "gpt2.yaml"))]))
    page, rows = opened.page, len(opened.names())
    page.locator("input[type=search]").press_sequentially("MLP")
    assert len(opened.names()) == 4
    assert page.locator("output").inner_text() == "4 lines"
    page.locator("input[type=search]").fill("")
    assert len(opened.names()) == rows
    heading = page.locator("th button[data-key=elements]")
    heading.focus()
    page.keyboard.press("Enter")
    assert opened.names()[0] == "transformer.wte.weight"
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("elements")
    page.keyboard.press("Space")
    assert page.locator("th[aria-sort=ascending]").count() == 1
    assert opened.names()[-1] == "transformer.wte.weight"
    fold = page.get_by_label("24 copies of transformer.h.{0..11}.ln_{1..2}.bias")
    fold.focus()
    page.keyboard.press("Enter")
    copies = page.locator("tr.copy").all_inner_texts()
    assert copies == [f"transformer.h.{i}.ln_{j}.bias" for i in range(12) for j in (1, 2)]
    page.keyboard.press("Enter")
    assert page.locator("tr.copy").count() == 0
    assert opened.said == []


def test_arrows_go_from_mark_to_mark(checked: Figures, open_page: Callable[..., Opened]) -> None:
    page = open_page(checked).page
    marks = page.locator("#model-0 svg").first.locator(".mark:has(> title)")
    assert marks.count() > 2
    assert marks.and_(page.locator("[tabindex='0']")).count() == 1
    marks.and_(page.locator("[tabindex='0']")).focus()
    seen = []
    for key in ("Home", *["ArrowRight"] * marks.count()):
        page.keyboard.press(key)
        focused = page.locator(".mark:focus")
        assert page.locator("#tip").inner_text() == focused.locator("title").text_content()
        seen.append(focused.bounding_box()["x"])
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert marks.and_(page.locator("[tabindex='0']")).count() == 1
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_hostile_names_are_only_text(tmp_path: Path, open_page: Callable[..., Opened]) -> None:
    params = {name.replace(".", "_"): {"shape": [4, 5], "initializer": "he_normal"} for name in HOSTILE[:2]}
    document = {"initcfg": 1, "name": HOSTILE[0], "layout": "in_out", "params": params}
    plan = initcfg.make_plan(document)
    weights = {name: np.ones((4, 5), np.float32) for name in [*params, *HOSTILE[2:]]}
    path = tmp_path / "w.safetensors"
    entries, offset = {}, 0
    for name in weights:
        entries[name] = {"dtype": "F32", "shape": [4, 5], "data_offsets": [offset, offset + 80]}
        offset += 80
    header = json.dumps(entries).encode()
    path.write_bytes(
        len(header).to_bytes(8, "little") + header + b"".join(map(np.ndarray.tobytes, weights.values()))
    )
    found = verify(path, plan, law=True, histograms=True)
    file = f"{HOSTILE[1]}\x1b[31m\u202e.yaml"
    opened = open_page(
        figures_of([Source(file, plan, found=found), Source("b", plan)], command=HOSTILE[0]),
        viewport={"width": 390, "height": 900},
    )
    assert opened.said == []
    assert len(opened.asked) == 1
    assert "owned" not in opened.page.title() or "<img" in opened.page.title()
    assert opened.page.locator("img").count() == opened.page.locator("script").count() - 2 == 0
    text = opened.page.locator("body").inner_text()
    assert not {"\x1b", "\x07", "\u202e", "\u2066"} & set(text)
    assert HOSTILE[0].replace(".", "_") in text
    assert opened.widths()[0] == 390


def test_printed_it_is_whole(checked: Figures, open_page: Callable[..., Opened]) -> None:
    opened = open_page(checked)
    opened.page.emulate_media(media="print")
    assert not opened.page.locator(".filter").first.is_visible()
    assert opened.page.pdf(format="A4").startswith(b"%PDF")
    names = {f"part{i}x": {"shape": [i + 1], "initializer": "zeros"} for i in range(700)}
    many = open_page(figures_of([Source("s", initcfg.make_plan({"initcfg": 1, "params": names}))]))
    many.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(many.names()) == 700


def test_a_hundred_thousand_parameters_open_at_once(tmp_path: Path, browser: Any) -> None:
    """A third are lines of their own. The page is under 5 MB, and opens under 2 s where nothing else runs."""
    (model,) = figures_of([Source("s.yaml", initcfg.make_plan(CONFIGS / "mlp.yaml"))]).models
    (row, *_) = model.rows
    letters = str.maketrans("0123456789", "abcdefghij")
    rows = [
        row.model_copy(
            update={
                "name": f"encoder.{str(i).translate(letters)}.attention.weight",
                "shape": (8 + i % 50, 16),
                "place": f"s.yaml:{i}:7",
                "fan_in": 8 + i % 50,
            }
        )
        for i in range(33_000)
    ]
    rows += [row.model_copy(update={"name": f"h.{{0..16749}}.{name}", "copies": 16_750}) for name in "abcd"]
    about = {"code": "unusual-variance", "severity": "warning", "message": "m" * 99}
    warning = Warned.model_validate({**about, "hint": "h", "place": "s.yaml:1:1"})
    update = {"rows": tuple(rows), "parameters": 100_000, "warnings": (warning,) * 33_000}
    large = model.model_copy(update=update)
    path = tmp_path / "large.html"
    path.write_text(page_of(figures_of([]).model_copy(update={"models": (large,)})), encoding="utf-8")
    assert path.stat().st_size < 5e6
    started = time.perf_counter()
    opened = Opened(browser, path)
    opened.page.wait_for_selector(".rows tbody tr")
    taken = time.perf_counter() - started
    assert opened.page.locator("output").inner_text() == "the first 200 of 33,004 lines"
    assert opened.page.locator(".rows tbody tr").count() == 200
    opened.page.locator(".more button").scroll_into_view_if_needed()
    opened.page.wait_for_selector(".rows tbody tr:nth-child(201)")
    assert "and 32,800 more" in opened.page.locator(".warnings").inner_text()
    opened.page.locator("input").fill("dcba.")
    assert opened.page.locator("output").inner_text() == "3 lines"
    # Where other work is done too it takes longer.
    assert taken < 8
    opened.context.close()
