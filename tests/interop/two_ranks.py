"""One rank of two or four of FSDP2 over gloo: initialised, gathered, trained. Run by test_torch.py."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import initcfg
from initcfg.adapters.torch import initialize_, manifest
from initcfg.errors import SpecError

RULES: list[dict[str, Any]] = [
    {"match": "**.bias", "initializer": "zeros"},
    {"match": "square.weight", "initializer": "orthogonal"},
    {"match": "**", "initializer": {"random_normal": {"stddev": 0.5}}},
]


class Model(torch.nn.Module):
    """Sizes that two ranks do not divide, a tie, a single row, a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = torch.nn.Embedding(7, 5)
        self.up = torch.nn.Linear(5, 9)
        self.square = torch.nn.Linear(9, 9, bias=False)
        self.down = torch.nn.Linear(9, 5)
        self.single = torch.nn.Linear(5, 1)
        self.head = torch.nn.Linear(5, 7, bias=False)
        self.head.weight = self.wte.weight
        self.register_buffer("scale", torch.ones(()), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.down(self.square(self.up(self.wte(tokens)))) + self.single(self.wte(tokens))
        return self.head(hidden) * self.scale


def plan_of(module: torch.nn.Module) -> initcfg.Plan:
    names = manifest(module)
    rules = [rule for rule in RULES if rule["match"] != "square.weight" or "square.weight" in names.entries]
    return initcfg.make_plan({"initcfg": 1, "layout": "out_in", "rules": rules}, manifest=names)


def gathered(module: torch.nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    return {name: value.full_tensor().detach().numpy() for name, value in module.named_parameters()}


def check(module: torch.nn.Module, plan: initcfg.Plan) -> None:
    expected = initcfg.materialize(plan, engine="numpy")
    found = gathered(module)
    assert set(found) == set(expected)
    for name, values in found.items():
        if plan[name].distribution is None:
            np.testing.assert_allclose(values, expected[name], atol=1e-5, rtol=0)
        else:
            np.testing.assert_array_equal(values, expected[name], err_msg=name)


def train_a_step(module: torch.nn.Module, plan: initcfg.Plan) -> None:
    """The same step as one process takes with the same values."""
    alone = Model()
    initialize_(alone, plan)
    tokens = torch.arange(6).reshape(2, 3) % 7
    for each in (module, alone):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        torch.nn.functional.cross_entropy(each(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.step()
    single = dict(alone.named_parameters())
    for name, values in gathered(module).items():
        np.testing.assert_allclose(values, single[name].detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
        assert not np.array_equal(values, initcfg.materialize(plan[name])), name


def direct() -> None:
    module = Model()
    fully_shard(module)
    plan = plan_of(module)
    report = initialize_(module, plan)
    assert report.nbytes < sum(parameter.nbytes for parameter in plan)
    assert report.tied == {"head.weight": "wte.weight"}
    check(module, plan)
    train_a_step(module, plan)


def on_meta() -> None:
    with torch.device("meta"):
        module = Model()
    fully_shard(module)
    plan = plan_of(module)
    report = initialize_(module, plan, device="cpu")
    assert report.empty == ("scale",)
    assert module.head.weight is module.wte.weight
    module.scale = torch.ones(())
    check(module, plan)
    train_a_step(module, plan)


def after_to_empty() -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Linear(5, 9), torch.nn.Linear(9, 3))
    for layer in module:
        fully_shard(layer)
    fully_shard(module)
    module.to_empty(device="cpu")
    plan = plan_of(module)
    initialize_(module, plan)
    check(module, plan)
    module(torch.ones(2, 5)).sum().backward()


def tensor_parallel_within_fsdp() -> None:
    """A mesh of two axes; tests/interop/test_torch.py has larger ones, without processes."""
    mesh = dist.init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
    module = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Linear(8, 6))
    parallelize_module(module, mesh["tp"], {"0": ColwiseParallel(), "1": RowwiseParallel()})
    fully_shard(module, mesh=mesh["dp"])
    plan = plan_of(module)
    initialize_(module, plan)
    check(module, plan)


def gathered_by_a_forward_pass() -> None:
    """Values put into what is gathered would go with it: refused, and the shards keep what they have."""
    module = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3))
    fully_shard(module[1], reshard_after_forward=False)
    fully_shard(module)
    plan = plan_of(module)
    before = gathered(module)
    module(torch.ones(2, 7))
    for read in (manifest, lambda each: initialize_(each, plan)):
        try:
            read(module)
        except SpecError as error:
            told = [each.hint for each in error.diagnostics]
            ways = ["call module.reshard() first", "call module.get_submodule('1').reshard() first"]
            assert told == ways, told
        else:
            raise AssertionError("what is gathered was taken for what is kept")
    module.reshard()
    module[1].reshard()
    for name, values in gathered(module).items():
        np.testing.assert_array_equal(values, before[name])
    initialize_(module, plan)
    check(module, plan)
    module(torch.ones(2, 7))
    module.reshard()
    module[1].reshard()
    check(module, plan)


def sizes_that_a_mesh_of_two_axes_does_not_divide() -> None:
    """FSDP2 within tensor parallelism on the same axis: shards that interleave."""
    mesh = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    module = torch.nn.Sequential(*(torch.nn.Linear(6, size) for size in (8, 7, 9, 5, 3, 1, 2)))
    styles = {str(at): ColwiseParallel() for at in range(len(module))}
    parallelize_module(module, mesh["tp"], styles)
    module.down = torch.nn.Linear(9, 4)
    parallelize_module(module, mesh["tp"], {"down": RowwiseParallel()})
    fully_shard(module, mesh=mesh["dp"])
    assert any(type(each).__name__ == "_StridedShard" for each in module[0].weight.placements)
    plan = plan_of(module)
    initialize_(module, plan)
    check(module, plan)


TWO = (direct, on_meta, after_to_empty, tensor_parallel_within_fsdp, gathered_by_a_forward_pass)
FOUR = (sizes_that_a_mesh_of_two_axes_does_not_divide,)


def main(rank: str, world: str, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(world))
    try:
        for case in {2: TWO, 4: FOUR}[int(world)]:
            case()
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Threads of gloo may outlive its group, and abort a process that ends in the ordinary way, as torch knows
    # (https://github.com/pytorch/pytorch/pull/179291).
    sys.stdout.flush()
    os._exit(0)
