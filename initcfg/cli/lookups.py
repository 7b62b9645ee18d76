"""``initcfg schema``, ``initializers`` and ``explain``: what a spec may hold, and what a code means."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import re
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import force_option, output_option
from initcfg.cli.output import Output, with_output
from initcfg.cli.report import Exit
from initcfg.errors import Code
from initcfg.names import did_you_mean
from initcfg.tables import WORDS, Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        chosen = list(pages.values())
        text = _listed([(page.code, page.title) for page in chosen], output.width)
    elif code in pages:
        chosen = [pages[Code(code)]]
        text = _explanation(chosen[0], output.prose_width)
    else:
        hint = did_you_mean(code, map(str, pages)) or "initcfg explain lists them all"
        raise click.UsageError(f"no code is named {code!r}; {hint}")
    output.answer([dataclasses.asdict(page) for page in chosen], text)
    return Exit.FINE


def _listed(rows: Sequence[tuple[str, str]], width: int | None) -> str:
    columns = (Column(style={"bold": True}), Column(parts=WORDS))
    return Table("", columns, [Row(row) for row in rows]).text(width, click.style)


def _explanation(page: Explanation, width: int) -> str:
    headline = f"{click.style(page.code, fg='red', bold=True)}: {click.style(page.title, bold=True)}"
    parts = [headline, "", reflow(page.cause, width), "", reflow(page.remedy, width)]
    for label, color, example in (("Wrong", "red", page.wrong), ("Right", "green", page.right)):
        parts += ["", click.style(f"{label}:", fg=color, bold=True), "", textwrap.indent(example, "    ")]
    return "\n".join(parts)


def reflow(text: str, width: int) -> str:
    """The paragraphs and sections of a docstring filled anew; formulas and examples keep their lines."""
    return "\n\n".join(_reflow_block(block, width) for block in re.split(r"\n\n+", text))


def _reflow_block(block: str, width: int) -> str:
    title, *lines = block.split("\n")
    if title in ("Formula:", "Example:"):
        return block
    entries = [title]
    for line in lines:
        depth, last = (len(each) - len(each.lstrip()) for each in (line, entries[-1]))
        if entries[-1].endswith(":") or (depth == last and depth and title == "Args:"):
            entries.append(line)
        else:
            entries[-1] += f" {line.strip()}"
    inner = "    " if title == "Args:" else ""
    return "\n".join(_fill(entry, width, inner) for entry in entries)


def _fill(entry: str, width: int, inner: str) -> str:
    """One paragraph, whose lines after the first are set in by `inner` more."""
    outer = entry[: len(entry) - len(entry.lstrip())]
    return textwrap.fill(
        entry.strip(),
        width,
        initial_indent=outer,
        subsequent_indent=outer + inner,
        break_long_words=False,
        break_on_hyphens=False,
    )


_plugin_option = click.option(
    "--plugin",
    "plugins",
    metavar="NAME",
    multiple=True,
    help="List the initializers of an installed plugin too. May be repeated.",
)


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers."""
    from initcfg.initializers import known_names

    return [name for name in known_names() if name.startswith(incomplete)]


@click.command(
    cls=Command,
    short_help="List the initializers, or show one in full.",
    example=(
        "initcfg initializers",
        "initcfg initializers glorot_uniform",
        "initcfg initializers --search nn.init.xavier_uniform_",
    ),
)
@click.argument("name", required=False, shell_complete=_names)
@click.option(
    "--search", metavar="WORDS", help="List those whose names, summary, authors or code files hold WORDS."
)
@_plugin_option
@with_output
def initializers(*, name: str | None, search: str | None, plugins: tuple[str, ...], output: Output) -> int:
    """List the initializers by family, or show one in full: signature, formula, arguments, reference.

    NAME is a class name, a snake_case name or an alias: GlorotUniform, glorot_uniform and Keras's other names
    show the same page. WORDS are names under which a scheme is known (Xavier, SIREN), authors, parts of
    a paper's title, or a call of another framework.
    """
    from initcfg.initializers.registry import built_ins, load_plugins, lookup, unknown_initializer

    added = load_plugins(plugins)
    if name is not None and search is not None:
        raise click.UsageError(f"--search lists initializers, and {name!r} asks for one; give one of the two")
    if name is None:
        rows = [_row(cls) for cls in (*built_ins(), *added)]
        found = rows if search is None else [row for row in rows if _is_about(row, search)]
        if not found:
            raise click.UsageError(f"no initializer is about {search!r}; initcfg initializers lists them all")
        output.answer(found, _by_family(found, output.width))
        return Exit.FINE
    cls = lookup(name)
    if cls is None:
        problem = unknown_initializer(name)
        raise click.UsageError(f"{problem.message}; {problem.hint}")
    row = _row(cls)
    names = ", ".join([row["name"], *row["aliases"]])
    headline = f"{click.style(row['signature'], bold=True)}\nIn a spec: {names}"
    output.answer(row, f"{headline}\n\n{reflow(row['documentation'], output.prose_width)}")
    return Exit.FINE


