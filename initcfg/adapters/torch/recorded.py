"""What a module's own code does to its parameters and buffers, recorded without making large arrays."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initcfg.adapters.torch.laws import Draws, law_of
from initcfg.adapters.torch.parameters import named_modules_of, require_shapes
from initcfg.adapters.torch.programs import (
    Read,
    TooLargeError,
    behind,
    canary_of,
    dtype_of,
    key_of,
    law_of_tensor,
    reads_in,
)
from initcfg.adapters.torch.recording import Programs, recording
from initcfg.capture.laws import in_complex
from initcfg.capture.values import Lost, Recorded, Recording, Table, Unsaid, UnsayableError
from initcfg.initializers import Formula, Initializer, NormOf, Parameter
from initcfg.initializers.base import nested_in
from initcfg.initializers.derived import Derived
from initcfg.process import gc_paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from initcfg.adapters.torch.programs import Node
    from initcfg.capture.values import Box, Law


def record(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
) -> tuple[Recorded, ...]:
    """The law of each parameter and buffer of a module, in its order, as its own code makes it.

    The code runs with two seeds: a table or a constant that differs between them is random as well.

    Example:
        >>> import torch
        >>> [each.law for each in record(lambda: torch.nn.LayerNorm(8))]
        [Ones(), Zeros()]
    """
    first, second = record_once(build, init), record_once(build, init, 1, lines=False)
    others = {each.name: each for each in second}
    held = [_held_against(each, others.get(each.name)) for each in first]
    lawless = {each.name for each in held if isinstance(each.law, Unsaid)}
    return tuple(_without_source(each, lawless) for each in held)


def record_once(
    build: Callable[[], torch.nn.Module],
    init: Callable[[torch.nn.Module], object] | None,
    seed: int = 0,
    *,
    lines: bool = True,
) -> tuple[Recorded, ...]:
    """The same of one run, to which numpy's random numbers look like a table; `lines` keeps lines of code."""
    # Modules and programs stay to the end: the collector would walk all of them, and free none.
    with gc_paused():
        with recording(seed, lines=lines) as programs:
            module = built(build)
            if init is not None:
                programs.phase = "init"
                init(module)
        return _tensors(programs, module)


def watch(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
) -> tuple[torch.nn.Module, Recording, Recording | None]:
    """A module as constructed, with `init` after it, and as meta, ``to_empty`` and its init leave it."""
    with recording(0) as programs:
        module = built(build)
        ties = tuple((name, to) for name, _, _, to in tensors_of(module) if to is not None)
        later: Any = init or getattr(type(module), "init_weights", None)
        if init is not None:
            programs.phase = "init"
            init(module)
        with programs.paused():
            tensors, lost = _tensors(programs, module), tuple(_lost(programs, module))
            pretrained = hasattr(type(module), "from_pretrained")
            constructed = Recording(tensors, lost, ties, later is not None, pretrained)
        if later is None:
            return module, constructed, None
        programs.phase = "init"
        _empty(module)
        later(module)
    return module, constructed, Recording(_tensors(programs, module), has_init=True)


def tensors_of(
    module: torch.nn.Module,
) -> Iterator[tuple[str, torch.Tensor, tuple[torch.nn.Module, str], str | None]]:
    """Parameters and buffers with their names, places, and the earlier name that is the same memory."""
    held = [
        (prefix, key, tensor, inner)
        for prefix, inner in named_modules_of(require_shapes(module))
        for key, tensor in itertools.chain(inner._parameters.items(), inner._buffers.items())
        if tensor is not None
    ]
    # Unsaved buffers last: a spec leaves them out, so nothing in it may be tied to one or a copy of one.
    held.sort(key=lambda each: not _is_saved(each[3], each[1]))
    seen: dict[object, str] = {}
    for prefix, key, tensor, inner in held:
        name = f"{prefix}.{key}" if prefix else key
        memory = (key_of(tensor), tensor.storage_offset(), tensor.shape, tensor.stride())
        first = seen.setdefault(memory, name)
        yield name, tensor, (inner, key), None if first == name else first


def _is_saved(module: torch.nn.Module, key: str) -> bool:
    return key in module._parameters or key not in module._non_persistent_buffers_set


