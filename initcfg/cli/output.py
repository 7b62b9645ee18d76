"""Where a command writes: data on stdout, notes on stderr, colour only where it is wanted."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

import click

from initcfg.cli.renderers import RENDERERS
from initcfg.cli.report import Checked, Report
from initcfg.errors import InitcfgError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Output", "with_output"]

ColorChoice = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Output:
    """The streams of one run.

    Args:
        format: a name in `RENDERERS`.
        color: ``auto`` colours a terminal unless ``NO_COLOR`` is set or ``TERM`` is ``dumb``.
    """

    format: str = "text"
    color: ColorChoice = "auto"

    def colored(self, stream: TextIO) -> bool:
        """Whether colour is wanted on `stream`."""
        if self.color != "auto":
            return self.color == "always"
        return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def data(self, text: str) -> None:
        """What the command was asked for, on stdout."""
        click.echo(text.removesuffix("\n"), color=self.colored(sys.stdout))

    def note(self, text: str) -> None:
        """What a person may want to know beside it, on stderr."""
        click.echo(text, err=True, color=self.colored(sys.stderr))

    def findings(self, report: Report, *, are_data: bool = False) -> None:
        """The report: on stdout where a program reads it or it is what was asked for, else on stderr."""
        rendered = RENDERERS[self.format](report)
        if rendered:
            (self.data if are_data or self.format != "text" else self.note)(rendered)


def with_output(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--format`` and ``--color`` as one argument, ``output``.

    An `InitcfgError` ends the command with a report about its argument ``file``.
    """

    @click.option(
        "--format",
        "style",
        type=click.Choice(list(RENDERERS)),
        default="text",
        show_default=True,
        help="How to write the output.",
    )
    @click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="When to colour; auto means on a terminal where NO_COLOR is not set.",
    )
    @functools.wraps(function)
    def command(style: str, color: ColorChoice, **arguments: object) -> int:
        output = Output(style, color)
        try:
            return function(output=output, **arguments)
        except InitcfgError as error:
            report = Report((Checked.failed(str(arguments.get("file")), error.diagnostics),))
            output.findings(report)
            return report.exit

    return command
