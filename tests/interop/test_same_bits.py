"""One plan, made in every way there is: each way gives the same sha256 of every elementwise tensor."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import initcfg
from initcfg.adapters.ray import RayExecutor
from initcfg.formats.reading import open_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

FOLDER = Path(__file__).parent
# The first has more than one piece for a thread; the second has rows that no number of ranks divides.
SPEC = {
    "initcfg": 1,
    "seed": 20261125,
    "layout": "out_in",
    "params": {
        "embed.weight": {"shape": [1008, 1056], "initializer": {"random_normal": {"stddev": 0.02}}},
        "up.weight": {"shape": [7, 1600], "initializer": "he_normal"},
        "down.weight": {"shape": [1600, 7], "initializer": "random_normal", "dtype": "bfloat16"},
        "gate.weight": {"shape": [16, 24], "initializer": {"truncated_normal": {"low": -3, "high": 3}}},
        "norm.weight": {"shape": [24], "initializer": "random_uniform", "dtype": "float16"},
        "scale.weight": {"shape": [40], "initializer": {"constant": {"value": 0.1}}},
        "square.weight": {"shape": [64, 64], "initializer": "orthogonal"},
    },
}
Arrays = dict[str, "np.ndarray[Any, Any]"]


@contextmanager
def dask() -> Iterator[Executor]:
    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


def in_memory(threads: int, engine: str) -> Callable[[Path], Arrays]:
    return lambda _: initcfg.materialize(initcfg.make_plan(SPEC), threads=threads, engine=engine)


def stored(path: Path) -> Arrays:
    with open_weights(path) as weights:
        tensors = weights.header.tensors.values()
        return {each.name: weights.read(each, 0, each.numel).reshape(each.shape) for each in tensors}


def one_file(folder: Path) -> Arrays:
    return stored(initcfg.save(SPEC, folder / "w.safetensors").path)


def ranks(world_size: int) -> Callable[[Path], Arrays]:
    def made(folder: Path) -> Arrays:
        for rank in reversed(range(world_size)):
            initcfg.save_sharded(SPEC, folder, shard_size="50kB", rank=rank, world_size=world_size)
        initcfg.finalize(folder)
        return stored(folder)

    return made


def workers(start: Callable[[], Any]) -> Callable[[Path], Arrays]:
    def made(folder: Path) -> Arrays:
        with start() as executor:
            initcfg.save_sharded(SPEC, folder, shard_size="50kB", executor=executor)
        return stored(folder)

    return made


def process(script: str, *arguments: str, **environment: str) -> Callable[[Path], Arrays]:
    """What a script pickles: the bytes of each tensor."""

    def made(folder: Path) -> Arrays:
        (folder / "spec.json").write_text(json.dumps(SPEC))
        command = [sys.executable, str(FOLDER / script), "spec.json", "made.pickle", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        contents = pickle.loads((folder / "made.pickle").read_bytes())
        return {
            each.name: np.frombuffer(contents[each.name], each.dtype.numpy).reshape(each.shape)
            for each in initcfg.make_plan(SPEC)
        }

    return made


EIGHT = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
WAYS: dict[str, Callable[[Path], Arrays]] = {
    "numpy, two threads": in_memory(2, "numpy"),
    "native, one thread": in_memory(1, "native"),
    "native, two threads": in_memory(2, "native"),
    "one file": one_file,
    "one rank": ranks(1),
    "three ranks": ranks(3),
    "eight ranks": ranks(8),
    "Ray, two workers": workers(RayExecutor),
    "dask, two workers": workers(dask),
    "torch, meta device, FSDP2 on two gloo processes": process("gathered_by_fsdp2.py"),
    "JAX, eight devices, rows": process("gathered_by_jax.py", "rows", **EIGHT),
    "JAX, eight devices, a grid": process("gathered_by_jax.py", "grid", **EIGHT),
    "JAX, eight devices, replicated": process("gathered_by_jax.py", "replicated", **EIGHT),
}


def digests(arrays: Arrays) -> dict[str, str]:
    """Of the elementwise tensors."""
    return {
        name: hashlib.sha256(array.tobytes()).hexdigest()
        for name, array in arrays.items()
        if name != "square.weight"
    }


@pytest.fixture(scope="module")
def reference() -> Arrays:
    return in_memory(1, "numpy")(Path())


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_digests(way: str, reference: Arrays, tmp_path: Path) -> None:
    made = WAYS[way](tmp_path)
    assert {name: array.dtype for name, array in made.items()} == {
        name: array.dtype for name, array in reference.items()
    }
    assert digests(made) == digests(reference)
    np.testing.assert_allclose(made["square.weight"], reference["square.weight"], atol=1e-5, rtol=0)


def test_one_bit_is_noticed(reference: Arrays) -> None:
    """The planted fault."""
    altered = {name: array.copy() for name, array in reference.items()}
    altered["up.weight"].view(np.uint8)[3, 5] ^= 1
    assert {name for name, digest in digests(altered).items() if digest != digests(reference)[name]} == {
        "up.weight"
    }
