"""``initcfg capture``: the spec of a live model, from what its own code does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import output_option
from initcfg.cli.models import with_model
from initcfg.cli.output import check_replaceable, with_output
from initcfg.cli.report import Exit
from initcfg.wording import counted

if TYPE_CHECKING:
    from initcfg.cli.models import ModelSource
    from initcfg.cli.output import Output


@click.command(
    cls=Command,
    short_help="Write the spec of a model's own initialization.",
    example=(
        "initcfg capture models.gpt:build -o gpt.yaml",
        "initcfg capture --config checkpoints/gpt2 -o gpt2.yaml",
    ),
)
@output_option("SPEC", "The file to write; its name ends in .yaml or .yml.")
@click.option("--force", is_flag=True, help="Replace the files if they are there.")
@with_output
@with_model
def capture(*, model: ModelSource, path: str | None, force: bool, output: Output) -> int:
    """Write the spec of a model's own initialization: the distribution of every parameter.

    MODULE:CALLABLE is called without arguments and returns the model of PyTorch or Keras. One with a single
    argument named key or rng is an init function of JAX that returns the parameters, and is traced. Its code
    runs (with --config about twenty times), but for PyTorch and JAX no weights are made. Modules in the
    current folder can be named. Numbers that depend on the config become expressions. What a spec cannot
    express is skipped and listed. The spec goes to stdout, or with -o to a file. Values that no formula gives
    go to NAME.tables.safetensors beside it.
    """
    if path is not None:
        if not path.lower().endswith((".yaml", ".yml")):
            raise click.UsageError(f"the name of a spec ends in .yaml or .yml, not as {path!r}")
        check_replaceable(path, force=force)
    captured = model.capture()
    if path is not None:
        beside = f"{path.rpartition('.')[0]}.tables.safetensors"
        if captured.tables:
            check_replaceable(beside, force=force)
        captured.save(path)
        saved = [each for each in captured.recorded if each.persistent]
        lawless = f", {len(captured.unsaid)} without a law" if captured.unsaid else ""
        output.note(f"{path}: {counted(len(saved), 'tensor')}{lawless}; initcfg plan shows them")
        if captured.tables:
            output.note(f"{beside}: {counted(len(captured.tables), 'tensor')} that no formula gives")
        if left := len(captured.recorded) - len(saved):
            output.note(f"{counted(left, 'buffer')} left out, which a checkpoint does not hold")
    elif output.format == "json":
        from initcfg.spec import dump_json

        output.data(dump_json(captured.spec))
    else:
        output.data(captured.text)
        if captured.tables:
            output.note("the values of some parameters are in a file of tables, which -o writes")
    for name, unsaid in captured.unsaid.items():
        output.note(f"{name} is left out: {unsaid.reason}")
    return Exit.FINE
