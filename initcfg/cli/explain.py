"""``initcfg explain``: the page of a diagnostic code."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output
from initcfg.errors import Code, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

    from initcfg.cli.output import Output
    from initcfg.explanations import Explanation


def _codes(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers."""
    return [code for code in map(str, Code) if code.startswith(incomplete)]


@click.command(
    cls=Command,
    short_help="Explain a diagnostic code.",
    example=("initcfg explain unknown-initializer", "initcfg explain"),
)
@click.argument("code", required=False, shell_complete=_codes)
@with_output
def explain(*, code: str | None, output: Output) -> int:
    """Explain a diagnostic code: its cause, the way out, a wrong and a right example.

    CODE is what stands in brackets in a message. Without one, all codes are listed.
    """
    from initcfg.explanations import load_explanations

    pages = load_explanations()
    if code is None:
        chosen, text = list(pages.values()), _list(pages.values())
    elif code in pages:
        chosen, text = [pages[Code(code)]], _page(pages[Code(code)])
    else:
        hint = did_you_mean(code, map(str, pages)) or "initcfg explain lists them all"
        raise click.UsageError(f"no code is named {code!r}; {hint}")
    if output.format == "json":
        text = json.dumps([dataclasses.asdict(page) for page in chosen], indent=2)
    output.data(text)
    return Exit.FINE


def _list(pages: Collection[Explanation]) -> str:
    width = max(len(page.code) for page in pages)
    return "\n".join(f"{page.code:<{width}}  {page.title}" for page in pages)


def _page(page: Explanation) -> str:
    headline = f"{click.style(page.code, fg='red', bold=True)}: {click.style(page.title, bold=True)}"
    parts = [headline, "", *textwrap.wrap(page.cause, 88), "", *textwrap.wrap(page.remedy, 88)]
    for label, color, example in (("Wrong", "red", page.wrong), ("Right", "green", page.right)):
        parts += ["", click.style(f"{label}:", fg=color, bold=True), "", textwrap.indent(example, "    ")]
    return "\n".join(parts)
