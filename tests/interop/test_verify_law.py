"""Weights that torch, JAX, Keras and transformers have drawn follow the laws that specs give them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import initcfg
from initcfg.adapters.torch import manifest
from initcfg.adapters.torch import verify as verify_module

if TYPE_CHECKING:
    from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SHAPE = (200, 96)


def torch_draws(seed: int) -> dict[str, tuple[Any, Any]]:
    torch.manual_seed(seed)
    init = torch.nn.init

    def of(draw: Any, **arguments: float) -> Any:
        return draw(torch.empty(SHAPE), **arguments).numpy()

    return {
        "xavier_normal": ("xavier_normal", of(init.xavier_normal_)),
        "xavier_uniform": ("xavier_uniform", of(init.xavier_uniform_)),
        "kaiming_uniform": ({"kaiming_uniform": {"a": 5**0.5}}, of(init.kaiming_uniform_, a=5**0.5)),
        "trunc_normal": ({"trunc_normal": {"std": 0.02}}, of(init.trunc_normal_, std=0.02)),
        "cut": (
            {"trunc_normal": {"std": 1.0, "a": -1.0, "b": 1.0}},
            of(init.trunc_normal_, std=1.0, a=-1.0, b=1.0),
        ),
        "orthogonal": ("orthogonal", of(init.orthogonal_)),
        "sparse": ({"sparse": {"sparsity": 0.2}}, of(init.sparse_, sparsity=0.2)),
        "eye": ("eye", of(init.eye_)),
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_draws_follow_the_laws_of_their_names(dtype: str, tmp_path: Path) -> None:
    for seed in range(5):
        drawn = torch_draws(seed)
        params = {name: {"shape": list(SHAPE), "initializer": law} for name, (law, _) in drawn.items()}
        save_file(
            {name: w.astype(DTYPES[dtype]) for name, (_, w) in drawn.items()}, tmp_path / "w.safetensors"
        )
        spec = {"initcfg": 1, "layout": "out_in", "params": params}
        initcfg.verify(tmp_path / "w.safetensors", spec, law=True).require_equal()


@pytest.mark.parametrize("dtype", DTYPES)
def test_jax_and_keras_draws_follow_the_laws_of_their_names(dtype: str, tmp_path: Path) -> None:
    jax, keras = pytest.importorskip("jax"), pytest.importorskip("keras")
    names = ("glorot_uniform", "glorot_normal", "he_normal", "lecun_normal", "orthogonal")
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        keys = jax.random.split(jax.random.key(seed), len(names))
        drawn = {f"keras.{name}": (name, np.asarray(keras.initializers.get(name)(SHAPE))) for name in names}
        for key, name in zip(keys, names, strict=True):
            draw = getattr(jax.nn.initializers, name)()
            drawn[f"jax.{name}"] = (name, np.asarray(draw(key, SHAPE)))
        params = {name: {"shape": list(SHAPE), "initializer": law} for name, (law, _) in drawn.items()}
        save_file(
            {name: w.astype(DTYPES[dtype]) for name, (_, w) in drawn.items()}, tmp_path / "w.safetensors"
        )
        spec = {"initcfg": 1, "layout": "in_out", "params": params}
        initcfg.verify(tmp_path / "w.safetensors", spec, law=True).require_equal()


def test_a_live_module_is_held_against_laws_and_copied_layers_are_found() -> None:
    torch.manual_seed(1)
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64)
    module = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    rules = [
        {"match": "**.in_proj_weight", "initializer": "xavier_uniform"},
        {"match": "**.{in_proj_bias,out_proj.bias}", "initializer": "zeros"},
        {"match": "**.{norm1,norm2}.weight", "initializer": "ones"},
        {"match": "**.{norm1,norm2}.bias", "initializer": "zeros"},
        {"match": "**.weight", "initializer": {"kaiming_uniform": {"a": 5**0.5}}},
        {
            "match": "**.bias",
            "fans_of": "weight",
            "initializer": {"random_uniform": {"minval": "-1 / sqrt(fan_in)", "maxval": "1 / sqrt(fan_in)"}},
        },
    ]
    spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
    plan = initcfg.make_plan(spec, manifest=manifest(module))
    found = verify_module(module, plan, law=True)
    assert {str(each.code) for each in found.diagnostics} == {"equal-copies"}
    one = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    verify_module(one, initcfg.make_plan(spec, manifest=manifest(one)), law=True).require_equal()


def test_a_model_of_transformers_follows_the_spec_of_the_gallery(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=500, n_positions=64, n_embd=64, n_layer=3, n_head=4)
    torch.manual_seed(3)
    model = transformers.GPT2LMHeadModel(config).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    settings = {"vars.d": 64, "vars.n_layer": 3, "vars.n_ctx": 64, "vars.vocab": 500}
    plan = initcfg.make_plan("configs/gpt2.yaml", settings=settings)
    found = initcfg.verify(tmp_path / "model.safetensors", plan, law=True)
    ratios = {row.name: row.found[1] / row.meant[1] for row in found.law.rows if row.problem and row.meant}
    # transformers #47458: the depth scaling is undone by a later write, in some releases.
    assert all(name.endswith("c_proj.weight") and 2.2 < ratio < 2.7 for name, ratio in ratios.items())
