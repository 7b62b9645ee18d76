"""The parameters that a module holds: each once, with all of its names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch.nn.parameter import is_lazy

from initcfg.adapters.torch.modules import modules_of, require_readable
from initcfg.adapters.torch.shards import is_dtensor
from initcfg.adapters.torch.stretches import stretch_of
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.manifest import Manifest, ManifestEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

__all__ = ["Held", "buffers_of", "entry_of", "held_by", "manifest"]


@dataclass(slots=True, eq=False)
class Held:
    """One parameter of a module.

    Args:
        tensor: the `torch.nn.Parameter`.
        names: all that it has in the module, in the module's order.
        places: where it stands: a module, and the name of the parameter in it.
        others: further parameters of the module that are the same memory.
    """

    tensor: torch.nn.Parameter
    names: list[str] = field(default_factory=list)
    places: list[tuple[torch.nn.Module, str]] = field(default_factory=list)
    others: list[torch.nn.Parameter] = field(default_factory=list)


def manifest(module: torch.nn.Module) -> Manifest:
    """The names, shapes and dtypes of a module's parameters, in the order of ``module.named_parameters()``.

    A module on the meta device will do, and so will a sharded one, whose shapes are those of the whole.
    Buffers are no parameters. A parameter that the module holds under several names appears once, under the
    first, as in the files that the module is saved to. What ``torch.compile``, ``DistributedDataParallel``
    and activation checkpointing put into names (``_orig_mod.``, ``module.``) is left out, wherever in the
    module they stand.

    Args:
        module: any module; nothing of it is read but names, shapes and dtypes.

    Raises:
        SpecError: the module is lazy and has no shapes yet, FSDP1 has flattened it, or FSDP2 has gathered
            it, in ``unshard`` or a forward pass (code ``manifest``); or two of its parameters have one name
            (code ``duplicate-parameter``).

    Example:
        >>> import torch
        >>> entries = manifest(torch.nn.Linear(784, 256, device="meta")).entries
        >>> {name: entry.shape for name, entry in entries.items()}
        {'weight': (256, 784), 'bias': (256,)}
    """
    return Manifest({held.names[0]: entry_of(held.tensor) for held in held_by(module)})


def entry_of(tensor: torch.Tensor) -> ManifestEntry:
    """A parameter's form."""
    return ManifestEntry(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def held_by(module: torch.nn.Module) -> list[Held]:
    """The parameters of a module, each once.

    Raises:
        SpecError: as `manifest` says.
    """
    found: dict[object, Held] = {}
    owners: dict[str, Held] = {}
    for name, tensor, place in _parameters(module):
        held = found.setdefault(_memory(tensor), Held(tensor))
        if owners.setdefault(name, held) is not held:
            message = f"two parameters of the module are called {name!r}"
            raise _refused(Code.DUPLICATE_PARAMETER, message, "rename one of the submodules")
        if tensor is not held.tensor:
            held.others.append(tensor)
        held.places.append(place)
        if name not in held.names:
            held.names.append(name)
    return list(found.values())


def buffers_of(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The buffers of a module by name, those of a module that stands in several places once."""
    seen: set[torch.nn.Module] = set()
    for prefix, inner in modules_of(module):
        if inner not in seen:
            seen.add(inner)
            for key, buffer in inner.named_buffers(recurse=False):
                yield _name(prefix, key), buffer


def _parameters(
    module: torch.nn.Module,
) -> Iterator[tuple[str, torch.nn.Parameter, tuple[torch.nn.Module, str]]]:
    """Each name of each parameter, with the place where it stands."""
    require_readable(module)
    for prefix, inner in modules_of(module):
        for key, tensor in inner.named_parameters(recurse=False, remove_duplicate=False):
            name = _name(prefix, key)
            if is_lazy(tensor):
                message = f"the parameter {name!r} is lazy, and has no shape yet"
                raise _refused(Code.MANIFEST, message, "call the module once, on a batch as it will be given")
            yield name, tensor, (inner, key)


def _name(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _memory(tensor: torch.nn.Parameter) -> object:
    """What parameters that are one have in common: the object, or the memory."""
    # Of a DTensor one rank may hold nothing, and all ranks must see the same ties.
    if is_dtensor(tensor) or tensor.numel() == 0 or (stretch := stretch_of(tensor)) is None:
        return id(tensor)
    return (stretch.space, stretch.begin, tensor.shape, tensor.stride(), tensor.dtype)


def _refused(code: Code, message: str, hint: str) -> SpecError:
    return SpecError(Diagnostic(code, message, hint=hint))
