"""How every command behaves: help that ends with an example, and what an exit code means."""

from __future__ import annotations

import io
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initcfg.cli.output import Output, fit, width_of
from initcfg.cli.renderers import defused
from initcfg.cli.report import Checked, Exit, Report
from initcfg.errors import InitcfgError, printable
from initcfg.process import collect_seldom, end_uncollected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

CONTEXT_SETTINGS = {"help_option_names": ["--help", "-h"], "max_content_width": 100}


class Command(click.Command):
    """A command whose help ends with an example: lines that can be pasted into a shell."""

    def __init__(self, name: str | None = None, *, example: Sequence[str], **settings: Any) -> None:
        super().__init__(name, context_settings=CONTEXT_SETTINGS, **settings)
        self.example = tuple(example)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it; a setting without its "=" has taken its value for a file, and is no option."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name.removeprefix("--")
            if name in ("seed", "dtype") and any(each.name == "settings" for each in self.params):
                raise click.UsageError(
                    f"no option {error.option_name}; write --set {name}=VALUE", ctx
                ) from None
            raise
        except click.UsageError as error:
            for at, word in enumerate(given[:-2]):
                if word == "--set" and "=" not in given[at + 1]:
                    hint = f"a setting is written --set {given[at + 1]}={given[at + 2]}"
                    raise click.UsageError(f"{error.message}; {hint}", ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """The command's exit code; an `InitcfgError` becomes a report, which ``ctx.obj`` gives to a user."""
        try:
            return super().invoke(ctx)
        except InitcfgError as error:
            end = ctx.obj or Output().findings
            return end(Report((Checked.placed(_subject(ctx, error), error.diagnostics),)))

    def get_help(self, ctx: click.Context) -> str:
        """The help; no line ends inside a word, as click would end it after the hyphen of an option."""
        hyphen = "\N{NON-BREAKING HYPHEN}"

        class Formatter(click.HelpFormatter):  # here, since only help needs it
            def write_text(self, text: str) -> None:
                super().write_text(text.replace("-", hyphen))

            def write_dl(
                self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
            ) -> None:
                # What stands on the right has half of a narrow terminal at least.
                whole = [(name, text.replace("-", hyphen)) for name, text in rows]
                super().write_dl(whole, min(col_max, self.width // 2), col_spacing)

        formatter = Formatter(width=ctx.terminal_width, max_width=ctx.max_content_width)
        self.format_help(ctx, formatter)
        return formatter.getvalue().rstrip("\n").replace(hyphen, "-")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example; a line that is too wide goes on after a backslash, as a shell takes it."""
        with formatter.section("Example"):
            indent = " " * formatter.current_indent
            for line in self.example:
                lines = fit(f"{indent}{line}", formatter.width - 2).split("\n")
                formatter.write(" \\\n".join(lines) + "\n")


class Application(Command, click.Group):
    """The whole program: runs a command and turns how it ends into an exit code."""

    def __init__(self, *, modules: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self.modules = modules
        # click looks for names like a wrong one among these.
        self.commands = dict.fromkeys(modules, self)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order of the table."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """A command, loaded now; None where none has the name."""
        if cmd_name not in self.modules:
            return None
        command: click.Command = getattr(import_module(f"initcfg.cli.{self.modules[cmd_name]}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """The command's exit code; a reader that has gone away is no fault."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Without this Python would complain once more when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.CLOSED_PIPE
        return code

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit with the code of `Exit` that fits; without `standalone_mode` return it."""
        # What a library must not do to the process of its caller.
        collect_seldom()
        # The place of a warning is a line of this program, which tells nobody anything.
        warnings.formatwarning = lambda message, *_: f"{fit(f'warning: {message}', width_of(sys.stderr))}\n"
        # Otherwise pydantic reads the metadata of all that is installed, to find plugins that no spec needs.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        # Python has None for a stream that the caller closed, as by >&-.
        sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
        for stream in (sys.stdout, sys.stderr):
            # What they cannot show is escaped.
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            shown = io.StringIO()
            error.show(shown)
            click.echo(fit(shown.getvalue(), width_of(sys.stderr)), err=True, nl=False)
            code = Exit.USAGE
        except click.Abort as error:
            # The interrupt itself says what it leaves, where a command knows.
            left = str(error.__cause__ or "")
            click.echo(defused(f"Interrupted: {printable(left)}" if left else "Interrupted."), err=True)
            code = Exit.INTERRUPTED
        except (OSError, MemoryError) as error:
            click.echo(defused(f"error: {printable(str(error)) or 'not enough memory'}"), err=True)
            code = Exit.USAGE
        except Exception as error:
            report_internal_error(error)
            code = Exit.USAGE
        if standalone_mode:
            end_uncollected()
            sys.exit(code)
        return code


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _subject(ctx: click.Context, error: InitcfgError) -> str:
    """What a command was about: its file, or the model that it names; of several files the one at fault."""
    given = (ctx.params.get(name) for name in ("file", "target", "folder"))
    places = (each.where.file for each in error.diagnostics if each.where is not None)
    return str(next(filter(None, (*given, *places)), "input"))


def report_internal_error(error: Exception) -> None:
    """Show where this program fails: bad input ends in diagnostics, so what arrives here is its fault."""
    import traceback

    traceback.print_exception(error)
    click.echo(
        "\ninitcfg: internal error. This is a fault in initcfg, not in your input.\n"
        "Please report it with the lines above, the command you gave and, if you can, the spec.",
        err=True,
    )
