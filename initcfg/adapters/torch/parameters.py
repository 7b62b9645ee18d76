"""The parameters and buffers of a module, by name, and their values held against a plan."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parameter import is_lazy

from initcfg.adapters.torch.shards import is_dtensor, memory_range
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.formats.reading import LoadedWeights, Renames
from initcfg.formats.torch_files import loaded_tensor
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import require_plan
from initcfg.verification import verify as verify_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.formats.base import LoadedTensor
    from initcfg.formats.reading import RenamesLike
    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan
    from initcfg.verification import Verification

# Where wrappers keep the module that they wrap: no part of a parameter's name.
_WRAPPED = ("_orig_mod", "_checkpoint_wrapped_module")
_LAZY = "the parameter {!r} is lazy, and has no shape yet"
_ONCE = "call the module once, on a batch as it will be given"


def modules_of(module: torch.nn.Module, prefix: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """A module and all within it, in the order of ``named_modules``, each under every name that it has."""
    while (wrapped := _wrapped(module)) is not None:
        module = wrapped
    yield prefix, module
    for key, child in module._modules.items():
        if child is not None:
            yield from modules_of(child, f"{prefix}.{key}" if prefix else key)


def _wrapped(module: torch.nn.Module) -> torch.nn.Module | None:
    if isinstance(module, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
        inner: torch.nn.Module = module.module
        return inner
    return next((module._modules[key] for key in _WRAPPED if key in module._modules), None)


def require_readable(module: torch.nn.Module) -> None:
    """Raises a SpecError for every part whose parameters FSDP1 has flattened or FSDP2 has gathered."""
    problems = tuple(_problems(module))
    if problems:
        raise SpecError(*problems)


def _problems(module: torch.nn.Module) -> Iterator[Diagnostic]:
    for name, inner in module.named_modules():
        called = repr(name) if name else "the module"
        if type(inner).__name__ == "FullyShardedDataParallel":
            message = f"FSDP1 has flattened the parameters of {called}, and with them names and shapes"
            hint = "initialise it before it is wrapped, or use fully_shard"
            yield Diagnostic(Code.MANIFEST, message, hint=hint)
        elif not _is_sharded(inner):
            # What is put into them would go when they are sharded again, and their dtype may be another.
            message = f"FSDP2 has gathered the parameters of {called}, for computing only"
            way = f"module.get_submodule({name!r}).reshard()" if name else "module.reshard()"
            yield Diagnostic(Code.MANIFEST, message, hint=f"call {way} first")


def _is_sharded(module: torch.nn.Module) -> bool:
    """Whether the parameters that ``fully_shard`` has made of a module's own stand in it, not copies."""
    # Of the class: a compiled module passes on what is asked of the instance.
    if not hasattr(type(module), "_get_fsdp_state"):
        return True
    state: Any = module._get_fsdp_state()
    # Older releases have one group or none. No public attribute tells the state.
    groups = getattr(state, "_fsdp_param_groups", None)
    groups = [state._fsdp_param_group] if groups is None else groups
    return all(group.is_sharded for group in groups if group is not None)


@dataclass(slots=True, eq=False)
class ParameterRef:
    """One parameter of a module, or one persistent buffer, with all its names, in the module's order."""

    tensor: torch.Tensor
    names: list[str] = field(default_factory=list)
    places: list[tuple[torch.nn.Module, str]] = field(default_factory=list)
    others: list[torch.Tensor] = field(default_factory=list)  # further ones that are the same memory
    buffer: bool = False

    @property
    def zero_row(self) -> int | None:
        """The row that an embedding keeps at zero, ``padding_idx``; None of any other parameter."""
        kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        embeddings = (at for at, key in self.places if isinstance(at, kinds) and key == "weight")
        return next((at.padding_idx for at in embeddings if at.padding_idx is not None), None)


def manifest(module: torch.nn.Module) -> Manifest:
    """The names, shapes and dtypes of what ``module.state_dict()`` holds, in its order.

    These are parameters and persistent buffers; the latter are marked, and no rule need match one. The row
    that ``padding_idx`` of an embedding names is marked too (`ManifestEntry.zero_row`).

    A module on the meta device will do, and so will a sharded one, whose shapes are those of the whole. A
    parameter that the module holds under several names appears once, under the first, as in the files that
    the module is saved to. What ``torch.compile``, ``DistributedDataParallel`` and activation checkpointing
    put into names (``_orig_mod.``, ``module.``) is left out, wherever in the module they stand.

    Args:
        module: any module; nothing of it is read but names, shapes and dtypes.

    Raises:
        SpecError: the module is lazy and has no shapes yet, FSDP1 has flattened it, or FSDP2 has gathered
            it, in ``unshard`` or a forward pass (code ``manifest``); or two of its tensors have one name
            (code ``duplicate-parameter``).

    Example:
        >>> import torch
        >>> entries = manifest(torch.nn.Linear(784, 256, device="meta")).entries
        >>> {name: entry.shape for name, entry in entries.items()}
        {'weight': (256, 784), 'bias': (256,)}
    """
    return Manifest({ref.names[0]: entry_of(ref) for ref in refs_of(module)})


def entry_of(ref: ParameterRef) -> ManifestEntry:
    """A parameter's form."""
    shape, dtype = tuple(ref.tensor.shape), str(ref.tensor.dtype).removeprefix("torch.")
    return ManifestEntry(shape, dtype, buffer=ref.buffer, zero_row=ref.zero_row)


