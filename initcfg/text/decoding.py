"""Bytes to text: only UTF-8, with the place of what is not."""

from __future__ import annotations

import codecs

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.text.source import Source

_BOMS = (b"\xff\xfe", b"\xfe\xff")


def decoded(content: bytes, file: str | None = None, *, is_cut: bool = False) -> str:
    """The text that UTF-8 bytes write, without a byte order mark.

    Args:
        content: the bytes.
        file: a name for diagnostics.
        is_cut: more may follow, so that a character may be incomplete at the end.

    Raises:
        SpecError: they are not UTF-8 (code ``encoding``).
    """
    if content.startswith(_BOMS):
        where = Location(file)
        raise SpecError(Diagnostic(Code.ENCODING, "the text is UTF-16", where, "save the file as UTF-8"))
    try:
        return codecs.utf_8_decode(content, "strict", not is_cut)[0].removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").removeprefix("\ufeff")
        where = Source(file, before).place(len(before))
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise SpecError(Diagnostic(Code.ENCODING, message, where, "save the file as UTF-8")) from None
