"""Reading a document from a file: only regular files, only UTF-8, only up to a size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.inputs import open_input
from initcfg.text.decoding import decoded
from initcfg.text.json_source import read_json
from initcfg.text.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.text.source import Source

#: The largest spec that is read. Whatever it holds is answered within about a second.
MAX_BYTES = 2**18
_FORMATS: dict[str, str] = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_READERS: dict[str, Callable[[str, str | None], Source]] = {"yaml": read_yaml, "json": read_json}


def read_file(path: str | os.PathLike[str]) -> Source:
    """Reads a document; the end of its name, ``.yaml``, ``.yml`` or ``.json``, says what it is.

    Raises:
        SpecError: the path is no readable regular file (code ``input``), or holds no document.
    """
    file = os.fspath(path)
    written = _format_of(file)
    return read_bytes(_content(file), written, file)


def read_text(text: str, format: str = "yaml", file: str | None = None) -> Source:  # noqa: A002
    """Reads a document that is at hand as text.

    Args:
        text: the document; a byte order mark is skipped.
        format: ``yaml`` or ``json``.
        file: a name for diagnostics.

    Raises:
        SpecError: the text is too large, or no document.
    """
    if format not in _READERS:
        raise _refused(Code.INPUT, f"no format is named {format!r}", file, "the formats are yaml and json")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _too_large(file)
    return _READERS[format](text.removeprefix("\ufeff"), file)


def read_bytes(content: bytes, format: str = "yaml", file: str | None = None) -> Source:  # noqa: A002
    """Reads a document from its bytes.

    Raises:
        SpecError: they are not UTF-8, too many, or no document.
    """
    is_cut = len(content) > MAX_BYTES
    text = decoded(content, file, is_cut=is_cut)
    if is_cut:
        raise _too_large(file)
    return read_text(text, format, file)


def _format_of(file: str) -> str:
    suffix = Path(file).suffix.lower()
    if suffix not in _FORMATS:
        message = f"the name ends in {suffix!r}, and so does no spec" if suffix else "the name has no ending"
        raise _refused(Code.INPUT, message, file, "name the file .yaml, .yml or .json")
    return _FORMATS[suffix]


def _content(file: str) -> bytes:
    """The bytes of a regular file, one more than allowed at most."""
    with open_input(file, SpecError) as stream:
        return stream.read(MAX_BYTES + 1)


def _too_large(file: str | None) -> SpecError:
    hint = "describe what repeats by repeat: instead of one by one"
    return _refused(Code.TOO_LARGE, f"a spec has at most {MAX_BYTES // 1024} KiB of text", file, hint)


def _refused(code: Code, message: str, file: str | None, hint: str | None = None) -> SpecError:
    return SpecError(Diagnostic(code, message, Location(file), hint))
