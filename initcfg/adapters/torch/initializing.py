"""A plan's values put into a module."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from initcfg.adapters.matching import match_problems
from initcfg.adapters.torch.held import buffers_of, entry_of, held_by
from initcfg.adapters.torch.memory import fill_places
from initcfg.adapters.torch.report import Initialized
from initcfg.adapters.torch.shards import is_dtensor, local_of, places
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.generate.selecting import owner
from initcfg.manifest import Manifest
from initcfg.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.adapters.torch.held import Held
    from initcfg.generate import Progress
    from initcfg.manifest import ManifestEntry

__all__ = ["initialize_"]


def initialize_(
    module: torch.nn.Module,
    plan: Plan,
    *,
    device: torch.device | str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Initialized:
    """Puts a plan's values into a module's own parameters: those of `initcfg.materialize`, bit for bit.

    Of a parameter that is a DTensor, as ``fully_shard`` and tensor parallelism make them, each process makes
    what it holds, and no process talks to another. Parameters on the meta device are allocated; ties stay
    ties. Buffers, gradients, and what the plan skips are left alone.

    Nothing is touched unless plan and module agree in names, shapes, dtypes and ties. Code of custom
    initializers runs before the first parameter is changed; if it fails, none has been.

    Args:
        module: plain, or in ``torch.compile``, ``DistributedDataParallel`` or ``fully_shard``.
        plan: of all parameters, as ``initcfg.make_plan(spec, manifest=manifest(module))`` makes it.
        device: where parameters that are on the meta device are allocated. Others stay where they are; to
            memory of another device than the CPU values are copied in parts.
        threads: how many; None means one a CPU. They do not change a bit.
        engine: ``numpy`` or ``numba``; None chooses one.
        progress: called with the bytes done and the bytes in all, of this process.

    Returns:
        What was made and what was left alone; it says which buffers hold nothing yet.

    Raises:
        SpecError: module and plan differ; every difference is told (codes ``not-in-manifest``,
            ``not-in-spec``, ``shape-mismatch``, ``dtype-mismatch``, ``tied``). Or the module cannot be
            read, as `manifest` says.
        InitializerError: custom code returned something else than it was asked for.
        ValueError: a parameter is on the meta device and no device is given, or its memory cannot be written.
        TypeError: `module` or `plan` is something else.

    Example:
        >>> import initcfg, torch
        >>> from initcfg.adapters.torch import manifest
        >>> module = torch.nn.Linear(784, 256, bias=False, device="meta")
        >>> rules = [{"match": "weight", "initializer": "he_normal"}]
        >>> spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(module))
        >>> initialize_(module, plan, device="cpu").nbytes
        802816
        >>> bool((module.weight.detach().numpy() == initcfg.materialize(plan["weight"])).all())
        True
    """
    _check_kinds(module, plan)
    every = held_by(module)
    _require_agreement(plan, every, f"the module {type(module).__name__}")
    wanted = [(held, _planned_name(plan, held)) for held in every]
    chosen = [(held, name) for held, name in wanted if name is not None]
    _require_memory([held for held, _ in chosen], device)
    with _without_traces():
        tensors = [_allocated(held.tensor, device) for held, _ in chosen]
        boxes = [
            place
            for (_, name), tensor in zip(chosen, tensors, strict=True)
            for place in places(owner(plan, plan[name]), tensor)
        ]
        fill_places(boxes, threads=threads, engine=engine, progress=progress)
        for (held, _), tensor in zip(chosen, tensors, strict=True):
            _install(held, tensor)
    skipped = [held for held, name in wanted if name is None]
    nbytes = sum(place.nbytes for place in boxes)
    return _reported(module, [held for held, _ in chosen], skipped, nbytes)


def _check_kinds(module: object, plan: object) -> None:
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"initialize_ takes a torch.nn.Module, not {type(module).__name__}")
    if not isinstance(plan, Plan):
        way = "initcfg.make_plan(spec, manifest=manifest(module)) makes one"
        raise TypeError(f"initialize_ takes a plan, not {type(plan).__name__}: {way}")


@contextmanager
def _without_traces() -> Iterator[None]:
    """Autograd sees nothing, and what is allocated can be trained, whatever the caller's mode is."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _require_agreement(plan: Plan, every: list[Held], model: str) -> None:
    """Names, shapes and dtypes first, then what shares memory with what."""
    skipped = {each.name for each in plan.skipped}
    entries: dict[str, ManifestEntry] = {}
    for held in every:
        # The names that the plan knows; if it knows none, the one that it should know.
        known = [name for name in held.names if name in plan or name in skipped]
        entries.update(dict.fromkeys(known or held.names[:1], entry_of(held.tensor)))
    problems = (*match_problems(plan, Manifest(entries), model), *_tie_problems(plan, every, skipped, model))
    if problems:
        raise SpecError(*problems)


