"""PyTorch modules: what their parameters are called, and their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.manifest import Manifest, ManifestEntry

if TYPE_CHECKING:
    import torch

__all__ = ["manifest"]


def manifest(module: torch.nn.Module) -> Manifest:
    """The names, shapes and dtypes of a module's parameters, in the order of ``module.named_parameters()``.

    A module on the meta device will do. Buffers are no parameters. A parameter that the module holds under
    several names appears once, under the first, as in the files that the module is saved to.

    Args:
        module: any module; nothing of it is read but names, shapes and dtypes.

    Example:
        >>> import torch
        >>> entries = manifest(torch.nn.Linear(784, 256, device="meta")).entries
        >>> {name: entry.shape for name, entry in entries.items()}
        {'weight': (256, 784), 'bias': (256,)}
    """
    return Manifest(
        {
            name: ManifestEntry(tuple(parameter.shape), str(parameter.dtype).removeprefix("torch."))
            for name, parameter in module.named_parameters()
        }
    )
