"""Which of many processes this one is: from the command line, or from what a launcher has told it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initcfg.sharding import Rank

__all__ = ["Ranked", "find_rank", "lone_process"]

# Slurm's srun; torchrun and others; Kubernetes' indexed jobs, which do not say how many they are.
_LAUNCHERS = (
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("RANK", "WORLD_SIZE"),
    ("JOB_COMPLETION_INDEX", None),
)


class Ranked(NamedTuple):
    """A rank, and who said so."""

    rank: Rank
    source: str | None


def find_rank(
    number: int | None, world_size: int | None, environment: Mapping[str, str] = os.environ
) -> Ranked | None:
    """The rank of this process; None where it is the only one.

    Args:
        number: of ``--rank``.
        world_size: of ``--world-size``.
        environment: asked for what neither option says.

    Raises:
        click.UsageError: only half of it is known, or it makes no sense.
    """
    from initcfg.sharding import Rank

    source = None
    if number is None:
        number, told, source = _launched(environment)
        world_size = told if world_size is None else world_size
    if number is None and world_size in (None, 1):
        return None
    if number is None or world_size is None:
        known, missing = (
            ("--world-size", "--rank") if number is None else (source or "--rank", "--world-size")
        )
        raise click.UsageError(f"{known} is given, but not {missing}: each process needs both")
    try:
        rank = Rank(number, world_size)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return None if world_size == 1 else Ranked(rank, source)


def lone_process(environment: Mapping[str, str] = os.environ) -> str | None:
    """What to tell the only process of a job that has many tasks: most likely srun was forgotten."""
    if not _is_batch_script(environment) or environment.get("SLURM_NTASKS", "1") == "1":
        return None
    tasks = environment["SLURM_NTASKS"]
    return f"the job has {tasks} tasks, but srun has not started this process, so it writes everything"


def _is_batch_script(environment: Mapping[str, str]) -> bool:
    """Slurm runs a batch script once, as rank 0 of all tasks; only in a step of srun are there as many."""
    return "SLURM_JOB_ID" in environment and "SLURM_STEP_NUM_TASKS" not in environment


def _launched(environment: Mapping[str, str]) -> tuple[int | None, int | None, str | None]:
    for number, world_size in _LAUNCHERS:
        if number == "SLURM_PROCID" and _is_batch_script(environment):
            continue
        if number in environment and (world_size is None or world_size in environment):
            told = None if world_size is None else _whole(environment, world_size)
            return _whole(environment, number), told, " and ".join(filter(None, (number, world_size)))
    return None, None, None


def _whole(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise click.UsageError(f"{name} is {environment[name]!r}, not a whole number") from None
