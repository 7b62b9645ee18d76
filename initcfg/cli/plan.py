"""``initcfg plan``: how every parameter will begin, before anything is made."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Literal

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import not_standard_output, with_spec_options
from initcfg.cli.output import with_output
from initcfg.cli.report import Contents, Exit
from initcfg.cli.words import aligned, count, counted, describe_law, size
from initcfg.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output
    from initcfg.plan import Plan, PlannedParameter


@click.command(
    cls=Command,
    short_help="Show how every parameter will begin.",
    example=(
        "initcfg plan configs/gpt2.yaml",
        "initcfg plan configs/gpt2.yaml -o plan.json",
        "initcfg plan configs/gpt2.yaml --format json | jq '.parameters[0]'",
    ),
)
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "--output",
    "path",
    metavar="PLAN",
    type=click.Path(dir_okay=False),
    callback=not_standard_output,
    help="Write the plan to a JSON file.",
)
@click.option("--force", is_flag=True, help="Replace a file that initcfg has not written.")
@with_spec_options
@with_output
def plan(*, file: str, path: str | None, force: bool, options: SpecOptions, output: Output) -> int:
    """Show how every parameter will begin: shape, initializer, resolved distribution, fans, size.

    FILE is a spec or a plan; "-" reads standard input. Nothing is allocated, however large the model. The
    table goes to stdout, or the plan as a JSON document with --format json; with -o the document goes to a
    file instead. A plan that is there is replaced, any other file only with --force.
    """
    from initcfg.cli.arguments import plan_from

    planned = plan_from(file, options, tell=output.note)
    if path is not None:
        from initcfg.cli.output import check_replaceable, write_text

        check_replaceable(path, force=force)
        write_text(path, planned.to_json())
        output.note(f"{printable(path)}: {Contents.of(planned)}, fingerprint {planned.fingerprint}")
    elif output.format == "json":
        output.data(planned.to_json())
    elif sys.stdout.isatty():
        terminal_table(planned, color=output.colored(sys.stdout))
    else:
        output.data(plain_table(planned))
    return Exit.FINE


HEADINGS = ("name", "shape", "dtype", "initializer", "distribution", "rule", "fan_in, fan_out", "size")
_RIGHT = frozenset({"size"})
_SHOWN_SKIPS = 5
_STYLES = {"name": "bold", "dtype": "dim", "initializer": "cyan", "distribution": "green", "rule": "dim"}


# What may take several lines, at the ends of its words; the others stay whole.
_FOLDED = {"name": re.compile(r"[^.]*\.+|[^.]+"), "distribution": re.compile(r"\S+")}
# Columns that a narrow terminal does without, the first ones first.
_DROPPED = ("fan_in, fan_out", "rule", "dtype", "size", "initializer")
_GAP = 2
# As wide as a column that takes several lines should be, where there is room.
_EASY = 24


def _cells(parameter: PlannedParameter) -> tuple[str, ...]:
    from initcfg.initializers import canonical_name

    fans, initializer = parameter.fans, parameter.initializer
    tied = parameter.tied_to is not None
    cells = (
        parameter.name,
        str(parameter.shape),
        parameter.dtype.name,
        f"= {parameter.tied_to}" if tied else canonical_name(type(initializer)),
        "" if tied else describe_law(initializer, parameter.shape, parameter.layout),
        parameter.rule or "",
        f"{fans.fan_in}, {fans.fan_out}" if fans else "-",
        "-" if tied else size(parameter.nbytes),
    )
    return tuple(printable(cell) for cell in cells)


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    """The headings and a row for each parameter; without the column of rules where none has won anything."""
    rows = [HEADINGS, *(_cells(parameter) for parameter in plan)]
    if any(parameter.rule for parameter in plan):
        return rows
    at = HEADINGS.index("rule")
    return [(*row[:at], *row[at + 1 :]) for row in rows]


def _totals(plan: Plan) -> str:
    """What the plan holds, and what rules have left out of it."""
    lines = [f"{Contents.of(plan)}, seed {plan.seed}"]
    by_rule = [skipped for skipped in plan.skipped if skipped.rule is not None]
    for skipped in by_rule[:_SHOWN_SKIPS]:
        lines.append(printable(f"{skipped.name} is skipped by the rule {skipped.rule!r}"))
    if len(by_rule) > _SHOWN_SKIPS:
        lines.append(f"and so are {count(len(by_rule) - _SHOWN_SKIPS)} more")
    if buffers := len(plan.skipped) - len(by_rule):
        lines.append(f"{counted(buffers, 'buffer')} left as the model has them")
    return "\n".join(lines)


def plain_table(plan: Plan) -> str:
    """The table as text for a file or a pipe: columns apart by two blanks, none at the end of a line."""
    return "\n".join([*aligned(_rows(plan), _RIGHT), "", _totals(plan)])


def terminal_table(plan: Plan, *, color: bool) -> None:
    """Print the table fitted to a terminal: words stay whole, and the columns left out are named."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(no_color=not color, highlight=False)
    headings, *rows = _rows(plan)
    shown, name_width = _fitted([headings, *rows], console.width)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for heading in shown:
        justify: Literal["left", "right"] = "right" if heading in _RIGHT else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "distribution", overflow="fold")
    for row in rows:
        cells = dict(zip(headings, row, strict=True))
        cells["name"] = _folded(cells["name"], name_width)
        table.add_row(*(Text(cells[heading], _STYLES.get(heading, "")) for heading in shown))
    console.print(table)
    console.print(Text(_totals(plan)))
    if left_out := [heading for heading in headings if heading not in shown]:
        told = f"not shown at {console.width} columns: {'; '.join(left_out)}"
        console.print(Text(told, "dim"))


def _fitted(rows: Sequence[tuple[str, ...]], width: int) -> tuple[list[str], int]:
    """The headings of the columns that fit a width without a broken word, and how wide names may be."""
    from rich.cells import cell_len

    headings = rows[0]
    natural = {heading: max(map(cell_len, cells)) for heading, *cells in zip(*rows, strict=True)}
    natural = {heading: max(cell_len(heading), length) for heading, length in natural.items()}
    least, longest = dict(natural), dict(natural)
    for heading, word in _FOLDED.items():
        cells = (row[headings.index(heading)] for row in rows)
        longest[heading] = max(cell_len(part) for cell in cells for part in word.findall(cell))
        least[heading] = max(longest[heading], min(natural[heading], _EASY))
    shown = list(headings)
    for heading in _DROPPED:
        if sum(least[each] + _GAP for each in shown) <= width:
            break
        if heading in shown:
            shown.remove(heading)
    rest = width - sum(natural[each] + _GAP for each in shown if each != "name") - _GAP
    return shown, max(longest["name"], min(natural["name"], rest))


def _folded(name: str, width: int) -> str:
    """A name in lines that end after a dot."""
    lines = [""]
    for part in _FOLDED["name"].findall(name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
