"""``initcfg materialize`` and ``initcfg finalize``: make the weights; publish what many processes made."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import (
    SpecOptions,
    not_standard_output,
    plan_from,
    threads_option,
    with_spec_options,
)
from initcfg.cli.output import Output, with_output
from initcfg.cli.report import Contents, Exit
from initcfg.errors import printable
from initcfg.names import count, counted, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.sharding import Rank, Saved

_SHOWN_TIES = 5
# What a single file has no use for.
_OF_A_FOLDER = ("shard_size", "rank", "world_size", "ray")


@click.command(
    cls=Command,
    short_help="Make the weights.",
    example=(
        "initcfg materialize configs/gpt2.yaml -o gpt2.safetensors",
        "initcfg materialize configs/gpt2.yaml -o gpt2/ --shard-size 200MB",
        "initcfg materialize configs/mlp.yaml -o mlp.npz --threads 1",
    ),
)
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "--output",
    "path",
    metavar="WEIGHTS",
    required=True,
    callback=not_standard_output,
    help="A file to write, whose name ends in .safetensors or .npz; or a folder for shards and their index.",
)
@click.option(
    "--shard-size",
    metavar="SIZE",
    help="In a folder, the most bytes of tensors in one file, such as 500MB or 2GiB; 5GB by default.",
)
@click.option(
    "--rank", type=int, help="Write this process's share of the shards only; initcfg finalize publishes them."
)
@click.option("--world-size", type=int, help="How many processes write to the folder.")
@click.option(
    "--ray",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="",
    help="Have the shards of a folder written by Ray: the cluster at ADDRESS, or one started here.",
)
@threads_option
@click.option("--write-tied", is_flag=True, help="Write tied parameters too, as copies.")
@click.option(
    "--no-spec", is_flag=True, help="Do not put the spec into the file, or into the index of a folder."
)
@click.option(
    "--force", is_flag=True, help="Replace a file that initcfg did not write, or the shards of another set."
)
@with_spec_options
@with_output
def materialize(
    *, file: str, path: str, force: bool, no_spec: bool, options: SpecOptions, output: Output, **settings: Any
) -> int:
    """Make the weights that a spec describes and write them to a file, or to a folder of shards.

    FILE is a spec or a plan; "-" reads standard input. The same spec gives the same weights, whatever the
    machine, the number of threads and of processes. Files appear whole or not at all. A file that initcfg
    wrote is replaced; any other, such as trained weights, only with --force.

    WEIGHTS is a folder if it has no suffix, ends in "/", is a folder already, or is a URL. It gets
    model-00001-of-000NN.safetensors and, last of all, model.safetensors.index.json; a run that was killed
    goes on when it is given again. With --rank and --world-size, or in a process that srun, torchrun or a
    Kubernetes indexed job has started, a process writes its share, and "initcfg finalize WEIGHTS" the index
    at the end. With --ray the workers of Ray write one shard each at a time, with one thread unless --threads
    says more; give it after FILE, or as --ray=ADDRESS.
    """
    from initcfg.generate.files import carried_spec
    from initcfg.stores import is_folder

    if not path:
        raise click.BadParameter("it is empty; name a file or a folder", param_hint="-o")
    planned = plan_from(file, options, tell=output.note)
    if not no_spec and carried_spec(planned) is None and planned.spec_text is not None:
        output.note("the spec takes more than 64 KiB and is left out of the weights: keep it to verify them")
    settings["carry_spec"] = not no_spec
    if is_folder(path):
        return _to_folder(planned, path, output, force=force, **settings)
    return _to_file(planned, path, output, force=force, **settings)


def _to_file(
    plan: Plan,
    path: str,
    output: Output,
    *,
    force: bool,
    threads: int | None,
    write_tied: bool,
    carry_spec: bool,
    **unused: Any,
) -> int:
    from initcfg.api import save
    from initcfg.cli.output import check_replaceable, progress_bar
    from initcfg.stores import local_path

    for option in _OF_A_FOLDER:
        if unused[option] is not None:
            name = option.replace("_", "-")
            raise click.UsageError(f"--{name} is for a folder of shards, and {path!r} is one file")
    path = local_path(path)
    check_replaceable(path, force=force)
    started = time.perf_counter()
    before = _stamp(path)
    try:
        with progress_bar(output, printable(path)) as progress:
            written = save(
                plan, path, threads=threads, progress=progress, write_tied=write_tied, carry_spec=carry_spec
            )
    except KeyboardInterrupt:
        is_as_it_was = _stamp(path) == before
        raise KeyboardInterrupt("nothing was written" if is_as_it_was else f"{path} is whole") from None
    seconds = time.perf_counter() - started

    contents = Contents.of(plan)
    if output.format == "json":
        facts = {"file": path, "fingerprint": written.fingerprint, "seconds": round(seconds, 3)}
        output.data(json.dumps(facts | contents._asdict() | {"left_out": dict(written.tied)}, indent=2))
    else:
        output.note(f"{printable(path)}: {contents} in {seconds:.2f} s")
        _tell_ties(output, written.tied)
        output.note(f"fingerprint {written.fingerprint}")
    return Exit.FINE


def _stamp(path: str) -> object:
    """What differs once another file stands at a path; None where there is none."""
    with contextlib.suppress(OSError):
        found = Path(path).stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _to_folder(
    plan: Plan,
    path: str,
    output: Output,
    *,
    shard_size: str | None,
    rank: int | None,
    world_size: int | None,
    ray: str | None,
    **settings: Any,
) -> int:
    from initcfg.api import save_sharded
    from initcfg.cli.output import progress_bar
    from initcfg.sharding import DEFAULT_SHARD_SIZE, shard_bytes

    try:
        nbytes = shard_bytes(DEFAULT_SHARD_SIZE if shard_size is None else shard_size)
    except ValueError as error:
        raise click.UsageError(f"--shard-size: {error}") from None
    ranked = find_rank(rank, world_size)
    alone = lone_process() if ranked is None and world_size is None else None
    if alone is not None:
        output.note(alone)
    if ranked is not None:
        output.note(str(ranked))
        settings |= {"rank": ranked.rank.number, "world_size": ranked.rank.world_size}
    try:
        with ray_executor(output, ray) as executor, progress_bar(output, printable(path)) as progress:
            started = time.perf_counter()
            saved = save_sharded(
                plan, path, shard_size=nbytes, executor=executor, progress=progress, **settings
            )
            seconds = time.perf_counter() - started
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"whole shards stay in {path}, and the same command goes on") from None
    report_saved(output, saved, ranked, seconds)
    if output.format == "text":
        _tell_ties(output, saved.tied)
        output.note(f"fingerprint {saved.fingerprint}")
    return Exit.FINE


def _tell_ties(output: Output, tied: Mapping[str, str]) -> None:
    for name, owner in itertools.islice(tied.items(), _SHOWN_TIES):
        output.note(printable(f"{name} is tied to {owner} and left out; --write-tied writes it"))
    if len(tied) > _SHOWN_TIES:
        output.note(f"and so are {count(len(tied) - _SHOWN_TIES)} more")


@click.command(
    cls=Command, short_help="Publish what many processes have written.", example=("initcfg finalize gpt2/",)
)
@click.argument("file", metavar="FOLDER")
@with_output
def finalize(*, file: str, output: Output) -> int:
    """Check that every shard is in a folder, and write the index that makes them one model.

    FOLDER is where "initcfg materialize --rank" has written. Neither the spec nor the values are read: the
    first rank has left a note of what there has to be. The exit code is 1 while shards are missing.
    """
    from initcfg.api import finalize as publish

    published = publish(file)
    if output.format == "json":
        facts = {"index": published.path, "fingerprint": published.fingerprint}
        output.data(json.dumps(facts | {"shards": published.shards, "bytes": published.nbytes}, indent=2))
    else:
        shards = counted(published.shards, "shard")
        output.note(f"{printable(published.path)}: {shards}, {size(published.nbytes)}")
        output.note(f"fingerprint {published.fingerprint}")
    return Exit.FINE


_UNEVEN = 0.1


def report_saved(output: Output, saved: Saved, ranked: Ranked | None, seconds: float) -> None:
    """Tell what a run has written, and what is left to do."""
    if output.format == "json":
        output.data(json.dumps(_facts(saved, ranked, seconds), indent=2))
        return
    place = printable(saved.place)
    kept = sum(receipt.process is None for receipt in saved.receipts)
    made = f"{counted(len(saved.receipts), 'shard')}, {size(saved.nbytes)} in {seconds:.2f} s"
    were = "was" if kept == 1 else "were"
    output.note(f"{place}: {made}" + (f"; {kept:,} of them {were} there already" if kept else ""))
    if saved.removed_first:
        output.note(
            "the other set was removed before this one was whole; a lone run with room for both, "
            "on a local disk, removes it afterwards"
        )
    if saved.index is None:
        if ranked is not None and ranked.rank.number == 0:
            _tell_unevenness(output, saved.loads)
        output.note(f"when all ranks have ended: initcfg finalize {place}")


def _tell_unevenness(output: Output, loads: Sequence[int]) -> None:
    from initcfg.sharding import even_shard_size, imbalance, size_text

    idle = sum(load == 0 for load in loads)
    if idle:
        output.note(
            f"{idle:,} of {counted(len(loads), 'rank')} {'has' if idle == 1 else 'have'} nothing to write: "
            "there are fewer shards"
        )
    if idle or imbalance(loads) <= _UNEVEN:
        return
    better = size_text(even_shard_size(sum(loads), len(loads)))
    output.note(
        f"the fullest rank writes {imbalance(loads):.0%} more than the average; ranks that all have "
        f"--shard-size {better} differ by less than 10%, unless a tensor is larger than that"
    )


def _facts(saved: Saved, ranked: Ranked | None, seconds: float) -> dict[str, Any]:
    return {
        "folder": saved.place,
        "index": saved.index,
        "fingerprint": saved.fingerprint,
        "seconds": round(seconds, 3),
        "bytes": saved.nbytes,
        "rank": None if ranked is None else ranked.rank.number,
        "world_size": 1 if ranked is None else ranked.rank.world_size,
        "loads": list(saved.loads),
        "shards": [
            {"file": each.name, "bytes": each.nbytes, "made": each.process is not None}
            for each in saved.receipts
        ],
        "left_out": dict(saved.tied),
        "removed_first": saved.removed_first,
    }


@contextlib.contextmanager
def ray_executor(output: Output, address: str | None) -> Iterator[Executor | None]:
    """Ray while the block runs, started here for an empty address; None where nobody has asked for it."""
    if address is None:
        yield None
        return
    try:
        from initcfg.adapters.ray import RayExecutor

        executor = RayExecutor(address or None)
    except (ImportError, ConnectionError, BrokenExecutor) as error:
        raise click.UsageError(printable(f"--ray: {error}")) from None
    with executor:
        cpus = counted(executor.cpus, "CPU")
        output.note(f"Ray is ready with {cpus}, after {executor.startup_seconds:.1f} s")
        yield executor


# Which of many processes this one is: by its options, or by what a launcher says in its environment.

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
