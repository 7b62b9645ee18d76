"""Two ranks of FSDP2 over gloo make a plan, each its shards, and gather it. `test_same_bits.py` runs it.

``python gathered_by_fsdp2.py SPEC OUT``: OUT gets a pickled dict of the bytes of each tensor.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.fsdp import fully_shard

import initcfg
from initcfg.adapters.torch import initialize_


def module_of(plan: initcfg.Plan) -> torch.nn.Module:
    """A module on the meta device whose parameters are those of the plan, each sharded on its own."""
    whole = torch.nn.Module()
    for parameter in plan:
        name, _, key = parameter.name.partition(".")
        part = torch.nn.Module()
        dtype = getattr(torch, parameter.dtype.name)
        part.register_parameter(
            key, torch.nn.Parameter(torch.empty(parameter.shape, dtype=dtype, device="meta"))
        )
        whole.add_module(name, part)
        fully_shard(part)
    return whole


def main(rank: int, spec: str, out: str, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    plan = initcfg.make_plan(spec)
    module = module_of(plan)
    report = initialize_(module, plan, device="cpu")
    if report.nbytes >= plan.nbytes:
        raise AssertionError("a rank has made more than its shards")
    whole = {
        name: value.full_tensor().detach().contiguous().view(torch.uint8).numpy().tobytes()
        for name, value in module.named_parameters()
    }
    if rank == 0:
        Path(out).write_bytes(pickle.dumps(whole))
    dist.barrier()
    dist.destroy_process_group()
    # As in two_ranks.py: threads of gloo may outlive its group.
    os._exit(0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(main, args=(sys.argv[1], sys.argv[2], f"{folder}/store"), nprocs=2)
