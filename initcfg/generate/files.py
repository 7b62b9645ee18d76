"""Weights on disk: a plan is written as a stream, in the memory of a few chunks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from initcfg.engines import get_engine
from initcfg.errors import Code, SpecError
from initcfg.formats import TensorInfo, format_of
from initcfg.generate.elements import PlannedElements
from initcfg.generate.metadata import carried_spec, file_metadata
from initcfg.generate.pool import Workers
from initcfg.generate.selecting import owner, selected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan, PlannedParameter

__all__ = ["Written", "write"]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Args:
        path: the file.
        nbytes: its size.
        tensors: how many it holds.
        tied: the names that were left out because they share the tensor of another name, with that name.
        fingerprint: the plan's, as the file carries it; None for a plan that holds code.
    """

    path: Path
    nbytes: int
    tensors: int
    tied: Mapping[str, str]
    fingerprint: str | None


def write(
    plan: Plan,
    path: str | PathLike[str],
    *,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    write_tied: bool = False,
    metadata: Mapping[str, str] | None = None,
    carry_spec: bool = True,
) -> Written:
    """Writes a plan's weights to a file, whole or not at all, without ever holding the model.

    Memory is bounded by threads times chunks, and by the largest parameter that cannot be cut if any.

    Args:
        plan: the plan.
        path: ends in ``.safetensors`` or ``.npz``; what stands there is replaced when all is written.
        select: a glob over names; None writes all.
        threads: how many; None means one a CPU. They do not change a bit.
        engine: the name of an engine; None chooses one.
        progress: called with the bytes of elements done and the bytes in all.
        write_tied: write a tied name as a tensor of its own. Otherwise safetensors leaves it out, if the
            name that it is tied to is written, and lists it in the metadata; npz always writes it.
        metadata: texts to store in the file beside the plan's fingerprint; keys that begin with ``initcfg.``
            are kept for this package.
        carry_spec: put the spec into the file too, if it takes 64 KiB at most, so that ``verify`` needs no
            other file.

    Returns:
        What was written.

    Raises:
        FormatError: no format has the suffix, or it cannot hold a name, a dtype or the metadata.
        OutputError: the file cannot be written; what stood there before is untouched.
        UnknownParameterError: `select` matches nothing.
        InitializerError: custom code returned something else than it was asked for.

    Example:
        >>> import initcfg, tempfile
        >>> plan = initcfg.make_plan(
        ...     {"initcfg": 1, "params": {"w": {"shape": [512, 256], "initializer": "ones"}}}
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(plan, f"{folder}/weights.safetensors").tensors
        1
    """
    fmt = format_of(path)
    chosen = selected(plan, select)
    tied = _left_out(chosen) if fmt.lists_aliases and not write_tied else {}
    sources = {p.name: owner(plan, p) for p in chosen if p.name not in tied}
    tensors = [TensorInfo(name, source.dtype, source.shape) for name, source in sources.items()]
    digest = _fingerprint(plan)
    spec = carried_spec(plan) if carry_spec else None
    told = file_metadata(digest, select, tied, metadata or {}, spec)
    fill = get_engine(engine)
    with Workers(threads) as workers:
        elements = PlannedElements(sources, fill, workers, progress)
        nbytes = fmt.write(Path(path), tensors, elements, told)
    return Written(Path(path), nbytes, len(tensors), tied, digest)


def _left_out(chosen: list[PlannedParameter]) -> dict[str, str]:
    """Tied names whose target is among the chosen, with that target."""
    names = {parameter.name for parameter in chosen}
    return {p.name: p.tied_to for p in chosen if p.tied_to is not None and p.tied_to in names}


def _fingerprint(plan: Plan) -> str | None:
    try:
        return plan.fingerprint
    except SpecError as error:
        if all(problem.code == Code.NOT_SERIALIZABLE for problem in error.diagnostics):
            return None
        raise
