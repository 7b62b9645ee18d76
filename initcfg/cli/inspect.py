"""``initcfg inspect``: what weights hold."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING, Any

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import threads_option, with_renames
from initcfg.cli.output import progress_bar, with_output
from initcfg.cli.report import Exit
from initcfg.errors import SpecError, UnknownParameterError, printable
from initcfg.formats.base import PLAN_KEY, SPEC_KEY
from initcfg.inspection import merged
from initcfg.names import fold
from initcfg.tables import SEGMENTS, WORDS, Column, Row, Table
from initcfg.wording import count, counted, number, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg.cli.output import Output
    from initcfg.formats.base import StoredTensor
    from initcfg.formats.reading import Renames
    from initcfg.inspection import Inspection, Moments


@click.command(
    cls=Command,
    short_help="Show the tensors in weights.",
    example=(
        "initcfg inspect gpt2.safetensors",
        "initcfg inspect runs/gpt2 --select 'transformer.h.*.**' --header",
    ),
)
@click.argument("file", metavar="WEIGHTS")
@click.option("--select", metavar="GLOB", help="Show only the tensors whose names match.")
@with_renames
@click.option("--header", "header_only", is_flag=True, help="Read names, shapes and dtypes only.")
@click.option("--full", is_flag=True, help="Give every copy of a layer its own line.")
@threads_option
@with_output
def inspect(
    *,
    file: str,
    select: str | None,
    renames: Renames,
    header_only: bool,
    full: bool,
    threads: int | None,
    output: Output,
) -> int:
    """Show the tensors of weights: names, shapes, dtypes, and what their values come to.

    WEIGHTS is a .safetensors or .npz file of any program, the .safetensors.index.json of a sharded set, or
    the folder of either. With torch installed also a .pt, .pth, .bin or .ckpt file, whose code is not run, or
    a .bin.index.json. Mean, standard deviation and bounds are of the finite elements. Copies of a layer share
    a line, where mean and deviation are those of each, from the least to the largest, and the rest is of all.
    No more is held than a few chunks.
    """
    from initcfg.inspection import inspect as survey

    try:
        with progress_bar(output, printable(file)) as progress:
            found = survey(
                file,
                select=select,
                rename=renames,
                values=not header_only,
                threads=threads,
                progress=progress,
            )
    except (SpecError, UnknownParameterError) as error:
        problem = error.diagnostics[0]
        option = "" if "rename" in problem.message else "--select: "
        raise click.UsageError(f"{option}{problem.message}; {problem.hint}") from error
    if output.format == "json":
        output.data(inspection_json(found))
    else:
        output.table(inspection_table(found, full=full))
    return Exit.FINE


_FORM = (
    Column("name", SEGMENTS, easy=40, style={"bold": True}),
    Column("", weight=10, right=True, style={"dim": True}),  # how many copies
    Column("shape", WORDS),
    Column("dtype", weight=4, style={"dim": True}),
    Column("size", weight=3, right=True),
)
_VALUES = (
    Column("mean", weight=9, right=True),
    Column("std", right=True),
    Column("min", weight=6, right=True),
    Column("max", weight=7, right=True),
    Column("zeros", weight=2, right=True),
    Column("non-finite", weight=5, right=True),
)
_SHARD = Column("shard", weight=1)
_LONGEST_TEXT = 200


def inspection_table(found: Inspection, *, full: bool = False) -> Table:
    """A line for each tensor and its copies, then what it comes to and the metadata."""
    columns = (*_FORM, *(_VALUES if found.values else ()), *((_SHARD,) if found.header.shards else ()))
    groups = fold(
        [
            (at if full else (tensor.shape, tensor.dtype), (tensor.name,))
            for at, tensor in enumerate(found.tensors)
        ]
    )
    rows = [Row(_cells(name, [found.tensors[at] for at in members], found)) for (name,), members in groups]
    return Table(printable(str(found.path)), columns, rows, _totals(found))


def inspection_json(found: Inspection) -> str:
    """The same as JSON, with all digits; numbers that are not finite are null."""
    document = {
        "path": str(found.path),
        "fingerprint": found.fingerprint,
        "metadata": dict(found.header.metadata),
        "shards": list(found.header.shards),
        "totals": _sums(found),
        "tensors": [_entry(tensor, found) for tensor in found.tensors],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _cells(name: str, copies: Sequence[StoredTensor], found: Inspection) -> tuple[str, ...]:
    first = copies[0]
    copied = f"x{count(len(copies))}" if len(copies) > 1 else ""
    cells = [name, copied, str(first.shape), first.dtype.name, size(sum(each.nbytes for each in copies))]
    if found.values:
        cells += _described([found.values[each.name] for each in copies])
    if found.header.shards:
        cells.append(", ".join(dict.fromkeys(str(each.shard) for each in copies)))
    return tuple(map(printable, cells))


def _described(copies: Sequence[Moments]) -> list[str]:
    """The cells about values; a dash where no element has one."""
    filled = [moments for moments in copies if moments.count]
    ranges = (_range(each.mean for each in filled), _range(each.std for each in filled))
    whole = functools.reduce(merged, copies)
    bounds = [number(whole.low), number(whole.high)] if filled else ["-", "-"]
    numel = whole.count + whole.non_finite
    zeros = f"{number(100 * whole.zeros / numel)}%" if numel else "-"
    return [*ranges, *bounds, zeros, count(whole.non_finite)]


def _range(values: Iterable[float]) -> str:
    """The least and the largest of some numbers, or the one that all of them are as they are shown."""
    ordered = sorted(values)
    ends = dict.fromkeys(map(number, (ordered[0], ordered[-1]) if ordered else ()))
    return "..".join(ends) or "-"


def _sums(found: Inspection) -> dict[str, int]:
    sums = {
        "tensors": len(found.tensors),
        "elements": sum(tensor.numel for tensor in found.tensors),
        "bytes": sum(tensor.nbytes for tensor in found.tensors),
    }
    non_finite = sum(moments.non_finite for moments in found.values.values())
    return sums | ({"non_finite": non_finite} if found.values else {})


def _totals(found: Inspection) -> list[str]:
    sums = _sums(found)
    told = [counted(sums["tensors"], "tensor"), counted(sums["elements"], "element"), size(sums["bytes"])]
    if found.header.shards:
        told.append(counted(len(found.header.shards), "shard"))
    if sums.get("non_finite"):
        told.append(f"{count(sums['non_finite'])} not finite")
    made = found.fingerprint or "none; another program wrote this, or the plan held code"
    texts = dict(found.header.metadata)
    spec = texts.pop(SPEC_KEY, None)
    carried = (
        [] if spec is None else [f"spec: {counted(len(spec), 'character')}; initcfg verify needs no other"]
    )
    others = [f"{key}: {_cut(text)}" for key, text in texts.items() if key != PLAN_KEY]
    return [printable(line) for line in (", ".join(told), f"fingerprint: {made}", *carried, *others)]


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]} ... ({counted(len(text), 'character')})"


def _entry(tensor: StoredTensor, found: Inspection) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "bytes": tensor.nbytes,
        "shard": tensor.shard,
    }
    if found.values:
        moments = found.values[tensor.name]
        numbers = {"mean": moments.mean, "std": moments.std, "min": moments.low, "max": moments.high}
        told = {key: each if moments.count and math.isfinite(each) else None for key, each in numbers.items()}
        entry["values"] = told | {"zeros": moments.zeros, "non_finite": moments.non_finite}
    return entry
