"""Where a command writes: data on stdout, notes and progress on stderr, colour only where it is wanted."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

import click

from initcfg.cli.arguments import force_option, not_standard_output
from initcfg.cli.renderers import FOR_PEOPLE, FORMATS, SHOWN, defused, render, shows_all, step_summary
from initcfg.cli.report import Checked, Exit, Report
from initcfg.errors import Code, FormatError, OutputError, printable, text_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.generate.pool import Progress
    from initcfg.tables import Table

# The most severe first.
_SEVERITIES = ("error", "warning", "note")

ColorChoice = Literal["auto", "always", "never"]


class Output(NamedTuple):
    """The streams of one run, and the file of its report."""

    format: str = "text"  # a name in `FORMATS`
    color: ColorChoice = "auto"
    report_file: str | None = None  # in the place of stdout
    force: bool = False  # replace any file that stands there
    quiet: bool = False

    def colored(self, stream: TextIO) -> bool:
        """Whether colour is wanted: by default on a terminal, if neither NO_COLOR nor FORCE_COLOR speaks."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        return bool(os.environ.get("FORCE_COLOR")) or is_terminal

    def data(self, text: str) -> None:
        """Print what the command was asked for on stdout, as it is."""
        text = defused(text) if self.format == "text" else text
        click.echo(text.removesuffix("\n"), color=self.colored(sys.stdout))

    @property
    def width(self) -> int | None:
        """How wide lines on stdout may be; None in a file or a pipe, whose lines stay whole."""
        return width_of(sys.stdout)

    @property
    def columns(self) -> int:
        """How wide tables are: as the terminal, or as COLUMNS says, else 80."""
        return self.width or 80

    @property
    def prose_width(self) -> int:
        """How wide paragraphs are, wherever they go: never so wide that a line is hard to follow."""
        return min(self.columns, 100)

    def answer(self, data: object, text: str) -> None:
        """Print what the command was asked for: data as JSON, or the same for a person."""
        if self.format == "json":
            import json

            self.data(json.dumps(data, indent=2))
        else:
            self.show(text)

    def show(self, text: str) -> None:
        """Print what the command was asked for, for a person: lines as wide as the terminal at most."""
        self.data(fit(text, self.width))

    def table(self, made: Table) -> None:
        """Print a table in the format asked for; on a terminal through a pager where it is longer."""
        if self.format in ("markdown", "html"):
            self.data(made.markdown() if self.format == "markdown" else made.html(whole=True))
            return
        text = defused(fit(made.text(self.columns, click.style), self.width))
        is_long = sys.stdout.isatty() and text.count("\n") + 2 > shutil.get_terminal_size().lines
        if is_long and sys.stdin.isatty():
            # None lets click ask the pager whether it shows colours.
            click.echo_via_pager(text, color=None if self.colored(sys.stdout) else False)
        else:
            click.echo(text, color=self.colored(sys.stdout))

    def save(self, path: str, text: str, about: str = "", *, force: bool) -> None:
        """Write a document to a file, whole or not at all, where `check_replaceable` allows it."""
        from initcfg.formats.atomic import replacing

        check_replaceable(path, force=force)
        data = text.encode()
        with replacing(Path(path), len(data)) as file:
            file.write(data)
        if about:
            self.note(f"{printable(path)}: {about}")

    def note(self, text: str) -> None:
        """Print on stderr what a person may want to know beside it, unless the run is quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """Print on stderr what is wrong."""
        click.echo(defused(fit(text, width_of(sys.stderr))), err=True, color=self.colored(sys.stderr))

    def findings(self, report: Report) -> Exit:
        """Say why a command made nothing: as text on stderr, or as JSON on stdout; gives the exit code."""
        if self.format == "json":
            self.data(render(report, "json"))
        else:
            self.complain(render(report, "text"))
        return report.exit

    def conclude(self, report: Report) -> Exit:
        """Answer with what a checking command has found, on stdout or in a file; gives the exit code."""
        if self.report_file is None:
            self._tell(report, self.show if self.format == "text" else self.data, self.format)
            if self.format in FOR_PEOPLE:
                self._sum_up(report)
            elif report.ignored or report.excluded:
                self.note(report.summary())
            return report.exit
        unwritten = Report(())
        try:
            self.save(self.report_file, render(report, self.format) + "\n", force=self.force)
        except OutputError as error:
            # That is no finding about a file that was checked.
            unwritten = Report((Checked.placed(self.report_file, error.diagnostics),))
        self._tell(report, self.complain, "text")
        self._tell(unwritten, self.complain, "text")
        self._sum_up(report)
        return unwritten.exit or report.exit

    def _tell(self, report: Report, say: Callable[[str], None], style: str) -> None:
        rendered = render(report, style)
        if rendered:
            say(rendered)

    def _sum_up(self, report: Report) -> None:
        self.note(report.summary())
        if report.exit:
            worst = min(report.diagnostics, key=lambda each: _SEVERITIES.index(each.severity))
            self.note(f"For more about a code: initcfg explain {worst.code}")
        if self.format == "github":
            self._fill_step_summary(report)

    def _fill_step_summary(self, report: Report) -> None:
        """Give the summary of a job on GitHub what GitHub does not show beside the lines of a change."""
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


def width_of(stream: TextIO) -> int | None:
    """That of a terminal, or what COLUMNS says; None where neither is."""
    return shutil.get_terminal_size().columns if os.environ.get("COLUMNS") or stream.isatty() else None


_color_option = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="When to use colour; auto: on a terminal, or as NO_COLOR and FORCE_COLOR say.",
)
_quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only results and problems.")


def outputs(*formats: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a command ``--format``, one of `formats`, ``--color`` and ``-q`` as one argument, ``output``."""

    def with_formats(function: Callable[..., int]) -> Callable[..., int]:
        """Give a command the options of its output."""

        @click.option(
            "--format",
            "style",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="How to write the output.",
        )
        @_color_option
        @_quiet_option
        @functools.wraps(function)
        def command(style: str, color: ColorChoice, quiet: bool, **arguments: object) -> int:
            output = Output(style, color, quiet=quiet)
            click.get_current_context().obj = output.findings
            return function(output=output, **arguments)

        return command

    return with_formats