def built(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """The module that a callable makes; a TypeError where it makes none, or is itself one."""
    if isinstance(build, torch.nn.Module) or not callable(build):
        kind = type(build).__name__
        raise TypeError(f"build is a callable that makes a module, such as lambda: Net(), not {kind}")
    module = build()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"build makes a torch.nn.Module, not {type(module).__name__}")
    return module


def _empty(module: torch.nn.Module) -> None:
    """Gives each parameter and buffer memory that nothing wrote, as ``to_empty`` does."""
    for each in module.modules():
        vars(each).pop("_is_hf_initialized", None)
        for key, tensor in [*each._parameters.items(), *each._buffers.items()]:
            made = None if tensor is None else torch.empty_like(tensor)
            if key in each._buffers:
                each._buffers[key] = made
            elif made is not None:
                each._parameters[key] = torch.nn.Parameter(made, requires_grad=tensor.requires_grad)


def _tensors(programs: Programs, module: torch.nn.Module) -> tuple[Recorded, ...]:
    programs.settle()
    found: list[Recorded] = []
    drawn: dict[Node, tuple[str, Law]] = {}
    for name, tensor, (inner, key), tied_to in tensors_of(module):
        law, draws, unwritten = _law(programs, tensor.detach())
        if tied_to is None:
            law = _shared(name, law, draws, drawn)
        history = programs.history(tensor) if programs.lines else None
        nodes = sorted(behind(history, exactly=True), key=lambda node: node.at) if history else []
        writes = tuple(node.write for node in nodes if node.at and not node.is_empty)
        if isinstance(law, Unsaid) and law.site is None and writes:
            law = replace(law, site=writes[-1].site)
        found.append(
            Recorded(
                name,
                tuple(tensor.shape),
                str(tensor.dtype).removeprefix("torch."),
                law,
                type(inner).__name__,
                writes,
                key in inner._buffers,
                _is_saved(inner, key),
                tied_to,
                unwritten,
                next((node.write.site for node in nodes if node.is_empty), None),
            )
        )
    return tuple(_with_norms(found, module, programs, drawn))


def _law(programs: Programs, tensor: torch.Tensor) -> tuple[Law, Draws, tuple[Box, ...]]:
    read = None if programs.memory_of(tensor) is None else programs.read(tensor)
    try:
        draws = Draws(law_of_tensor(tensor)) if read is None else law_of(read)
        if dtype_of(tensor).kind == "complex" and isinstance(draws.law, Initializer):
            in_complex(draws.law, tuple(tensor.shape))
    except UnsayableError as error:
        unwritten = _unwritten(read, any_box=True) if read is not None and programs.lines else ()
        site = error.node.write.site if error.node is not None else None
        return Unsaid(str(error), site), Draws(None), unwritten
    if draws.law is None:
        unwritten = _unwritten(read) if read is not None and tensor.numel() else ()
        return Unsaid("it is never written, or in part"), draws, unwritten or _known(draws, tensor)
    return draws.law, draws, ()


def _known(draws: Draws, tensor: torch.Tensor) -> tuple[Box, ...]:
    """The boxes that a law says are unwritten; there a box without axes is the whole tensor."""
    whole = tuple((0, size) for size in tensor.shape)
    return tuple(box or whole for box in draws.unwritten) if tensor.numel() else ()


def _unwritten(read: Read, *, any_box: bool = False) -> tuple[Box, ...]:
    """The boxes that hold what memory held before, found by their values."""
    owners = [node for _, node, _ in read.left()]
    sources = [read] if any_box else reads_in([node.args for node in owners if not node.is_empty])
    if not any(node.is_empty for node in behind(*sources, exactly=True)):
        return ()
    try:
        values = read.values()
    except TooLargeError:
        return ()
    canary = canary_of(values.dtype)
    return _boxes(values.isnan() if math.isnan(canary) else values == canary)


