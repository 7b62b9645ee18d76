"""``initcfg inspect``: what weights hold."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import threads_option, with_renames
from initcfg.cli.output import Output, progress_bar, with_table
from initcfg.cli.report import Exit
from initcfg.errors import SpecError, UnknownParameterError, printable
from initcfg.names import count, counted, fold, number, size
from initcfg.process import lazy
from initcfg.tables import SEGMENTS, WORDS, Column, Row, Table, csv_text, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg import inspection
    from initcfg.formats import base
    from initcfg.formats.base import StoredTensor
    from initcfg.formats.reading import Renames
    from initcfg.inspection import Inspection, Moments
else:
    inspection, base = lazy("initcfg.inspection"), lazy("initcfg.formats.base")


# What rows may be sorted by, and whether the largest comes first.
_SORTS = {"name": False, "copies": True, "elements": True, "std": True}


@click.command(
    cls=Command,
    short_help="Show the tensors in weights.",
    example=(
        "initcfg inspect gpt2.safetensors",
        "initcfg inspect runs/gpt2 --select 'transformer.h.*.**' --header",
        "initcfg inspect step0.pt step1000.pt --sort std",
    ),
)
@click.argument("files", metavar="WEIGHTS [MORE]...", nargs=-1, required=True)
@click.option("--select", metavar="GLOB", help="Show only the tensors whose names match.")
@with_renames
@click.option("--header", "header_only", is_flag=True, help="Read names, shapes and dtypes only.")
@click.option("--full", is_flag=True, help="Give every copy of a layer its own line.")
@click.option(
    "--sort",
    type=click.Choice(list(_SORTS)),
    metavar="KEY",
    help="Order lines by name, copies, elements or std; numbers from the largest.",
)
@threads_option
@with_table
def inspect(
    *,
    files: tuple[str, ...],
    select: str | None,
    renames: Renames,
    header_only: bool,
    full: bool,
    sort: str | None,
    threads: int | None,
    output: Output,
) -> int:
    """Show the tensors of weights: names, shapes, dtypes, and what their values come to.

    WEIGHTS is a .safetensors or .npz file of any program, the .safetensors.index.json of a sharded set, or
    the folder of either. With torch installed also a .pt, .pth, .bin or .ckpt file, whose code is not run, or
    a .bin.index.json. Mean, standard deviation and bounds are of the finite elements, and of the modulus of
    complex ones. Copies of a layer share a line, where mean and deviation are those of each, from the least
    to the largest, and the rest is of all. With MORE weights each has columns of its own, beside each other.
    The csv has a line for each file and all digits, and of copies what all their elements come to together.
    No more is held than a few chunks.
    """
    if output.format == "json" and sort:
        raise click.UsageError("--sort is of the table; JSON has every tensor in the order of names")
    found = [_surveyed(file, select, renames, threads, output, values=not header_only) for file in files]
    groups = _grouped(found, full=full)
    if sort is not None:
        groups = in_order(groups, lambda group: _sort_value(group, found, sort), largest_first=_SORTS[sort])
    if output.format == "json":
        documents = list(map(_document, found))
        data = documents[0] if len(documents) == 1 else {"files": documents}
        output.data(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
    elif output.format == "csv":
        heads = _HEADS if header_only else (*_HEADS, *_NUMBERS)
        output.data(csv_text(heads, (record for group in groups for record in _records(group, found))))
    else:
        output.table(_table(groups, found[0]) if len(found) == 1 else _beside(groups, found))
    return Exit.FINE


def _surveyed(
    file: str, select: str | None, renames: Renames, threads: int | None, output: Output, *, values: bool
) -> Inspection:
    try:
        with progress_bar(output, printable(file)) as progress:
            return inspection.inspect(
                file, select=select, rename=renames, values=values, threads=threads, progress=progress
            )
    except (SpecError, UnknownParameterError) as error:
        problem = error.diagnostics[0]
        option = "" if "rename" in problem.message else "--select: "
        raise click.UsageError(f"{option}{problem.message}; {problem.hint}") from error


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
# What `_records` gives, the second only where values are read.
_HEADS = ("file", "name", "copies", "shape", "dtype", "elements", "nbytes")
_NUMBERS = ("mean", "std", "min", "max", "zeros", "non_finite")
_RANGE = r".+?\.\.|.+"  # may be broken between its ends


class _Group(NamedTuple):
    """Tensors of one name, and its copies: of each file those that it has."""

    name: str
    files: tuple[tuple[StoredTensor, ...], ...]

    @property
    def copies(self) -> int:
        return max(map(len, self.files))


def _grouped(found: Sequence[Inspection], *, full: bool) -> list[_Group]:
    """The tensors of files by name; those whose names differ in numbers and that are alike are one."""
    held = [{tensor.name: tensor for tensor in each.tensors} for each in found]
    names = sorted({name for each in held for name in each}, key=base.natural_key)
    rows = [[each.get(name) for each in held] for name in names]
    alike = [
        at if full else tuple(each and (each.shape, each.dtype) for each in row)
        for at, row in enumerate(rows)
    ]
    groups = fold([(form, (name,)) for form, name in zip(alike, names, strict=True)])
    return [
        _Group(
            name, tuple(tuple(each for at in ranks if (each := rows[at][file])) for file in range(len(held)))
        )
        for (name,), ranks in groups
    ]


def _records(group: _Group, found: Sequence[Inspection]) -> list[dict[str, Any]]:
    """What each file that has these tensors holds as plain data; of copies all elements together."""
    records = []
    for copies, each in zip(group.files, found, strict=True):
        if not copies:
            continue
        record: dict[str, Any] = {
            "file": str(each.path),
            "name": group.name,
            "copies": len(copies),
            "shape": copies[0].shape,
            "dtype": copies[0].dtype.name,
            "elements": sum(tensor.numel for tensor in copies),
            "nbytes": sum(tensor.nbytes for tensor in copies),
        }
        if each.values:
            record |= _numbers(
                functools.reduce(inspection.merged, (each.values[tensor.name] for tensor in copies))
            )
        records.append(record)
    return records


def _sort_value(group: _Group, found: Sequence[Inspection], key: str) -> Any:
    """The largest that a file has; None where it is not known."""
    return max((each[key] for each in _records(group, found) if each.get(key) is not None), default=None)


def _table(groups: Sequence[_Group], found: Inspection) -> Table:
    """A line for each tensor and its copies, then what it comes to and the metadata."""
    columns = (*_FORM, *(_VALUES if found.values else ()), *((_SHARD,) if found.header.shards else ()))
    rows = [Row(_cells(group.name, group.files[0], found)) for group in groups]
    return Table(printable(str(found.path)), columns, rows, _totals(found))


def _beside(groups: Sequence[_Group], found: Sequence[Inspection]) -> Table:
    """A line for each tensor and its copies, with columns for each file, which have its number."""
    forms = [[_form(copies) for copies in group.files] for group in groups]
    is_one = all(len({*own} - {""}) == 1 for own in forms) and all(each.values for each in found)
    places = range(1, len(found) + 1)
    columns = [Column("name", SEGMENTS, style={"bold": True}), _FORM[1]._replace(weight=200)]
    columns += (
        [Column("shape", WORDS, 60, easy=12)]
        if is_one
        else [Column(f"shape {place}", WORDS, 199 - place, easy=12) for place in places]
    )
    if found[0].values:
        # Of what has no room the last files go first, and their means before the deviations.
        columns += [Column(f"std {at}", _RANGE, 99 - at, 10, right=True) for at in places]
        columns += [Column(f"mean {at}", _RANGE, 50 - at, 10, right=True) for at in places]
    rows = []
    for group, own in zip(groups, forms, strict=True):
        told = [
            _described([each.values[tensor.name] for tensor in copies])[:2] if copies else ["", "absent"]
            for copies, each in zip(group.files, found, strict=True)
            if each.values
        ]
        copied = f"x{count(group.copies)}" if group.copies > 1 else ""
        shapes = [next(filter(None, own))] if is_one else [form or "absent" for form in own]
        cells = (group.name, copied, *shapes, *(std for _, std in told), *(mean for mean, _ in told))
        rows.append(Row(tuple(map(printable, cells))))
    notes = [f"{at}: {each.path}: {_totals(each)[0]}" for at, each in zip(places, found, strict=True)]
    return Table("weights beside each other", columns, rows, list(map(printable, notes)))


def _form(copies: Sequence[StoredTensor]) -> str:
    return f"{copies[0].shape} {copies[0].dtype.name}" if copies else ""


def _document(found: Inspection) -> dict[str, Any]:
    """The same as JSON takes it, with all digits; numbers that are not finite are None."""
    return {
        "path": str(found.path),
        "fingerprint": found.fingerprint,
        "metadata": dict(found.header.metadata),
        "shards": list(found.header.shards),
        "totals": _sums(found),
        "tensors": [_entry(tensor, found) for tensor in found.tensors],
    }


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
    whole = functools.reduce(inspection.merged, copies)
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
    spec = texts.pop(base.SPEC_KEY, None)
    carried = (
        [] if spec is None else [f"spec: {counted(len(spec), 'character')}; initcfg verify needs no other"]
    )
    others = [f"{key}: {_cut(text)}" for key, text in texts.items() if key != base.PLAN_KEY]
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
        entry["values"] = _numbers(found.values[tensor.name])
    return entry


def _numbers(moments: Moments) -> dict[str, Any]:
    numbers = {"mean": moments.mean, "std": moments.std, "min": moments.low, "max": moments.high}
    told = {key: each if moments.count and math.isfinite(each) else None for key, each in numbers.items()}
    return told | {"zeros": moments.zeros, "non_finite": moments.non_finite}
