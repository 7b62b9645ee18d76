"""``initcfg schema``: print a JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import not_standard_output
from initcfg.cli.exits import Exit
from initcfg.cli.output import Output
from initcfg.cli.report import Checked, Report
from initcfg.errors import InitcfgError


@click.command(
    cls=Command,
    short_help="Print the JSON Schema of a spec, a plan or a report.",
    example=("initcfg schema -o spec.v1.schema.json", "initcfg schema plan > plan.v1.schema.json"),
)
@click.argument(
    "document", type=click.Choice(["spec", "plan", "report"]), default="spec", metavar="[spec|plan|report]"
)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="SCHEMA",
    type=click.Path(dir_okay=False),
    callback=not_standard_output,
    help="Write the schema to a file.",
)
@click.option("--force", is_flag=True, help="Replace a file that initcfg has not written.")
@click.option(
    "--plugin",
    "plugins",
    metavar="NAME",
    multiple=True,
    help="List the initializers of an installed plugin too. May be repeated.",
)
def schema(document: str, path: str | None, force: bool, plugins: tuple[str, ...]) -> int:
    """Print the JSON Schema of a spec, of the plan that "initcfg plan -o" writes, or of a report.

    A report is what "initcfg validate --format json" prints.

    Editors use it to complete and check: put "# yaml-language-server: $schema=spec.v1.schema.json" in the
    first line of a spec. It lists the built-in initializers and leaves other names open, because a spec may
    define its own; --plugin lists those of a plugin, with their arguments, as well.
    """
    if plugins and document != "spec":
        raise click.UsageError(f"--plugin is about initializers, and the schema of a {document} lists none")
    from initcfg.cli.files import check_replaceable, write_text

    try:
        made = json.dumps(_schema_of(document, plugins), indent=2)
        if path is not None:
            check_replaceable(path, force=force)
            write_text(path, made + "\n")
    except InitcfgError as error:
        return Output().findings(Report((Checked.failed("schema", error.diagnostics),)))
    if path is None:
        click.echo(made)
    return Exit.FINE


def _schema_of(document: str, plugins: tuple[str, ...]) -> dict[str, Any]:
    if document == "plan":
        from initcfg.plan.document import json_schema as plan_schema

        return plan_schema()
    if document == "report":
        from initcfg.cli.renderers.document import json_schema as report_schema

        return report_schema()
    from initcfg.plugins import load_plugins
    from initcfg.spec.schema import json_schema

    return json_schema(load_plugins(plugins))
