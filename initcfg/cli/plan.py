"""``initcfg plan`` and ``initcfg report``: how every parameter will begin, as a table and as a page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import (
    SpecOptions,
    checked_plan,
    force_option,
    not_standard_input,
    output_option,
    plan_from,
    selection,
    source_from,
    threads_option,
    with_renames,
    with_spec_options,
)
from initcfg.cli.output import Output, progress_bar, with_output, with_table
from initcfg.cli.report import Contents, Exit
from initcfg.errors import printable
from initcfg.names import counted, size
from initcfg.tables import csv_text

if TYPE_CHECKING:
    from initcfg.formats.reading import Renames


@click.command(
    cls=Command,
    short_help="Show the initialization of every parameter.",
    example=(
        "initcfg plan configs/gpt2.yaml",
        "initcfg plan configs/gpt2.yaml --select '**.bias' --full",
        "initcfg plan configs/gpt2.yaml --sort std --format markdown",
        "initcfg plan configs/gpt2.yaml -o plan.json",
        "initcfg plan configs/gpt2.yaml --format json | jq '.parameters[0]'",
    ),
)
@click.argument("file", metavar="FILE")
@output_option("PLAN", "Write the plan to a JSON file.")
@force_option
@click.option("--select", metavar="GLOB", help="Show only the parameters whose names match.")
@click.option(
    "--full", is_flag=True, help="Give every copy of a layer its own line, and show formulas in full."
)
@click.option(
    "--sort",
    type=click.Choice(["name", "initializer", "copies", "elements", "std", "fan_in"]),
    metavar="KEY",
    help="Order lines by name, initializer, copies, elements, std or fan_in; numbers from the largest.",
)
@with_spec_options
@with_table
def plan(
    *,
    file: str,
    path: str | None,
    force: bool,
    select: str | None,
    full: bool,
    sort: str | None,
    options: SpecOptions,
    output: Output,
) -> int:
    """Show how every parameter will begin: shape, initializer, resolved distribution, fans, size.

    FILE is a spec or a plan; "-" reads standard input. Nothing is allocated, however large the model. The
    table is as wide as the terminal (else as COLUMNS says, or 80); columns without room are named below it.
    Copies of a layer with the same initialization share a line, which gives their total size. A long formula
    is shown by its mean and standard deviation. With --format json the plan is a JSON document of every
    parameter, and with -o that document goes to a file instead; csv has the table's lines with all digits,
    markdown and html have every column. A plan that is there is replaced, any other file only with --force.
    """
    from initcfg.plan.listing import HEADS, listed, sorted_copies, table_of

    if (select or sort) and (path is not None or output.format == "json"):
        given = "--select" if select else "--sort"
        raise click.UsageError(f"{given} is of the table; a plan file holds every parameter in its order")
    planned = plan_from(file, options, tell=output.note)
    if path is not None:
        about = f"{Contents.of(planned)}, fingerprint {planned.fingerprint}"
        output.save(path, planned.to_json(), about, force=force)
    elif output.format == "json":
        output.data(planned.to_json())
    else:
        groups = sorted_copies(listed(selection(planned, select), full=full), sort)
        if output.format == "csv":
            output.data(csv_text(HEADS, (each.record() for each in groups)))
        else:
            is_brief = output.format == "text" and not full
            output.table(table_of(planned, groups, brief=is_brief, curves=output.format == "html"))
    return Exit.FINE


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
@output_option("PAGE", "Write the page to a file; its name ends in .html.")
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
    from initcfg.probe import Probe
    from initcfg.report import Source, figures_of, page_of

    if path is None and output.format != "json":
        raise click.UsageError("name the page: -o report.html (or --format json for what it shows as data)")
    if path is not None and output.format != "json" and not path.lower().endswith((".html", ".htm")):
        raise click.UsageError(f"the name of a page ends in .html, not as {path!r}")
    if weights is None and (renames or threads is not None):
        raise click.UsageError("--rename, --strip-prefix and --threads are about --weights")
    if not files and (probed is None or weights is not None):
        raise click.UsageError("name a spec or a plan, or what was measured: --probe probe.json")
    held = [] if weights is None else ["--weights", weights, *renames.arguments()]
    held += [] if probed is None else ["--probe", probed]
    named = shlex.join(["initcfg", "report", *files, *held, *options.arguments()])
    sources = [Source(file, *checked_plan(source_from(file, options))) for file in files]
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
