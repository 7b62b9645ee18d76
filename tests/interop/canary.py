"""What is garbage in a model that torch has really made: memory begins as NaN, and what stays so is named.

An oracle for the audit's "never written", which shares nothing with it.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def garbage_constructed(build: Callable[[], torch.nn.Module]) -> set[str]:
    """The names that hold garbage where a model is constructed on CPU, in whole or in part."""
    with _memory_of_nan():
        return _garbage(build())


def garbage_deferred(build: Callable[[], torch.nn.Module], init: Callable[[Any], object]) -> set[str]:
    """The names that hold garbage after meta, ``to_empty`` and an init function."""
    with torch.device("meta"):
        model = build()
    model.to_empty(device="cpu")
    with torch.no_grad():
        for _, tensor in _tensors(model):
            tensor.fill_(_canary(tensor.dtype))
    with _memory_of_nan():
        init(model)
    return _garbage(model)


def garbage_loaded(kind: Any, config: Any) -> set[str]:
    """The names that hold garbage after ``from_pretrained`` of a checkpoint that has none of them."""
    with _memory_of_nan():
        return _garbage(kind.from_pretrained(None, config=config, state_dict={}))


@contextlib.contextmanager
def _memory_of_nan() -> Iterator[None]:
    was = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = True
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was[0])
            torch.utils.deterministic.fill_uninitialized_memory = was[1]


def _canary(dtype: torch.dtype) -> Any:
    """What torch fills memory with that nothing was written to."""
    if dtype.is_floating_point or dtype.is_complex:
        return torch.nan
    return True if dtype is torch.bool else torch.iinfo(dtype).max


def _garbage(model: torch.nn.Module) -> set[str]:
    found = set()
    for name, tensor in _tensors(model):
        if tensor.dtype is torch.bool or not tensor.numel():
            continue  # True is also a value
        canary = _canary(tensor.dtype)
        left = tensor.isnan() if canary is torch.nan else tensor == canary
        if left.any():
            found.add(name)
    return found


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return itertools.chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    )
