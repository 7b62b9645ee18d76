"""Sharded sets that huggingface_hub and transformers write are read: names, shapes, every value, no fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import save_torch_state_dict
from transformers import LlamaConfig, LlamaForCausalLM

from initcfg.cli import main
from initcfg.formats.index import INDEX_NAME, index_text, read_index
from initcfg.formats.manifests import read_manifest
from initcfg.formats.reading import open_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4
    )
    return LlamaForCausalLM(config).to(torch.bfloat16)


def by_transformers(folder: Path) -> None:
    model().save_pretrained(folder, max_shard_size="80KB")


def by_hub(folder: Path) -> None:
    save_torch_state_dict(model().state_dict(), folder, max_shard_size="80KB", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=[by_transformers, by_hub])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that another library has written, with more than one shard."""
    write: Callable[[Path], None] = request.param
    path = tmp_path_factory.mktemp("foreign")
    write(path)
    assert len(list(path.glob("model-*-of-*.safetensors"))) > 2
    return path


def test_every_value_is_read_from_its_shard(folder: Path) -> None:
    state = model().state_dict()
    with open_weights(folder) as weights:
        assert weights.header.tensors.keys() == state.keys()
        for name, tensor in weights.header.tensors.items():
            read = weights.read(tensor, 0, tensor.numel).view("uint16").reshape(tensor.shape)
            assert (read == state[name].view(torch.uint16).numpy()).all(), name


def test_the_manifest_is_that_of_the_model(folder: Path) -> None:
    shapes = {name: tuple(entry.shape) for name, entry in read_manifest(folder).entries.items()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in model().state_dict().items()}


def test_inspect_finds_what_torch_finds(folder: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(folder), "--format", "json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    state = model().state_dict()
    assert len(document["tensors"]) == len(state)
    for tensor in document["tensors"]:
        values = state[tensor["name"]].double()
        assert tensor["values"]["mean"] == pytest.approx(float(values.mean()), abs=1e-12)
        assert tensor["values"]["std"] == pytest.approx(float(values.std(correction=0)), abs=1e-12)
        assert tensor["values"]["zeros"] == int((values == 0).sum())


def test_our_text_of_their_index_is_theirs(folder: Path) -> None:
    theirs = (folder / INDEX_NAME).read_text(encoding="utf-8")
    ours = index_text(read_index(folder / INDEX_NAME))
    assert json.loads(ours) == json.loads(theirs)
    if theirs.endswith("\n"):  # transformers sorts the keys, huggingface_hub leaves them in the model's order
        assert ours == theirs
