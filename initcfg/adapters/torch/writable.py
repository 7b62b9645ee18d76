"""Whether parameters and buffers have memory that can be written to, or can be given some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from initcfg.adapters.torch.report import counted
from initcfg.adapters.torch.shards import has_own_elements, is_dtensor, local_of, overlapping, stretch_of
from initcfg.errors import Code, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.adapters.torch.held import Held
    from initcfg.adapters.torch.shards import Stretch


def require_memory(made: list[Held], device: torch.device | str | None) -> None:
    """Refuses, before anything is allocated, what has no memory or none that can be written.

    Raises:
        ValueError: with a line for each such parameter.
    """
    problems = [
        f"the {'buffer' if held.buffer else 'parameter'} {held.names[0]!r} {problem}"
        for held in made
        for tensor in (held.tensor, *held.others)
        if (problem := _memory_problem(tensor)) is not None
    ]
    meta = [held.names[0] for held in made if held.tensor.is_meta]
    if meta and (device is None or torch.device(device).type == "meta"):
        they = "is on the meta device and has" if len(meta) == 1 else "are on the meta device and have"
        problems.append(
            f"{counted(len(meta), 'parameter')} {they} no memory, such as {meta[0]!r}: "
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
    return _allocation_problem(tensor) if tensor.is_meta else _storage_problem(local)


def _storage_problem(local: torch.Tensor) -> str | None:
    if local.numel() and local.untyped_storage().nbytes() == 0:
        return "has a storage that was freed: allocate it again, such as by Module.to_empty"
    return None


def _allocation_problem(tensor: torch.Tensor) -> str | None:
    """What the parameter that takes the place of one on the meta device would not have of it."""
    if type(tensor) not in (torch.nn.Parameter, torch.Tensor) and not is_dtensor(tensor):
        kind = type(tensor).__name__
        return f"is of the class {kind}, which the meta device does not keep: make the module on its device"
    if tensor._backward_hooks or tensor._post_accumulate_grad_hooks:
        return "has hooks, which are lost with the meta device: register them after initialize_"
    return None


def sharing_problems(
    made: Iterable[Held], skipped: Iterable[Held], buffers: Iterable[tuple[str, torch.Tensor]], model: str
) -> Iterator[Diagnostic]:
    """One for each pair of which one cannot be made without the other, told by names.

    Args:
        made: the parameters that are to be made.
        skipped: those that are to stay as they are.
        buffers: these are to stay too.
        model: what messages call the module.
    """
    named: dict[Stretch, tuple[str, str]] = {}
    for kind, tensors in (
        ("made", ((held.names[0], held.tensor) for held in made)),
        ("skipped", ((held.names[0], held.tensor) for held in skipped)),
        ("buffer", buffers),
    ):
        for name, tensor in tensors:
            stretch = stretch_of(tensor)
            if stretch is not None:
                named[stretch] = (kind, name)
    for pair in overlapping(named):
        # Those that are made come first.
        (kind, name), (other, second) = sorted(
            (named[each] for each in pair), key=lambda each: each[0] != "made"
        )
        if kind == "made":
            yield _PROBLEMS[other](name, second, model)


def _two(name: str, other: str, model: str) -> Diagnostic:
    message = f"{name!r} and {other!r} share memory in {model}, and are not one parameter"
    hint = "give each memory of its own (clone it), or let both names hold one Parameter"
    return Diagnostic(Code.TIED, message, hint=hint)


def _skipped(name: str, other: str, model: str) -> Diagnostic:
    message = f"{name!r} shares memory in {model} with {other!r}, which the plan skips"
    return Diagnostic(Code.TIED, message, hint="give each memory of its own (clone it), or skip both")


def _buffer(name: str, other: str, model: str) -> Diagnostic:
    message = f"the parameter {name!r} shares memory in {model} with the buffer {other!r}, which is to stay"
    return Diagnostic(Code.TIED, message, hint="register a clone as the buffer")


_PROBLEMS = {"made": _two, "skipped": _skipped, "buffer": _buffer}
