"""Eight devices of JAX make a plan's values, each its slices. `test_same_bits.py` runs it.

``python gathered_by_jax.py SPEC OUT SHARDING``: OUT gets a pickled dict of the bytes of each tensor.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import initcfg
from initcfg.adapters.jax import to_jax

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.plan import PlannedParameter

DEVICES = np.array(jax.devices())
LINE, GRID = Mesh(DEVICES, ("x",)), Mesh(DEVICES.reshape(2, 4), ("x", "y"))


def rows(parameter: PlannedParameter) -> NamedSharding:
    """The first axis that eight divides, over all devices."""
    axis = next(axis for axis, length in enumerate(parameter.shape) if length % 8 == 0)
    return NamedSharding(LINE, PartitionSpec(*[None] * axis, "x"))


def grid(parameter: PlannedParameter) -> NamedSharding:
    """Two axes of devices over as many of the array's as they divide."""
    wanted = zip(parameter.shape, ("x", "y"), strict=False)
    axes = [name if length % GRID.shape[name] == 0 else None for length, name in wanted]
    return NamedSharding(GRID, PartitionSpec(*axes))


def replicated(_: PlannedParameter) -> NamedSharding:
    return NamedSharding(GRID, PartitionSpec())


SHARDINGS: dict[str, Callable[[PlannedParameter], NamedSharding]] = {
    "rows": rows,
    "grid": grid,
    "replicated": replicated,
}


def main(spec: str, out: str, sharding: str) -> None:
    if len(DEVICES) != 8:
        raise AssertionError(f"{len(DEVICES)} devices, and not eight")
    arrays = to_jax(initcfg.make_plan(spec), SHARDINGS[sharding])
    whole = {name: np.asarray(array).tobytes() for name, array in arrays.items()}
    Path(out).write_bytes(pickle.dumps(whole))


if __name__ == "__main__":
    main(*sys.argv[1:])
