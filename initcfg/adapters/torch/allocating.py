"""Parameters in the place of those on the meta device: made, and put into the module."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from initcfg.adapters.torch.shards import local_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.adapters.torch.held import Held

__all__ = ["allocated", "install"]


def allocated(tensor: torch.nn.Parameter, device: torch.device | str | None) -> torch.nn.Parameter:
    """The parameter itself, or one on the device in the place of one that has no memory."""
    if not tensor.is_meta:
        return tensor
    return _in_place_of(tensor, torch.empty_like(tensor.detach(), device=device))


def _in_place_of(tensor: torch.nn.Parameter, memory: torch.Tensor) -> torch.nn.Parameter:
    """A parameter of other memory, with all that the module's author has set on the one that was."""
    made = torch.nn.Parameter(memory, tensor.requires_grad)
    for name, value in vars(tensor).items():
        vars(made).setdefault(name, value)
    return made


def install(made: Sequence[Held], tensors: Sequence[torch.nn.Parameter]) -> None:
    """Lets the module hold what was allocated, all of it or nothing, and autograd know what has changed."""
    pairs = list(zip(made, tensors, strict=True))
    for held, tensor in pairs:
        if tensor is held.tensor:
            torch.autograd.graph.increment_version([tensor, *held.others, local_of(tensor)])
    news = [new for held, tensor in pairs if tensor is not held.tensor for new in _news(held, tensor)]
    olds = [(module, key, old) for module, key, _ in news if (old := module._parameters[key]) is not None]
    try:
        for module, key, new in news:
            # Not into _parameters: recurrent layers list their weights in a second place.
            setattr(module, key, new)
    except BaseException:
        for module, key, old in olds:
            with contextlib.suppress(Exception):
                setattr(module, key, old)
            module._parameters[key] = old
        raise


def _news(
    held: Held, tensor: torch.nn.Parameter
) -> Iterator[tuple[torch.nn.Module, str, torch.nn.Parameter]]:
    """What stands where from now on: as many parameters of one memory as there were."""
    news = {id(other): _in_place_of(other, tensor.detach()) for other in held.others}
    news[id(held.tensor)] = tensor
    for module, key in held.places:
        yield module, key, news[id(module._parameters[key])]
