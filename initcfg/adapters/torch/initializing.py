"""A plan's values put into a module, and what that has made."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from initcfg.adapters.matching import match_problems
from initcfg.adapters.torch.memory import allocated, fill_places, install, require_memory, sharing_problems
from initcfg.adapters.torch.parameters import buffers_of, entry_of, modules_of, named_modules_of, refs_of
from initcfg.adapters.torch.shards import is_dtensor, places
from initcfg.errors import Code, Diagnostic, SpecError, printable
from initcfg.formats.reading import Renames
from initcfg.manifest import Manifest
from initcfg.names import counted, few
from initcfg.plan import require_plan
from initcfg.plan.plan import owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.adapters.torch.parameters import ParameterRef
    from initcfg.adapters.torch.shards import Place
    from initcfg.formats.reading import RenamesLike
    from initcfg.generate.pool import Progress
    from initcfg.manifest import ManifestEntry
    from initcfg.plan import Plan, PlannedParameter


@dataclass(frozen=True, slots=True)
class Initialized:
    """What was made in a module, and what was left alone.

    Args:
        parameters: the names of the parameters that hold the plan's values, in the module's order; of one
            that has several names the first.
        tied: further names of these, each with that first one.
        skipped: the parameters that the plan skips.
        buffers: those that the plan does not make, whether the module saves them or not.
        empty: those of the skipped and the buffers that hold nothing yet: on the meta device, or as
            ``Module.to_empty`` has left them.
        nbytes: what this process has made; of a sharded module its own shards.
        made_buffers: the names of the buffers that hold the plan's values.
        warnings: state that no longer fits the values, or that nothing has written, each with the way out:
            the next forward pass would be wrong.
        notes: what else depends on what was overwritten.

    Example:
        >>> print(Initialized(("weight",), {}, (), ("mask",), ("mask",), 16))
        1 parameter made, 16 bytes; 0 skipped; 1 buffer left alone
        empty, and to be made before the module is used: mask
    """

    parameters: tuple[str, ...]
    tied: dict[str, str]
    skipped: tuple[str, ...]
    buffers: tuple[str, ...]
    empty: tuple[str, ...]
    nbytes: int
    made_buffers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        both = f" and {counted(len(self.made_buffers), 'buffer')}" if self.made_buffers else ""
        made = f"{counted(len(self.parameters), 'parameter')}{both} made, {self.nbytes:,} bytes"
        left = f"{len(self.skipped)} skipped; {counted(len(self.buffers), 'buffer')} left alone"
        lines = [f"{made}; {left}"]
        if self.empty:
            names = printable(", ".join(self.empty))
            lines.append(f"empty, and to be made before the module is used: {names}")
        lines += [f"warning: {printable(message)}" for message in self.warnings]
        lines += [f"note: {printable(message)}" for message in self.notes]
        return "\n".join(lines)


def initialize_(
    module: torch.nn.Module,
    plan: Plan,
    *,
    device: torch.device | str | None = None,
    rename: RenamesLike = (),
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Initialized:
    """Puts a plan's values into a module's own parameters and buffers, those of `initcfg.materialize`.

    Of a parameter that is a DTensor, as ``fully_shard`` and tensor parallelism make them, each process makes
    what it holds, and no process talks to another. Parameters on the meta device are allocated, and others
    stand in the module then: make an optimizer, or hooks of parameters, afterwards. Ties stay ties.
    Buffers that the plan does not make, gradients, and what it skips are left alone.

    State that no longer fits the values is named in the report and warned of: a filled row of
    ``padding_idx``, the vectors of spectral norm, running statistics, buffers that ``Module.to_empty`` left
    unwritten (of DTensors no one can tell). What is made in a model of transformers is marked, so that its
    ``init_weights`` keeps it and makes the rest.

    Nothing is touched unless plan and module agree in names, shapes, dtypes and ties. Code of custom
    initializers runs before the first parameter is changed; if it fails, none has been. So what it makes is
    held beside the module until all of it is there, a second copy of these parameters. An exception from
    `progress`, or an interrupt, leaves parameters that have memory partly filled, and those on the meta
    device on it: call again.

    Args:
        module: plain, or in ``torch.compile``, ``DistributedDataParallel`` or ``fully_shard``.
        plan: of all parameters, as ``initcfg.make_plan(spec, manifest=manifest(module))`` makes it.
        device: where parameters that are on the meta device are allocated. Others stay where they are; to
            memory of another device than the CPU values are copied in parts.
        rename: of the module's names, as in `initcfg.verify`; the report then has the plan's names.
        threads, engine: as in `initcfg.materialize`.
        progress: called with the bytes done and the bytes in all, of this process.

    Returns:
        What was made and what was left alone; it says which buffers hold nothing yet, and what no longer
        fits what was made. Each of its warnings is a `RuntimeWarning` too.

    Raises:
        SpecError: module and plan differ; every difference is told (codes ``not-in-manifest``,
            ``not-in-spec``, ``shape-mismatch``, ``dtype-mismatch``, ``tied``). Parameters that share memory
            and are not one, or share it with a buffer, have code ``tied`` too. Or the module cannot be read,
            as `manifest` says.
        InitializerError: custom code returned something else than it was asked for.
        ValueError: parameters are on the meta device and no device is given, their memory cannot be written,
            or what takes their place there would lack their class or hooks; each is named.
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
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"initialize_ takes a torch.nn.Module, not {type(module).__name__}")
    require_plan(plan, "initialize_", "initcfg.make_plan(spec, manifest=manifest(module))")
    held = _Held.of(module, plan, rename)
    _require_agreement(module, plan, held)
    require_memory(held.made, device)
    unwritten = _unwritten_buffers(held)
    # Autograd sees nothing, and what is allocated can be trained, whatever the caller's mode is.
    with torch.inference_mode(False), torch.no_grad():
        tensors = [allocated(ref.tensor, device) for ref in held.made]
        boxes = [
            place
            for ref, tensor in zip(held.made, tensors, strict=True)
            for place in places(owner(plan, _planned(plan, ref)[0]), tensor)
        ]
        fill_places(boxes, threads=threads, engine=engine, progress=progress)
        install(held.made, tensors)
    held = _Held.of(module, plan, rename)
    _keep_from_transformers(module, held.made)
    found = list(_dependents(module, held, boxes, unwritten))
    wrong = tuple(each.message for each in found if each.is_wrong)
    for message in wrong:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    left = (*((ref.names[0], ref.tensor) for ref in held.skipped), *held.buffers)
    return Initialized(
        parameters=tuple(ref.names[0] for ref in held.made if not ref.buffer),
        tied={name: ref.names[0] for ref in held.made for name in ref.names[1:]},
        skipped=tuple(ref.names[0] for ref in held.skipped),
        buffers=tuple(dict(held.buffers)),
        empty=(*dict.fromkeys(name for name, tensor in left if tensor.is_meta), *unwritten),
        nbytes=sum(place.nbytes for place in boxes),
        made_buffers=tuple(ref.names[0] for ref in held.made if ref.buffer),
        warnings=wrong,
        notes=tuple(each.message for each in found if not each.is_wrong),
    )


