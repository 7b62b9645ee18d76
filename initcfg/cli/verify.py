"""``initcfg verify``: hold weights against their plan."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import (
    SpecOptions,
    plan_from,
    selection,
    threads_option,
    with_renames,
    with_spec_options,
)
from initcfg.cli.output import Output, progress_bar, with_report
from initcfg.cli.report import Checked, Contents, Report
from initcfg.errors import InitcfgError, printable
from initcfg.names import count, counted

if TYPE_CHECKING:
    from initcfg.formats.reading import Renames
    from initcfg.verification.listing import LawReport


@click.command(
    cls=Command,
    short_help="Compare weights with what a spec makes.",
    example=(
        "initcfg verify gpt2.safetensors configs/gpt2.yaml",
        "initcfg verify gpt2.safetensors plan.json --select 'transformer.h.*.**'",
        "initcfg verify runs/gpt2 configs/gpt2.yaml",
        "initcfg verify step0.pt configs/gpt2.yaml --law",
    ),
)
@click.argument("weights", metavar="WEIGHTS")
@click.argument("file", required=False)
@click.option("--law", is_flag=True, help="Test weights of any program against distributions, not bits.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="With --law: the probability that correct weights fail, over all tests; 1e-6 by default.",
)
@click.option("--full", is_flag=True, help="With --law: give every tensor its own line.")
@click.option("--select", metavar="GLOB", help="Compare only the parameters whose names match.")
@with_renames
@threads_option
@with_spec_options
@with_report
def verify(
    *,
    weights: str,
    file: str | None,
    law: bool,
    false_alarms: float | None,
    full: bool,
    select: str | None,
    renames: Renames,
    threads: int | None,
    options: SpecOptions,
    output: Output,
) -> int:
    """Make the weights of a spec again and compare those in files with them, bit for bit.

    WEIGHTS is a .safetensors or .npz file, the folder or the index of a sharded set or, where torch is,
    a .pt, .pth, .bin or .ckpt file. FILE is the spec or the plan that it was made from; "-" reads that from
    standard input. No more is held than a few chunks. Orthogonal matrices, whose last bits depend on the
    machine, may differ by 1e-5. The exit code is 0 when all is equal, 1 when something differs, 2 when a file
    cannot be read. Without FILE the spec that WEIGHTS carry is taken: that proves that they are whole, and
    not where they are from.

    With --law the weights may be any program's: constants and tables are compared, random values tested for
    moments, bounds, distribution, tails and copies. What fails is shown beside what is meant.
    """
    from initcfg.api import verify as compare

    if file is not None and _is_swapped(weights, file):
        raise click.UsageError(
            f"WEIGHTS comes first, then the spec: initcfg verify {shlex.join([file, weights])}"
        )
    if not law and (false_alarms is not None or full):
        raise click.UsageError(f"{'--full' if full else '--false-alarms'} needs --law")
    plan = None if file is None else plan_from(file, options)
    if plan is not None and select is not None:
        selection(plan, select)
    try:
        with progress_bar(output, printable(weights)) as progress:
            found = compare(
                weights,
                plan,
                law=law if false_alarms is None else false_alarms,
                select=select,
                rename=renames,
                threads=threads,
                progress=progress,
            )
    except InitcfgError as error:
        return output.conclude(Report((Checked.placed(weights, error.diagnostics),)))
    contents = Contents(found.tensors, found.elements, found.nbytes)
    source = printable(file) if file else "the spec in it"
    verdict = f"equal to what {source} makes"
    if found.law is not None:
        verdict = f"follows the laws of {source}"
        if output.format == "text":
            rows = [row for row in found.law.rows if full or row.problem is not None]
            if rows:
                from initcfg.verification.listing import law_table

                output.table(law_table(rows, full=full))
        if found.law.rows:
            output.note(law_summary(found.law))
    return output.conclude(Report((Checked(weights, found.diagnostics, contents, verdict),)))


def law_summary(report: LawReport) -> str:
    """How many tests were made, and how often true weights fail them."""
    held = {row.name for row in report.rows}  # each in one row or more
    failed = {row.name for row in report.rows if row.problem is not None}
    return (
        f"{count(len(held - failed))} of {counted(len(held), 'tensor')} follow their laws; "
        f"{counted(report.tests, 'test')}, of which true weights fail any with a probability of at most "
        f"{report.false_alarms:g}"
    )


def _is_swapped(weights: str, file: str) -> bool:
    """Whether the names say that the spec stands in the place of the weights."""
    from initcfg.formats.index import is_index

    is_document = weights.endswith((".yaml", ".yml", ".json")) and not is_index(weights)
    return is_document and (is_index(file) or not file.endswith((".yaml", ".yml", ".json", "-")))
