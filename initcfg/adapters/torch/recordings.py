"""A module's initialization, recorded on CPU: what parameters come from, what is lost, what nothing wrote.

Memory that nothing wrote begins as NaN, so that garbage is seen wherever it flows.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from typing import TYPE_CHECKING

import torch

from initcfg.adapters.torch.parameters import named_modules_of
from initcfg.adapters.torch.watching import Watcher, key_of
from initcfg.capture.values import Lost, Recorded, Recording, Table, Unsaid
from initcfg.initializers import Constant, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initcfg.capture.values import Box, Law

    Build = Callable[[], torch.nn.Module]
    Init = Callable[[torch.nn.Module], object]


def watch(build: Build, init: Init | None = None) -> tuple[torch.nn.Module, Recording, Recording | None]:
    """The module, constructed on CPU, with the recording of that and of meta, ``to_empty`` and init after it.

    Raises:
        TypeError: `build` makes something that is no module.
    """
    with _memory_of_nan(), torch.random.fork_rng(devices=[]):
        watcher = Watcher()
        with watcher:
            module = build()
        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"build makes a torch.nn.Module, not {type(module).__name__}")
        ties = tuple((name, to) for name, _, _, to in tensors_of(module) if to is not None)
        later = init or _init_of(module)
        if init is not None:
            watcher.phase = "init"
            with watcher:
                init(module)
        constructed = _recording(watcher, module, ties, has_init=later is not None)
        deferred = None if later is None else _deferred(module, later)
    return module, constructed, deferred


def _init_of(module: torch.nn.Module) -> Init | None:
    method = getattr(type(module), "init_weights", None)
    return None if method is None else lambda each: each.init_weights()


def _deferred(module: torch.nn.Module, init: Init) -> Recording:
    """The module as ``to_empty`` leaves it, initialized by its init function; the module is changed."""
    watcher = Watcher()
    watcher.phase = "init"
    for each in module.modules():
        vars(each).pop("_is_hf_initialized", None)
        with watcher:
            for key, parameter in list(each._parameters.items()):
                if parameter is not None:
                    made = torch.nn.Parameter(
                        torch.empty_like(parameter), requires_grad=parameter.requires_grad
                    )
                    each._parameters[key] = made
            for key, buffer in list(each._buffers.items()):
                if buffer is not None:
                    each._buffers[key] = torch.empty_like(buffer)
    with watcher:
        init(module)
    return _recording(watcher, module, (), has_init=True)


@contextlib.contextmanager
def _memory_of_nan() -> Iterator[None]:
    """Memory that is taken begins as NaN, or as the largest whole number."""
    deterministic = torch.utils.deterministic
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = deterministic.fill_uninitialized_memory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = True
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was[0], warn_only=was[1])
            deterministic.fill_uninitialized_memory = filled


def tensors_of(
    module: torch.nn.Module,
) -> Iterator[tuple[str, torch.Tensor, tuple[torch.nn.Module, str], str | None]]:
    """Parameters and buffers with their names, places, and the earlier name that is the same memory."""
    seen: dict[object, str] = {}
    for prefix, inner in named_modules_of(module):
        parameters = inner.named_parameters(recurse=False, remove_duplicate=False)
        for key, tensor in itertools.chain[tuple[str, torch.Tensor]](
            parameters, inner.named_buffers(recurse=False, remove_duplicate=False)
        ):
            name = f"{prefix}.{key}" if prefix else key
            memory = (key_of(tensor), tensor.storage_offset(), tensor.shape, tensor.stride())
            first = seen.setdefault(memory, name)
            yield name, tensor, (inner, key), None if first == name else first


def _recording(
    watcher: Watcher, module: torch.nn.Module, ties: tuple[tuple[str, str], ...], *, has_init: bool
) -> Recording:
    found: list[Recorded] = []
    names: dict[int, str] = {}
    memory: set[int] = set()
    survives: set[int] = set()
    for name, tensor, place, tied_to in tensors_of(module):
        events = watcher.owners_of(tensor)
        survives |= watcher.closure(events)
        for event in events:
            names.setdefault(event, name)
        memory.add(key_of(tensor))
        found.append(_recorded(watcher, name, tensor, place, tied_to))
    lost = tuple(_lost(watcher, names, memory, survives))
    return Recording(tuple(found), lost, ties, has_init, hasattr(type(module), "from_pretrained"))


def _recorded(
    watcher: Watcher,
    name: str,
    tensor: torch.Tensor,
    place: tuple[torch.nn.Module, str],
    tied_to: str | None,
) -> Recorded:
    inner, key = place
    events = sorted(watcher.owners_of(tensor))
    behind = sorted(watcher.closure(events))
    empty = _empty(watcher, tensor)
    taken = [watcher.events[at] for at in behind if watcher.events[at].is_empty]
    wrote = [watcher.events[at].write for at in behind if not watcher.events[at].is_empty]
    buffer = key in inner._buffers
    return Recorded(
        name,
        tuple(tensor.shape),
        str(tensor.dtype).removeprefix("torch."),
        _law(watcher, tensor, events, behind, empty),
        type(inner).__name__,
        tuple(wrote),
        buffer,
        not (buffer and key in inner._non_persistent_buffers_set),
        tied_to,
        _boxes(empty),
        taken[0].write.site if taken else None,
    )


def _empty(watcher: Watcher, tensor: torch.Tensor) -> torch.Tensor:
    """Which elements hold what their memory held before, or were computed of that."""
    data = tensor.detach()
    mask = data.isnan() if data.is_floating_point() else torch.zeros(data.shape, dtype=torch.bool)
    view = watcher.owner_view(tensor)
    if view is not None:
        for event in watcher.owners_of(tensor):
            if watcher.events[event].is_empty:
                mask = mask | (view == event)
    return mask


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


def _law(
    watcher: Watcher, tensor: torch.Tensor, events: list[int], behind: list[int], empty: torch.Tensor
) -> Law:
    if empty.any():
        return Unsaid("it is never written, or in part")
    if not any(watcher.events[at].is_random for at in behind):
        return _fixed(tensor.detach())
    laws = [watcher.events[at].law for at in events]
    if len(events) == 1:
        return laws[0] or Unsaid(watcher.events[events[0]].write.call, watcher.events[events[0]].write.site)
    view = watcher.owner_view(tensor)
    assert view is not None  # noqa: S101
    masks = [view == event for event in events]
    base = max(range(len(events)), key=lambda at: int(masks[at].sum()))
    patches = []
    for at, (law, mask) in enumerate(zip(laws, masks, strict=True)):
        boxes = _boxes(mask)
        if law is None or (at != base and len(boxes) != 1):
            return Unsaid(watcher.events[events[at]].write.call)
        if at != base:
            at_axes = [_axis(*span, size) for span, size in zip(boxes[0], tensor.shape, strict=True)]
            patches.append({"at": at_axes, "initializer": law})
    return Patch(laws[base], patches) if patches else laws[base]  # type: ignore[arg-type, return-value]


def _axis(low: int, high: int, size: int) -> int | str:
    if (low, high) == (0, size):
        return ":"
    return low if high == low + 1 else f"{low}:{high}"


def _fixed(data: torch.Tensor) -> Law:
    first = data.flatten()[0].item() if data.numel() else 0
    if bool((data == first).all()) and isinstance(first, int | float) and abs(first) != float("inf"):
        return Constant(float(first))
    return Table(data.to(torch.float64).numpy() if data.is_floating_point() else data.numpy())


def _lost(watcher: Watcher, names: Mapping[int, str], memory: set[int], survives: set[int]) -> Iterator[Lost]:
    """Writes in place that no value comes from, to memory of parameters or to what is computed of them."""
    for at, event in enumerate(watcher.events):
        if not event.memory or at in survives:
            continue
        later = watcher.overwritten.get(at)
        first = all(watcher.events[old].is_empty for old in event.over)
        law: Law = event.law or Unsaid(event.write.call)
        final = later
        while final is not None and final not in names and final in watcher.overwritten:
            final = watcher.overwritten[final]
        if final is not None and final in names:
            yield Lost(names[final], event.write, law, watcher.events[final].write, first)
        elif event.memory.isdisjoint(memory):
            sources = [names[old] for old in sorted(watcher.closure(event.over)) if old in names]
            if sources and any("parametrizations." in each for each in sources):
                yield Lost(sources[0], event.write, law, None, first)
