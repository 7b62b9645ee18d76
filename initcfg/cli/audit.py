"""``initcfg audit``: what the code of a live model leaves out, does twice or undoes at initialization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.models import with_model
from initcfg.cli.output import with_report
from initcfg.cli.report import Checked, Report
from initcfg.cli.validate import ignore_option

if TYPE_CHECKING:
    from initcfg.cli.models import ModelSource
    from initcfg.cli.output import Output


@click.command(
    cls=Command,
    short_help="Find what a model's own initialization leaves out or undoes.",
    example=(
        "initcfg audit models.gpt:build",
        "initcfg audit --config checkpoints/gpt2 --format sarif -o audit.sarif",
    ),
)
@ignore_option
@with_report
@with_model
def audit(*, model: ModelSource, ignore: tuple[str, ...], output: Output) -> int:
    """Find mistakes in the initialization code of a PyTorch model.

    MODULE:CALLABLE is called without arguments and returns the model. Its code runs, but no weights are made.
    Modules in the current folder can be named. Reported, with their lines in the model's code, are parameters
    that are never initialized, special values that are overwritten, broken ties, and values that are right on
    the CPU but garbage if the model is made on the meta device. The exit code is 0 when nothing is found, 1
    when something is, 2 when the code cannot be run; notes do not count.

    The list "ignore" of [tool.initcfg] in the nearest pyproject.toml adds to --ignore. Values that are
    garbage however the model is made are always reported.
    """
    from initcfg.adapters.torch import audit as audit_torch
    from initcfg.cli.arguments import find_project

    found = audit_torch(model.module)
    checked = Checked(model.name, found.diagnostics, verdict="nothing found")
    report = Report((checked,)).ignoring({*ignore, *find_project().ignore})
    return output.conclude(report.strict())
