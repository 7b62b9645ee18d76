"""The real torch: modules plain, on the meta device, tied, wrapped and sharded, filled from plans."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, init_device_mesh
from torch.distributed.tensor._utils import _compute_local_shape_and_global_offset
from torch.distributed.tensor.placement_types import _StridedShard
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedConfig, PreTrainedModel

import initcfg
from initcfg.adapters.torch import initialize_, manifest, memory, verify
from initcfg.adapters.torch.shards import Place, places
from initcfg.draft import new_spec
from initcfg.errors import Code, SpecError
from initcfg.generate import memory as weights
from initcfg.generate.work import make_whole
from initcfg.initializers import FunctionInitializer, Ones, Orthogonal

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
RULES = [
    {"match": "**.bias", "initializer": "zeros"},
    {"match": "**", "initializer": {"random_normal": {"stddev": 0.5}}},
]


def plan_of(module: torch.nn.Module, *rules: dict[str, Any]) -> initcfg.Plan:
    document = {"initcfg": 1, "layout": "out_in", "rules": [*rules, RULES[1]]}
    return initcfg.make_plan(document, manifest=manifest(module))


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def assert_planned(module: torch.nn.Module, plan: initcfg.Plan) -> None:
    weights = initcfg.materialize(plan)
    held = dict(module.named_parameters())
    assert set(held) <= set(weights)
    for name, tensor in held.items():
        assert bits(tensor) == weights[name].tobytes(), name


def codes(error: SpecError) -> list[Code]:
    return [each.code for each in error.diagnostics]


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte = torch.nn.Embedding(10, 4)
        self.head = torch.nn.Linear(4, 10, bias=False)
        self.head.weight = self.wte.weight
        self.register_buffer("mask", torch.ones(3))


@pytest.fixture(scope="module")
def eight_ranks() -> Iterator[None]:
    """Rank 5 of 8, which never talks to the others."""
    dist.init_process_group("fake", store=FakeStore(), rank=5, world_size=8)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e5m2fnuz"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_module_holds_the_bits_of_materialize_in_its_own_memory(dtype: str, threads: int) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.LayerNorm(6)).to(getattr(torch, dtype))
    before = [(tensor, tensor.data_ptr(), tensor._version) for tensor in module.parameters()]
    module[1].weight.requires_grad_(False)
    plan = plan_of(module)
    report = initialize_(module, plan, threads=threads)
    assert_planned(module, plan)
    assert report.nbytes == plan.nbytes
    for (tensor, address, version), now in zip(before, module.parameters(), strict=True):
        assert now is tensor
        assert now.data_ptr() == address
        assert now._version > version
        assert now.is_leaf
        assert now.grad_fn is None
    assert not module[1].weight.requires_grad
    assert module[0].weight.requires_grad


def test_a_backward_pass_over_values_from_before_is_refused_by_autograd() -> None:
    module = torch.nn.Linear(3, 3, bias=False)
    loss = module(torch.ones(2, 3, requires_grad=True)).sum()
    initialize_(module, plan_of(module))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("limit", [1, 64, 1 << 26])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_memory_that_is_not_contiguous_is_filled_in_parts_of_any_size(
    limit: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Memory of another device takes the same way.
    monkeypatch.setattr(memory, "_STAGED_BYTES", limit)
    module = torch.nn.Module()
    module.kernel = torch.nn.Parameter(torch.zeros(3, 4, 5, 2).to(dtype).permute(2, 0, 3, 1))
    module.step = torch.nn.Parameter(torch.zeros(8, 6).to(dtype)[::2, 1::2])
    told: list[tuple[int, int]] = []
    plan = plan_of(module)
    initialize_(module, plan, progress=lambda *now: told.append(now))
    assert_planned(module, plan)
    assert told == sorted(told)
    assert told[-1] == (plan.nbytes, plan.nbytes)


def test_parameters_of_inference_mode_are_filled_and_those_of_others_stay_trainable_within_it() -> None:
    with torch.inference_mode():
        module = torch.nn.Linear(3, 2)
        module.turned = torch.nn.Parameter(torch.zeros(4, 3).T)
    plan = plan_of(module)
    initialize_(module, plan)
    assert_planned(module, plan)
    trained = torch.nn.Linear(3, 2, device="meta")
    with torch.inference_mode():
        initialize_(trained, plan_of(trained), device="cpu")
    trained(torch.ones(1, 3)).sum().backward()


def test_a_module_on_the_meta_device_is_allocated_where_asked_and_its_ties_stay() -> None:
    with torch.device("meta"):
        module = Tied()
    module.wte.weight.mark = "mine"
    module.wte.weight.requires_grad_(False)
    plan = plan_of(module)
    with pytest.raises(
        ValueError, match=r"1 parameter is on the meta device and has no memory.*device='cpu'"
    ):
        initialize_(module, plan)
    report = initialize_(module, plan, device="cpu")
    assert_planned(module, plan)
    assert module.head.weight is module.wte.weight
    assert module.wte.weight.mark == "mine"
    assert not module.wte.weight.requires_grad
    assert report.tied == {"head.weight": "wte.weight"}
    assert report.buffers == report.empty == ("mask",)
    assert module.mask.is_meta
    assert "mask" in str(report)


def test_what_the_plan_skips_is_untouched_and_reported() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2, device="meta"))
    with torch.no_grad():
        module[0].bias.fill_(7)
    version = module[0].bias._version
    plan = plan_of(module, {"match": "0.bias", "skip": True}, {"match": "1.*", "skip": True})
    report = initialize_(module, plan)
    assert (module[0].bias == 7).all()
    assert module[0].bias._version == version
    assert module[1].weight.is_meta
    assert report.skipped == ("0.bias", "1.weight", "1.bias")
    assert report.empty == ("1.weight", "1.bias")


def test_every_difference_is_told_and_nothing_is_touched() -> None:
    document = {
        "initcfg": 1,
        "dtype": "float64",
        "params": {
            "weight": {"shape": [3, 2], "initializer": "ones"},
            "bais": {"shape": [2], "initializer": "ones"},
        },
    }
    module = torch.nn.Linear(3, 2)
    before = [bits(tensor) for tensor in module.parameters()]
    with pytest.raises(SpecError) as raised:
        initialize_(module, initcfg.make_plan(document))
    assert codes(raised.value) == [
        Code.SHAPE_MISMATCH,
        Code.DTYPE_MISMATCH,
        Code.NOT_IN_MANIFEST,
        Code.NOT_IN_SPEC,
    ]
    assert "did you mean 'bias'?" in str(raised.value)
    assert [bits(tensor) for tensor in module.parameters()] == before


def tied_document(head: dict[str, Any]) -> dict[str, Any]:
    wte = {"shape": [10, 4], "initializer": "ones"}
    return {"initcfg": 1, "params": {"wte.weight": wte, "head.weight": head}}


def test_what_is_one_parameter_here_and_two_there_is_refused() -> None:
    two = initcfg.make_plan(tied_document({"shape": [10, 4], "initializer": "zeros"}))
    with pytest.raises(SpecError, match=r"write tied_to: wte\.weight at 'head\.weight'") as raised:
        initialize_(Tied(), two)
    assert codes(raised.value) == [Code.TIED]
    one = initcfg.make_plan(tied_document({"shape": [10, 4], "tied_to": "wte.weight"}))
    untied = Tied().to("meta").to_empty(device="cpu")
    assert untied.head.weight is not untied.wte.weight
    with pytest.raises(SpecError, match=r"to_empty unties.*stream: wte.weight"):
        initialize_(untied, one)
    initialize_(Tied(), one)


def test_a_plan_that_skips_one_name_of_a_parameter_and_makes_the_other_is_refused() -> None:
    document = tied_document({"shape": [10, 4]}) | {"rules": [{"match": "head.*", "skip": True}]}
    with pytest.raises(SpecError, match="the plan skips one"):
        initialize_(Tied(), initcfg.make_plan(document))


def test_parameters_that_are_one_memory_are_one() -> None:
    module = torch.nn.Module()
    module.a = torch.nn.Parameter(torch.zeros(4))
    module.b = torch.nn.Parameter(module.a.data)
    assert list(manifest(module).entries) == ["a"]
    assert initialize_(module, plan_of(module)).tied == {"b": "a"}
    assert module.b._version > 0


@pytest.mark.parametrize("contiguous", [True, False])
def test_custom_code_that_fails_leaves_every_parameter_as_it_was(planned, contiguous: bool) -> None:
    def broken(shape, dtype=None):
        raise ZeroDivisionError("mine")

    module = torch.nn.Module()
    module.first = torch.nn.Parameter(torch.zeros(2000, 1000))
    module.last = torch.nn.Parameter(torch.zeros(6, 4) if contiguous else torch.zeros(4, 6).T)
    module.meta = torch.nn.Parameter(torch.zeros(5, device="meta"))
    parameters = (planned("first", (2000, 1000)), planned("last", (6, 4), FunctionInitializer(broken)))
    plan = initcfg.Plan(None, 0, (*parameters, planned("meta", (5,))))
    with pytest.raises(ZeroDivisionError, match="mine"):
        initialize_(module, plan, device="cpu", threads=2)
    assert not module.first.any()
    assert not module.last.any()
    assert module.meta.is_meta
    assert [module.first._version, module.last._version] == [0, 0]


def test_custom_code_is_called_in_the_order_of_the_module_whatever_memory_it_has(planned) -> None:
    called = []

    def named(shape, dtype=None):
        called.append(shape[0])
        return np.zeros(shape, dtype)

    module = torch.nn.Module()
    sizes = range(2, 8)
    for size in sizes:
        data = torch.zeros(size, size) if size % 2 else torch.zeros(size, size).T
        setattr(module, f"w{size}", torch.nn.Parameter(data))
    parameters = tuple(planned(f"w{size}", (size, size), FunctionInitializer(named)) for size in sizes)
    initialize_(module, initcfg.Plan(None, 0, parameters))
    assert called == list(sizes)


def test_custom_code_fills_memory_of_any_layout(planned) -> None:
    def counted(shape, dtype=None):
        return np.arange(24, dtype=dtype).reshape(shape)

    module = torch.nn.Module()
    module.turned = torch.nn.Parameter(torch.zeros(4, 6).T)
    plan = initcfg.Plan(None, 0, (planned("turned", (6, 4), FunctionInitializer(counted)),))
    initialize_(module, plan)
    assert_planned(module, plan)


def test_wrappers_are_no_part_of_a_name(eight_ranks) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    plan = plan_of(module)
    module[1] = torch.compile(module[1], backend="eager")
    for wrapped in (
        module,
        torch.compile(module, backend="eager"),
        torch.nn.parallel.DistributedDataParallel(module),
        torch.nn.Sequential(torch.nn.parallel.DistributedDataParallel(module[0]), module[1]),
        torch.nn.Sequential(
            module[0], torch.compile(torch.nn.parallel.DistributedDataParallel(module[1]), backend="eager")
        ),
        torch.nn.Sequential(checkpoint_wrapper(torch.nn.DataParallel(module[0])), module[1]),
    ):
        assert list(manifest(wrapped).entries) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert initialize_(wrapped, plan).nbytes == plan.nbytes
    assert bits(module[1].weight) == initcfg.materialize(plan["1.weight"]).tobytes()


def test_modules_that_cannot_be_read_say_the_way_out() -> None:
    with pytest.raises(SpecError, match="'weight' is lazy"):
        manifest(torch.nn.LazyLinear(3))
    with pytest.raises(SpecError, match=r"'0\.weight' is lazy"):
        manifest(torch.nn.Sequential(torch.nn.LazyConv2d(3, 3), torch.nn.LazyBatchNorm2d()))
    module = torch.nn.Module()
    module.wide = torch.nn.Parameter(torch.zeros(1, 3).expand(4, 3))
    with pytest.raises(ValueError, match="'wide' is expanded"):
        initialize_(module, plan_of(module))
    with pytest.raises(TypeError, match=r"not PosixPath: initcfg\.make_plan"):
        initialize_(module, CONFIGS / "gpt2.yaml")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes a torch\.nn\.Module, not dict"):
        initialize_({}, plan_of(module))


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "bool", "int32"]
)
@pytest.mark.parametrize("turned", [False, True])
def test_storages_can_be_resized_afterwards(planned, dtype: str, turned: bool) -> None:
    memory = torch.zeros(3, 4).to(getattr(torch, dtype))
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(memory.T if turned else memory, requires_grad=False)
    plan = initcfg.Plan(None, 0, (planned("w", tuple(module.w.shape), Ones(), dtype=dtype),))
    initialize_(module, plan)
    # What the test sees with numpy is a copy.
    assert bits(module.w.clone()) == initcfg.materialize(plan)["w"].tobytes()
    module.w.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="'w' has a storage that was freed"):
        initialize_(module, plan)


def test_parameters_that_fsdp2_has_gathered_are_refused_with_the_way_out(eight_ranks) -> None:
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16)
    module = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.Linear(8, 8))
    fully_shard(module[0], mp_policy=policy)
    fully_shard(module, mp_policy=policy)
    plan = plan_of(module)
    module.unshard()
    module[0].unshard()
    for read in (manifest, lambda each: initialize_(each, plan)):
        with pytest.raises(SpecError) as raised:
            read(module)
        assert codes(raised.value) == [Code.MANIFEST] * 2
        told = [each.hint for each in raised.value.diagnostics]
        assert told == ["call module.reshard() first", "call module.get_submodule('0').reshard() first"]
    module.reshard()
    compiled = torch.compile(module, backend="eager")
    with pytest.raises(SpecError, match=r"get_submodule\('_orig_mod\.0'\)\.reshard\(\)"):
        manifest(compiled)
    compiled.get_submodule("_orig_mod.0").reshard()
    initialize_(compiled, plan)
    local = module[0].weight.to_local().detach().numpy()
    # A row for each rank.
    np.testing.assert_array_equal(local, initcfg.materialize(plan["0.weight"][5:6]))


def sharing(kind: str, device: str = "cpu") -> torch.nn.Module:
    """Parameters, or a buffer, that share memory without being one."""
    module = torch.nn.Module()
    flat = torch.zeros(24, device=device)
    memory = {
        "turned": (flat.view(4, 6), flat.view(4, 6).T),
        "reshaped": (flat.view(4, 6), flat),
        "shifted": (flat[:16], flat[8:]),
        "within": (flat, flat[3:5]),
    }[kind]
    module.a, module.b = map(torch.nn.Parameter, memory)
    module.c = torch.nn.Parameter(torch.zeros(2, device=device))
    return module


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("kind", ["turned", "reshaped", "shifted", "within"])
def test_parameters_that_share_memory_and_are_not_one_are_refused(kind: str, device: str) -> None:
    module = sharing(kind, device)
    message = "'a' and 'b' share memory in the module Module, and are not one parameter"
    with pytest.raises(SpecError, match=message) as raised:
        initialize_(module, plan_of(module), device="cpu")
    assert codes(raised.value) == [Code.TIED]
    assert module.a.is_meta or not module.a.any()


@pytest.mark.parametrize("kind", ["shifted", "turned"])
@pytest.mark.parametrize("skipped", ["a", "b"])
def test_a_parameter_that_is_skipped_shares_memory_with_none_that_is_made(kind: str, skipped: str) -> None:
    module = sharing(kind)
    made = {"a": "b", "b": "a"}[skipped]
    with pytest.raises(SpecError, match=f"'{made}' shares memory .* with '{skipped}', which the plan skips"):
        initialize_(module, plan_of(module, {"match": skipped, "skip": True}))
    both = plan_of(module, {"match": "{a,b}", "skip": True})
    assert initialize_(module, both).skipped == ("a", "b")


def test_a_buffer_shares_memory_with_no_parameter_that_is_made() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 3))
    module[0].register_buffer("turned", module[0].weight.detach().T)
    before = bits(module[0].weight)
    with pytest.raises(SpecError, match=r"'0\.weight' shares memory .* with the buffer '0\.turned'"):
        initialize_(module, plan_of(module))
    assert bits(module[0].weight) == before
    initialize_(module, plan_of(module, {"match": "0.weight", "skip": True}))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_elements_that_share_memory_are_refused(device: str) -> None:
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(torch.zeros(24, device=device).as_strided((4, 4), (2, 1)))
    with pytest.raises(ValueError, match=r"'w' is expanded or strided, so that elements share memory.*clone"):
        initialize_(module, plan_of(module), device="cpu")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_parts_of_one_memory_that_share_no_element_are_parameters_like_others(device: str) -> None:
    module = torch.nn.Module()
    fused = torch.zeros(6, 8, device=device)
    module.q, module.k = torch.nn.Parameter(fused[:, :3]), torch.nn.Parameter(fused[:, 3:6])
    module.register_buffer("rest", fused[:, 6:])
    plan = plan_of(module)
    assert initialize_(module, plan, device="cpu").parameters == ("q", "k")
    assert_planned(module, plan)


def test_parameters_that_are_one_memory_on_the_meta_device_stay_one() -> None:
    module = torch.nn.Module()
    module.a = torch.nn.Parameter(torch.zeros(4, device="meta"))
    module.b = torch.nn.Parameter(module.a.data, requires_grad=False)
    module.b.mark = "mine"
    assert list(manifest(module).entries) == ["a"]
    report = initialize_(module, plan_of(module), device="cpu")
    assert (report.nbytes, report.tied) == (16, {"b": "a"})
    assert module.a.data_ptr() == module.b.data_ptr()
    assert module.a.requires_grad
    assert not module.b.requires_grad
    assert module.b.mark == "mine"


class Own(torch.nn.Parameter):
    pass


def test_what_the_meta_device_would_lose_of_a_parameter_is_refused() -> None:
    module = torch.nn.Module()
    for name in ("plain", "hooked", "accumulated"):
        setattr(module, name, torch.nn.Parameter(torch.zeros(3, device="meta")))
    module.own = Own(torch.zeros(3, device="meta"))
    module.hooked.register_hook(lambda gradient: gradient)
    module.accumulated.register_post_accumulate_grad_hook(print)
    module.wide = torch.nn.Parameter(torch.zeros(1, 3).expand(4, 3))
    with pytest.raises(ValueError, match="register them after initialize_") as raised:
        initialize_(module, plan_of(module))
    told = str(raised.value).splitlines()
    assert [line.split(" ", 4)[2] for line in told[:-1]] == ["'hooked'", "'accumulated'", "'own'", "'wide'"]
    assert "is of the class Own" in told[2]
    assert told[-1].startswith("4 parameters are on the meta device and have no memory, such as 'plain'")
    here = torch.nn.Module()
    here.own = Own(torch.zeros(3))
    here.own.register_hook(lambda gradient: gradient)
    plan = plan_of(here)
    initialize_(here, plan)
    assert_planned(here, plan)
    assert type(here.own) is Own


def test_a_sparse_parameter_is_refused_only_where_it_is_to_be_made() -> None:
    module = torch.nn.Linear(2, 2)
    module.rare = torch.nn.Parameter(torch.eye(3).to_sparse())
    with pytest.warns(UserWarning, match="beta"):
        module.rows = torch.nn.Parameter(torch.eye(3).to_sparse_csr())
    with pytest.raises(ValueError, match=r"'rare' is sparse_coo: make it dense.*\n.*'rows' is sparse_csr"):
        initialize_(module, plan_of(module))
    assert initialize_(module, plan_of(module, {"match": "r*", "skip": True})).skipped == ("rare", "rows")


class Stubborn(torch.nn.Module):
    """Takes a parameter in the place of another only as long as it likes."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "last" and "last" in self._parameters:
            raise ZeroDivisionError("mine")
        super().__setattr__(name, value)


