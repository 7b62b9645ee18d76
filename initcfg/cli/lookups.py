"""``initcfg schema``, ``initializers`` and ``explain``: what a spec may hold, and what a code means."""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import not_standard_output
from initcfg.cli.output import Output, with_output
from initcfg.cli.report import Checked, Exit, Report
from initcfg.errors import Code, InitcfgError
from initcfg.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

    from initcfg.explanations import Explanation
    from initcfg.initializers import Initializer


def _codes(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers."""
    return [code for code in map(str, Code) if code.startswith(incomplete)]


@click.command(
    cls=Command,
    short_help="Explain a diagnostic code.",
    example=("initcfg explain unknown-initializer", "initcfg explain"),
)
@click.argument("code", required=False, shell_complete=_codes)
@with_output
def explain(*, code: str | None, output: Output) -> int:
    """Explain a diagnostic code: its cause, the way out, a wrong and a right example.

    CODE is what stands in brackets in a message. Without one, all codes are listed.
    """
    from initcfg.explanations import load_explanations

    pages = load_explanations()
    if code is None:
        chosen, text = list(pages.values()), _codes_text(pages.values())
    elif code in pages:
        chosen, text = [pages[Code(code)]], _explanation(pages[Code(code)])
    else:
        hint = did_you_mean(code, map(str, pages)) or "initcfg explain lists them all"
        raise click.UsageError(f"no code is named {code!r}; {hint}")
    if output.format == "json":
        text = json.dumps([dataclasses.asdict(page) for page in chosen], indent=2)
    output.data(text)
    return Exit.FINE


def _codes_text(pages: Collection[Explanation]) -> str:
    width = max(len(page.code) for page in pages)
    return "\n".join(f"{page.code:<{width}}  {page.title}" for page in pages)


def _explanation(page: Explanation) -> str:
    headline = f"{click.style(page.code, fg='red', bold=True)}: {click.style(page.title, bold=True)}"
    parts = [headline, "", *textwrap.wrap(page.cause, 88), "", *textwrap.wrap(page.remedy, 88)]
    for label, color, example in (("Wrong", "red", page.wrong), ("Right", "green", page.right)):
        parts += ["", click.style(f"{label}:", fg=color, bold=True), "", textwrap.indent(example, "    ")]
    return "\n".join(parts)


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers."""
    from initcfg.initializers import known_names

    return [name for name in known_names() if name.startswith(incomplete)]


@click.command(
    cls=Command,
    short_help="List the initializers, or show one in full.",
    example=("initcfg initializers", "initcfg initializers glorot_uniform"),
)
@click.argument("name", required=False, shell_complete=_names)
@click.option(
    "--plugin",
    "plugins",
    metavar="NAME",
    multiple=True,
    help="List the initializers of an installed plugin too. May be repeated.",
)
@with_output
def initializers(*, name: str | None, plugins: tuple[str, ...], output: Output) -> int:
    """List the initializers, or show one in full: signature, formula, arguments, reference.

    NAME is a class name, a snake_case name or an alias: GlorotUniform, glorot_uniform and Keras's other names
    show the same page.
    """
    from initcfg.initializers.registry import built_ins, lookup, unknown_initializer
    from initcfg.plugins import load_plugins

    added = load_plugins(plugins)
    if name is None:
        rows = [_row(cls) for cls in (*built_ins(), *added)]
        output.data(json.dumps(rows, indent=2) if output.format == "json" else _initializers_text(rows))
        return Exit.FINE
    cls = lookup(name)
    if cls is None:
        problem = unknown_initializer(name)
        raise click.UsageError(f"{problem.message}; {problem.hint}")
    output.data(json.dumps(_row(cls), indent=2) if output.format == "json" else _initializer_page(cls))
    return Exit.FINE


def _row(cls: type[Initializer]) -> dict[str, object]:
    from initcfg.initializers.registry import aliases_of, canonical_name

    return {
        "name": canonical_name(cls),
        "class": cls.__name__,
        "aliases": aliases_of(cls),
        "summary": _summary(cls),
        "signature": _signature(cls),
    }


def _summary(cls: type[Initializer]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _signature(cls: type[Initializer]) -> str:
    signature = inspect.signature(cls)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return f"{cls.__name__}{inspect.Signature(bare)}"


def _initializers_text(rows: list[dict[str, object]]) -> str:
    width = max(len(str(row["name"])) for row in rows)
    return "\n".join(f"{row['name']:<{width}}  {row['summary']}" for row in rows)


def _initializer_page(cls: type[Initializer]) -> str:
    row = _row(cls)
    names = ", ".join([str(row["name"]), *row["aliases"]])  # type: ignore[misc]
    headline = click.style(row["signature"], bold=True)
    return f"{headline}\nIn a spec: {names}\n\n{inspect.getdoc(cls)}"


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
    from initcfg.cli.output import check_replaceable, write_text

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
        from initcfg.cli.renderers.documents import json_schema as report_schema

        return report_schema()
    from initcfg.plugins import load_plugins
    from initcfg.spec.schema import json_schema

    return json_schema(load_plugins(plugins))