def _planned_name(plan: Plan, held: Held) -> str | None:
    return next((name for name in held.names if name in plan), None)


def _tie_problems(plan: Plan, every: list[Held], skipped: set[str], model: str) -> Iterator[Diagnostic]:
    """Names that are one parameter here and several there."""
    first: dict[str, Held] = {}
    for held in every:
        planned = [name for name in held.names if name in plan]
        for name in planned:
            yield from _two_in_plan(plan, planned[0], name, model)
            other = first.setdefault(owner(plan, plan[name]).name, held)
            if other is not held:
                yield _two_in_module(plan, other.names[0], name, model)
        left = [name for name in held.names if name in skipped]
        if planned and left:
            message = f"{planned[0]!r} and {left[0]!r} are one parameter in {model}; the plan skips one"
            hint = f"describe {left[0]!r} as tied_to: {planned[0]}, or skip both"
            yield Diagnostic(Code.TIED, message, plan[planned[0]].where, hint)


def _two_in_plan(plan: Plan, first: str, name: str, model: str) -> Iterator[Diagnostic]:
    if owner(plan, plan[name]).name != owner(plan, plan[first]).name:
        message = f"{first!r} and {name!r} are one parameter in {model}, and two in the plan"
        hint = f"write tied_to: {first} at {name!r}, or untie them in the module"
        yield Diagnostic(Code.TIED, message, plan[name].where, hint)


def _two_in_module(plan: Plan, first: str, name: str, model: str) -> Diagnostic:
    message = f"{first!r} and {name!r} are tied in the plan, and two parameters in {model}"
    hint = (
        "tie them in the module (Module.to_empty unties what was tied on the meta device), "
        f"or write stream: {first} in the place of tied_to, for equal values in two"
    )
    return Diagnostic(Code.TIED, message, plan[name].where, hint)


def _require_memory(chosen: list[Held], device: torch.device | str | None) -> None:
    """Refuses, before anything is allocated, what has no memory or none that can be written."""
    meta = [held.names[0] for held in chosen if _is_meta(held.tensor)]
    if meta and (device is None or torch.device(device).type == "meta"):
        raise ValueError(
            f"{len(meta):,} parameters are on the meta device and have no memory, such as {meta[0]!r}: "
            "say where they are to be allocated, such as initialize_(module, plan, device='cpu')"
        )
    for held in chosen:
        problem = _memory_problem(held.tensor)
        if problem is not None:
            raise ValueError(f"the parameter {held.names[0]!r} {problem}")


def _memory_problem(tensor: torch.Tensor) -> str | None:
    if is_dtensor(tensor) and any(placement.is_partial() for placement in tensor.placements):
        return "is a DTensor of partial sums: redistribute it to shards or replicas"
    local = local_of(tensor)
    if type(local) is not torch.Tensor:
        return f"is a {type(local).__name__}: initialise the module before it is converted to that"
    if any(step == 0 and size > 1 for step, size in zip(local.stride(), local.shape, strict=True)):
        return "is expanded, so that elements share memory: make it contiguous"
    return None


def _is_meta(tensor: torch.Tensor) -> bool:
    return bool(tensor.device.type == "meta")


def _allocated(tensor: torch.nn.Parameter, device: torch.device | str | None) -> torch.nn.Parameter:
    """The parameter itself, or one on the device in the place of one that has no memory."""
    if not _is_meta(tensor):
        return tensor
    made = torch.nn.Parameter(torch.empty_like(tensor.detach(), device=device), tensor.requires_grad)
    for name, value in vars(tensor).items():
        vars(made).setdefault(name, value)
    return made


def _install(held: Held, tensor: torch.nn.Parameter) -> None:
    """Lets the module hold the parameter, and autograd know that it has changed."""
    if tensor is not held.tensor:
        for module, key in held.places:
            setattr(module, key, tensor)
        return
    torch.autograd.graph.increment_version([tensor, *held.others, local_of(tensor)])


def _reported(module: torch.nn.Module, made: list[Held], skipped: list[Held], nbytes: int) -> Initialized:
    buffers = dict(buffers_of(module))
    left = {**{held.names[0]: held.tensor for held in skipped}, **buffers}
    return Initialized(
        parameters=tuple(held.names[0] for held in made),
        tied={name: held.names[0] for held in made for name in held.names[1:]},
        skipped=tuple(held.names[0] for held in skipped),
        buffers=tuple(buffers),
        empty=tuple(name for name, tensor in left.items() if _is_meta(tensor)),
        nbytes=nbytes,
    )
