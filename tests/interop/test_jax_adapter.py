"""The real JAX and Flax: sharded arrays, trees, initializers."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import pickle
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import PartitionSpec, SingleDeviceSharding

import initcfg
from initcfg.adapters import jax as adapter
from initcfg.adapters.jax import as_jax_initializer, initialize, manifest, nest, seed_of, to_jax
from initcfg.adapters.jax.shardings import regions_to_make
from initcfg.errors import Code, InitcfgError, InitializerError, SpecError, UnknownParameterError
from initcfg.initializers import Concatenate, GlorotUniform, HeNormal, Initializer, Orthogonal, RandomNormal
from initcfg.layout import Layout

HERE = Path(__file__).parent
MODULES = ["placing", "functions", "lsuv", "probing"]
RULES = [
    {"match": "**.bias", "initializer": "zeros"},
    {"match": "**.scale", "initializer": "ones"},
    {"match": "**", "initializer": "he_normal"},
]


def spec_of(**params: Any) -> dict[str, Any]:
    return {"initcfg": 1, "layout": "in_out", "params": params}


def plan_of(**params: Any) -> initcfg.Plan:
    return initcfg.make_plan(spec_of(**params))


def by_rules(tree: Any, seed: int = 0) -> initcfg.Plan:
    spec = {"initcfg": 1, "seed": seed, "layout": "in_out", "rules": RULES}
    return initcfg.make_plan(spec, manifest=manifest(tree))


def codes(error: InitcfgError) -> list[Code]:
    return [each.code for each in error.diagnostics]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"initcfg.adapters.jax.{name}"))
    assert results.attempted > 0
    assert results.failed == 0


def test_arrays_on_eight_devices() -> None:
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", HERE / "eight_jax_devices.py"],
        env={**os.environ, **devices},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_each_of_two_hosts_makes_only_what_its_own_devices_hold() -> None:
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    hosts = [
        subprocess.Popen(
            [sys.executable, HERE / "jax_host.py", port, str(rank)],
            env={**os.environ, **devices},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    first, second = (json.loads(host.communicate(timeout=100)[0]) for host in hosts)
    assert first == [[64, 16], [32, 16]]
    assert second == [*first, [64, 16]]


# A plan as arrays.


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"],
)
def test_element_types_are_kept(dtype: str) -> None:
    plan = plan_of(w={"shape": [33, 7], "initializer": "he_normal", "dtype": dtype})
    made, expected = np.asarray(to_jax(plan)["w"]), initcfg.materialize(plan)["w"]
    assert made.dtype == expected.dtype
    assert made.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_what_jax_would_narrow_is_refused_with_the_way_out(dtype: str) -> None:
    plan = plan_of(w={"shape": [3], "initializer": "zeros", "dtype": dtype})
    with pytest.raises(InitializerError, match=f"'w' is {dtype}, which JAX would make") as raised:
        to_jax(plan)
    assert codes(raised.value) == [Code.UNKNOWN_DTYPE]
    assert "jax_enable_x64" in str(raised.value)
    with jax.enable_x64(True):
        assert to_jax(plan)["w"].dtype == dtype


def test_without_shardings_arrays_are_on_the_default_device_and_free_to_move() -> None:
    array = to_jax(plan_of(w={"shape": [4, 4], "initializer": "ones"}))["w"]
    assert array.devices() == {jax.devices()[0]}
    assert not array.committed


def test_a_large_array_is_the_memory_that_it_was_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    placing = importlib.import_module("initcfg.adapters.jax.placing")
    fill, made = placing.fill_targets, []

    def watched(targets: Any, **settings: Any) -> None:
        fill(targets, **settings)
        made.extend(target.out for target in targets)

    monkeypatch.setattr(placing, "fill_targets", watched)
    array = to_jax(plan_of(w={"shape": [512, 512], "initializer": "he_normal"}))["w"]
    assert array.unsafe_buffer_pointer() == made[0].ctypes.data


def test_large_plans_go_to_the_devices_in_groups_and_progress_covers_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placing = importlib.import_module("initcfg.adapters.jax.placing")
    monkeypatch.setattr(placing, "_GROUP_BYTES", 1000)
    shapes = {"a": 100, "b": 100, "c": 600, "d": 10}
    plan = plan_of(
        **{name: {"shape": [size], "initializer": "random_normal"} for name, size in shapes.items()}
    )
    told: list[tuple[int, int]] = []
    arrays = to_jax(plan, progress=lambda done, total: told.append((done, total)))
    assert all(np.array_equal(arrays[name], each) for name, each in initcfg.materialize(plan).items())
    assert told == sorted(told)
    assert told[-1] == (3240, 3240)
    assert {total for _, total in told} == {3240}


@given(st.data(), st.lists(st.integers(0, 2000), max_size=3))
def test_what_is_made_is_what_devices_hold_or_the_block_around_it(
    data: st.DataObject, shape: list[int]
) -> None:
    plan = plan_of(w={"shape": shape, "initializer": "random_normal"})
    pairs = [st.tuples(*[st.integers(0, length)] * 2).map(sorted).map(tuple) for length in shape]
    held = data.draw(st.lists(st.tuples(*pairs), max_size=4))
    made = regions_to_make(plan["w"], held)
    if made != tuple(dict.fromkeys(held)):
        axes = zip(*held, strict=True)
        assert made == (tuple((min(s for s, _ in axis), max(s for _, s in axis)) for axis in axes),)


def test_shardings_are_chosen_by_the_first_glob_that_matches() -> None:
    device = jax.devices()[0]
    kinds = [memory.kind for memory in device.addressable_memories()]
    assert len(kinds) > 1
    first, second = (SingleDeviceSharding(device, memory_kind=kind) for kind in kinds[:2])
    ones = {"shape": [4], "initializer": "ones"}
    plan = plan_of(**{f"h.{i}.{part}": ones for i in (0, 1) for part in "wb"})
    arrays = to_jax(plan, {"h": {0: {"w": first}, "*.w": second}, "**": None})
    assert arrays["h.0.w"].sharding == first
    assert arrays["h.1.w"].sharding == second
    assert not arrays["h.0.b"].committed
    by_function = to_jax(plan, lambda parameter: first if parameter.name.endswith("w") else None)
    assert [by_function[name].committed for name in ("h.1.w", "h.1.b")] == [True, False]


def test_patterns_that_win_nothing_and_parameters_without_one_are_all_told() -> None:
    plan = plan_of(**{name: {"shape": [4], "initializer": "ones"} for name in ("a.w", "a.b", "c")})
    one = SingleDeviceSharding(jax.devices()[0])
    with pytest.raises(SpecError) as raised:
        to_jax(plan, {"a.*": one, "a.w": one, "d.*": one})
    assert codes(raised.value) == [Code.UNUSED_RULE, Code.UNUSED_RULE, Code.MISSING_KEY]
    assert "'**'" in str(raised.value)


def test_patterns_for_what_is_not_selected_are_no_mistake() -> None:
    plan = plan_of(**{name: {"shape": [4], "initializer": "ones"} for name in ("a", "b")})
    assert list(to_jax(plan, {"a": None, "b": None}, select="b")) == ["b"]
    with pytest.raises(UnknownParameterError):
        to_jax(plan, select="x")


@pytest.mark.parametrize("wrong", [PartitionSpec("x"), "x", 3])
def test_what_is_no_sharding_is_refused(wrong: Any) -> None:
    plan = plan_of(w={"shape": [4], "initializer": "ones"})
    for shardings in (wrong, {"**": wrong}, lambda _: wrong):
        with pytest.raises(TypeError, match=r"jax\.sharding\.Sharding"):
            to_jax(plan, shardings)


# Trees.


class Perceptron(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel_init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
        x = nn.relu(nn.Dense(16, kernel_init=kernel_init)(x))
        return nn.Dense(4, name="out")(nn.LayerNorm()(x))


def test_a_flax_model_runs_on_nested_arrays() -> None:
    model, batch = Perceptron(), jnp.ones((2, 8))
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), batch))["params"]
    plan = by_rules(shapes)
    params = nest(to_jax(plan))
    assert jax.tree.structure(params) == jax.tree.structure(shapes)
    values = initcfg.materialize(plan)
    hidden = np.maximum(np.asarray(batch) @ values["Dense_0.kernel"], 0)
    hidden = (hidden - hidden.mean(-1, keepdims=True)) / np.sqrt(hidden.var(-1, keepdims=True) + 1e-6)
    expected = hidden @ values["out.kernel"]
    assert np.allclose(model.apply({"params": params}, batch), expected, atol=1e-4)


def test_a_tree_with_boxes_is_initialized_in_its_boxes() -> None:
    shapes = jax.eval_shape(Perceptron().init, jax.random.key(0), jnp.ones((2, 8)))["params"]
    assert "Dense_0.kernel" in manifest(shapes).entries
    plan = by_rules(shapes)
    params = initialize(shapes, plan)
    assert params["Dense_0"]["kernel"].names == (None, "model")
    assert np.array_equal(params["Dense_0"]["kernel"].value, initcfg.materialize(plan["Dense_0.kernel"]))


class Stack(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize("abstract", [False, True])
def test_an_nnx_model_is_updated_with_a_plans_values(abstract: bool) -> None:
    model = nnx.eval_shape(lambda: Stack(nnx.Rngs(0))) if abstract else Stack(nnx.Rngs(0))
    state = nnx.state(model, nnx.Param)
    names = [
        "layers.0.bias",
        "layers.0.kernel",
        "layers.1.bias",
        "layers.1.kernel",
        "norm.bias",
        "norm.scale",
    ]
    assert list(manifest(state).entries) == names
    plan = by_rules(state, seed=3)
    nnx.update(model, initialize(state, plan))
    values = initcfg.materialize(plan)
    assert np.array_equal(model.layers[1].kernel[...], values["layers.1.kernel"])
    batch = np.ones((2, 4), np.float32)
    assert np.allclose(model(batch), batch @ values["layers.0.kernel"] @ values["layers.1.kernel"], atol=1e-5)


def test_an_attribute_called_value_is_no_box_beside_others() -> None:
    @jax.tree_util.register_dataclass
    @dataclass
    class Attention:
        query: Any
        value: Any

    leaf = jax.ShapeDtypeStruct((2,), jnp.float32)
    assert list(manifest({"attn": Attention(leaf, leaf)}).entries) == ["attn.query", "attn.value"]
    assert list(manifest({"attn": Attention({"w": leaf}, leaf)}).entries) == ["attn.query.w", "attn.value"]


def test_leaves_that_are_no_parameters_are_all_told() -> None:
    with pytest.raises(SpecError) as raised:
        manifest({"w": jnp.ones(2), "key": jax.random.key(0), "rate": 0.5})
    assert codes(raised.value) == [Code.MANIFEST, Code.MANIFEST]
    assert "nnx.state(model, nnx.Param)" in str(raised.value)


def test_two_leaves_with_one_name_are_refused() -> None:
    with pytest.raises(SpecError) as raised:
        manifest({"a.b": jnp.ones(2), "a": {"b": jnp.ones(2)}})
    assert codes(raised.value) == [Code.DUPLICATE_PARAMETER]


def test_a_tree_that_does_not_match_is_refused_and_nothing_is_made() -> None:
    plan = plan_of(w={"shape": [2, 3], "initializer": "ones"}, b={"shape": [3], "initializer": "ones"})
    leaf = jax.ShapeDtypeStruct((3, 2), jnp.float32)
    with pytest.raises(SpecError) as raised:
        initialize({"w": leaf, "c": leaf}, plan)
    assert len(raised.value.diagnostics) == 3


def test_a_tree_that_is_being_traced_is_refused() -> None:
    plan = plan_of(w={"shape": [2], "initializer": "ones"})
    with pytest.raises(TypeError, match="outside jit"):
        jax.jit(lambda tree: initialize(tree, plan))({"w": jnp.zeros(2)})


def test_leaves_that_the_plan_skips_are_handed_on() -> None:
    rules = [{"match": "frozen.**", "skip": True}, {"match": "**", "initializer": "he_normal"}]
    tree = {"frozen": {"w": jnp.full((2, 2), 7.0)}, "w": jnp.zeros((2, 2))}
    spec = {"initcfg": 1, "layout": "in_out", "rules": rules}
    plan = initcfg.make_plan(spec, manifest=manifest(tree))
    made = initialize(tree, plan)
    assert made["frozen"]["w"] is tree["frozen"]["w"]
    assert np.array_equal(made["w"], initcfg.materialize(plan)["w"])


def test_leaves_that_are_tied_in_the_plan_are_refused_and_the_way_out_can_be_donated() -> None:
    normal = {"shape": [4, 3], "initializer": "random_normal"}
    leaf = jax.ShapeDtypeStruct((4, 3), jnp.float32)
    with pytest.raises(SpecError, match="stream: wte in the place of tied_to") as raised:
        initialize({"head": leaf, "wte": leaf}, plan_of(wte=normal, head={"shape": [4, 3], "tied_to": "wte"}))
    assert codes(raised.value) == [Code.TIED]
    plan = plan_of(wte=normal, head=normal | {"stream": "wte"})
    tree = initialize({"head": leaf, "wte": leaf}, plan)
    doubled = jax.jit(lambda tree: jax.tree.map(lambda x: x * 2, tree), donate_argnums=0)(tree)
    assert np.array_equal(doubled["head"], initcfg.materialize(plan["wte"]) * 2)
    assert np.array_equal(doubled["head"], doubled["wte"])


def test_shardings_that_flax_reads_out_of_its_boxes_are_those_of_to_jax() -> None:
    mesh = jax.make_mesh((1,), ("model",))
    shapes = jax.eval_shape(Perceptron().init, jax.random.key(0), jnp.ones((2, 8)))["params"]
    shardings = nn.get_sharding(shapes, mesh)
    arrays = to_jax(by_rules(shapes), shardings)
    assert jax.tree.map(lambda array: array.sharding, nest(arrays)) == shardings


def test_what_is_no_plan_is_told_how_one_is_made() -> None:
    with pytest.raises(
        TypeError, match=r"to_jax takes a plan, not str: initcfg\.make_plan\(spec\) makes one"
    ):
        to_jax("configs/mlp.yaml")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"initialize takes a plan, not str: .*manifest=manifest\(tree\)"):
        initialize({"w": jnp.ones(2)}, "x.yaml")  # type: ignore[arg-type]


def test_an_interrupted_call_leaves_the_tree_as_it_was() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    tree = {"w": jnp.zeros((4, 4))}
    plan = plan_of(w={"shape": [4, 4], "initializer": "ones"})
    with pytest.raises(KeyboardInterrupt):
        initialize(tree, plan, progress=interrupt)
    assert not tree["w"].any()


# Initializers.


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("kind", [GlorotUniform, HeNormal, Orthogonal])
def test_a_key_gives_what_its_seed_gives(kind: type[Initializer], seed: int) -> None:
    init = as_jax_initializer(kind())
    expected = kind(seed=seed)((6, 5))  # type: ignore[call-arg]
    for key in (jax.random.key(seed), jax.random.PRNGKey(seed)):
        assert np.array_equal(init(key, (6, 5)), expected)
        assert np.array_equal(jax.jit(lambda given: init(given, (6, 5)))(key), expected)


def test_a_key_of_four_words_has_a_seed_too() -> None:
    init, keys = as_jax_initializer("he_normal"), jax.random.split(jax.random.key(1, impl="rbg"), 3)
    seeds = [seed_of(key) for key in keys]
    assert len(set(seeds)) == 3
    assert all(
        np.array_equal(init(key, (4, 4)), HeNormal(seed=seed)((4, 4)))
        for key, seed in zip(keys, seeds, strict=True)
    )


def test_split_keys_give_different_values_under_vmap_and_scan_as_one_by_one() -> None:
    init, keys = as_jax_initializer("he_normal"), jax.random.split(jax.random.key(1), 3)
    each = np.stack([init(key, (4, 4)) for key in keys])
    assert len({one.tobytes() for one in each}) == 3
    assert np.array_equal(jax.vmap(lambda key: init(key, (4, 4)))(keys), each)
    assert np.array_equal(jax.jit(jax.vmap(lambda key: init(key, (4, 4))))(keys), each)
    assert np.array_equal(jax.lax.scan(lambda _, key: (None, init(key, (4, 4))), None, keys)[1], each)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_narrow_values_are_the_same_inside_jit(dtype: str) -> None:
    init, key = as_jax_initializer("random_normal"), jax.random.key(4)
    for shape in ((), (0, 3), (5, 7)):
        made = np.asarray(jax.jit(lambda given, shape=shape: init(given, shape, dtype))(key))
        expected = RandomNormal(seed=4)(shape, dtype)
        assert (made.dtype, made.shape) == (expected.dtype, shape)
        assert made.tobytes() == expected.tobytes()


def test_a_shape_is_known_without_making_anything() -> None:
    init = as_jax_initializer("random_normal")
    made = jax.eval_shape(lambda key: init(key, (10**6, 10**6), jnp.bfloat16), jax.random.key(0))
    assert (made.shape, made.dtype) == ((10**6, 10**6), jnp.bfloat16)


def test_flax_modules_take_it() -> None:
    init, key = as_jax_initializer("lecun_normal"), jax.random.key(0)
    params = jax.jit(nn.Dense(8, kernel_init=init).init)(key, jnp.ones((1, 4)))["params"]
    assert params["kernel"].shape == (4, 8)
    layer = nnx.Linear(4, 8, kernel_init=init, rngs=nnx.Rngs(0))
    assert layer(jnp.ones((1, 4))).shape == (1, 8)


def test_fans_follow_the_layout() -> None:
    key = jax.random.key(3)
    out_in = as_jax_initializer("lecun_uniform", "out_in")(key, (2, 512))
    in_out = as_jax_initializer("lecun_uniform", Layout("in_out"))(key, (2, 512))
    assert np.allclose(out_in * 16, in_out, rtol=1e-5)


def test_custom_code_draws_from_the_key() -> None:
    def noise(shape: Any, dtype: Any = None, *, rng: np.random.Generator) -> Any:
        return rng.normal(size=shape).astype(dtype)

    init = as_jax_initializer(noise)
    first, again, other = (init(jax.random.key(seed), (3,)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "seeded",
    [
        RandomNormal(seed=0),
        Concatenate(axis=0, sizes=[1, 1], initializers=["zeros", RandomNormal(seed=3)]),
    ],
)
def test_a_seed_beside_the_key_is_refused(seeded: Initializer) -> None:
    with pytest.raises(InitializerError, match="a seed of its own") as raised:
        as_jax_initializer(seeded)
    assert codes(raised.value) == [Code.INITIALIZER_CONFIG]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (jax.random.split(jax.random.key(0), 2), r"not shape \(2,\); jax\.vmap"),
        (jax.random.split(jax.random.PRNGKey(0), 3), r"not shape \(3, 2\); jax\.vmap"),
        (0, "a key is needed"),
        (jnp.zeros(2), "a key is needed"),
    ],
)
def test_what_is_no_single_key_is_refused(key: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_jax_initializer("zeros")(key, (2,))


def test_what_an_initializer_cannot_make_is_refused_when_traced() -> None:
    def traced(shape: Any, dtype: Any) -> Any:
        return jax.eval_shape(
            lambda key: as_jax_initializer("he_normal")(key, shape, dtype), jax.random.key(0)
        )

    for shape, dtype, code in (
        ((-1, 2), jnp.float32, Code.SHAPE),
        ((2, 2), np.float64, Code.UNKNOWN_DTYPE),
        ((2, 2), jnp.int32, Code.DISTRIBUTION),
    ):
        with pytest.raises(InitializerError) as raised:
            traced(shape, dtype)
        assert codes(raised.value) == [code]


def test_it_is_a_value() -> None:
    init, equal = as_jax_initializer("he_normal"), as_jax_initializer(HeNormal())
    assert pickle.loads(pickle.dumps(init)) == init == equal
    assert hash(nn.Dense(8, kernel_init=init)) == hash(nn.Dense(8, kernel_init=equal))
    assert repr(init).startswith("JaxInitializer(initializer=HeNormal()")


def test_without_jax_the_extra_is_named() -> None:
    code = "import sys; sys.modules['jax'] = None\nimport initcfg.adapters.jax"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: initcfg.adapters.jax needs jax: pip install 'initcfg[jax]'" in done.stderr


def test_every_public_name_is_documented() -> None:
    assert all(getattr(adapter, name).__doc__ for name in adapter.__all__)


def test_an_initializer_has_the_signature_of_the_protocol_of_jax() -> None:
    ours = inspect.signature(as_jax_initializer("ones")).parameters
    made = (jax.nn.initializers.normal(), jax.nn.initializers.orthogonal(), jax.nn.initializers.zeros)
    for theirs in map(inspect.signature, made):
        assert list(ours) == list(theirs.parameters)
        assert [each.kind for each in ours.values()] == [each.kind for each in theirs.parameters.values()]
    protocol = inspect.signature(jax.nn.initializers.Initializer.__call__).parameters
    assert ["self", *ours] == list(protocol)


@pytest.mark.parametrize(
    ("library", "name", "settings", "shape"),
    [
        ("linen", "Dense", {"features": 4}, (2, 3)),
        ("linen", "DenseGeneral", {"features": (4, 2)}, (2, 3)),
        ("linen", "Einsum", {"shape": (3, 4), "einsum_str": "bi,io->bo"}, (2, 3)),
        ("linen", "Conv", {"features": 4, "kernel_size": (3,)}, (2, 8, 3)),
        ("linen", "LayerNorm", {}, (2, 3)),
        ("linen", "BatchNorm", {"use_running_average": False}, (2, 3)),
        ("linen", "MultiHeadDotProductAttention", {"num_heads": 2, "qkv_features": 4}, (2, 5, 4)),
        ("nnx", "Linear", {"in_features": 3, "out_features": 4}, None),
        ("nnx", "LinearGeneral", {"in_features": 3, "out_features": (4, 2)}, None),
        ("nnx", "Conv", {"in_features": 3, "out_features": 4, "kernel_size": (3,)}, None),
        ("nnx", "Embed", {"num_embeddings": 5, "features": 4}, None),
        ("nnx", "LayerNorm", {"num_features": 4}, None),
        ("nnx", "MultiHeadAttention", {"num_heads": 2, "in_features": 4, "decode": False}, None),
    ],
)
def test_every_initializer_of_a_flax_layer_may_be_ours(
    library: str, name: str, settings: dict[str, Any], shape: tuple[int, ...] | None
) -> None:
    cls = getattr(nn if library == "linen" else nnx, name)
    ours = as_jax_initializer("ones")
    inits = {key: ours for key in inspect.signature(cls.__init__).parameters if key.endswith("_init")}
    assert inits
    if shape is not None:
        made = jax.tree.leaves(cls(**settings, **inits).init(jax.random.key(0), jnp.zeros(shape))["params"])
    else:
        made = jax.tree.leaves(nnx.state(cls(**settings, **inits, rngs=nnx.Rngs(0)), nnx.Param))
    assert made
    assert all((each == 1).all() for each in made)


def test_an_initializer_takes_a_sharding_as_those_of_jax_do() -> None:
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    init, key = as_jax_initializer("random_normal"), jax.random.key(3)
    spec = jax.sharding.PartitionSpec("x", None)
    expected = init(key, (4, 4))
    with jax.set_mesh(mesh):
        theirs = jax.nn.initializers.normal()(key, (4, 4), jnp.float32, out_sharding=spec)
        for given in (spec, jax.sharding.NamedSharding(mesh, spec)):
            for call in (init, jax.jit(init, static_argnums=(1, 2), static_argnames="out_sharding")):
                made = call(key, (4, 4), jnp.float32, out_sharding=given)
                assert made.sharding.is_equivalent_to(theirs.sharding, 2)
                assert np.array_equal(made, expected)
    with pytest.raises(SpecError, match="none is"):
        init(key, (4, 4), out_sharding=spec)


def test_another_dtype_is_told_in_the_words_of_jax() -> None:
    plan = plan_of(w={"shape": [2], "initializer": "zeros", "dtype": "float16"})
    with pytest.raises(SpecError, match=r"give leaves of float16 \(in Flax: param_dtype=jnp.float16\)"):
        initialize({"w": jax.ShapeDtypeStruct((2,), "float32")}, plan)
