"""``initcfg probe``: what passes through a live model before its first step, for each of some specs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import with_spec_options
from initcfg.cli.models import made_by, with_model
from initcfg.cli.output import with_output
from initcfg.cli.report import Exit

if TYPE_CHECKING:
    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.models import ModelSource
    from initcfg.cli.output import Output


@click.command(
    cls=Command,
    short_help="Measure what passes through a model before its first step.",
    example=(
        "initcfg probe models.net:build --spec he.yaml --spec scaled.yaml",
        "initcfg probe --config checkpoints/gpt2 --spec configs/gpt2.yaml --seeds 3",
    ),
)
@click.option(
    "--spec",
    "files",
    metavar="FILE",
    multiple=True,
    help="A spec or plan to measure. May be repeated.  [default: the model's own weights]",
)
@click.option(
    "--batch",
    metavar="MODULE:CALLABLE",
    help="Returns the batch: a tensor, a pair (input, target), or a dict of keyword arguments.",
)
@click.option(
    "--seeds", metavar="N", type=click.IntRange(min=1), help="Measure each spec with the seeds 0 to N - 1."
)
@with_spec_options
@with_output
@with_model
def probe(
    *,
    model: ModelSource,
    files: tuple[str, ...],
    batch: str | None,
    seeds: int | None,
    options: SpecOptions,
    output: Output,
) -> int:
    """Measure one forward and one backward pass of a PyTorch model with the weights of each spec.

    MODULE:CALLABLE is called without arguments and returns the model. Its code runs. Modules in the current
    folder can be named. The output shows the mean squares of activations and gradients for each block, dead
    and saturated units, the first loss, and the first step of SGD and of Adam relative to the weights. A spec
    needs no names and shapes: the model has them. Without --batch the input is random, fits the first layer,
    and is the same for every spec.
    """
    from initcfg.adapters.torch import manifest
    from initcfg.adapters.torch import probe as probe_torch
    from initcfg.cli.arguments import plan_from

    if len(set(files)) < len(files):
        raise click.UsageError("a spec is named twice")
    if seeds is not None and not files:
        raise click.UsageError("--seeds needs a --spec: the model's own weights are made once")
    module = model.module()
    given = None if batch is None else made_by(batch, "a batch").build()
    held = manifest(module)
    plans = {file: plan_from(file, options, manifest=held) for file in files}
    found = probe_torch(module, given, plans=plans, seeds=None if seeds is None else range(seeds))
    output.answer(found.to_dict(), str(found))
    return Exit.FINE
