"""A probe as text: tables of 80 columns, and a sentence for what stands out."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from initcfg.names import counted, fold, number, size
from initcfg.probe.values import average, growth, middle
from initcfg.tables import SEGMENTS, Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from initcfg.probe.values import Block, Nonlinearity, Numbers, Run, Signal, Weight

_WIDTH = 80
_CELL = 12
_NAME = 32
# A signal that has changed so many times by the last block needs a mend.
_FAR = 10.0
# From these shares on something is told of units that never fire, and of slopes that are nearly flat. A ReLU
# is flat for half of what is symmetric around 0.
_DEAD = 0.1
_SATURATED = 0.75
# A smaller standard error is that of the arithmetic.
_SURE = 1e-4


def text_of(runs: Sequence[Run], loss: str, chance: float | None) -> str:
    """Tables of what passes forward and backward, a column a plan; then losses, steps and what stands out."""
    parts: list[str] = []
    has_theory = any(value for run in runs for block in run.blocks for value in block.forward.expected)
    columns = (_WIDTH - _NAME) // _CELL // (2 if has_theory else 1)
    for some in (runs[at : at + columns] for at in range(0, len(runs), columns)):
        parts += _table("activations, mean square", some, _forward)
        parts += _table("gradients, mean square", some, _backward)
    parts += [textwrap.fill(_first_loss(loss, chance), _WIDTH)]
    parts += [_cut(run.name) + _right(shown(average(run.loss))) for run in runs] + [""]
    for run in runs:
        parts += [run.name, *_steps(run), ""]
    return "\n".join([*parts, *map(_wrapped, said_of(runs, chance))])


def said_of(runs: Sequence[Run], chance: float | None) -> list[str]:
    """What stands out in each run, as sentences; lines of a spec are indented."""
    return [line for run in runs for line in _sentences(run, chance)]


def table_of(title: str, runs: Sequence[Run], loss: str, chance: float | None) -> Table:
    """One table of what passes forward and backward by block; below it losses and what stands out."""
    columns: dict[str, dict[str, Numbers]] = {}
    for run in runs:
        for what, of in (("activations", _forward), ("gradients", _backward)):
            found = _columns(run, of)
            columns |= {f"{run.name}: {what}{', in theory' if at else ''}": each for at, each in found}
    names = dict.fromkeys(block.name for run in runs for block in run.blocks)
    rows = [
        Row((name, *(shown(middle(found.get(name, ()))) for found in columns.values()))) for name in names
    ]
    notes = [_first_loss(loss, chance), *(f"{run.name}: {shown(average(run.loss))}" for run in runs)]
    headings = [Column("mean square", SEGMENTS), *(Column(each, right=True) for each in columns)]
    return Table(title, headings, rows, [*notes, *said_of(runs, chance)])


def _first_loss(loss: str, chance: float | None) -> str:
    knows_nothing = "" if chance is None else f"; of a model that knows nothing: {number(chance)}"
    return f"first loss, {loss}{knows_nothing}"


def _wrapped(line: str) -> str:
    """A sentence in lines of the width; a line of a spec stays whole."""
    return line if line.startswith("  ") else textwrap.fill(line, _WIDTH, subsequent_indent="    ")


def _table(title: str, runs: Sequence[Run], of: Callable[[Block], Signal]) -> list[str]:
    """A line a block and a column a plan; beside it what theory expects, where it knows."""
    names = list(dict.fromkeys(block.name for run in runs for block in run.blocks))
    columns = [("in theory" if at else run.name, found) for run in runs for at, found in _columns(run, of)]
    lines = [_cut(title) + "".join(_right(name) for name, _ in columns)]
    for name in names:
        lines.append(_cut(name) + "".join(_right(shown(middle(found.get(name, ())))) for _, found in columns))
    return [*lines, ""]


def _columns(run: Run, of: Callable[[Block], Signal]) -> Iterator[tuple[int, dict[str, Numbers]]]:
    """What was measured by block, 0, and what theory expects, 1, where it knows anything."""
    yield 0, {block.name: of(block).square for block in run.blocks}
    expected = {block.name: of(block).expected for block in run.blocks}
    if any(value for numbers in expected.values() for value in numbers):
        yield 1, expected


def _steps(run: Run) -> Iterator[str]:
    """A first step of SGD and of Adam against the weights, copies of a layer in one line."""
    yield f"{_cut('first step at rate 1')}{_right('SGD')}{_right('Adam')}{_right('weights')}"
    groups = fold([(each.shape, (each.name,)) for each in run.weights])
    for (name,), members in groups:
        copies = [run.weights[at] for at in members]
        columns: tuple[Callable[[Weight], Numbers], ...] = (
            lambda each: each.sgd,
            lambda each: each.adam,
            lambda each: each.square,
        )
        yield _cut(name) + "".join(
            _right(shown(average(value for each in copies for value in column(each)))) for column in columns
        )


def _sentences(run: Run, chance: float | None) -> Iterator[str]:
    """What a run says, each with its numbers."""
    for what, of in (("signal", _forward), ("gradient", _backward)):
        found = growth([of(block).square for block in run.blocks[1:]])
        if found is not None:
            blocks = counted(len(run.blocks) - 1, "block")
            grows = f"the mean square of the {what} {_changes(*found)}"
            yield f"{run.name}: {grows} from block to block, over {blocks}"
    gone = next((each.name for each in run.blocks if set(each.forward.square) == {0}), None)
    if gone is not None:
        yield f"{run.name}: the signal is 0 from {gone} on"
    lost = next((block.name for block in run.blocks if None in block.forward.square), None)
    if lost is not None:
        yield f"{run.name}: the signal has no finite mean square from {lost} on: it is NaN or infinite there"
    yield from _mends(run)
    calls: dict[tuple[str, str], list[Nonlinearity]] = {}
    for each in run.nonlinearities:
        calls.setdefault((each.function, each.name), []).append(each)
    keys = list(calls)
    for (name,), members in fold([(function, (name,)) for function, name in keys]):
        same = [each for at in members for each in calls[keys[at]]]
        for numbers, least, words in (
            ([each.dead for each in same], _DEAD, "of the units of {} are 0 for all of the batch"),
            (
                [each.saturated for each in same],
                _SATURATED,
                "of the elements of {} are where it is nearly flat",
            ),
        ):
            share = max((known for each in numbers if (known := average(each)) is not None), default=0.0)
            if share >= least:
                most = "at most " if len(same) > 1 else ""
                told = words.format(f"{name} ({same[0].function})")
                yield f"{run.name}: {most}{number(100 * share)} % {told}"
    loss = average(run.loss)
    if chance and loss is not None and loss > 2 * chance:
        times = number(loss / chance)
        yield f"{run.name}: the first loss is {times} times that of a model that knows nothing"
    yield f"{run.name}: {number(round(run.seconds, 2))} s, {size(run.nbytes)}"


def _changes(factor: float, error: float | None) -> str:
    """What is done by a factor, with its standard error where seeds differ."""
    times = number(factor)
    said = "stays what it is" if times == "1" else f"changes by a factor of {times}"
    return said if error is None or error < _SURE else f"{said} (standard error {100 * error:.2g} %)"


def _mends(run: Run) -> Iterator[str]:
    """The lines of a spec that keep the signal, in nets that theory follows from the input on."""
    blocks = run.blocks[1:]
    found = growth([block.forward.expected for block in blocks])
    if found is None or len(blocks) < 3 or any(block.starts_inside or not block.scales for block in blocks):
        return
    factor = found[0]
    total = factor ** len(blocks)
    weights = {each.name: each for each in run.weights}
    added = [name for block in blocks for name in block.adds]
    if all(block.adds for block in blocks) and total > _FAR:
        changed = {name: math.sqrt(len(added)) for name in added}
        calm = (1 + (factor - 1) / len(added)) ** len(blocks)
        grows = f"the growth over all blocks is {number(calm)} times, not {number(total)}"
        yield f"{run.name}: every block adds to its input; in theory {grows}, with"
    elif not added and not 1 / _FAR < total < _FAR:
        changed = {name: math.sqrt(factor) for name in _matrices(run)}
        yield f"{run.name}: in theory the mean square of the signal stays what it is, with"
    else:
        return
    if any(weights[name].fan_in is None for name in changed):
        return
    for pattern, members in _alike(changed).items():
        first = weights[members[0]]
        gain = (average(first.square) or 0.0) * (first.fan_in or 0) / changed[members[0]] ** 2
        law = f"{{random_normal: {{stddev: sqrt({number(gain)} / fan_in)}}}}"
        yield f'  - match: "{pattern}"'
        yield f"    initializer: {law}"


def _matrices(run: Run) -> list[str]:
    """The weights of the blocks after the first: the signal passes each in turn."""
    names = [block.name for block in run.blocks[2:]]
    return [
        each.name
        for each in run.weights
        if len(each.shape) > 1 and any(each.name.startswith(f"{name}.") for name in names)
    ]


def _alike(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by the pattern that has a star in the place of their numbers."""
    found: dict[str, list[str]] = {}
    for name in names:
        pattern = ".".join("*" if segment.isdecimal() else segment for segment in name.split("."))
        found.setdefault(pattern, []).append(name)
    return found


def _forward(block: Block) -> Signal:
    return block.forward


def _backward(block: Block) -> Signal:
    return block.backward


def shown(value: float | None) -> str:
    """A number in a cell, or a dash where there is none."""
    return "-" if value is None else f"{value:.3g}"


def _cut(text: str) -> str:
    """A name in the width of the first column; of a long one the end, which tells it from others."""
    return text.ljust(_NAME) if len(text) <= _NAME else "..." + text[3 - _NAME :]


def _right(text: str) -> str:
    short = text if len(text) < _CELL else "..." + text[4 - _CELL :]
    return short.rjust(_CELL)
