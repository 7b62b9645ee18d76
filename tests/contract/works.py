"""What the scripts beside this one kill and let fail: each work writes one of two plans' weights to a folder.

A work is a function of the folder and a seed, `OLD` or `NEW`; it may return something that JSON can hold.
Some have a fault planted: a test shows with them that it would be seen.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

import initcfg
from initcfg.cli import main
from initcfg.formats.atomic import reporting
from initcfg.formats.index import INDEX_NAME
from initcfg.generate.pool import Workers
from initcfg.sharding import shard_set
from initcfg.sharding.writing import write_shard
from initcfg.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initcfg import Plan

OLD, NEW = 1, 2


def spec(seed: int) -> dict[str, object]:
    """A little over a MiB, in some parameters."""
    normal = {"random_normal": {"stddev": 0.02}}
    shapes = {"a.w": [256, 512], "b.w": [256, 256], "c.w": [256, 256], "c.b": [256], "d.b": [7]}
    params = {name: {"shape": shape, "initializer": normal} for name, shape in shapes.items()}
    return {"initcfg": 1, "seed": seed, "params": params}


@functools.cache
def plan(seed: int) -> Plan:
    return initcfg.make_plan(spec(seed))


def safetensors(folder: Path, seed: int) -> None:
    initcfg.save(plan(seed), folder / "w.safetensors", threads=2, engine="numpy")


def npz(folder: Path, seed: int) -> None:
    initcfg.save(plan(seed), folder / "w.npz", threads=2, engine="numpy")


def command(folder: Path, seed: int) -> dict[str, object]:
    """The same through the command line: how it ended and what it said. The spec stands beside the folder."""
    source = folder.with_suffix(f".{seed}.json")
    source.write_text(json.dumps(spec(seed)))
    result = CliRunner().invoke(main, ["materialize", str(source), "-o", str(folder / "w.safetensors")])
    return {"exit": result.exit_code, "said": result.stderr}


@functools.cache
def plan_of_eight(seed: int) -> Plan:
    """One shard for each of eight layers."""
    layer = {"repeat": {"i": 8}, "params": {"w": {"shape": [128, 256], "initializer": "he_normal"}}}
    return initcfg.make_plan({"initcfg": 1, "seed": seed, "layout": "in_out", "layers": {"h.{i}": layer}})


def shards(folder: Path, seed: int) -> None:
    """Eight shards and their index, in the place of another set."""
    _save_sharded(folder, seed, force=True)


def two_shards(folder: Path, seed: int) -> None:
    """Fewer calls of the system."""
    _save_sharded(folder, seed, shard_size=1 << 19, force=True)


def resumed(folder: Path, seed: int) -> None:
    """Eight shards; the old state is what one of two ranks leaves of the same set."""
    if seed == NEW:
        _save_sharded(folder, NEW)
        return
    for path in folder.iterdir():
        path.unlink()
    _save_sharded(folder, NEW, rank=0, world_size=2)


def _save_sharded(folder: Path, seed: int, **how: Any) -> None:
    settings: dict[str, Any] = {"shard_size": 1 << 17, "threads": 2, "engine": "numpy"} | how
    initcfg.save_sharded(plan_of_eight(seed), folder, **settings)


def early_index(folder: Path, seed: int) -> None:
    """A planted fault: the index is there before the last shard."""
    made, store = shard_set(plan_of_eight(seed), 1 << 17), open_store(folder)
    store.write_text(INDEX_NAME, made.index)
    with Workers(2) as workers:
        for shard in made.shards:
            write_shard(store, shard, workers, "numpy")


def in_place(folder: Path, seed: int) -> None:
    """A planted fault: the file is torn until it is complete."""
    write_all(folder / "w.safetensors", seed)


def without_sweep(folder: Path, seed: int) -> None:
    """A planted fault: what a killed run leaves stays there."""
    temporary = folder / f".initcfg-{os.getpid()}.tmp"
    write_all(temporary, seed)
    temporary.replace(folder / "w.safetensors")


def write_all(path: Path, seed: int) -> None:
    left = bytes([seed]) * 1_000_000
    with reporting(path, len(left)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


WORKS: dict[str, Callable[[Path, int], object]] = {
    work.__name__: work
    for work in (safetensors, npz, command, shards, two_shards, resumed, early_index, in_place, without_sweep)
}


def snapshot(folder: Path) -> dict[str, str]:
    """The paths in a folder, each with a digest of its file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "no file"
        for path in sorted(folder.rglob("*"))
    }
