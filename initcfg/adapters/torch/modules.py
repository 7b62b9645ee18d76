"""The modules within a module: without those that only wrap another, and in a state that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from initcfg.errors import Code, Diagnostic, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["modules_of", "require_readable"]

# Where wrappers keep the module that they wrap: no part of a parameter's name.
_WRAPPED = ("_orig_mod", "_checkpoint_wrapped_module")


def modules_of(module: torch.nn.Module, prefix: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """A module and all within it, in the order of ``named_modules``, each under every name that it has."""
    inner = _unwrapped(module)
    yield prefix, inner
    for key, child in inner._modules.items():
        if child is not None:
            yield from modules_of(child, f"{prefix}.{key}" if prefix else key)


def _unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """The module inside those that only wrap it."""
    while (wrapped := _wrapped(module)) is not None:
        module = wrapped
    return module


def _wrapped(module: torch.nn.Module) -> torch.nn.Module | None:
    if isinstance(module, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
        inner: torch.nn.Module = module.module
        return inner
    return next((module._modules[key] for key in _WRAPPED if key in module._modules), None)


def require_readable(module: torch.nn.Module) -> None:
    """Refuses a module whose parameters, as they are now, are not those that it keeps.

    Raises:
        SpecError: FSDP1 has flattened them, or FSDP2 has gathered them; every such part is told (code
            ``manifest``).
    """
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
