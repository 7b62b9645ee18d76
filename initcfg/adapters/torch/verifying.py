"""A live module held against a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from initcfg.adapters.matching import require_plan
from initcfg.adapters.torch.held import held_by
from initcfg.formats.reading import LoadedWeights
from initcfg.formats.torch_files import loaded_tensor
from initcfg.verification import verify_weights

if TYPE_CHECKING:
    from initcfg.formats.base import LoadedTensor
    from initcfg.formats.renaming import RenamesLike
    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan
    from initcfg.verification import Verification


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
        tensors[first] = loaded_tensor(first, held.tensor, place)
        tied |= dict.fromkeys(others, first)
    weights = LoadedWeights(place, tensors, tied, rename)
    return verify_weights(weights, plan, select=select, threads=threads, engine=engine, progress=progress)
