"""JAX on eight host devices; `test_jax_adapter.py` runs this file where XLA is told to have so many."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec, SingleDeviceSharding

import initcfg
from initcfg.adapters.jax import as_jax_initializer, initialize, manifest, placing, to_jax
from initcfg.errors import Code, SpecError
from initcfg.initializers import GlorotUniform

P = PartitionSpec
DEVICES = np.array(jax.devices())
LINE = jax.sharding.Mesh(DEVICES, ("x",))
GRID = jax.sharding.Mesh(DEVICES.reshape(2, 4), ("x", "y"))
CUBE = jax.sharding.Mesh(DEVICES.reshape(2, 2, 2), ("x", "y", "z"))
SHARDINGS = {
    "one axis": NamedSharding(LINE, P("x")),
    "two axes": NamedSharding(GRID, P("y", "x")),
    "two mesh axes on one": NamedSharding(GRID, P(None, ("x", "y"))),
    "replicated": NamedSharding(GRID, P()),
    "partially replicated": NamedSharding(GRID, P(None, "x")),
    "one device": SingleDeviceSharding(DEVICES[3]),
}
SPEC: dict[str, Any] = {
    "initcfg": 1,
    "seed": 11,
    "layout": "in_out",
    "params": {
        "wte.weight": {"shape": [64, 48], "initializer": "random_normal"},
        "kernel": {"shape": [3, 16, 8], "initializer": "he_normal", "dtype": "bfloat16"},
        "scale": {"shape": [8, 8], "initializer": "ones", "dtype": "float8_e4m3fn"},
        "square": {"shape": [16, 16], "initializer": "orthogonal"},
        "head.weight": {"shape": [64, 48], "tied_to": "wte.weight"},
        "steps": {"shape": [], "initializer": "zeros", "dtype": "int32"},
    },
}


def equal(array: jax.Array, expected: np.ndarray[Any, Any]) -> bool:
    """Whether array and every shard of it have the same bits and dtype."""
    parts = [(np.asarray(part.data), expected[part.index]) for part in array.addressable_shards]
    return all(
        made.dtype == wanted.dtype and made.tobytes() == wanted.tobytes()
        for made, wanted in [*parts, (np.asarray(array), expected)]
    )


@pytest.fixture(scope="module")
def plan() -> initcfg.Plan:
    return initcfg.make_plan(SPEC)


def test_there_are_eight_devices() -> None:
    assert len(DEVICES) == 8


@pytest.mark.parametrize("name", SHARDINGS)
def test_a_sharded_array_has_the_bits_of_materialize(name: str, plan: initcfg.Plan) -> None:
    sharding = SHARDINGS[name]
    arrays = to_jax(plan, {"{wte,head}.weight": sharding, "**": None})
    assert arrays["wte.weight"].sharding == sharding
    assert all(equal(arrays[each], expected) for each, expected in initcfg.materialize(plan).items())


def test_shards_in_the_wrong_place_are_found(plan: initcfg.Plan) -> None:
    whole = initcfg.materialize(plan["wte.weight"])
    sharding = SHARDINGS["one axis"]
    swapped = jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[::-1][index])
    assert equal(jax.device_put(whole, sharding), whole)
    assert not equal(swapped, whole)


def test_structured_and_narrow_parameters_are_cut_like_others(plan: initcfg.Plan) -> None:
    named = {"square": P("y", "x"), "scale": P("x"), "kernel": P(None, "y", "x")}
    shardings = {name: NamedSharding(GRID, spec) for name, spec in named.items()}
    arrays = to_jax(plan, {**shardings, "**": NamedSharding(GRID, P())})
    assert all(equal(arrays[each], expected) for each, expected in initcfg.materialize(plan).items())


@st.composite
def sharded(draw: st.DrawFn) -> tuple[tuple[int, ...], NamedSharding]:
    """A shape, and a sharding of as many axes or fewer that may not divide it."""
    mesh = draw(st.sampled_from([LINE, GRID, CUBE]))
    free = draw(st.permutations(mesh.axis_names))
    spec: list[tuple[str, ...]] = []
    for _ in range(draw(st.integers(0, 3))):
        taken = draw(st.integers(0, len(free)))
        spec.append(tuple(free[:taken]))
        free = free[taken:]
    cuts = [math.prod(mesh.shape[axis] for axis in axes) for axes in spec]
    even = draw(st.integers(0, 3)) > 0
    shape = [draw(st.integers(0, 5)) * cut if even else draw(st.integers(0, 17)) for cut in cuts]
    shape += draw(st.lists(st.integers(0, 7), max_size=2))
    return tuple(shape), NamedSharding(mesh, P(*(axes or None for axes in spec)))


@settings(max_examples=500)
@given(
    sharded(),
    st.sampled_from(["random_normal", "he_uniform", "truncated_normal", {"constant": {"value": 0.3}}]),
    st.sampled_from(["float32", "float16", "bfloat16", "float8_e5m2"]),
)
@example(((7,), SHARDINGS["one axis"]), "random_normal", "float32")
def test_every_shard_of_every_sharding_is_the_slice_of_the_whole(
    case: tuple[tuple[int, ...], NamedSharding], initializer: Any, dtype: str
) -> None:
    shape, sharding = case
    assume(len(shape) > 1 or initializer != "he_uniform")
    parameter = {"shape": list(shape), "initializer": initializer, "dtype": dtype}
    plan = initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": {"w": parameter}})
    cuts = [math.prod(sharding.mesh.shape[axis] for axis in axes or ()) for axes in sharding.spec]
    if any(length % cut for length, cut in zip(shape, cuts, strict=False)):
        event("uneven")
        with pytest.raises(SpecError) as raised:
            to_jax(plan, sharding)
        assert [each.code for each in raised.value.diagnostics] == [Code.SHAPE]
    else:
        event("even")
        assert equal(to_jax(plan, sharding)["w"], initcfg.materialize(plan)["w"])


@pytest.mark.parametrize(
    ("sharding", "expected"),
    [
        (NamedSharding(LINE, P("x")), [(256, 512)] * 8),
        (NamedSharding(GRID, P("x")), [(1024, 512)] * 2),
        (NamedSharding(GRID, P()), [(2048, 512)]),
        (SingleDeviceSharding(DEVICES[3]), [(2048, 512)]),
        # To draw columns costs as much as to draw what is between them.
        (NamedSharding(LINE, P(None, "x")), [(2048, 512)]),
        (NamedSharding(jax.sharding.Mesh(DEVICES[:1], ("x",)), P(None, "x")), [(2048, 512)]),
    ],
)
def test_a_slice_is_made_once_however_many_devices_hold_it(
    sharding: jax.sharding.Sharding, expected: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, ...]] = []
    fill = placing.fill_targets  # type: ignore[attr-defined]

    def watched(targets: Any, **settings: Any) -> None:
        made.extend(target.out.shape for target in targets)
        fill(targets, **settings)

    monkeypatch.setattr(placing, "fill_targets", watched)
    parameter = {"shape": [2048, 512], "initializer": "random_normal"}
    plan = initcfg.make_plan({"initcfg": 1, "params": {"w": parameter}})
    assert equal(to_jax(plan, sharding)["w"], initcfg.materialize(plan)["w"])
    assert made == expected


def test_tied_names_share_an_array_and_differ_only_where_their_shardings_do(plan: initcfg.Plan) -> None:
    shared = to_jax(plan, SHARDINGS["replicated"], select="*.weight")
    assert shared["wte.weight"] is shared["head.weight"]
    apart = to_jax(plan, {"wte.*": SHARDINGS["two axes"], "**": SHARDINGS["replicated"]}, select="*.weight")
    assert apart["wte.weight"].sharding != apart["head.weight"].sharding
    assert np.array_equal(apart["wte.weight"], apart["head.weight"])


def test_a_donated_array_whose_shards_share_memory_is_not_written_through(plan: initcfg.Plan) -> None:
    array = to_jax(plan, SHARDINGS["replicated"], select="wte.weight")["wte.weight"]
    expected = initcfg.materialize(plan["wte.weight"]) * 2
    doubled = jax.jit(lambda value: value * 2, donate_argnums=0)(array)
    assert equal(doubled, expected)


def test_a_tree_keeps_the_shardings_of_its_leaves() -> None:
    params = {name: each for name, each in SPEC["params"].items() if "tied_to" not in each}
    plan = initcfg.make_plan(SPEC | {"params": params})
    shapes = {
        each.name: jax.ShapeDtypeStruct(each.shape, each.dtype.numpy, sharding=SHARDINGS["replicated"])
        for each in plan
    }
    shapes["wte.weight"] = jax.ShapeDtypeStruct((64, 48), np.float32, sharding=SHARDINGS["two axes"])
    tree = initialize(shapes, plan)
    assert all(tree[name].sharding == shapes[name].sharding for name in shapes)
    again = initialize(tree, plan)
    assert all(again[name].sharding == shapes[name].sharding for name in shapes)
    assert all(equal(again[name], expected) for name, expected in initcfg.materialize(plan).items())


def grid_of(kind: AxisType) -> jax.sharding.Mesh:
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind,) * 2)


def an_nnx_model() -> nnx.Module:
    kernel = nnx.with_partitioning(nnx.initializers.lecun_normal(), ("data", "model"))
    return nnx.eval_shape(lambda: nnx.Linear(8, 16, kernel_init=kernel, rngs=nnx.Rngs(0)))


def drawn(tree: Any) -> initcfg.Plan:
    rules = [{"match": "**", "initializer": "random_normal"}]
    return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "rules": rules}, manifest=manifest(tree))


KINDS = [AxisType.Auto, AxisType.Explicit]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sharded_nnx_model_of_eval_shape_is_initialized_over_the_mesh_that_is_set(kind: AxisType) -> None:
    mesh = grid_of(kind)
    with jax.set_mesh(mesh):
        model = an_nnx_model()
        shapes = nnx.state(model, nnx.Param)
        plan = drawn(shapes)
        nnx.update(model, initialize(shapes, plan))
        assert model(jnp.ones((4, 8), out_sharding=P())).shape == (4, 16)
    kernel = model.kernel[...]
    assert kernel.sharding == NamedSharding(mesh, P("data", "model"))
    assert equal(kernel, initcfg.materialize(plan["kernel"]))
    assert equal(model.bias[...], initcfg.materialize(plan["bias"]))


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_over_an_abstract_mesh_keep_what_else_their_sharding_says(kind: AxisType) -> None:
    mesh = grid_of(kind)
    abstract = NamedSharding(mesh.abstract_mesh, P(None, ("model", "data")), memory_kind="pinned_host")
    shapes = {"w": jax.ShapeDtypeStruct((3, 16), jnp.float32, sharding=abstract)}
    plan = drawn(shapes)
    with jax.set_mesh(mesh):
        made = [initialize(shapes, plan)["w"], to_jax(plan, abstract)["w"]]
    for array in made:
        assert array.sharding == NamedSharding(mesh, abstract.spec, memory_kind="pinned_host")
        assert equal(array, initcfg.materialize(plan["w"]))


@pytest.mark.parametrize("set_mesh", [None, LINE])
@pytest.mark.parametrize("kind", KINDS)
def test_an_abstract_mesh_without_devices_is_told_of_every_leaf(
    kind: AxisType, set_mesh: jax.sharding.Mesh | None
) -> None:
    with jax.set_mesh(grid_of(kind)):
        shapes = nnx.state(an_nnx_model(), nnx.Param)
    plan = drawn(shapes)
    with jax.set_mesh(set_mesh) if set_mesh else contextlib.nullcontext(), pytest.raises(SpecError) as raised:
        initialize(shapes, plan)
    assert [each.code for each in raised.value.diagnostics] == [Code.SHAPE] * 2
    for name, each in zip(("bias", "kernel"), raised.value.diagnostics, strict=True):
        assert repr(name) in each.message
        assert ("no mesh is set" if set_mesh is None else "has the axes {'x': 8}") in each.message
        assert "jax.set_mesh(mesh)" in str(each.hint)


def test_an_initializer_gives_the_same_bits_when_jit_shards_its_result() -> None:
    init = as_jax_initializer("glorot_uniform")
    made = jax.jit(lambda key: init(key, (16, 32)), out_shardings=SHARDINGS["two axes"])(jax.random.key(5))
    assert equal(made, GlorotUniform(seed=5)((16, 32)))
