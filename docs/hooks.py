"""What the site has beside docs/: the README as its first page, the schemas, the specs of configs/.

MkDocs calls the functions whose names begin with ``on_`` (mkdocs.yml, ``hooks``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from griffe import Extension
from mkdocs.structure.files import File

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


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what stands outside of docs/."""
    for address, name in PAGES.items():
        text = from_the_root((ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, address, content=text))
    for folder in ("schemas", "configs"):
        for path in sorted((ROOT / folder).iterdir()):
            files.append(File.generated(config, f"{folder}/{path.name}", abs_src_path=str(path)))
    return files


def from_the_root(text: str) -> str:
    """A page of the repository's root with its links as they are on the site."""
    for address, name in PAGES.items():
        text = text.replace(f"]({name})", f"]({address})")
    return re.sub(r'(\]\(|src="|srcset=")docs/', r"\1", text)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Leads links that leave docs/ to where the site has the same file."""
    return markdown.replace("](../../", "](../")


class Examples(Extension):
    """Shows the examples of docstrings as code: "Example" is their section here, "Examples" there."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Renames the section."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
