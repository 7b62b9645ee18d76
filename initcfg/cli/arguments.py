"""Arguments that several commands have: files, each once, whose patterns no shell has expanded; renames."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import click

from initcfg.errors import InitcfgError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def expanded(files: Iterable[str]) -> tuple[str, ...]:
    """The files in the order given, without repetition, and in the place of a pattern what matches, sorted.

    A pattern has ``*``, ``?`` or ``[`` in it and is not itself the name of a file; ``**`` means any folders.
    A pattern matches files only; a name that begins with a dot only where the pattern has the dot too.

    Raises:
        click.UsageError: nothing matches a pattern.
    """
    once: dict[str, str] = {}
    for file in files:
        for match in _matches(file) if _is_pattern(file) else [file]:
            once.setdefault(_identity(match), match)
    return tuple(once.values())


def not_standard_input(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A callback for weights and manifests, whose kind only a name tells, and which are read at any place."""
    if value == "-":
        raise click.BadParameter("standard input is not read here; name a file")
    return value


def not_standard_output(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A callback for the names of files and folders to write, which would otherwise be called ``-``."""
    if value == "-":
        name = parameter.opts[0]
        message = f"{name} does not write to standard output; name a file, or ./- for one that is called so"
        raise click.BadParameter(message)
    return value


def with_renames(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--rename`` and ``--strip-prefix`` as one argument, ``renames``.

    A rename that is malformed is a wrong command line.
    """

    @click.option(
        "--rename",
        metavar="WEIGHTS_NAME=PLAN_NAME",
        multiple=True,
        help="Put other leading segments into names of WEIGHTS; {i} keeps a number. May be repeated.",
    )
    @click.option("--strip-prefix", metavar="PREFIX", help="Take leading segments from the names of WEIGHTS.")
    @functools.wraps(function)
    def command(rename: tuple[str, ...], strip_prefix: str | None, **arguments: object) -> int:
        from initcfg.formats.renaming import Renames

        stripped = () if strip_prefix is None else (f"{strip_prefix.removesuffix('.')}=",)
        try:
            renames = Renames.of((*rename, *stripped))
        except InitcfgError as error:
            problem = error.diagnostics[0]
            raise click.UsageError(f"{problem.message}; {problem.hint}") from error
        return function(renames=renames, **arguments)

    return command


def _is_pattern(file: str) -> bool:
    return not set("*?[").isdisjoint(file) and not os.path.lexists(file)


def _matches(pattern: str) -> list[str]:
    import glob

    # Path.glob knows no absolute patterns, and takes "./" away.
    found = [file for file in sorted(glob.glob(pattern, recursive=True)) if not os.path.isdir(file)]  # noqa: PTH112, PTH207
    if not found:
        raise click.UsageError(f"no file matches the pattern {pattern!r}")
    return found


def _identity(file: str) -> str:
    return file if file == "-" else os.path.abspath(file)  # noqa: PTH100 - Path.absolute keeps ".."
