"""``initcfg initializers``: what there is, and each one in full."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output

if TYPE_CHECKING:
    from initcfg.cli.output import Output
    from initcfg.initializers import Initializer


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
        output.data(json.dumps(rows, indent=2) if output.format == "json" else _list(rows))
        return Exit.FINE
    cls = lookup(name)
    if cls is None:
        problem = unknown_initializer(name)
        raise click.UsageError(f"{problem.message}; {problem.hint}")
    output.data(json.dumps(_row(cls), indent=2) if output.format == "json" else _page(cls))
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


def _list(rows: list[dict[str, object]]) -> str:
    width = max(len(str(row["name"])) for row in rows)
    return "\n".join(f"{row['name']:<{width}}  {row['summary']}" for row in rows)


def _page(cls: type[Initializer]) -> str:
    row = _row(cls)
    names = ", ".join([str(row["name"]), *row["aliases"]])  # type: ignore[misc]
    headline = click.style(row["signature"], bold=True)
    return f"{headline}\nIn a spec: {names}\n\n{inspect.getdoc(cls)}"
