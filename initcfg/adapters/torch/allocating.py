"""Parameters and buffers in the place of those on the meta device: made, and put into the module."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from initcfg.adapters.torch.shards import local_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.adapters.torch.held import Held

__all__ = ["allocated", "install"]


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


def install(made: Sequence[Held], tensors: Sequence[torch.Tensor]) -> None:
    """Lets the module hold what was allocated, all of it or nothing, and autograd know what has changed."""
    pairs = list(zip(made, tensors, strict=True))
    for held, tensor in pairs:
        if tensor is held.tensor:
            torch.autograd.graph.increment_version([tensor, *held.others, local_of(tensor)])
    news = [new for held, tensor in pairs if tensor is not held.tensor for new in _news(held, tensor)]
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


def _news(held: Held, tensor: torch.Tensor) -> Iterator[tuple[torch.nn.Module, str, torch.Tensor]]:
    """What stands where from now on: as many tensors of one memory as there were."""
    news = {id(other): _in_place_of(other, tensor.detach()) for other in held.others}
    news[id(held.tensor)] = tensor
    for module, key in held.places:
        yield module, key, news[id(_own(module, key)[key])]
