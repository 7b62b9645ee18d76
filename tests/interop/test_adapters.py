"""The real torch and Keras: what their models hold, and the examples of the adapters."""

from __future__ import annotations

import doctest
import importlib
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import pytest
import torch

import initcfg
import initcfg.adapters.torch as torch_adapter
from initcfg.adapters.keras import manifest as keras_manifest
from initcfg.adapters.torch import manifest as torch_manifest
from initcfg.errors import Code, SpecError
from initcfg.manifest import ManifestEntry

MODULES = [
    f"torch.{path.stem}"
    for path in sorted(Path(torch_adapter.__file__).parent.glob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"initcfg.adapters.{name}"))
    assert results.attempted > 0
    assert results.failed == 0


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte = torch.nn.Embedding(10, 4)
        self.head = torch.nn.Linear(4, 10, bias=False)
        self.head.weight = self.wte.weight
        self.register_buffer("mask", torch.ones(3))


def test_a_shared_parameter_appears_once_and_buffers_are_marked() -> None:
    assert dict(torch_manifest(Tied()).entries) == {
        "mask": ManifestEntry((3,), "float32", buffer=True),
        "wte.weight": ManifestEntry((10, 4), "float32"),
    }


def test_a_torch_module_on_the_meta_device_is_planned_by_rules() -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Linear(8, 4, dtype=torch.bfloat16), torch.nn.LayerNorm(4))
    rules = [
        {"match": "**.bias", "initializer": "zeros"},
        {"match": "**.weight", "ndim": 1, "initializer": "ones"},
        {"match": "**.weight", "initializer": "he_normal"},
    ]
    spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
    weights = initcfg.materialize(initcfg.make_plan(spec, manifest=torch_manifest(module)))
    assert {name: (array.shape, str(array.dtype)) for name, array in weights.items()} == {
        name: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in module.named_parameters()
    }


def test_a_keras_model_gives_its_weights_by_dotted_names() -> None:
    layers = [keras.Input((8,)), keras.layers.Dense(4, name="fc"), keras.layers.Dropout(0.5)]
    assert dict(keras_manifest(keras.Sequential(layers)).entries) == {
        "fc.kernel": ManifestEntry((8, 4), "float32"),
        "fc.bias": ManifestEntry((4,), "float32"),
    }


def test_a_keras_model_without_weights_yet_is_refused() -> None:
    with pytest.raises(SpecError) as raised:
        keras_manifest(keras.Sequential([keras.layers.Dense(4)]))
    assert [each.code for each in raised.value.diagnostics] == [Code.MANIFEST]
