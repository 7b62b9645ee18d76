"""Tables for people: fitted to a terminal, as Markdown, and as HTML for a notebook or a browser."""

from __future__ import annotations

from initcfg.tables.text import (
    LAWS,
    SEGMENTS,
    WORDS,
    Column,
    Curve,
    Row,
    Table,
    csv_text,
    in_order,
    markdown_text,
)

__all__ = [
    "LAWS",
    "SEGMENTS",
    "WORDS",
    "Column",
    "Curve",
    "Row",
    "Table",
    "csv_text",
    "in_order",
    "markdown_text",
]
