"""How the types of modules begin their parameters, for drafts: torch's own, and those of transformers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from initcfg.draft.families import TORCH, constant, normal, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.draft.families import Law


def laws_of(modules: Iterable[tuple[str, nn.Module]]) -> dict[str, Law]:
    """By the full names of parameters, how the types of the modules that hold them begin them.

    What is a part of a transformers model begins as its config says. Models may do otherwise in code of their
    own, which is not looked at. Parameters of other types are left out. A module comes after what it is in.
    """
    laws: dict[str, Law] = {}
    deviations: dict[str, float | None] = {}
    for prefix, module in modules:
        outer = deviations.get(prefix.rpartition(".")[0]) if prefix else None
        deviations[prefix] = deviation = _deviation(module) or outer
        for key, tensor in module.named_parameters(recurse=False, remove_duplicate=False):
            # What a lazy module will hold has no shape yet; who reads it says so.
            law = None if nn.parameter.is_lazy(tensor) else _law(module, key, tensor, deviation)
            if law is not None:
                laws[f"{prefix}.{key}" if prefix else key] = law
    return laws


def _deviation(module: nn.Module) -> float | None:
    """The standard deviation in a transformers model's config; None of what is no such model."""
    config: Any = getattr(module, "config", None)
    if config is None or not hasattr(module, "_init_weights"):
        return None
    names = ("initializer_range", "init_std", "initializer_factor")
    found = next((getattr(config, name) for name in names if hasattr(config, name)), None)
    return float(found) if isinstance(found, int | float) and found > 0 else 0.02


def _law(module: nn.Module, key: str, tensor: torch.Tensor, deviation: float | None) -> Law:
    match module:
        case _ if "Norm" in type(module).__name__:
            law = _norm(type(module)) if key == "weight" else {"bias": "zeros"}.get(key)
        case nn.Embedding() | nn.EmbeddingBag():
            law = normal(deviation or 1)
        case nn.Linear() | nn.modules.conv._ConvNd():
            law = _linear(module, key, deviation)
        case nn.RNNBase() if deviation is None:
            law = within(f"1 / sqrt({module.hidden_size})")
        case nn.RNNBase():
            law = "glorot_uniform" if tensor.ndim > 1 else "zeros"
        case nn.MultiheadAttention():
            law = {"in_proj_bias": "zeros"}.get(key, "glorot_uniform" if tensor.ndim == 2 else None)
        case nn.PReLU():
            law = constant(module.init)
        case _:
            law = None
    return law


def _linear(module: nn.Linear | nn.modules.conv._ConvNd, key: str, deviation: float | None) -> Law:
    if key == "weight":
        return TORCH if deviation is None else normal(deviation)
    # What nn.MultiheadAttention ends with.
    if deviation is not None or isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear):
        return "zeros"
    inputs = prod(module.weight.shape[1:])
    return within(f"1 / sqrt({inputs})") if inputs else "zeros"


def _norm(kind: Any) -> Law:
    """How a norm begins its scale: one that multiplies by 1 + weight, as Gemma's, makes it of zeros."""
    if kind.__module__.startswith("torch."):
        return "ones"
    try:
        with torch.device("cpu"):
            weight: Any = kind(1).weight.detach()
    except Exception:
        # It wants other arguments; the names tell then.
        return None
    return {0.0: "zeros", 1.0: "ones"}.get(float(weight))
