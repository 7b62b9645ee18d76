"""``initcfg materialize``: make the weights."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output
from initcfg.cli.progress import progress_bar
from initcfg.cli.report import Contents
from initcfg.cli.source import with_spec_options
from initcfg.cli.words import count
from initcfg.errors import printable

if TYPE_CHECKING:
    from initcfg.cli.output import Output
    from initcfg.cli.source import SpecOptions

__all__ = ["materialize"]

_SHOWN_TIES = 5


@click.command(
    cls=Command,
    short_help="Make the weights.",
    example=(
        "initcfg materialize configs/gpt2.yaml -o gpt2.safetensors",
        "initcfg materialize configs/mlp.yaml -o mlp.npz --threads 1",
    ),
)
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "--output",
    "path",
    metavar="WEIGHTS",
    required=True,
    type=click.Path(dir_okay=False),
    help="The file to write; its name ends in .safetensors or .npz.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="How many threads to use.  [default: as many as there are cores]",
)
@click.option(
    "--write-tied", is_flag=True, help="Write tied parameters too, though another holds the same array."
)
@click.option("--force", is_flag=True, help="Replace a file that initcfg has not written.")
@with_spec_options
@with_output
def materialize(
    *,
    file: str,
    path: str,
    threads: int | None,
    write_tied: bool,
    force: bool,
    options: SpecOptions,
    output: Output,
) -> int:
    """Make the weights that a spec describes and write them to a file.

    FILE is a spec or a plan; "-" reads standard input. The same spec gives the same file, whatever the
    machine and the number of threads. The file appears whole or not at all. One that initcfg wrote is
    replaced; any other, such as trained weights, only with --force.
    """
    from initcfg.api import save
    from initcfg.cli.files import check_replaceable
    from initcfg.cli.source import plan_from

    planned = plan_from(file, options)
    check_replaceable(path, force=force)
    started = time.perf_counter()
    with progress_bar(output, printable(path)) as progress:
        written = save(planned, path, threads=threads, progress=progress, write_tied=write_tied)
    seconds = time.perf_counter() - started

    contents = Contents.of(planned)
    if output.format == "json":
        facts = {"file": path, "fingerprint": written.fingerprint, "seconds": round(seconds, 3)}
        output.data(json.dumps(facts | contents._asdict() | {"left_out": dict(written.tied)}, indent=2))
    else:
        output.note(f"{printable(path)}: {contents} in {seconds:.2f} s")
        for name, owner in itertools.islice(written.tied.items(), _SHOWN_TIES):
            output.note(printable(f"{name} is tied to {owner} and left out; --write-tied writes it"))
        if len(written.tied) > _SHOWN_TIES:
            output.note(f"and so are {count(len(written.tied) - _SHOWN_TIES)} more")
        output.note(f"fingerprint {written.fingerprint}")
    return Exit.FINE
