"""Which of many processes this one is: from the command line, or from what a launcher has launch it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initcfg.sharding import Rank

# The inner one first: torchrun inside of srun. Kubernetes' indexed jobs do not say how many they are.
_SLURM = "SLURM_PROCID"
_LAUNCHERS = (
    ("RANK", ("WORLD_SIZE",)),
    (_SLURM, ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")),
    ("JOB_COMPLETION_INDEX", ()),
)
_BOTH = "each process needs both; --rank 0 --world-size 1 writes everything"


class Ranked(NamedTuple):
    """A rank, and the words for who said so, or None where the options did."""

    rank: Rank
    source: str | None

    def __str__(self) -> str:
        source = f", as {self.source}" if self.source else ""
        return f"this is {self.rank}{source}; --rank 0 --world-size 1 writes everything"


class _Launch(NamedTuple):
    """What the variables of a launcher say."""

    number: int
    world_size: int | None
    names: str

    @property
    def words(self) -> str:
        return f"{self.names} {'says' if self.world_size is None else 'say'}"


def find_rank(
    number: int | None, world_size: int | None, environment: Mapping[str, str] = os.environ
) -> Ranked | None:
    """The rank of this process by its options, else by its environment; None where it is the only one."""
    if number is not None:
        if world_size is None:
            raise click.UsageError(f"--rank is given, but not --world-size: {_BOTH}")
        return _ranked(number, world_size, None)
    found = list(_launches(environment))
    launch = _fitting(found, world_size)
    if launch is None:
        _require_alone(world_size, environment)
        return None
    size = launch.world_size if world_size is None else world_size
    if size is None:
        raise click.UsageError(f"{launch.names} is given, but not --world-size: {_BOTH}")
    if world_size is not None:
        launch = launch._replace(names=launch.names.partition(" and ")[0], world_size=None)
    others = [
        each.words for each in found if each.world_size is not None and each[:2] != (launch.number, size)
    ]
    return _ranked(launch.number, size, launch.words + "".join(f" ({each} otherwise)" for each in others))


def _fitting(found: Sequence[_Launch], world_size: int | None) -> _Launch | None:
    """Who is believed: whoever agrees with the option; else the first that knows of other processes."""

    def doubt(launch: _Launch) -> int:
        if world_size is not None:
            return 0 if launch.world_size == world_size else 1 if launch.world_size is None else 2
        return 2 if launch.world_size is None else 1 if launch.world_size == 1 else 0

    return min(found, key=doubt, default=None)


def _ranked(number: int, world_size: int, source: str | None) -> Ranked | None:
    from initcfg.sharding import Rank

    try:
        rank = Rank(number, world_size)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return None if world_size == 1 else Ranked(rank, source)


def _require_alone(world_size: int | None, environment: Mapping[str, str]) -> None:
    """Refuses a number of processes, where nobody says which of them this is."""
    if world_size not in (None, 1):
        raise click.UsageError(f"--world-size is given, but not --rank: {_BOTH}")
    if world_size is None and environment.get("WORLD_SIZE", "1") != "1":
        raise click.UsageError(f"WORLD_SIZE is given, but neither RANK nor --rank: {_BOTH}")


def lone_process(environment: Mapping[str, str] = os.environ) -> str | None:
    """What to tell the only process of a job that has many tasks: most likely srun was forgotten."""
    if not _is_batch_script(environment) or environment.get("SLURM_NTASKS", "1") == "1":
        return None
    tasks = environment["SLURM_NTASKS"]
    return f"the job has {tasks} tasks, but srun has not started this process, so it writes everything"


def _is_batch_script(environment: Mapping[str, str]) -> bool:
    """Slurm runs a batch script once, as rank 0 of all tasks; only in a step of srun are there as many."""
    return "SLURM_JOB_ID" in environment and "SLURM_STEP_NUM_TASKS" not in environment


def _launches(environment: Mapping[str, str]) -> Iterator[_Launch]:
    for number, sizes in _LAUNCHERS:
        if number not in environment or (number == _SLURM and _is_batch_script(environment)):
            continue
        size = next((name for name in sizes if name in environment), None)
        world_size = None if size is None else _whole(environment, size)
        names = " and ".join(filter(None, (number, size)))
        yield _Launch(_whole(environment, number), world_size, names)


def _whole(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise click.UsageError(f"{name} is {environment[name]!r}, not a whole number") from None
