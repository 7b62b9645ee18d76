"""A probe as text: tables of 80 columns, and a sentence for what stands out."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from initcfg.names import fold
from initcfg.probe.values import average, growth, middle
from initcfg.wording import counted, number, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.probe.values import Block, Numbers, Run, Weight

_WIDTH = 80
_CELL = 12
_NAME = 32
# From these shares on something is told of units that never fire, and of slopes that are nearly flat. A ReLU
# is flat for half of what is symmetric around 0.
_DEAD = 0.1
_SATURATED = 0.75


def text_of(runs: Sequence[Run], loss: str, chance: float | None) -> str:
    """Tables of what passes forward and backward, a column a plan; then losses, steps and what stands out."""
    parts: list[str] = []
    columns = (_WIDTH - _NAME) // _CELL
    for some in (runs[at : at + columns] for at in range(0, len(runs), columns)):
        parts += _table("activations, mean square", some, lambda block: block.forward.square)
        parts += _table("gradients, mean square", some, lambda block: block.backward.square)
    knows_nothing = "" if chance is None else f"; of a model that knows nothing: {number(chance)}"
    parts += [textwrap.fill(f"first loss, {loss}{knows_nothing}", _WIDTH), *map(_loss, runs), ""]
    for run in runs:
        parts += [run.name, *_steps(run), ""]
    told = (line for run in runs for line in _sentences(run, chance))
    return "\n".join([*parts, *(textwrap.fill(line, _WIDTH, subsequent_indent="    ") for line in told)])


def _table(title: str, runs: Sequence[Run], of: Callable[[Block], Numbers]) -> list[str]:
    names = list(dict.fromkeys(block.name for run in runs for block in run.blocks))
    lines = [_cut(title) + "".join(_right(run.name) for run in runs)]
    for name in names:
        found = [next((of(block) for block in run.blocks if block.name == name), ()) for run in runs]
        lines.append(_cut(name) + "".join(_right(shown(middle(each))) for each in found))
    return [*lines, ""]


def _loss(run: Run) -> str:
    return _cut(run.name) + _right(shown(average(run.loss)))


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
        found = growth([of(block) for block in run.blocks[1:]])
        if found is not None:
            factor, error = found
            said = "" if error is None else f" (standard error {number(100 * error)} %)"
            blocks = counted(len(run.blocks) - 1, "block")
            grows = f"the mean square of the {what} changes {number(factor)} times{said}"
            yield f"{run.name}: {grows} from block to block, over {blocks}"
    groups = fold([(each.function, (each.name,)) for each in run.nonlinearities])
    for (name,), members in groups:
        same = [run.nonlinearities[at] for at in members]
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


def _forward(block: Block) -> Numbers:
    return block.forward.square


def _backward(block: Block) -> Numbers:
    return block.backward.square


def shown(value: float | None) -> str:
    """A number in a cell, or a dash where there is none."""
    return "-" if value is None else f"{value:.3g}"


def _cut(text: str) -> str:
    """A name in the width of the first column; of a long one the end, which tells it from others."""
    return text.ljust(_NAME) if len(text) <= _NAME else "..." + text[3 - _NAME :]


def _right(text: str) -> str:
    short = text if len(text) < _CELL else "..." + text[4 - _CELL :]
    return short.rjust(_CELL)
