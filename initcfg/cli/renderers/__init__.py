"""From a `Report` to text, one function ``render_NAME`` a format, and what each format needs escaped."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from initcfg.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.cli.report import Report

__all__ = ["FORMATS", "FOR_PEOPLE", "render"]

# Each format with the module that has it, which is loaded when it is asked for.
FORMATS = {
    "text": "people",
    "json": "documents",
    "github": "people",
    "sarif": "documents",
    "junit": "documents",
}

#: The formats that a person reads as they come, in a terminal or a log; the others are documents.
FOR_PEOPLE = frozenset(name for name, module in FORMATS.items() if module == "people")


def render(report: Report, style: str) -> str:
    """A report in one of `FORMATS`."""
    module = import_module(f"initcfg.cli.renderers.{FORMATS[style]}")
    renderer: Callable[[Report], str] = getattr(module, f"render_{style}")
    return renderer(report)


# GitHub's runner takes "##[name]" for a command anywhere in a line, and "::name::" at its beginning; Azure
# Pipelines and TeamCity have words of their own. A colour may stand before.
_MARKERS = re.compile(r"##(?=\[|vso\[|teamcity\[)")
_BEGINNINGS = re.compile(r"^((?:[^\S\n]|\x1b\[[0-9;]*m)*):(?=:)", re.MULTILINE)


def defused(text: str) -> str:
    r"""Text for a person, with what the log of a CI system would take for a command escaped.

    Example:
        >>> print(defused("::error::x"), defused("a ##[group]"))
        \x3a:error::x a #\x23[group]
    """
    return _BEGINNINGS.sub(r"\1\\x3a", _MARKERS.sub(r"#\\x23", text))


def defused_xml(document: str) -> str:
    """The same XML document, without a command for a log in it: ``##[group]`` becomes ``#&#35;[group]``."""
    # Both signs stand only in texts and attributes, so that a reference means the same.
    return _BEGINNINGS.sub(r"\1&#58;", document.replace("##", "#&#35;"))


def command_data(text: str) -> str:
    """The message of a GitHub workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """The value of a property of a GitHub workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def json_text(document: object) -> str:
    """A JSON document in ASCII, without a command for a log in it."""
    import json

    # "#" stands only inside JSON's strings, so that the escape means the same.
    return json.dumps(document, indent=2).replace("##", "#\\u0023")


def xml_text(text: str) -> str:
    """Text with what XML 1.0 has no way to write as escapes; the writer of XML does the rest."""
    lines = (printable(line) for line in text.split("\n"))
    return "\n".join(lines).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


# os.fsdecode writes bytes that are not UTF-8 as these surrogates; others stand for nothing.
_FOREIGN_SURROGATES = "[\ud800-\udc7f\udd00-\udfff]"


def source_path(file: str) -> str | None:
    """The path from the root of the checkout (``GITHUB_WORKSPACE``, else here); None for a file outside."""
    root = os.environ.get("GITHUB_WORKSPACE") or Path.cwd()
    try:
        path = os.path.relpath(file, root)
    except ValueError:  # another drive
        return None
    return None if Path(path).parts[:1] == (os.pardir,) else path.replace(os.sep, "/")


def file_uri(path: str) -> str:
    """A path as the path of a URI, its bytes percent-encoded where they must be."""
    return quote(re.sub(_FOREIGN_SURROGATES, "\ufffd", path).encode("utf-8", "surrogateescape"))
