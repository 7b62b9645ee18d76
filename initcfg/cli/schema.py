"""``initcfg schema``: print a JSON Schema."""

from __future__ import annotations

import json

import click

from initcfg.cli.application import Command

__all__ = ["schema"]


@click.command(
    cls=Command,
    short_help="Print the JSON Schema of a spec, a plan or a report.",
    example=("initcfg schema > spec.v1.schema.json", "initcfg schema plan > plan.v1.schema.json"),
)
@click.argument("document", type=click.Choice(["spec", "plan", "report"]), default="spec")
def schema(document: str) -> int:
    """Print the JSON Schema of a spec, of the plan that "initcfg plan -o" writes, or of a report.

    A report is what "initcfg validate --format json" prints.

    Editors use it to complete and check: put "# yaml-language-server: $schema=spec.v1.schema.json" in the
    first line of a spec.
    """
    if document == "spec":
        from initcfg.spec import json_schema
    elif document == "plan":
        from initcfg.plan.document import json_schema
    else:
        from initcfg.cli.renderers.document import json_schema
    click.echo(json.dumps(json_schema(), indent=2))
    return 0
