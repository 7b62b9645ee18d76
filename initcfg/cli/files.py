"""The files that commands write, and which of those that are there may be replaced without being asked."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from initcfg.errors import Code, Diagnostic, FormatError, OutputError
from initcfg.formats.atomic import replacing
from initcfg.formats.safetensors import read_header
from initcfg.generate.files import PLAN_KEY

_BEGINNING_BYTES = 512
_BEGINNINGS = re.compile(
    rb"""
      \{ \s* "format": \s* "initcfg\.plan"
    | \{ \s* "report": \s* \d+, \s* "valid":
    | \{ \s* "\$schema": [^{]* \{ \s* "tool": \s* \{ \s* "driver": \s* \{ \s* "name": \s* "initcfg"
    | \{ \s* "\$schema": [^{]* "\$id": \s* "[^"{]*initcfg
    | <\?xml [^>]* > \s* <testsuites \s name="initcfg"
    """,
    re.VERBOSE,
)


def write_text(path: str, text: str) -> None:
    """Write a document, whole or not at all.

    Raises:
        OutputError: it cannot be written; what stood there before is untouched.
    """
    data = text.encode()
    with replacing(Path(path), len(data)) as file:
        file.write(data)


def check_replaceable(path: str, *, force: bool) -> None:
    """Refuse to replace a file that this program did not write: nobody can make it again from a spec.

    Args:
        path: where a file is to be written.
        force: replace any regular file.

    Raises:
        OutputError: something else stands at `path` (code ``output``).
    """
    target = Path(path)
    if not target.exists():
        return
    if not target.is_file():
        raise _refused(f"{path!r} is not a regular file", "name a file that may be replaced, or a new one")
    if not force and not is_ours(target):
        problem = f"{path!r} exists and was not written by initcfg"
        raise _refused(problem, "write to another name, or give --force to replace it")


def _refused(message: str, hint: str) -> OutputError:
    return OutputError(Diagnostic(Code.OUTPUT, message, hint=hint))


def is_ours(path: Path) -> bool:
    """Whether a file says that this program wrote it: a plan, report, schema, or weights."""
    try:
        if _is_document(path):
            return True
        metadata = _npz_metadata(path) if zipfile.is_zipfile(path) else read_header(path).metadata
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, FormatError):
        return False
    return isinstance(metadata, dict) and PLAN_KEY in metadata


def _is_document(path: Path) -> bool:
    with path.open("rb") as file:
        return _BEGINNINGS.match(file.read(_BEGINNING_BYTES)) is not None


def _npz_metadata(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.comment)
