"""Memory of tensors: whether it can be written or allocated, and values put into it."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch

from initcfg.adapters.torch.shards import has_own_elements, is_dtensor, local_of, memory_range, overlapping
from initcfg.errors import Code, Diagnostic
from initcfg.formats.torch_files import array_of
from initcfg.generate.memory import Target, by_parameter, fill_targets
from initcfg.generate.pool import onward
from initcfg.generate.work import is_made_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initcfg.adapters.torch.parameters import ParameterRef
    from initcfg.adapters.torch.shards import MemoryRange, Place
    from initcfg.generate.pool import Progress


def require_memory(made: list[ParameterRef], device: torch.device | str | None) -> None:
    """Raises a ValueError, before anything is allocated, that names what has no memory to write to."""
    problems = [
        f"the {'buffer' if ref.buffer else 'parameter'} {ref.names[0]!r} {problem}"
        for ref in made
        for tensor in (ref.tensor, *ref.others)
        if (problem := _memory_problem(tensor)) is not None
    ]
    meta = [ref.names[0] for ref in made if ref.tensor.is_meta]
    if meta and (device is None or torch.device(device).type == "meta"):
        they = "1 parameter is" if len(meta) == 1 else f"{len(meta):,} parameters are"
        verb = "has" if len(meta) == 1 else "have"
        problems.append(
            f"{they} on the meta device and {verb} no memory, such as {meta[0]!r}: "
            "say where to allocate, such as initialize_(module, plan, device='cpu')"
        )
    if problems:
        raise ValueError("\n".join(dict.fromkeys(problems)))


def _memory_problem(tensor: torch.Tensor) -> str | None:
    """What keeps a parameter from being filled, or allocated; and the way out."""
    if is_dtensor(tensor) and any(placement.is_partial() for placement in tensor.placements):
        return "is a DTensor of partial sums: redistribute it to shards or replicas"
    local = local_of(tensor)
    if type(local) is not torch.Tensor:
        return f"is a {type(local).__name__}: initialise the module before it is converted to that"
    if local.layout is not torch.strided:
        return f"is {str(local.layout).removeprefix('torch.')}: make it dense (to_dense), or skip it"
    if not has_own_elements(local):
        return (
            "is expanded or strided, so that elements share memory: make it a copy (clone) that is contiguous"
        )
    if local.numel() and not tensor.is_meta and local.untyped_storage().nbytes() == 0:
        return "has a storage that was freed: allocate it again, such as by Module.to_empty"
    return _allocation_problem(tensor) if tensor.is_meta else None


def _allocation_problem(tensor: torch.Tensor) -> str | None:
    """What the parameter that takes the place of one on the meta device would not have of it."""
    if type(tensor) not in (torch.nn.Parameter, torch.Tensor) and not is_dtensor(tensor):
        kind = type(tensor).__name__
        return f"is of the class {kind}, which the meta device does not keep: make the module on its device"
    if tensor._backward_hooks or tensor._post_accumulate_grad_hooks:
        return "has hooks, which are lost with the meta device: register them after initialize_"
    return None


def sharing_problems(
    made: Iterable[ParameterRef],
    skipped: Iterable[ParameterRef],
    buffers: Iterable[tuple[str, torch.Tensor]],
    model: str,
) -> Iterator[Diagnostic]:
    """One for each pair that shares memory, where one is made and the other is another parameter or stays."""
    named: dict[MemoryRange, tuple[str, str]] = {}
    for kind, tensors in (
        ("made", ((ref.names[0], ref.tensor) for ref in made)),
        ("skipped", ((ref.names[0], ref.tensor) for ref in skipped)),
        ("buffer", buffers),
    ):
        for name, tensor in tensors:
            span = memory_range(tensor)
            if span is not None:
                named[span] = (kind, name)
    for pair in overlapping(named):
        # Those that are made come first.
        (kind, name), (other, second) = sorted(
            (named[each] for each in pair), key=lambda each: each[0] != "made"
        )
        if kind == "made":
            message, hint = _SHARED[other]
            yield Diagnostic(Code.TIED, message.format(name, second, model), hint=hint)


# The problem and the way out, by what it is that a parameter shares memory with.
_SHARED = {
    "made": (
        "{0!r} and {1!r} share memory in {2}, and are not one parameter",
        "give each memory of its own (clone it), or let both names hold one Parameter",
    ),
    "skipped": (
        "{0!r} shares memory in {2} with {1!r}, which the plan skips",
        "give each memory of its own (clone it), or skip both",
    ),
    "buffer": (
        "the parameter {0!r} shares memory in {2} with the buffer {1!r}, which is to stay",
        "register a clone as the buffer",
    ),
}


# So much is made at a time for memory that cannot be written to directly.
_STAGED_BYTES = 1 << 26


def fill_places(
    places: Sequence[Place], *, threads: int | None, engine: str | None, progress: Progress | None
) -> None:
    """Fills the memory of all places; none has been touched if code that is not this package's fails.

    What such code makes is held until all of it is there: a second copy of these places, and no third.
    """
    total = sum(place.nbytes for place in places)
    done = 0

    def fill(together: Sequence[Place], hosts: Sequence[torch.Tensor]) -> None:
        nonlocal done
        now = onward(progress, done, total)
        pairs = zip(together, hosts, strict=True)
        # A tensor's own memory, as numpy sees it.
        targets = [
            Target(place.source, array_of(host).view(place.parameter.dtype.numpy)) for place, host in pairs
        ]
        fill_targets(targets, threads=threads, engine=engine, progress=now)
        done += sum(place.nbytes for place in together)

    foreign, own = by_parameter(places, attrgetter("parameter"))
    waiting: deque[tuple[Place, torch.Tensor]] = deque()
    for group in foreign:
        hosts = list(map(_host, group))
        fill(group, hosts)
        waiting.extend(zip(group, hosts, strict=True))
    while waiting:
        _copy(*waiting.popleft())
    for together in _rounds(own):
        hosts = [place.memory if _is_direct(place.memory) else _host(place) for place in together]
        fill(together, hosts)
        for place, host in zip(together, hosts, strict=True):
            if host is not place.memory:
                _copy(place, host)


def _rounds(groups: list[list[Place]]) -> Iterator[list[Place]]:
    """What is made in one call each: the more of it is copied, the more memory the call takes."""
    yield [place for group in groups if _are_direct(group) for place in group]
    for group in groups:
        if _are_direct(group):
            continue
        if is_made_whole(group[0].parameter):
            # Made whole, once for all that is held of it.
            yield group
        else:
            for place in group:
                limit = _STAGED_BYTES // place.memory.element_size()
                yield from ([place.part(box)] for box in _boxes(tuple(place.memory.shape), limit))


def _are_direct(group: list[Place]) -> bool:
    return all(_is_direct(place.memory) for place in group)


def _is_direct(memory: torch.Tensor) -> bool:
    return bool(memory.device.type == "cpu" and memory.is_contiguous() and not memory.is_neg())


def _host(place: Place) -> torch.Tensor:
    """Memory of the form of a place that can be written to directly."""
    return torch.empty(place.memory.shape, dtype=place.memory.dtype, device="cpu")


def _bits(memory: torch.Tensor) -> torch.Tensor:
    """The same memory as whole numbers, where copying does not know the type."""
    if not memory.is_floating_point() or memory.element_size() > 2:
        return memory
    return memory.view(torch.uint8 if memory.element_size() == 1 else torch.int16)


def _copy(place: Place, host: torch.Tensor) -> None:
    # A tensor that was made in inference mode may be changed in that mode only.
    with torch.inference_mode(place.memory.is_inference()):
        _bits(place.memory).copy_(_bits(host))


def _boxes(shape: tuple[int, ...], limit: int) -> Iterator[tuple[slice, ...]]:
    """Boxes that make up a shape, each of at most so many elements and cut along the first axes."""
    if not shape or math.prod(shape) <= limit:
        yield tuple(slice(0, size) for size in shape)
        return
    row = math.prod(shape[1:])
    step = max(1, limit // row)
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        yield from ((rows, *rest) for rest in _boxes(shape[1:], limit))


def allocated(tensor: torch.Tensor, device: torch.device | str | None) -> torch.Tensor:
    """The parameter or buffer itself, or one on the device in the place of one that has no memory."""
    if not tensor.is_meta:
        return tensor
    return _in_place_of(tensor, torch.empty_like(tensor.detach(), device=device))


def _in_place_of(tensor: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """One of the same kind with other memory, and all that the author has set on the one that was."""
    is_parameter = isinstance(tensor, torch.nn.Parameter)
    made = torch.nn.Parameter(memory, tensor.requires_grad) if is_parameter else memory.detach()
    for name, value in vars(tensor).items():
        vars(made).setdefault(name, value)
    return made


def install(made: Sequence[ParameterRef], tensors: Sequence[torch.Tensor]) -> None:
    """Lets the module hold what was allocated, all of it or nothing, and autograd know what has changed."""
    pairs = list(zip(made, tensors, strict=True))
    for ref, tensor in pairs:
        if tensor is ref.tensor:
            torch.autograd.graph.increment_version([tensor, *ref.others, local_of(tensor)])
    news = [new for ref, tensor in pairs if tensor is not ref.tensor for new in _news(ref, tensor)]
    olds = [(module, key, old) for module, key, _ in news if (old := _own(module, key)[key]) is not None]
    try:
        for module, key, new in news:
            # Not into its dict: recurrent layers list their weights in a second place.
            setattr(module, key, new)
    except BaseException:
        for module, key, old in olds:
            with contextlib.suppress(Exception):
                setattr(module, key, old)
            _own(module, key)[key] = old
        raise


def _own(module: torch.nn.Module, key: str) -> dict[str, Any]:
    """The dict of a module in which a parameter or buffer stands."""
    own: dict[str, Any] = module._parameters if key in module._parameters else module._buffers
    return own


def _news(ref: ParameterRef, tensor: torch.Tensor) -> Iterator[tuple[torch.nn.Module, str, torch.Tensor]]:
    """What stands where from now on: as many tensors of one memory as there were."""
    news = {id(other): _in_place_of(other, tensor.detach()) for other in ref.others}
    news[id(ref.tensor)] = tensor
    for module, key in ref.places:
        yield module, key, news[id(_own(module, key)[key])]
