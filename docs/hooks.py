"""What the site has beside docs/: the README as first page, the schemas, the specs of configs/, and pictures.

MkDocs calls the functions whose names begin with ``on_`` (mkdocs.yml, ``hooks``).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from griffe import Extension
from mkdocs.structure.files import File

import initcfg
from initcfg.distributions import cdf

sys.path.insert(0, str(Path(__file__).parent))
import generate

if TYPE_CHECKING:
    from griffe import Object
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Pages of the site that stand at the root of the repository.
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}

# Which pages a search shows earlier, and which later: the formats of files are for programs.
BOOSTS = {
    "reference/initializers.md": 4,
    "reference/spec.md": 2,
    "reference/plan.md": 0.25,
    "reference/report.md": 0.25,
    "changelog.md": 0.25,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what stands outside of docs/."""
    for address, name in PAGES.items():
        text = from_the_root((ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, address, content=text))
    for folder in ("schemas", "configs"):
        for path in sorted((ROOT / folder).iterdir()):
            files.append(File.generated(config, f"{folder}/{path.name}", abs_src_path=str(path)))
    for spec in specs():
        for name, text in generate.pictures(spec).items():
            files.append(File.generated(config, f"assets/models/{spec.stem}-{name}.svg", content=text))
    return files


def specs() -> list[Path]:
    """The specs of real models."""
    return sorted((ROOT / "configs").glob("*.yaml"))


def from_the_root(text: str) -> str:
    """A page of the repository's root with its links as they are on the site."""
    for address, name in PAGES.items():
        text = text.replace(f"]({name})", f"]({address})")
    return re.sub(r'(\]\(|src="|srcset=")docs/', r"\1", text)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Points links that leave docs/ at the site, adds pictures to two pages, and ranks pages for search."""
    if page.is_homepage:
        page.meta["hide"] = ["toc"]  # its examples are as wide as a terminal
    page.meta["search"] = {"boost": BOOSTS.get(page.file.src_uri, 1)}
    if page.file.src_uri == "reference/models.md":
        markdown = under_headings(markdown, {spec.stem: maps(spec.stem, files) for spec in specs()})
    if page.file.src_uri == "reference/schemes.md":
        drawn = {scheme["name"]: drawing(scheme) for scheme in generate.schemes()}
        markdown = under_headings(markdown, drawn)
    return markdown.replace("](../../", "](../")


def under_headings(markdown: str, texts: dict[str, str]) -> str:
    """A page with a text under each of its headings."""
    return re.sub(
        r"^## (.+)$", lambda found: f"{found[0]}\n\n{texts[found[1]]}", markdown, flags=re.MULTILINE
    )


def maps(name: str, files: Files) -> str:
    """The map and the depth of a model, as far as it has them."""
    said = {"map": "every matrix by fan_in and standard deviation", "depth": "gain from block to block"}
    return "\n".join(
        f"![{name}: {what}](../assets/models/{name}-{kind}.svg){{ loading=lazy width=480 }}"
        for kind, what in said.items()
        if files.get_file_from_path(f"assets/models/{name}-{kind}.svg")
    )


BARS, WIDTH, HEIGHT = 48, 240, 60


def drawing(scheme: dict[str, Any]) -> str:
    """The values that a scheme's first line makes, as bars, with the density of its law where it has one.

    Of complex values these are the moduli, without a density.
    """
    if "line" not in scheme:
        return ""
    plan = generate.planned(scheme["line"][0])
    made, law, what = initcfg.materialize(plan)["w"], plan["w"].distribution, "values"
    if np.iscomplexobj(made):
        made, law, what = np.abs(made), None, "moduli"
    values = np.asarray(made, dtype=np.float64).reshape(-1)
    low, high = (values.min(), values.max()) if np.ptp(values) else (values[0] - 1, values[0] + 1)
    counts, edges = np.histogram(values, bins=BARS, range=(low, high))
    share = counts / counts.sum()
    masses = [] if law is None or not np.ptp(values) else np.diff([cdf(law, float(edge)) for edge in edges])
    top = max([*share, *masses])
    step = WIDTH / BARS
    bars = "".join(
        f"M{at * step:g} {HEIGHT}v{-HEIGHT * each / top:.1f}h{step - 1:g}V{HEIGHT}z"
        for at, each in enumerate(share)
        if each
    )
    line = " ".join(
        f"{(at + 0.5) * step:g},{HEIGHT * (1 - each / top):.1f}" for at, each in enumerate(masses)
    )
    title = f"{values.size:,} {what} from {low:.4g} to {high:.4g}"
    return (
        f'<svg class="law" role="img" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{title}</title>'
        f'<path d="{bars}"/><polyline points="{line}"/></svg> <span>{low:.4g} … {high:.4g}</span>'
    )


class Examples(Extension):
    """Shows the examples of docstrings as code: "Example" is their section here, "Examples" there."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Renames the section."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