def test_what_is_allocated_is_installed_all_or_not_at_all() -> None:
    module = Stubborn()
    module.first = torch.nn.Parameter(torch.zeros(3, device="meta"))
    module.last = torch.nn.Parameter(torch.zeros(3, device="meta"))
    before = dict(module.named_parameters())
    with pytest.raises(ZeroDivisionError, match="mine"):
        initialize_(module, plan_of(module), device="cpu")
    after = dict(module.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is tensor for name, tensor in before.items())


def test_a_recurrent_layer_on_the_meta_device_runs_with_what_was_made() -> None:
    module = torch.nn.LSTM(3, 4, num_layers=2, device="meta")
    plan = plan_of(module)
    initialize_(module, plan, device="cpu")
    assert_planned(module, plan)
    module(torch.ones(2, 1, 3))[0].sum().backward()


def test_progress_that_fails_leaves_the_meta_device_as_it_was() -> None:
    def stop(done: int, total: int) -> None:
        raise ZeroDivisionError("mine")

    module = torch.nn.Linear(3, 3, device="meta")
    with pytest.raises(ZeroDivisionError, match="mine"):
        initialize_(module, plan_of(module), device="cpu", progress=stop)
    assert module.weight.is_meta
    initialize_(module, plan_of(module), device="cpu")