#: For a command that makes data.
with_output = outputs("text", "json")
#: For a command whose data is a table, which other programs take too.
with_table = outputs("text", "json", "csv", "markdown", "html")


def with_report(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command that checks something every format, ``-o``, ``--color`` and ``-q``, as ``output``."""

    @click.option(
        "--format",
        "style",
        type=click.Choice(list(FORMATS)),
        help="How to write the report.  [default: text, or github on GitHub Actions]",
    )
    @click.option(
        "-o",
        "--output-file",
        "report_file",
        metavar="REPORT",
        type=click.Path(dir_okay=False),
        callback=not_standard_output,
        help="Write the report to a file (--format json, sarif or junit) and its text to stderr.",
    )
    @force_option
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
            documents = ", ".join(name for name in FORMATS if name not in FOR_PEOPLE)
            raise click.UsageError(f"--output-file takes a document; give --format, one of {documents}")
        output = Output(chosen, color, report_file, force, quiet)
        click.get_current_context().obj = output.conclude
        return function(output=output, **arguments)

    return command


@contextlib.contextmanager
def progress_bar(output: Output, label: str) -> Iterator[Progress | None]:
    """A bar on stderr while the block runs; gives what to call with the bytes done and in all, or None."""
    if output.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True, no_color=not output.colored(sys.stderr))
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


_BEGINNING_BYTES = 512
_BEGINNINGS = rb"""(?x)
      \{ \s* "format": \s* "initcfg\.plan"
    | \{ \s* "report": \s* \d+, \s* "valid":
    | \{ \s* "\$schema": [^{]* \{ \s* "tool": \s* \{ \s* "driver": \s* \{ \s* "name": \s* "initcfg"
    | \{ \s* "\$schema": [^{]* "\$id": \s* "[^"{]*initcfg
    | <\?xml [^>]* > \s* <testsuites \s name="initcfg"
    | <!doctype \s html> \s* <html [^>]* > \s* <head> \s* <meta \s name="generator" \s content="initcfg\s
    """


def check_replaceable(path: str, *, force: bool) -> None:
    """Refuse to replace a file that this program did not write: nobody can make it again from a spec."""
    target = Path(path)
    if not target.exists():
        return
    if not target.is_file():
        problem, hint = f"{path!r} is not a regular file", "name a file that may be replaced, or a new one"
    elif not force and not is_ours(target):
        problem = f"{path!r} exists, and does not say that initcfg wrote it"
        hint = "write to another name, or give --force to replace it"
    else:
        return
    raise OutputError.of(Code.OUTPUT, problem, hint=hint)


def is_ours(path: Path) -> bool:
    """Whether a file says that this program wrote it: a plan, report, page, schema, or weights."""
    import json

    from initcfg.formats.base import PLAN_KEY
    from initcfg.formats.safetensors import read_header

    try:
        with path.open("rb") as file:
            if re.match(_BEGINNINGS, file.read(_BEGINNING_BYTES)):
                return True
        if not zipfile.is_zipfile(path):
            return PLAN_KEY in read_header(path).metadata
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.comment)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, FormatError):
        return False
    return isinstance(metadata, dict) and PLAN_KEY in metadata
