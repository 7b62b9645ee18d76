"""What a module's own code does to its parameters and buffers, recorded without making large arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from initcfg.adapters.torch.laws import Draws, UnsayableError, law_of
from initcfg.adapters.torch.programs import Programs, TooLargeError, behind, recording
from initcfg.adapters.torch.recordings import tensors_of
from initcfg.adapters.torch.tables import law_of_values
from initcfg.adapters.torch.watching import key_of
from initcfg.capture.values import Recorded, Table, Unsaid
from initcfg.initializers import Formula, NormOf, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.adapters.torch.programs import Node
    from initcfg.capture.values import Law, Write


def record(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
) -> tuple[Recorded, ...]:
    """The law of each parameter and buffer of a module, as its own code makes it.

    The code runs twice, with random numbers of two seeds: a table or a constant that differs is random as
    well. Large and random tensors are not made, so that a model of any size will do. Afterwards torch is as
    it was: its random state, default dtype and patched functions, and the random states of Python and numpy.

    Args:
        build: makes the module, without arguments; a class will do.
        init: called with the module, where its users do so after they have made it.

    Returns:
        One for each parameter and buffer, in the module's order; of those that are the same memory, the later
        ones say which they are tied to.

    Raises:
        TypeError: `build` makes something that is no ``torch.nn.Module``.

    Example:
        >>> import torch
        >>> [each.law for each in record(lambda: torch.nn.LayerNorm(8))]
        [Ones(), Zeros()]
    """
    first, second = (record_once(build, init, seed) for seed in (0, 1))
    others = {each.name: each for each in second}
    return tuple(_held_against(each, others.get(each.name)) for each in first)


def record_once(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None, seed: int = 0
) -> tuple[Recorded, ...]:
    """The same of one run, which takes what numpy's or Python's random numbers made for a table."""
    with recording(seed) as programs:
        module = build()
        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"build makes a torch.nn.Module, not {type(module).__name__}")
        if init is not None:
            programs.phase = "init"
            init(module)
    found: list[Recorded] = []
    drawn: dict[Node, tuple[str, Law]] = {}
    for name, tensor, (inner, key), tied_to in tensors_of(module):
        law, draws, writes = _law(programs, tensor.detach())
        if tied_to is None:
            law = _shared(name, law, draws, drawn)
        is_buffer = key in inner._buffers
        found.append(
            Recorded(
                name,
                tuple(tensor.shape),
                str(tensor.dtype).removeprefix("torch."),
                law,
                type(inner).__name__,
                writes,
                is_buffer,
                not (is_buffer and key in inner._non_persistent_buffers_set),
                tied_to,
                draws.unwritten,
            )
        )
    return tuple(_with_norms(found, module, programs, drawn))


def _law(programs: Programs, tensor: torch.Tensor) -> tuple[Law, Draws, tuple[Write, ...]]:
    memory = programs.memory_of(tensor)
    if memory is None:
        return law_of_values(tensor), Draws(None), tuple(programs.fixed.get(key_of(tensor), ()))
    read = programs.read(tensor)
    nodes = sorted(behind(read), key=lambda node: node.at)
    writes = tuple(node.write for node in nodes if node.at and not node.is_empty)
    try:
        draws = law_of(read)
    except UnsayableError as error:
        site = error.node.write.site if error.node is not None else None
        return Unsaid(str(error), site), Draws(None), writes
    except TooLargeError:
        return Unsaid("its values are too many to be made"), Draws(None), writes
    if draws.law is None:
        return Unsaid("it is never written, or in part"), draws, writes
    return draws.law, draws, writes


def _shared(name: str, law: Law, draws: Draws, drawn: dict[Node, tuple[str, Law]]) -> Law:
    """The law, where others hold the same draw: a copy of what they are."""
    for node in draws.drawn:
        if node not in drawn:
            drawn[node] = name, Unsaid("of another order") if draws.is_moved else law
        elif len(draws.drawn) == 1 and drawn[node][1] == law and not draws.is_moved:
            return Formula("x", of=Parameter(drawn[node][0]))
        else:
            return Unsaid(f"it holds values of {drawn[node][0]!r}", node.write.site)
    return law


def _with_norms(
    found: list[Recorded], module: torch.nn.Module, programs: Programs, drawn: dict[Node, tuple[str, Law]]
) -> list[Recorded]:
    """Magnitudes of weight norm, which are the norms of other parameters."""
    tensors = {name: tensor for name, tensor, _, _ in tensors_of(module)}
    shapes = {each.name: each.shape for each in found}
    for at, each in enumerate(found):
        memory = programs.memory_of(tensors[each.name])
        if not isinstance(each.law, Unsaid) or memory is None:
            continue
        nodes = behind(programs.read(tensors[each.name].detach()))
        if not any("norm" in node.name and node.name != "normal" for node in nodes):
            continue
        names = {drawn[node][0] for node in nodes if node in drawn}
        if len(names) == 1 and len(shapes[name := names.pop()]) == len(each.shape):
            axes = [axis for axis, size in enumerate(each.shape) if size == 1 and shapes[name][axis] != 1]
            if all(size in (1, whole) for size, whole in zip(each.shape, shapes[name], strict=True)):
                found[at] = replace(each, law=NormOf(name, axes))
    return found


def _held_against(one: Recorded, other: Recorded | None) -> Recorded:
    """What was recorded first, unless fixed values of it are others the second time."""
    if other is None or isinstance(one.law, Unsaid):
        return one
    if isinstance(one.law, Table) and isinstance(other.law, Table):
        same = np.array_equal(one.law.values, other.law.values)
    else:
        same = one.law == other.law
    if same:
        return one
    site = one.writes[-1].site if one.writes else None
    return replace(one, law=Unsaid("random numbers of numpy or Python, or values read from draws", site))