@pytest.mark.parametrize("step", [1, 2])
def test_a_structured_parameter_is_made_once_whatever_memory_its_parts_have(
    planned, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(parameter, fill):
        made.append(parameter.name)
        return make_whole(parameter, fill)

    monkeypatch.setattr(weights, "make_whole", counted)
    parameter = planned("w", (8, 6), Orthogonal())
    whole = torch.zeros(8, 6 * step)[:, ::step]
    # The last part is contiguous.
    boxes = [(slice(0, 3), slice(0, 6)), (slice(3, 5), slice(0, 6)), (slice(5, 8), slice(0, 1))]
    parts = [Place(parameter, box, whole[box]) for box in boxes]
    parts.append(Place(parameter, (slice(5, 8), slice(1, 6)), torch.zeros(3, 5)))
    memory.fill_places(parts, threads=2, engine="numpy", progress=None)
    assert made == ["w"]
    expected = initcfg.materialize(parameter, engine="numpy")
    for part in parts:
        np.testing.assert_array_equal(part.memory.numpy(), expected[part.box])


def test_which_elements_a_rank_holds_is_known_without_memory_for_their_indices(planned, eight_ranks) -> None:
    mesh = init_device_mesh("cpu", (2, 4))
    size = 2**44
    for placements, count in (
        ([Shard(0), Shard(0)], 1),
        ([_StridedShard(0, split_factor=4), Shard(0)], 1),
        ([_StridedShard(0, split_factor=3), Replicate()], 3),
    ):
        length = {1: size // 8, 3: 3 * (-(-size // 3) // 2)}[count]
        local = torch.empty(length - (count == 3), device="meta")
        tensor = DTensor.from_local(
            local, mesh, placements, run_check=False, shape=torch.Size([size]), stride=(1,)
        )
        assert len(list(places(planned("w", (size,)), tensor))) == count


def test_a_dtensor_whose_memory_is_not_what_its_placements_say_is_refused(eight_ranks) -> None:
    module = torch.nn.Module()
    local = torch.zeros(3, 2)
    module.w = torch.nn.Parameter(
        DTensor.from_local(
            local, init_device_mesh("cpu", (8,)), [Shard(0)], run_check=False, shape=(16, 2), stride=(2, 1)
        )
    )
    with pytest.raises(ValueError, match=r"'w' has \(3, 2\) in this process.* give it \(2, 2\)"):
        initialize_(module, plan_of(module))
    assert not local.any()


def indices(size: tuple[int, ...], mesh: Any, placements: list[Any]) -> np.ndarray[Any, Any]:
    """The flat indices that this rank holds, when torch itself shards the array of all of them.

    The adapter computes them without torch.
    """
    tensor = torch.arange(int(np.prod(size))).reshape(size)
    for at, placement in enumerate(placements):
        if not isinstance(placement, Replicate):
            tensor = placement._split_tensor(tensor, mesh.size(at), with_padding=False)[0][
                mesh.get_local_rank(at)
            ]
    return tensor.numpy()


SIZES = st.lists(st.sampled_from([0, 1, 2, 3, 5, 7, 8, 9, 16, 17, 24]), min_size=1, max_size=3)


@settings(max_examples=150)
@given(st.data(), SIZES.map(tuple), st.sampled_from([(8,), (2, 4), (4, 2), (2, 2, 2)]))
def test_each_rank_makes_the_slices_of_the_whole_that_torch_gives_it(
    planned, eight_ranks, data, size, shape
) -> None:
    mesh = init_device_mesh("cpu", shape)
    axis = st.integers(0, len(size) - 1)
    strided = st.builds(
        lambda dim, factor: _StridedShard(dim, split_factor=factor), axis, st.sampled_from([2, 3])
    )
    kinds = st.one_of(st.just(Replicate()), st.builds(Shard, axis), strided)
    placements = data.draw(st.lists(kinds, min_size=len(shape), max_size=len(shape)))
    expected = indices(size, mesh, placements)
    local = torch.full(expected.shape, -1.0, dtype=torch.float32)
    tensor = DTensor.from_local(
        local, mesh, placements, run_check=False, shape=torch.Size(size), stride=torch.empty(size).stride()
    )
    parameter = planned("w", size)
    found = list(places(parameter, tensor))
    memory.fill_places(found, threads=1, engine="numpy", progress=None)
    whole = initcfg.materialize(parameter, threads=1, engine="numpy").reshape(-1)
    np.testing.assert_array_equal(local.numpy(), whole[expected])
    if local.numel() and not any(isinstance(each, _StridedShard) for each in placements):
        coordinate = list(mesh.get_coordinate())
        at = _compute_local_shape_and_global_offset(size, mesh.shape, coordinate, placements)
        (only,) = found
        assert (tuple(only.memory.shape), tuple(part.start for part in only.box)) == at


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_of_fsdp2_gather_the_bits_of_materialize_and_train(world: int, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(HERE / "two_ranks.py")]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(world), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(world)
    ]
    try:
        told = [rank.communicate(timeout=120)[0].decode() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * world, "\n".join(told)


def normals(*rules: dict[str, Any], module: torch.nn.Module) -> initcfg.Plan:
    last = {"match": "**", "initializer": {"random_normal": {"stddev": 0.5}}}
    spec = {"initcfg": 1, "layout": "out_in", "rules": [*rules, last]}
    return initcfg.make_plan(spec, manifest=manifest(module))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_plan_of_the_whole_state_dict_makes_persistent_buffers(device: str) -> None:
    with torch.device(device):
        module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Flatten())
        module[2].register_buffer("scratch", torch.ones(2), persistent=False)
    names = manifest(module).entries
    assert list(names) == list(module.state_dict())
    assert [name for name, entry in names.items() if entry.buffer] == [
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    plan = normals(
        {"match": "**.{running_mean,num_batches_tracked}", "initializer": "zeros"},
        {"match": "**.running_var", "initializer": "ones"},
        module=module,
    )
    report = initialize_(module, plan, device="cpu")
    assert report.made_buffers == ("1.running_mean", "1.running_var", "1.num_batches_tracked")
    assert report.buffers == ("2.scratch",)
    assert module[1].running_var.tolist() == [1.0] * 4
    assert not isinstance(module[1].running_var, torch.nn.Parameter)
    assert module[1].num_batches_tracked.dtype == torch.int64
    assert list(module.state_dict()) == list(names)


def test_rules_of_today_leave_buffers_as_they_are() -> None:
    module = torch.nn.BatchNorm1d(4)
    plan = normals(module=module)
    assert [parameter.name for parameter in plan] == ["weight", "bias"]
    assert [note.severity for note in plan.notes] == ["note"]
    assert initialize_(module, plan).buffers == ("running_mean", "running_var", "num_batches_tracked")
    assert module.running_var.tolist() == [1.0] * 4


@pytest.mark.parametrize("row", [0, 2, 3])
def test_a_row_of_padding_that_a_plan_fills_is_warned_of(row: int) -> None:
    module = torch.nn.Sequential(torch.nn.Embedding(4, 3, padding_idx=row), torch.nn.Linear(3, 2))
    assert manifest(module).entries["0.weight"].zero_row == row
    with pytest.warns(RuntimeWarning, match=rf"row {row} of '0\.weight' is padding_idx") as warned:
        report = initialize_(module, normals(module=module))
    assert report.warnings == tuple(str(each.message) for each in warned)
    padded = {"base": {"random_normal": {"stddev": 0.02}}, "patches": [{"at": [row], "initializer": "zeros"}]}
    plan = normals({"match": "0.weight", "initializer": {"patch": padded}}, module=module)
    assert initialize_(module, plan).warnings == ()
    assert module[0].weight[row].tolist() == [0.0] * 3
    drafted = initcfg.make_plan(yaml.safe_load(new_spec(manifest(module))))
    assert initialize_(module, drafted).warnings == ()


@pytest.mark.parametrize(
    "wrap", [torch.nn.utils.parametrizations.spectral_norm, torch.nn.utils.spectral_norm], ids=["new", "old"]
)
def test_vectors_of_spectral_norm_that_no_longer_fit_are_warned_of(wrap: Any) -> None:
    module = torch.nn.Sequential(wrap(torch.nn.Linear(5, 5)))
    with pytest.warns(RuntimeWarning, match="spectral norm of"):
        report = initialize_(module, normals(module=module))
    assert len(report.warnings) == 1


def test_weight_norm_is_noted() -> None:
    module = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(5, 5))
    report = initialize_(module, normals(module=module))
    assert report.warnings == ()
    assert [note.partition(" of")[0] for note in report.notes] == ["weight norm takes the direction"]


def test_a_name_that_torch_computes_is_told_where_its_parts_are() -> None:
    plain = torch.nn.ModuleDict({"fc": torch.nn.Linear(5, 5)})
    plan = normals(module=plain)
    torch.nn.utils.parametrizations.weight_norm(plain["fc"])
    with pytest.raises(SpecError) as caught:
        initialize_(plain, plan)
    assert codes(caught.value) == [Code.NOT_IN_MANIFEST, Code.NOT_IN_SPEC, Code.NOT_IN_SPEC]
    hint = caught.value.diagnostics[0].hint
    kept = "fc.parametrizations.weight.original"
    assert hint.startswith(f"torch computes it from {kept}0 and {kept}1: initialise the module before")


def test_statistics_of_batches_from_before_are_warned_of() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    module(torch.randn(8, 3))
    with pytest.warns(RuntimeWarning, match=r"'1\.running_mean'.*reset_running_stats"):
        initialize_(module, normals(module=module))


def test_buffers_that_to_empty_left_unwritten_are_warned_of_and_others_are_not() -> None:
    def fresh(device: str) -> torch.nn.Module:
        with torch.device(device):
            module = torch.nn.Linear(3, 3)
            module.register_buffer("table", torch.arange(3) / 2, persistent=False)
        return module

    emptied = fresh("meta").to_empty(device="cpu")
    plan = normals(module=emptied)
    with pytest.warns(RuntimeWarning, match="'table' holds nothing yet"):
        assert initialize_(emptied, plan).empty == ("table",)
    for module in (fresh("cpu"), copy.deepcopy(fresh("cpu")), fresh("cpu").half().float()):
        assert initialize_(module, plan).warnings == ()


def test_init_weights_of_transformers_keeps_what_was_made_and_makes_the_rest() -> None:
    config = GPT2Config(vocab_size=50, n_embd=12, n_layer=1, n_head=2)
    with torch.device("meta"):
        module = GPT2LMHeadModel(config)
    plan = normals(module=module)
    initialize_(module, plan, device="cpu")
    module.init_weights()
    assert_planned(module, plan)


class WritesItself(PreTrainedModel):
    """As models of transformers were written when only modules were marked."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        self.made, self.left = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)

    def _init_weights(self, module: torch.nn.Module) -> None:
        for parameter in module.parameters(recurse=False):
            parameter.data.fill_(7)

    def is_custom_code(self) -> bool:
        return False


def test_a_model_that_writes_to_its_memory_itself_keeps_what_was_made() -> None:
    with torch.device("meta"):
        module = WritesItself(PreTrainedConfig())
    plan = normals({"match": "left.*", "skip": True}, module=module)
    initialize_(module, plan, device="cpu")
    module.left.to_empty(device="cpu")
    module.all_tied_weights_keys = {}
    module.init_weights()
    assert (module.left.weight == 7).all()
    assert verify(module, plan).is_equal


def test_a_module_whose_buffers_are_left_on_the_meta_device_is_verified() -> None:
    module = torch.nn.BatchNorm1d(3, device="meta")
    plan = normals(module=module)
    initialize_(module, plan, device="cpu")
    assert verify(module, plan).is_equal


def test_a_gpt2_on_the_meta_device_runs_without_transformers_own_initialization() -> None:
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config()).eval()
    plan = initcfg.make_plan(CONFIGS / "gpt2.yaml")
    report = initialize_(model, plan, device="cpu")
    assert_planned(model, plan)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert set(report.empty) == {name for name, buffer in model.named_buffers() if buffer.is_meta}
    for name, buffer in GPT2LMHeadModel(GPT2Config(n_embd=12)).named_buffers():
        if name in report.empty:
            holder, _, key = name.rpartition(".")
            setattr(model.get_submodule(holder), key, buffer)
    tokens = torch.arange(64).reshape(1, 64)
    with torch.no_grad():
        loss = model(tokens, labels=tokens).loss.item()
    assert loss == pytest.approx(np.log(50257), rel=0.05)


PEAK = """
import dataclasses, resource, sys, numpy as np, torch, initcfg
from initcfg.adapters.torch import initialize_, manifest
from initcfg.initializers import FunctionInitializer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def layers():
    kind = sys.argv[1]
    # Arrays of this size go back to the system only some time after they are let go.
    count = 32 if "custom" in kind else 8
    shape = (2**15 // count, 4096)
    if kind == "meta":
        return [torch.zeros(shape, device="meta") for _ in range(count)]
    made = [torch.ones(shape) for _ in range(count)]
    return [each.T for each in made] if "turned" in kind else made

def custom(shape, dtype=None):
    return np.ones(shape, dtype)

def foreign(parameter):
    return dataclasses.replace(parameter, initializer=FunctionInitializer(custom), distribution=None)

small = torch.nn.Linear(3, 3)
document = {"initcfg": 1, "layout": "out_in", "rules": [{"match": "**", "initializer": "random_normal"}]}
initialize_(small, initcfg.make_plan(document, manifest=manifest(small)))
module = torch.nn.ParameterList(map(torch.nn.Parameter, layers()))
plan = initcfg.make_plan(document, manifest=manifest(module))
if "custom" in sys.argv[1]:
    plan = initcfg.Plan(None, 0, tuple(map(foreign, plan)))
before = peak()
initialize_(module, plan, device="cpu", threads=2, engine="numpy")
print((peak() - before) / plan.nbytes)
"""


@pytest.mark.parametrize(
    ("kind", "times"),
    [("plain", 0.0), ("turned", 0.0), ("meta", 1.0), ("custom", 1.0), ("custom turned", 1.0)],
)
def test_no_second_copy_of_the_model_is_made_but_of_what_custom_code_makes(kind: str, times: float) -> None:
    run = subprocess.run([sys.executable, "-c", PEAK, kind], capture_output=True, text=True, check=True)
    # 512 MiB of weights; a part that is made at a time is an eighth of that.
    assert float(run.stdout) < times + 0.3


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (1024, 1024), (512, 2048), (3000, 40), (50257, 64)])
def test_orthogonal_is_no_less_so_than_that_of_torch(shape: tuple[int, int]) -> None:
    def errors(matrix: np.ndarray) -> tuple[float, float]:
        tall = matrix.astype(np.float64) if shape[0] >= shape[1] else matrix.T.astype(np.float64)
        error = tall.T @ tall - np.eye(tall.shape[1])
        return abs(error).max(), np.linalg.norm(error)  # type: ignore[return-value]

    torch.manual_seed(0)
    theirs = errors(torch.nn.init.orthogonal_(torch.empty(shape)).numpy())
    ours = errors(initcfg.initializers.Orthogonal(seed=0)(shape))
    assert ours[0] < theirs[0]
    assert ours[1] < theirs[1]
