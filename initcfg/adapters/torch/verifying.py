"""A live module, or what ``torch.save`` has written, held against a plan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initcfg.adapters.matching import require_plan
from initcfg.adapters.torch.held import held_by
from initcfg.adapters.torch.shards import is_dtensor
from initcfg.adapters.torch.stretches import seen
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, FormatError, InitcfgError, Location
from initcfg.formats.reading import LoadedTensor, LoadedWeights
from initcfg.verification import verify_weights

if TYPE_CHECKING:
    from initcfg.formats import Array
    from initcfg.formats.renaming import RenamesLike
    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan
    from initcfg.verification import Verification

__all__ = ["open_torch_file", "verify"]


def verify(
    module: torch.nn.Module,
    plan: Plan,
    *,
    select: str | None = None,
    rename: RenamesLike = (),
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Makes the values of a plan again and compares those that a module holds with them, bit for bit.

    Args:
        module: on any device but meta; nothing of it is changed.
        plan: what it should hold, as ``initcfg.make_plan(spec, manifest=manifest(module))`` makes it.
        select: a glob over names; None compares all.
        rename: what takes the place of leading segments of the module's names, as ``{"model": ""}``.
        threads: how many; None means one a CPU.
        engine: ``native`` or ``numpy``; None chooses one.
        progress: called with the bytes compared and the bytes in all.

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
    for held in held_by(module):
        first, *others = held.names
        tensors[first] = _loaded(first, held.tensor, place)
        tied |= dict.fromkeys(others, first)
    weights = LoadedWeights(place, tensors, tied, rename)
    return verify_weights(weights, plan, select=select, threads=threads, engine=engine, progress=progress)


def open_torch_file(path: str | os.PathLike[str], rename: RenamesLike = ()) -> LoadedWeights:
    """The tensors of a file that ``torch.save`` has written, mapped into memory; no code in it is run.

    Args:
        path: of a state dict, or of a checkpoint that holds one among other things.
        rename: as in `verify`.

    Raises:
        FormatError: it cannot be read, holds objects other than tensors and plain data, or no state dict.
        SpecError: a rename fits no name, or two names become one.
    """
    place = Path(path)
    state = _state(_read(place), place)
    return LoadedWeights(
        place, {name: _loaded(name, each, place) for name, each in state.items()}, {}, rename
    )


def _read(path: Path) -> object:
    for mmap in (True, False):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        except OSError as error:
            message, code = f"cannot read the file: {error.strerror or error}", Code.INPUT
            break
        except Exception as error:  # whatever a foreign file makes of it
            if mmap and "mmap" in str(error):
                continue  # the format of before torch 1.6
            message = f"torch.load(weights_only=True) refuses the file: {str(error).partition(chr(10))[0]}"
            code = Code.FORMAT
            break
    hint = "save module.state_dict() alone, or convert it to safetensors where you trust it"
    raise FormatError(Diagnostic(code, message, Location(os.fspath(path)), hint))


def _state(content: object, path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict that a file is, or the only one in it."""
    if _is_state(content):
        return content  # type: ignore[return-value]
    entries: dict[Any, Any] = dict(content) if isinstance(content, Mapping) else {}
    found = {key: value for key, value in entries.items() if _is_state(value)}
    if len(found) == 1:
        return next(iter(found.values()))
    message = (
        "the file holds no state dict"
        if not found
        else f"the file holds several: {', '.join(map(repr, found))}"
    )
    hint = "save module.state_dict() alone: names with tensors"
    raise FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(path)), hint))


def _is_state(content: object) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) and isinstance(each, torch.Tensor) for key, each in content.items())
    )


def _loaded(name: str, tensor: torch.Tensor, place: Path) -> LoadedTensor:
    what = None
    if tensor.is_meta:
        what, hint = "is on the meta device and has no values", "initialise the module first"
    elif is_dtensor(tensor):
        what, hint = "is spread over processes", "verify a checkpoint of all, or module.full_tensor() of each"
    elif tensor.layout is not torch.strided:
        what, hint = f"is {tensor.layout}", "make it dense (to_dense)"
    if what is not None:
        raise FormatError(Diagnostic(Code.FORMAT, f"{name!r} {what}", Location(os.fspath(place)), hint))
    try:
        dtype = as_dtype(str(tensor.dtype).removeprefix("torch."))
    except InitcfgError:
        message = f"{name!r} is of {tensor.dtype}, which initcfg does not make"
        raise FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(place)))) from None
    flat = tensor.detach().reshape(-1)

    def read(start: int, stop: int) -> Array:
        if start == stop:
            return np.empty(0, dtype.numpy)
        return seen(flat[start:stop].cpu()).view(dtype.numpy)

    return LoadedTensor(dtype, tuple(tensor.shape), read)