def _row(cls: type[Initializer]) -> dict[str, Any]:
    from initcfg.initializers.registry import aliases_of, canonical_name, family_of

    signature = inspect.signature(cls)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    documentation = inspect.getdoc(cls) or ""
    return {
        "name": canonical_name(cls),
        "class": cls.__name__,
        "family": family_of(cls),
        "aliases": aliases_of(cls),
        "summary": documentation.partition("\n")[0],
        "signature": f"{cls.__name__}{inspect.Signature(bare)}",
        "documentation": documentation,
    }


def _by_family(rows: Sequence[Mapping[str, Any]], width: int | None) -> str:
    """A table a family, all with columns of the same width."""
    widest = max(len(row["name"]) for row in rows)
    parts = []
    for family, members in itertools.groupby(rows, key=lambda row: row["family"]):
        cells = [(f"  {row['name']:<{widest}}", row["summary"]) for row in members]
        parts.append(f"{click.style(family, bold=True)}\n{_listed(cells, width)}")
    return "\n\n".join(parts)


def _is_about(row: Mapping[str, Any], search: str) -> bool:
    """Whether each of the words is part of a name, or begins a word of the summary or the reference."""
    reference = row["documentation"].partition("Reference:")[2].partition("Example:")[0]
    names = [_folded(each) for each in (row["name"], *row["aliases"])]
    prose = [_folded(each) for each in re.split(r"[^\w-]+", f"{row['summary']} {reference}")]
    # Of a call in Python the function's name counts: nn.init.xavier_uniform_(w).
    words = [_folded(word.rpartition(".")[2]) for word in search.partition("(")[0].split()]
    return all(
        any(word in each for each in names) or any(each.startswith(word) for each in prose) for word in words
    )


def _folded(text: str) -> str:
    """A name without what its spellings differ in: T-Fixup and t_fixup."""
    return re.sub(r"[\W_]", "", text).lower()


# The modules of documents other than specs, each with a function `json_schema`.
_SCHEMAS = {
    "plan": "initcfg.plan.document",
    "report": "initcfg.cli.renderers.documents",
    "figures": "initcfg.report.values",
    "probe": "initcfg.probe.probed",
    "sweep": "initcfg.probe.widths",
}


@click.command(
    cls=Command,
    short_help="Print the JSON Schema of a spec or another document.",
    example=("initcfg schema -o spec.v1.schema.json", "initcfg schema plan > plan.v1.schema.json"),
)
@click.argument("document", type=click.Choice(["spec", *_SCHEMAS]), default="spec", metavar="[DOCUMENT]")
@output_option("SCHEMA", "Write the schema to a file.")
@force_option
@_plugin_option
@click.option("--id", "address", metavar="URL", help="The schema's $id: the address where it will be served.")
def schema(
    document: str, path: str | None, force: bool, plugins: tuple[str, ...], address: str | None
) -> int:
    """Print the JSON Schema of a DOCUMENT: spec (the default), plan, report, figures, probe or sweep.

    A plan is what "initcfg plan -o" writes, a report what "initcfg validate --format json" prints, figures
    are what "initcfg report" draws, a probe is what "initcfg probe --format json" prints, and a sweep is
    what it prints with --widths.

    Editors use it to complete and check: put "# yaml-language-server: $schema=spec.v1.schema.json" in the
    first line of a spec. It lists the built-in initializers and leaves other names open, because a spec may
    define its own; --plugin lists those of a plugin, with their arguments, as well.
    """
    if plugins and document != "spec":
        raise click.UsageError(f"--plugin is about initializers, and the schema of a {document} lists none")
    found = _schema_of(document, plugins)
    made = json.dumps(found | ({"$id": address} if address else {}), indent=2)
    if path is None:
        click.echo(made)
    else:
        Output().save(path, made + "\n", force=force)
    return Exit.FINE


def _schema_of(document: str, plugins: tuple[str, ...]) -> dict[str, Any]:
    if document in _SCHEMAS:
        found: dict[str, Any] = import_module(_SCHEMAS[document]).json_schema()
        return found
    from initcfg.initializers.registry import load_plugins
    from initcfg.spec.schema import json_schema

    return json_schema(load_plugins(plugins))
