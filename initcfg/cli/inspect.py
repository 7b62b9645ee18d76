"""``initcfg inspect``: what weights hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import with_renames
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output
from initcfg.cli.progress import progress_bar
from initcfg.errors import SpecError, UnknownParameterError, printable

if TYPE_CHECKING:
    from initcfg.cli.output import Output
    from initcfg.formats.renaming import Renames


@click.command(
    cls=Command,
    short_help="Show what weights hold.",
    example=(
        "initcfg inspect gpt2.safetensors",
        "initcfg inspect runs/gpt2 --select 'transformer.h.*.**' --header",
    ),
)
@click.argument("file", metavar="WEIGHTS")
@click.option("--select", metavar="GLOB", help="Show only the tensors whose names match.")
@with_renames
@click.option("--header", "header_only", is_flag=True, help="Read no element.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="How many threads to use.  [default: as many as there are cores]",
)
@with_output
def inspect(
    *,
    file: str,
    select: str | None,
    renames: Renames,
    header_only: bool,
    threads: int | None,
    output: Output,
) -> int:
    """Show the tensors of weights: names, shapes, dtypes, and what their values come to.

    WEIGHTS is a .safetensors or .npz file of any program, the .safetensors.index.json of a sharded set, or
    the folder of either. With torch installed also a .pt, .pth, .bin or .ckpt file, whose code is not run, or
    a .bin.index.json. Mean, standard deviation and bounds are of the finite elements. No more is held than
    a few chunks.
    """
    from initcfg.cli.inspected import inspection_json, inspection_text
    from initcfg.inspection import inspect as survey

    try:
        with progress_bar(output, printable(file)) as progress:
            found = survey(
                file,
                select=select,
                rename=renames,
                values=not header_only,
                threads=threads,
                progress=progress,
            )
    except (SpecError, UnknownParameterError) as error:
        problem = error.diagnostics[0]
        option = "" if "rename" in problem.message else "--select: "
        raise click.UsageError(f"{option}{problem.message}; {problem.hint}") from error
    output.data(inspection_json(found) if output.format == "json" else inspection_text(found))
    return Exit.FINE
