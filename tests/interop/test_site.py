"""The site of docs/: it builds strictly, its links lead somewhere, and it asks nothing of another host."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import initcfg
from initcfg.explanations import DOCUMENTATION

ROOT = Path(__file__).parents[2]
# What a page loads by itself, where `href` and `src` of other elements wait for a click.
LOADED = {"script", "img", "source", "iframe", "embed", "object", "video", "audio", "link"}
# Links of `link` that load nothing.
TOLD = {"canonical", "prev", "next", "alternate"}


class Page(HTMLParser):
    """The addresses and the anchors in a page; `loads` are those that it fetches without being asked."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        found = {given[name] for name in ("href", "src", "srcset", "data") if name in given}
        self.links |= found
        if tag in LOADED and given.get("rel") not in TOLD:
            self.loads |= found


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and writes no log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Every page by its address below the site's."""
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def test_a_schema_is_served_under_its_name(site: Path) -> None:
    for schema in (ROOT / "schemas").iterdir():
        served = site / "schemas" / schema.name
        assert served.read_bytes() == schema.read_bytes()
        assert f'"$id": "{DOCUMENTATION}schemas/{schema.name}"' in served.read_text("utf-8")


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        if name == "404.html":
            continue
        for link in page.links:
            address = urlsplit(urljoin(DOCUMENTATION + name, link))
            if not address.geturl().startswith(DOCUMENTATION):
                continue
            target = unquote(address.path).removeprefix(urlsplit(DOCUMENTATION).path)
            target += "index.html" if target.endswith("/") or not target else ""
            anchor = unquote(address.fragment)
            if not (site / target).is_file() or (anchor and anchor not in pages[target].anchors):
                broken.append((name, link))
    assert broken == []


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[str, Page]) -> None:
    assert len(pages) > 40
    foreign = [
        (name, link) for name, page in pages.items() for link in page.loads if re.match(r"(\w+:)?//", link)
    ]
    assert foreign == []
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert not re.search(r"(@import|url\()\s*[\"']?(\w+:)?//", style.read_text("utf-8")), style


def test_every_public_name_has_its_entry_and_example(pages: dict[str, Page]) -> None:
    anchors = pages["reference/python/index.html"].anchors
    assert {f"initcfg.{name}" for name in initcfg.__all__} - anchors == {"initcfg.initializers"}
    for framework in ("torch.initialize_", "jax.initialize", "keras.initialize", "ray.RayExecutor"):
        assert f"initcfg.adapters.{framework}" in pages["reference/adapters/index.html"].anchors


def test_search_answers_and_pages_fit_a_phone(site: Path) -> None:
    """The search runs in a worker, which needs an address of http."""
    playwright = pytest.importorskip("playwright.sync_api")
    handler = functools.partial(QuietHandler, directory=str(site))
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        playwright.sync_playwright() as driver,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 390, "height": 800})
        problems: list[str] = []
        shown.on("console", lambda message: problems.append(message.text))
        shown.on("pageerror", lambda error: problems.append(str(error)))
        for name in ("reference/models/", "reference/schemes/", "explanation/performance/", ""):
            shown.goto(f"http://127.0.0.1:{server.server_port}/{name}")
            assert shown.evaluate("document.documentElement.scrollWidth") == 390, name
        shown.locator("label[for=__search]:visible").first.click()
        shown.locator(".md-search__input").press_sequentially("truncated")
        found = shown.locator(".md-search-result__link")
        found.first.wait_for()
        assert "/reference/initializers/" in (found.first.get_attribute("href") or "")
        browser.close()
        server.shutdown()
    assert problems == []
