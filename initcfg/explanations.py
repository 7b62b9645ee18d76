"""Where the documentation is, and the page of every diagnostic code: its meaning, the way out, two examples.

The pages are data, in ``explanations.toml`` beside this module. To add one, add a member to `Code` and a
table of the same name to the file: a test holds that the two agree and runs both examples.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from initcfg.errors import Code

# The site that mkdocs.yml builds; it serves schemas/ too.
DOCUMENTATION = "https://initcfg.readthedocs.io/en/stable/"

Language = Literal["yaml", "json", "python", "console"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person who meets a code needs to know: the wrong example gives the code, the right one does not.

    Examples in ``yaml`` and ``json`` are whole specs, in ``python`` a program, in ``console`` a session.
    `needs` is the package that a program imports beside this one.
    """

    code: Code
    title: str
    cause: str
    remedy: str
    wrong: str
    right: str
    language: Language = "yaml"
    needs: str | None = None


@functools.cache
def load_explanations() -> dict[Code, Explanation]:
    """The page of every code, in the order of the file."""
    text = Path(__file__).with_name("explanations.toml").read_text(encoding="utf-8")
    return {Code(name): _page(Code(name), table) for name, table in tomllib.loads(text).items()}


def _page(code: Code, table: dict[str, str]) -> Explanation:
    prose = {key: " ".join(table.pop(key).split()) for key in ("title", "cause", "remedy")}
    examples = {key: table.pop(key).strip("\n") for key in ("wrong", "right")}
    return Explanation(code=code, **prose, **examples, **table)  # type: ignore[arg-type]


def published(document: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document's version 1, under the address at which the site serves it."""
    address = f"{DOCUMENTATION}schemas/{document}.v1.schema.json"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": address, **schema}
