"""Shards are divided as huggingface_hub divides them, and transformers loads them bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import initcfg
from initcfg.sharding import shard_bytes, shard_set

CONFIGS = Path(__file__).parents[2] / "configs"
LLAMA = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def theirs(shapes: dict[str, list[int]], size: int | str) -> list[list[str]]:
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    split = split_torch_state_dict_into_shards(state, max_shard_size=size)
    return [sorted(names) for names in split.filename_to_tensors.values()]


def ours(shapes: dict[str, list[int]], size: int | str) -> list[list[str]]:
    params = {name: {"shape": shape, "initializer": "ones"} for name, shape in shapes.items()}
    shards = shard_set(initcfg.make_plan({"initcfg": 1, "params": params}), shard_bytes(size)).shards
    return [sorted(tensor.name for tensor in shard.layout.tensors) for shard in shards]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 300))
def test_tensors_are_divided_as_the_hub_divides_them(lengths: list[int], size: int) -> None:
    shapes = {f"p{at}": [length] for at, length in enumerate(lengths)}
    assert ours(shapes, size) == theirs(shapes, size)


@pytest.mark.parametrize("size", ["1MB", "1.5MB", "400KB"])
def test_sizes_mean_what_they_mean_to_the_hub(size: str) -> None:
    shapes = {f"h.{at}": [100, 100 + at] for at in range(90)}
    if "." in size:  # the hub takes whole numbers only
        assert ours(shapes, size) == theirs(shapes, 1_500_000)
    else:
        assert ours(shapes, size) == theirs(shapes, size)


def llama_spec() -> dict[str, object]:
    """Every parameter of a small Llama, its names and shapes from the model itself."""
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**LLAMA))
    params = {
        name: {
            "shape": list(parameter.shape),
            "initializer": "ones" if "norm" in name else {"random_normal": {"stddev": 0.02}},
        }
        for name, parameter in model.named_parameters()
    }
    return {"initcfg": 1, "seed": 3, "layout": "out_in", "params": params}


def equal(model: torch.nn.Module, weights: dict) -> bool:
    state = model.state_dict()
    return weights.keys() <= state.keys() and all(
        state[name].numpy().tobytes() == array.tobytes() for name, array in weights.items()
    )


def test_a_sharded_llama_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    plan = initcfg.make_plan(llama_spec())
    for rank in range(3):
        initcfg.save_sharded(plan, tmp_path, shard_size="100kB", rank=rank, world_size=3)
    initcfg.finalize(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 3
    LlamaConfig(**LLAMA).save_pretrained(tmp_path)
    model, info = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True, dtype=torch.float32)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert equal(model, initcfg.materialize(plan))
    assert torch.isfinite(model(torch.arange(8)[None]).logits).all()


def test_a_sharded_gpt2_is_loaded_bit_for_bit_and_tied(tmp_path: Path) -> None:
    plan = initcfg.make_plan(CONFIGS / "gpt2.yaml")
    initcfg.save_sharded(plan, tmp_path, shard_size="100MB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 3
    GPT2Config().save_pretrained(tmp_path)
    model, info = GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("unexpected_keys", "mismatched_keys"))
    assert not set(info["missing_keys"]) - {"lm_head.weight"}
    assert model.lm_head.weight is model.transformer.wte.weight
    assert equal(model, initcfg.materialize(plan))


def test_one_shard_with_an_index_is_loaded(tmp_path: Path) -> None:
    plan = initcfg.make_plan(llama_spec())
    initcfg.save_sharded(plan, tmp_path)
    LlamaConfig(**LLAMA).save_pretrained(tmp_path)
    assert equal(LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32), initcfg.materialize(plan))


def test_a_folder_without_its_index_is_not_loaded(tmp_path: Path) -> None:
    plan = initcfg.make_plan(llama_spec())
    initcfg.save_sharded(plan, tmp_path, shard_size="100kB", rank=0, world_size=2)
    LlamaConfig(**LLAMA).save_pretrained(tmp_path)
    with pytest.raises(OSError, match="no file named"):
        LlamaForCausalLM.from_pretrained(tmp_path)
