"""What each format of reports needs escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initcfg.cli import renderers
from initcfg.tables import markdown_text

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("escape", "text", "escaped"),
    [
        (renderers.command_data, "50%\n::", "50%25%0A::"),
        (renderers.command_property, "a:b,c", "a%3Ab%2Cc"),
        (renderers.defused_xml, "<a b='##[group]'>", "<a b='#&#35;[group]'>"),
        (renderers.file_uri, "configs/a b%c:é.yaml", "configs/a%20b%25c%3A%C3%A9.yaml"),
        (renderers.json_text, "é ##[group]", r'"\u00e9 #\u0023[group]"'),
        (markdown_text, "*a* | <b>", "&#42;a&#42; &#124; &#60;b&#62;"),
        (markdown_text, "h.ln_1 (2, 3) @you www.a", "h.ln_1 (2, 3) &#64;you www&#46;a"),
        (renderers.xml_text, "a\uffff\x1b", r"a\uffff\x1b"),
    ],
)
def test_no_text_can_forge_a_part_of_a_report(escape: Callable[[str], str], text: str, escaped: str) -> None:
    assert escape(text) == escaped
