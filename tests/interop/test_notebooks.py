"""The real nbconvert runs a notebook, the real Chromium shows its page, and pandas takes records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import initcfg

ROOT = Path(__file__).parents[2]
CELLS = [
    "import initcfg\nplan = initcfg.make_plan('configs/gpt2.yaml', root='configs')\nplan",
    "plan['transformer.wte.weight']",
    "initcfg.diff_plans(plan, initcfg.make_plan('configs/gpt2.yaml', settings={'seed': 7}))",
    "import pandas\npandas.DataFrame(plan.records()).groupby('kind')['elements'].sum()",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook as nbconvert shows it after it has run it."""
    pytest.importorskip("nbconvert")
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "configs").symlink_to(ROOT / "configs")
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"c{at}",
            "metadata": {},
            "outputs": [],
            "source": each,
        }
        for at, each in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "look.ipynb").write_text(json.dumps(notebook), "utf-8")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "html",
        "--template",
        "basic",
        "--execute",
        "look.ipynb",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "look.html"


def test_jupyter_shows_plans_parameters_and_differences(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.count('<div class="initcfg-table">') == 3
    assert "<summary>transformer.h.{0..11}.attn.c_attn.weight</summary>" in text
    assert "PlanDiff: " in text
    assert "124318464" in text  # pandas' sum of what is random


def test_chromium_draws_the_tables_and_unfolds_the_copies(page: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        executable = next(map(str, filter(Path.exists, map(Path, ["/usr/bin/chromium"]))), None)
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1000, "height": 800})
        problems: list[str] = []
        shown.on("console", lambda message: problems.append(message.text))
        shown.goto(page.as_uri())
        sizes = shown.eval_on_selector_all(
            ".initcfg-table svg", "all => all.map(each => each.getBoundingClientRect().width)"
        )
        assert len(sizes) > 10
        assert min(sizes) > 50
        name = shown.get_by_text("transformer.h.0.attn.c_attn.weight", exact=False).first
        assert not name.is_visible()
        shown.get_by_text("transformer.h.{0..11}.attn.c_attn.weight", exact=True).first.click()
        assert name.is_visible()
        browser.close()
    assert problems == []


def test_pandas_takes_the_records_of_a_plan() -> None:
    pandas = pytest.importorskip("pandas")
    plan = initcfg.make_plan(ROOT / "configs/gpt2.yaml")
    table = pandas.DataFrame(plan.records())
    assert len(table) == len(plan)
    assert table["nbytes"].sum() == plan.nbytes
    assert set(table["kind"]) == {"random", "constant", "tied"}
    assert table.set_index("name").loc["transformer.wpe.weight", "std"] == 0.02
