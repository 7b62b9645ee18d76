"""``initcfg report``: what a plan comes to, to be looked at."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import (
    force_option,
    not_standard_input,
    not_standard_output,
    threads_option,
    with_renames,
    with_spec_options,
)
from initcfg.cli.output import progress_bar, with_output
from initcfg.cli.report import Exit
from initcfg.errors import printable
from initcfg.wording import counted, size

if TYPE_CHECKING:
    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output
    from initcfg.formats.reading import Renames


@click.command(
    cls=Command,
    short_help="Draw specs as an HTML page.",
    example=(
        "initcfg report configs/gpt2.yaml -o gpt2.html",
        "initcfg report configs/gpt2.yaml configs/llama3-8b.yaml -o both.html",
        "initcfg report configs/gpt2.yaml --weights step0.safetensors -o checked.html",
        "initcfg report --probe probe.json -o signal.html",
        "initcfg report configs/gpt2.yaml --format json | jq '.models[0].depth'",
    ),
)
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="PAGE",
    type=click.Path(dir_okay=False),
    callback=not_standard_output,
    help="Write the page to an HTML file.",
)
@click.option(
    "--weights",
    metavar="WEIGHTS",
    callback=not_standard_input,
    help="Draw the values of weights beside their laws, as verify --law compares them.",
)
@click.option(
    "--probe",
    "probed",
    metavar="PROBE",
    callback=not_standard_input,
    help="Draw what initcfg probe --format json has measured, too; then no spec need be given.",
)
@force_option
@with_renames
@threads_option
@with_spec_options
@with_output
def report(
    *,
    files: tuple[str, ...],
    path: str | None,
    weights: str | None,
    probed: str | None,
    force: bool,
    renames: Renames,
    threads: int | None,
    options: SpecOptions,
    output: Output,
) -> int:
    """Draw what specs or plans come to: a map of matrices, gain through depth, warnings, every parameter.

    With --weights it also shows the values of a file or a sharded set, of any program, beside the law that
    each tensor should follow, and what differs. FILE is a spec or a plan; several are shown beside each
    other, and where they differ. With --probe it shows the signal through depth, forward and backward,
    beside theory.

    The page is one file, which needs no network and runs no code but its own. With --format json what it
    shows goes to stdout as data, without any picture.
    """
    from initcfg.cli.arguments import checked_plan_from
    from initcfg.probe import Probe
    from initcfg.report import Source, figures_of, page_of

    if path is None and output.format != "json":
        raise click.UsageError("name the page: -o report.html (or --format json for what it shows as data)")
    if weights is None and (renames or threads is not None):
        raise click.UsageError("--rename, --strip-prefix and --threads are about --weights")
    if not files and (probed is None or weights is not None):
        raise click.UsageError("name a spec or a plan, or what was measured: --probe probe.json")
    held = [] if weights is None else ["--weights", weights, *renames.arguments()]
    held += [] if probed is None else ["--probe", probed]
    named = shlex.join(["initcfg", "report", *files, *held, *options.arguments()])
    sources = [Source(file, *checked_plan_from(file, options)) for file in files]
    if weights is not None:
        from initcfg.verification import verify

        with progress_bar(output, printable(weights)) as progress:
            sources = [
                source._replace(
                    found=verify(
                        weights,
                        source.plan,
                        law=True,
                        histograms=True,
                        rename=renames,
                        threads=threads,
                        progress=progress,
                    )
                )
                for source in sources
            ]
    probe = None if probed is None else Probe.load(probed)
    figures = figures_of(sources, command=printable(named), probe=probe)
    if path is None:
        output.data(figures.model_dump_json(indent=2))
        return Exit.FINE
    page = page_of(figures)
    lines = sum(len(model.rows) for model in figures.models)
    what = (
        counted(lines, "line") if files else counted(len(figures.probe.runs if figures.probe else ()), "run")
    )
    output.save(path, page, f"{what}, {size(len(page.encode()))}", force=force)
    return Exit.FINE
