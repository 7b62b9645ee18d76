"""State of a module that no longer fits what was put into its parameters, or that nothing has written yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from initcfg.adapters.torch.parameters import buffers_of, named_modules_of
from initcfg.adapters.torch.shards import is_dtensor
from initcfg.names import few

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from initcfg.adapters.torch.parameters import ParameterRef
    from initcfg.adapters.torch.shards import Place


class Dependent(NamedTuple):
    """A word about state that depends on what was made, with the way out."""

    message: str
    is_wrong: bool = True  # the next forward pass would be


def unwritten_buffers(module: torch.nn.Module, made: list[ParameterRef]) -> list[str]:
    """The buffers that nothing has written to since ``Module.to_empty`` gave them memory.

    To be asked before anything is made. What is left of PyTorch's own initialization tells: its layers
    write their parameters in place, which is counted, and ``to_empty`` begins to count anew.
    """
    own = [ref.tensor for ref in made if not ref.buffer and any(_is_of_torch(at) for at, _ in ref.places)]
    if not own or any(map(_is_written, own)):
        return []
    planned = {id(tensor) for ref in made for tensor in (ref.tensor, *ref.others)}
    return [
        name
        for name, buffer in buffers_of(module)
        if id(buffer) not in planned and buffer.numel() and not _is_written(buffer)
    ]


def _is_of_torch(module: torch.nn.Module) -> bool:
    """Whether a layer is PyTorch's own, and writes its parameters when it is made."""
    return type(module).__module__.startswith("torch.nn.modules.") and hasattr(module, "reset_parameters")


def _is_written(tensor: torch.Tensor) -> bool:
    """Whether a tensor has been changed in place; what cannot tell counts as if it was."""
    if tensor.is_meta or tensor.is_inference() or is_dtensor(tensor):
        return True
    return bool(tensor._version)


def dependents(
    module: torch.nn.Module, made: list[ParameterRef], places: Iterable[Place], unwritten: list[str]
) -> Iterator[Dependent]:
    """What the module's author should know of its next forward pass, once the parameters are made."""
    named = {name: ref for ref in made for name in ref.names}
    rows: set[str] = set()
    for place in places:
        ref = named[place.parameter.name]
        if ref.zero_row is not None and ref.names[0] not in rows and _fills(place, ref.zero_row):
            rows.add(ref.names[0])
            yield _padding(ref, ref.zero_row)
    if unwritten:
        verb = "holds" if len(unwritten) == 1 else "hold"
        message = f"{few(unwritten)} {verb} nothing yet, as Module.to_empty leaves a buffer"
        hint = "give them their values, as the module's own init_weights may, before the module is used"
        yield Dependent(f"{message}: {hint}")
    for ref in made:
        for at, key in ref.places:
            yield from _of_parametrization(ref, at, key)
    stale = list(_stale_statistics(module, made, frozenset(unwritten)))
    if stale:
        message = f"{few(stale)}: statistics of batches that the values from before have seen"
        hint = "call reset_running_stats() on these modules, or let rules make the buffers"
        yield Dependent(f"{message}: {hint}")


def _fills(place: Place, row: int) -> bool:
    """Whether memory holds that row of the whole, and has something else there than zeros."""
    ref = place.box[0]
    return ref.start <= row < ref.stop and bool(place.memory[row - ref.start].count_nonzero())


def _padding(ref: ParameterRef, row: int) -> Dependent:
    message = f"row {row} of {ref.names[0]!r} is padding_idx, kept at zero, and the plan fills it"
    hint = f"write {{patch: {{base: NAME, patches: [{{at: [{row}], initializer: zeros}}]}}}}"
    return Dependent(f"{message}: {hint}")


def _of_parametrization(ref: ParameterRef, at: torch.nn.Module, key: str) -> Iterator[Dependent]:
    """What is computed of a parameter beside, with what that takes of it."""
    if isinstance(at, ParametrizationList):
        laws: list[Any] = list(at) if key.startswith("original") else []
    else:
        hooks = at._forward_pre_hooks.values()
        keys = {SpectralNorm: ("_orig",), WeightNorm: ("_v",)}
        laws = [hook for hook in hooks for end in keys.get(type(hook), ()) if key == hook.name + end]
    for law in laws:
        if isinstance(law, SpectralNorm) or (isinstance(law, _SpectralNorm) and "_u" in law._buffers):
            message = (
                f"the spectral norm of {ref.names[0]!r} is taken along vectors of the values from before"
            )
            hint = (
                "apply spectral_norm after initialize_, since it begins with power iterations; "
                "or call the module in train mode some twenty times, each of which is one"
            )
            yield Dependent(f"{message}: {hint}")
        elif isinstance(law, WeightNorm) or (isinstance(law, _WeightNorm) and key == "original1"):
            message = f"weight norm takes the direction of {ref.names[0]!r} only, not its scale"
            hint = "the parameter beside it is the scale; apply weight_norm after initialize_ to keep both"
            yield Dependent(f"{message}: {hint}", is_wrong=False)


def _stale_statistics(
    module: torch.nn.Module, made: list[ParameterRef], unwritten: frozenset[str]
) -> Iterator[str]:
    """The running means that have seen batches and that no one made."""
    planned = {id(tensor) for ref in made for tensor in (ref.tensor, *ref.others)}
    for prefix, inner in named_modules_of(module):
        if not isinstance(inner, _NormBase):
            continue
        mean, count = inner.running_mean, inner.num_batches_tracked
        name = f"{prefix}.running_mean" if prefix else "running_mean"
        if mean is None or count is None or count.is_meta or mean.is_meta or name in unwritten:
            continue
        if id(mean) not in planned and int(count) != 0:
            yield name
