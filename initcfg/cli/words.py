"""Text for a terminal: lines fitted to a width."""

from __future__ import annotations

import re
import textwrap

import click

from initcfg.errors import text_width


def fit(text: str, width: int | None) -> str:
    """Text whose lines are broken between words where they are wider, and go on further in."""
    if width is None:
        return text
    return "\n".join(_fit_line(line, width) for line in text.split("\n"))


def _fit_line(line: str, width: int) -> str:
    bare = click.unstyle(line)
    if text_width(bare) <= width or re.match(r" *[0-9]* \| ", bare):
        return line
    inner = " " * (len(bare) - len(bare.lstrip()) + 4)
    lines = [""]
    for word in re.findall(r" *[^ ]+", line):
        if lines[-1].strip() and text_width(click.unstyle(lines[-1] + word)) > width:
            lines.append(inner + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


def reflow(text: str, width: int) -> str:
    """The paragraphs and sections of a docstring filled anew; formulas and examples keep their lines."""
    return "\n\n".join(_reflow_block(block, width) for block in re.split(r"\n\n+", text))


def _reflow_block(block: str, width: int) -> str:
    title, *lines = block.split("\n")
    if title in ("Formula:", "Example:"):
        return block
    entries = [title]
    for line in lines:
        depth, last = (len(each) - len(each.lstrip()) for each in (line, entries[-1]))
        if entries[-1].endswith(":") or (depth == last and depth and title == "Args:"):
            entries.append(line)
        else:
            entries[-1] += f" {line.strip()}"
    inner = "    " if title == "Args:" else ""
    return "\n".join(_fill(entry, width, inner) for entry in entries)


def _fill(entry: str, width: int, inner: str) -> str:
    """One paragraph, whose lines after the first are set in by `inner` more."""
    outer = entry[: len(entry) - len(entry.lstrip())]
    return textwrap.fill(
        entry.strip(),
        width,
        initial_indent=outer,
        subsequent_indent=outer + inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