def _boxes(mask: torch.Tensor) -> tuple[Box, ...]:
    """Boxes of the elements that are set: one where they are one, else some for each index of an axis."""
    if not mask.any():
        return ()
    at = mask.nonzero()
    box = tuple((int(low), int(high) + 1) for low, high in zip(at.amin(0), at.amax(0), strict=True))
    if not box or mask[tuple(slice(*span) for span in box)].all():
        return (box,)
    rows = (int(row) for row in at[:, 0].unique())
    return tuple(((row, row + 1), *inner) for row in rows for inner in _boxes(mask[row]))


def _lost(programs: Programs, module: torch.nn.Module) -> Iterator[Lost]:
    """Writes of which nothing is left, to memory of parameters or to what is computed of them."""
    owners: dict[Node, tuple[str, torch.Tensor]] = {}
    reads: list[Read] = []
    for name, tensor, _, _ in tensors_of(module):
        history = programs.history(tensor)
        if history is not None:
            reads.append(history)
            for _, node, _ in history.left():
                owners.setdefault(node, (name, tensor.detach()))
    alive = behind(*reads, exactly=True)
    for memory in programs.histories():
        for at, (geometry, node, output) in enumerate(memory.writes):
            if node in alive or not node.into:
                continue
            before, then, after = (
                Read(memory, count, geometry, memory.dtype) for count in (at, at + 1, len(memory.writes))
            )
            is_first = all(old.is_empty for _, old, _ in before.left())
            by = next((each for _, each, _ in after.left() if each in owners), None)
            if by is not None:
                name, tensor = owners[by]
                is_fixed = programs.memory_of(tensor) is None
                now = law_of_tensor(tensor.as_strided(*geometry)) if is_fixed else _law_of(after)
                law = law_of_tensor(node.values[output]) if node.op == "fixed" else _law_of(then)
                yield Lost(name, node.write, law, now, by.write, is_first)
                continue
            sources = [owners[old][0] for old in behind(before, exactly=True) if old in owners]
            if any("parametrizations." in each for each in sources):
                unsaid = Unsaid(node.write.call)
                yield Lost(sources[0], node.write, unsaid, unsaid, None, is_first)


def _law_of(read: Read) -> Law:
    try:
        return law_of(read).law or Unsaid("it is never written, or in part")
    except (UnsayableError, TooLargeError) as error:
        return Unsaid(str(error))


def _shared(name: str, law: Law, draws: Draws, drawn: dict[Node, tuple[str, Law]]) -> Law:
    """The law, unless an earlier parameter holds the same draw: then a copy of that one, or none."""
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
    shapes = {each.name: each.shape for each in found if each.persistent}
    for at, each in enumerate(found):
        memory = programs.memory_of(tensors[each.name])
        if not isinstance(each.law, Unsaid) or memory is None:
            continue
        nodes = behind(programs.read(tensors[each.name].detach()))
        if not any("norm" in node.name and node.name != "normal" for node in nodes):
            continue
        names = {drawn[node][0] for node in nodes if node in drawn}
        if len(names) == 1 and len(shapes.get(name := names.pop(), ())) == len(each.shape):
            axes = [axis for axis, size in enumerate(each.shape) if size == 1 and shapes[name][axis] != 1]
            if all(size in (1, whole) for size, whole in zip(each.shape, shapes[name], strict=True)):
                found[at] = replace(each, law=NormOf(name, axes))
    return found


def _held_against(one: Recorded, other: Recorded | None) -> Recorded:
    """The first recording of a parameter, without a law where the second run gives other fixed values."""
    if other is None or isinstance(one.law, Unsaid):
        return one
    if isinstance(one.law, Table) and isinstance(other.law, Table):
        same = np.array_equal(one.law.values, other.law.values)
    else:
        same = one.law == other.law
    if same:
        return one
    reason = "random numbers of numpy or Python, or values read from draws"
    return replace(one, law=Unsaid(reason, one.last_site()))


def _without_source(recorded: Recorded, lawless: AbstractSet[str]) -> Recorded:
    """Takes the law from what is computed of a parameter without one."""
    if isinstance(recorded.law, Unsaid | Table):
        return recorded
    sources = (each.parameter for each in nested_in(recorded.law) if isinstance(each, Derived))
    source = next((each for each in sources if each in lawless), None)
    if source is None:
        return recorded
    return replace(recorded, law=Unsaid(f"it follows {source!r}, which has no law", recorded.last_site()))