class _Held(NamedTuple):
    """What a module holds, by the names that a plan has: all of it, and apart what the plan does with it."""

    every: list[ParameterRef]
    made: list[ParameterRef]
    skipped: list[ParameterRef]  # parameters
    buffers: list[tuple[str, torch.Tensor]]  # those that stay, whether the module saves them or not

    @classmethod
    def of(cls, module: torch.nn.Module, plan: Plan, rename: RenamesLike) -> _Held:
        every, renames = refs_of(module), Renames.of(rename)
        if renames:
            names = renames.of_all((name for ref in every for name in ref.names), "the module")
            for ref in every:
                ref.names = [names[name] for name in ref.names]
        made = [ref for ref in every if _planned(plan, ref)]
        skipped = [ref for ref in every if not ref.buffer and not _planned(plan, ref)]
        planned = {id(tensor) for ref in made for tensor in (ref.tensor, *ref.others)}
        left = [(name, buffer) for name, buffer in buffers_of(module) if id(buffer) not in planned]
        return cls(every, made, skipped, left)


def _planned(plan: Plan, ref: ParameterRef) -> list[PlannedParameter]:
    return [plan[name] for name in ref.names if name in plan]


def _keep_from_transformers(module: torch.nn.Module, made: list[ParameterRef]) -> None:
    """Marks what was made as transformers marks what it has loaded, which ``init_weights`` leaves alone.

    Modules of which all was made are marked too, since the code of a model may write to their memory itself.
    """
    library = sys.modules.get("transformers.modeling_utils")
    if library is None or not any(isinstance(each, library.PreTrainedModel) for each in module.modules()):
        return
    for ref in made:
        for tensor in (ref.tensor, *ref.others):
            tensor._is_hf_initialized = True
    for inner in module.modules():
        held = [*inner.parameters(), *inner.buffers()]
        if held and all(getattr(tensor, "_is_hf_initialized", False) for tensor in held):
            inner._is_hf_initialized = True


