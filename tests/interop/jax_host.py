"""One of two JAX processes with four devices each; `test_jax_adapter.py` runs it: PORT RANK."""

from __future__ import annotations

import json
import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import initcfg
from initcfg.adapters.jax import placing, to_jax


def main(port: str, rank: int) -> None:
    """Prints the shapes that this process has made, once all its shards are right."""
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    made: list[tuple[int, ...]] = []
    fill = placing.fill_targets  # type: ignore[attr-defined]

    def watched(targets, **settings):
        made.extend(target.out.shape for target in targets)
        fill(targets, **settings)

    placing.fill_targets = watched  # type: ignore[attr-defined]
    spec = {"shape": [64, 16], "initializer": "random_normal"}
    plan = initcfg.make_plan({"initcfg": 1, "params": {"all": spec, "rows": spec, "last": spec}})
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("host", "device"))
    last = Mesh(np.array([each for each in jax.devices() if each.process_index == 1]), ("device",))
    arrays = to_jax(
        plan,
        {
            "all": NamedSharding(mesh, PartitionSpec()),
            "rows": NamedSharding(mesh, PartitionSpec("host", "device")),
            "last": NamedSharding(last, PartitionSpec("device")),
        },
    )
    for name, whole in initcfg.materialize(plan).items():
        for shard in arrays[name].addressable_shards:
            assert np.asarray(shard.data).tobytes() == whole[shard.index].tobytes()
    print(json.dumps(made))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