def refs_of(module: torch.nn.Module) -> list[ParameterRef]:
    """The parameters and persistent buffers of a module, each once; the errors are those of `manifest`."""
    found: dict[object, ParameterRef] = {}
    owners: dict[str, ParameterRef] = {}
    for name, tensor, place in _tensors(module):
        buffer = not isinstance(tensor, torch.nn.Parameter)
        # A buffer that shares the memory of a parameter is not that parameter.
        ref = found.setdefault((buffer, _memory(tensor)), ParameterRef(tensor, buffer=buffer))
        if owners.setdefault(name, ref) is not ref:
            message = f"two tensors of the module are called {name!r}"
            raise SpecError.of(Code.DUPLICATE_PARAMETER, message, "rename one of the submodules")
        if tensor is not ref.tensor:
            ref.others.append(tensor)
        ref.places.append(place)
        if name not in ref.names:
            ref.names.append(name)
    return list(found.values())


def buffers_of(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The buffers of a module by name, those of a module that stands in several places once."""
    for prefix, inner in named_modules_of(module):
        for key, buffer in inner.named_buffers(recurse=False):
            yield _name(prefix, key), buffer


def named_modules_of(module: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules within a module, each once, under its first name."""
    seen: set[torch.nn.Module] = set()
    for prefix, inner in modules_of(module):
        if inner not in seen:
            seen.add(inner)
            yield prefix, inner


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor, tuple[torch.nn.Module, str]]]:
    """Each name of each parameter and persistent buffer, with the place where it stands."""
    require_readable(module)
    for prefix, inner in modules_of(module):
        parameters = inner.named_parameters(recurse=False, remove_duplicate=False)
        buffers = inner.named_buffers(recurse=False, remove_duplicate=False)
        saved = (each for each in buffers if each[0] not in inner._non_persistent_buffers_set)
        for key, tensor in itertools.chain[tuple[str, torch.Tensor]](parameters, saved):
            name = _name(prefix, key)
            if is_lazy(tensor):
                raise SpecError.of(Code.MANIFEST, _LAZY.format(name), _ONCE)
            yield name, tensor, (inner, key)


def require_shapes(module: torch.nn.Module) -> torch.nn.Module:
    """The module, of which no parameter or buffer waits for its shape (else code ``input``)."""
    for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
        if is_lazy(tensor):
            raise SpecError.of(Code.INPUT, _LAZY.format(name), f"{_ONCE}: in the callable that makes it")
    return module


def _name(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _memory(tensor: torch.Tensor) -> object:
    """What parameters that are one have in common: the object, or the memory."""
    # Of a DTensor one rank may hold nothing, and all ranks must see the same ties.
    if is_dtensor(tensor) or tensor.numel() == 0 or (span := memory_range(tensor)) is None:
        return id(tensor)
    return (span.space, span.begin, tensor.shape, tensor.stride(), tensor.dtype)


# Values.


def verify(
    module: torch.nn.Module,
    plan: Plan,
    *,
    law: bool | float = False,
    select: str | None = None,
    rename: RenamesLike = (),
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Makes the values of a plan again and compares those that a module holds with them, bit for bit.

    With `law` they are held against the laws of the plan, whatever has drawn them.

    Args:
        module: on any device but meta; nothing of it is changed.
        plan: what it should hold, as ``initcfg.make_plan(spec, manifest=manifest(module))`` makes it.
        law, select, threads, engine, progress: as in `initcfg.verify`.
        rename: of the module's names, likewise.

    Returns:
        What was compared and what differs; ``require_equal()`` raises it.

    Raises:
        TypeError: `module` or `plan` is something else.
        SpecError: the module cannot be read, as `manifest` says, or a rename fits no name.
        FormatError: a parameter has no values here: it is on the meta device, or spread over processes.
        UnknownParameterError: `select` matches nothing.

    Example:
        >>> import initcfg, torch
        >>> from initcfg.adapters.torch import initialize_, manifest
        >>> module = torch.nn.Linear(8, 4)
        >>> rules = [{"match": "**", "initializer": "he_normal"}]
        >>> spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(module))
        >>> verify(module, plan).is_equal
        False
        >>> _ = initialize_(module, plan)
        >>> verify(module, plan).is_equal
        True
    """
    if not isinstance(module, torch.nn.Module):
        way = "initcfg.verify takes the path of a file"
        raise TypeError(f"verify takes a torch.nn.Module, not {type(module).__name__}: {way}")
    require_plan(plan, "verify", "initcfg.make_plan(spec, manifest=manifest(module))")
    place = Path(type(module).__name__)
    tensors: dict[str, LoadedTensor] = {}
    tied: dict[str, str] = {}
    renames = Renames.of(rename)
    for ref in refs_of(module):
        if ref.buffer and ref.tensor.is_meta and not any(renames(name) in plan for name in ref.names):
            continue  # left as the module had it, which has no values yet
        first, *others = ref.names
        tensors[first] = loaded_tensor(first, ref.tensor, place)
        tied |= dict.fromkeys(others, first)
    weights = LoadedWeights(place, tensors, tied, renames, f"the module {place}")
    found = verify_weights(
        weights, plan, law=law, select=select, threads=threads, engine=engine, progress=progress
    )
    # Files have fingerprints, modules have none: that is no finding.
    rest = tuple(each for each in found.diagnostics if each.code is not Code.FINGERPRINT)
    return replace(found, diagnostics=rest)