def _require_agreement(module: torch.nn.Module, plan: Plan, held: _Held) -> None:
    """Names, shapes and dtypes first, then what shares memory with what."""
    model = f"the module {type(module).__name__}"
    skipped = {each.name for each in plan.skipped}
    entries: dict[str, ManifestEntry] = {}
    for ref in held.every:
        # The names that the plan knows; if it knows none, the one that it should know.
        # A buffer need not be known at all.
        known = [name for name in ref.names if name in plan or name in skipped]
        first = [] if ref.buffer else ref.names[:1]
        entries.update(dict.fromkeys(known or first, entry_of(ref)))
    ways = dict(_ways_past_parametrizations(module))
    problems = (
        *match_problems(plan, Manifest(entries), model, "call module.to(torch.{dtype}) first", ways),
        *_tie_problems(plan, held.every, skipped, model),
        *sharing_problems(held.made, held.skipped, held.buffers, model),
    )
    if problems:
        raise SpecError(*problems)


def _ways_past_parametrizations(module: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """Names that are no parameters because torch computes their values from others, and what to do."""
    for prefix, inner in modules_of(module):
        if is_parametrized(inner):
            for key, kept in inner.parametrizations.items():
                place = f"{prefix}." if prefix else ""
                names = " and ".join(
                    f"{place}parametrizations.{key}.{name}" for name, _ in kept.named_parameters()
                )
                way = "initialise the module before it is parametrized, or write a spec for these"
                yield place + key, f"torch computes it from {names}: {way}"


def _tie_problems(
    plan: Plan, every: list[ParameterRef], skipped: set[str], model: str
) -> Iterator[Diagnostic]:
    """Names that are one parameter here and several there."""
    first: dict[str, ParameterRef] = {}
    for ref in every:
        planned = _planned(plan, ref)
        for each in planned:
            array, one = owner(plan, each).name, planned[0].name
            if array != owner(plan, planned[0]).name:
                message = f"{one!r} and {each.name!r} are one parameter in {model}, and two in the plan"
                hint = f"write tied_to: {one} at {each.name!r}, or untie them in the module"
                yield Diagnostic(Code.TIED, message, each.where, hint)
            other = first.setdefault(array, ref)
            if other is not ref:
                yield _two_in_module(other.names[0], each, model)
        left = [name for name in ref.names if name in skipped]
        if planned and left:
            one = planned[0].name
            message = f"{one!r} and {left[0]!r} are one parameter in {model}; the plan skips one"
            hint = f"describe {left[0]!r} as tied_to: {one}, or skip both"
            yield Diagnostic(Code.TIED, message, planned[0].where, hint)


def _two_in_module(first: str, second: PlannedParameter, model: str) -> Diagnostic:
    message = f"{first!r} and {second.name!r} are tied in the plan, and two parameters in {model}"
    hint = (
        "tie them in the module (Module.to_empty unties what was tied on the meta device), "
        f"or write stream: {first} in the place of tied_to, for equal values in two"
    )
    return Diagnostic(Code.TIED, message, second.where, hint)


# State that no longer fits what was put into the parameters, or that nothing has written yet.


class _Dependent(NamedTuple):
    """A word about state that depends on what was made, with the way out."""

    message: str
    is_wrong: bool = True  # the next forward pass would be


def _unwritten_buffers(held: _Held) -> list[str]:
    """The buffers that nothing has written to since ``Module.to_empty`` gave them memory.

    To be asked before anything is made. What is left of PyTorch's own initialization tells: its layers
    write their parameters in place, which is counted, and ``to_empty`` begins to count anew.
    """
    own = [
        ref.tensor for ref in held.made if not ref.buffer and any(_is_of_torch(at) for at, _ in ref.places)
    ]
    if not own or any(map(_is_written, own)):
        return []
    return [name for name, buffer in held.buffers if buffer.numel() and not _is_written(buffer)]


def _is_of_torch(module: torch.nn.Module) -> bool:
    """Whether a layer is PyTorch's own, and writes its parameters when it is made."""
    return type(module).__module__.startswith("torch.nn.modules.") and hasattr(module, "reset_parameters")


def _is_written(tensor: torch.Tensor) -> bool:
    """Whether a tensor has been changed in place; what cannot tell counts as if it was."""
    if tensor.is_meta or tensor.is_inference() or is_dtensor(tensor):
        return True
    return bool(tensor._version)


def _dependents(
    module: torch.nn.Module, held: _Held, places: Iterable[Place], unwritten: list[str]
) -> Iterator[_Dependent]:
    """What the module's author should know of its next forward pass, once the parameters are made."""
    named = {name: ref for ref in held.made for name in ref.names}
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
        yield _Dependent(f"{message}: {hint}")
    for ref in held.made:
        for at, key in ref.places:
            yield from _of_parametrization(ref, at, key)
    stale = [name for name in _stale_statistics(module, held) if name not in unwritten]
    if stale:
        message = f"{few(stale)}: statistics of batches that the values from before have seen"
        hint = "call reset_running_stats() on these modules, or let rules make the buffers"
        yield _Dependent(f"{message}: {hint}")


def _fills(place: Place, row: int) -> bool:
    """Whether memory holds that row of the whole, and has something else there than zeros."""
    ref = place.box[0]
    return ref.start <= row < ref.stop and bool(place.memory[row - ref.start].count_nonzero())


def _padding(ref: ParameterRef, row: int) -> _Dependent:
    message = f"row {row} of {ref.names[0]!r} is padding_idx, kept at zero, and the plan fills it"
    hint = f"write {{patch: {{base: NAME, patches: [{{at: [{row}], initializer: zeros}}]}}}}"
    return _Dependent(f"{message}: {hint}")


def _of_parametrization(ref: ParameterRef, at: torch.nn.Module, key: str) -> Iterator[_Dependent]:
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
            yield _Dependent(f"{message}: {hint}")
        elif isinstance(law, WeightNorm) or (isinstance(law, _WeightNorm) and key == "original1"):
            message = f"weight norm takes the direction of {ref.names[0]!r} only, not its scale"
            hint = "the parameter beside it is the scale; apply weight_norm after initialize_ to keep both"
            yield _Dependent(f"{message}: {hint}", is_wrong=False)


def _stale_statistics(module: torch.nn.Module, held: _Held) -> Iterator[str]:
    """The running means that have seen batches and that no one made."""
    left = dict(held.buffers)
    for prefix, inner in named_modules_of(module):
        name = f"{prefix}.running_mean" if prefix else "running_mean"
        if not isinstance(inner, _NormBase) or name not in left:
            continue
        mean, count = inner.running_mean, inner.num_batches_tracked
        if mean is None or count is None or count.is_meta or mean.is_meta:
            continue
        if int(count) != 0:
            yield name
