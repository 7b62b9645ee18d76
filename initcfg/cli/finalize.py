"""``initcfg finalize``: publish what many ranks have written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output

if TYPE_CHECKING:
    from initcfg.cli.output import Output


@click.command(
    cls=Command,
    short_help="Publish what many processes have written.",
    example=("initcfg finalize gpt2/",),
)
@click.argument("file", metavar="FOLDER")
@with_output
def finalize(*, file: str, output: Output) -> int:
    """Check that every shard is in a folder, and write the index that makes them one model.

    FOLDER is where "initcfg materialize --rank" has written. Neither the spec nor the values are read: the
    first rank has left a note of what there has to be. The exit code is 1 while shards are missing.
    """
    from initcfg.api import finalize as publish
    from initcfg.cli.shards import report_published

    report_published(output, publish(file))
    return Exit.FINE
