"""Where a command writes: data on stdout, notes on stderr, colour only where it is wanted."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

import click

from initcfg.cli.arguments import not_standard_output
from initcfg.cli.renderers import FOR_PEOPLE, RENDERERS
from initcfg.cli.renderers.escapes import defused
from initcfg.cli.report import Checked, Report
from initcfg.errors import InitcfgError, OutputError, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.cli.exits import Exit

# The most severe first.
_SEVERITIES = ("error", "warning", "note")

ColorChoice = Literal["auto", "always", "never"]


class Output(NamedTuple):
    """The streams of one run, and the file of its report.

    Args:
        format: a name in `RENDERERS`.
        color: ``auto`` colours a terminal whose ``TERM`` is not ``dumb``; ``FORCE_COLOR`` colours whatever
            it is, and ``NO_COLOR``, which comes first, nothing.
        report_file: where a report goes in the place of stdout.
        force: replace any file that stands there.
        quiet: say nothing but what was asked for and what is wrong.
    """

    format: str = "text"
    color: ColorChoice = "auto"
    report_file: str | None = None
    force: bool = False
    quiet: bool = False

    def colored(self, stream: TextIO) -> bool:
        """Whether colour is wanted on `stream`."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and os.environ.get("TERM") != "dumb"

    def data(self, text: str) -> None:
        """What the command was asked for, on stdout."""
        text = defused(text) if self.format == "text" else text
        click.echo(text.removesuffix("\n"), color=self.colored(sys.stdout))

    def note(self, text: str) -> None:
        """What a person may want to know beside it, on stderr; nothing where it is to be quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """What is wrong, on stderr."""
        click.echo(defused(text), err=True, color=self.colored(sys.stderr))

    def findings(self, report: Report) -> Exit:
        """Say why a command made nothing: on stderr, or on stdout as JSON; gives the exit code."""
        (self.complain if self.format == "text" else self.data)(RENDERERS[self.format](report))
        return report.exit

    def conclude(self, report: Report) -> Exit:
        """Answer with what a checking command has found, and give the exit code that says it.

        A document on stdout is all there is. Otherwise a person is told on stderr what it comes to, and
        where the report goes to a file every problem too.
        """
        if self.report_file is None:
            self._tell(report, self.data, self.format)
            if self.format in FOR_PEOPLE:
                self._sum_up(report)
            elif report.ignored or report.excluded:
                self.note(report.summary())
            return report.exit
        unwritten = self._write(report, self.report_file)
        self._tell(report, self.complain, "text")
        self._tell(unwritten, self.complain, "text")
        self._sum_up(report)
        return unwritten.exit or report.exit

    def _tell(self, report: Report, say: Callable[[str], None], style: str) -> None:
        rendered = RENDERERS[style](report)
        if rendered:
            say(rendered)

    def _sum_up(self, report: Report) -> None:
        self.note(report.summary())
        if report.exit:
            worst = min(report.diagnostics, key=lambda each: _SEVERITIES.index(each.severity))
            self.note(f"For more about a code: initcfg explain {worst.code}")
        if self.format == "github":
            self._fill_step_summary(report)

    def _write(self, report: Report, path: str) -> Report:
        """Write the report to its file; gives what went wrong, which is no finding about a file checked."""
        from initcfg.cli.files import check_replaceable, write_text

        try:
            check_replaceable(path, force=self.force)
            write_text(path, RENDERERS[self.format](report) + "\n")
        except OutputError as error:
            return Report((Checked.failed(path, error.diagnostics),))
        return Report(())

    def _fill_step_summary(self, report: Report) -> None:
        """Give the summary of a job on GitHub what GitHub does not show beside the lines of a change."""
        from initcfg.cli.renderers.github import SHOWN, shows_all, step_summary

        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if not path or shows_all(report):
            return
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(step_summary(report))
        except OSError as error:
            self.complain(f"cannot add to the summary of the job: {printable(str(error))}")
        else:
            self.note(f"GitHub shows {SHOWN} errors and warnings of a step; the summary of the job has all.")


def _color_option(function: Callable[..., int]) -> Callable[..., int]:
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="When to colour; auto means on a terminal, or as NO_COLOR and FORCE_COLOR say.",
    )(function)


def _quiet_option(function: Callable[..., int]) -> Callable[..., int]:
    return click.option(
        "-q", "--quiet", is_flag=True, help="Say nothing but what was asked for and what is wrong."
    )(function)


def with_output(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command that makes data ``--format``, ``--color`` and ``-q`` as one argument, ``output``.

    An `InitcfgError` ends the command with a report about its argument ``file``.
    """

    @click.option(
        "--format",
        "style",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to write the output.",
    )
    @_color_option
    @_quiet_option
    @functools.wraps(function)
    def command(style: str, color: ColorChoice, quiet: bool, **arguments: object) -> int:
        output = Output(style, color, quiet=quiet)
        try:
            return function(output=output, **arguments)
        except InitcfgError as error:
            return output.findings(_failure(error, arguments))

    return command


def with_report(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command that checks something every format, ``-o``, ``--color`` and ``-q``, as ``output``.

    The command ends with `Output.conclude`, and so does an `InitcfgError`, as a report about its argument
    ``file``.
    """

    @click.option(
        "--format",
        "style",
        type=click.Choice(list(RENDERERS)),
        show_default="text, or github on GitHub Actions",
        help="How to write the report.",
    )
    @click.option(
        "-o",
        "--output-file",
        "report_file",
        metavar="REPORT",
        type=click.Path(dir_okay=False),
        callback=not_standard_output,
        help="Write the report to a file, for --format json, sarif and junit; the text goes to stderr.",
    )
    @click.option("--force", is_flag=True, help="Replace a file that initcfg has not written.")
    @_color_option
    @_quiet_option
    @functools.wraps(function)
    def command(
        style: str | None,
        color: ColorChoice,
        report_file: str | None,
        force: bool,
        quiet: bool,
        **arguments: object,
    ) -> int:
        chosen = style or ("github" if os.environ.get("GITHUB_ACTIONS") == "true" else "text")
        if report_file is not None and (style is None or style in FOR_PEOPLE):
            documents = ", ".join(name for name in RENDERERS if name not in FOR_PEOPLE)
            raise click.UsageError(f"--output-file takes a document; give --format, one of {documents}")
        output = Output(chosen, color, report_file, force, quiet)
        try:
            return function(output=output, **arguments)
        except InitcfgError as error:
            return output.conclude(_failure(error, arguments))

    return command


def _failure(error: InitcfgError, arguments: dict[str, object]) -> Report:
    return Report((Checked.failed(str(arguments.get("file")), error.diagnostics),))
