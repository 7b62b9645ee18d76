"""A GPT-2 written from configs/gpt2.yaml is a GPT-2 to the real transformers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import initcfg

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `from_pretrained` takes: the config and the file that initcfg wrote."""
    folder = tmp_path_factory.mktemp("gpt2")
    initcfg.save(initcfg.make_plan(CONFIGS / "gpt2.yaml"), folder / "model.safetensors")
    GPT2Config().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(written: Path) -> tuple[GPT2LMHeadModel, dict[str, object]]:
    model, info = GPT2LMHeadModel.from_pretrained(written, output_loading_info=True)
    return model.eval(), info


@pytest.fixture(scope="module")
def own() -> GPT2LMHeadModel:
    """A model that transformers initialised itself."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config())


def test_loads_with_no_missing_and_no_unexpected_key(loaded) -> None:
    _, info = loaded
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert not info["error_msgs"]


def test_loaded_values_are_the_planned_ones(loaded) -> None:
    model, _ = loaded
    weights = initcfg.materialize(initcfg.make_plan(CONFIGS / "gpt2.yaml"))
    state = model.state_dict()
    assert set(state) == set(weights)
    for name, values in weights.items():
        assert torch.equal(state[name], torch.from_numpy(values)), name


def test_the_head_stays_tied_to_the_embedding(loaded) -> None:
    model, _ = loaded
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()


def test_loss_on_random_tokens_is_what_theory_gives(loaded) -> None:
    # Logits are a unit-variance vector of 768 against rows of std 0.02, so they are normal with variance
    # 768 * 0.02**2 and the expected cross entropy is ln(vocab) plus half of that.
    model, _ = loaded
    losses = []
    for seed in range(3):
        tokens = torch.randint(0, 50257, (1, 1024), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            losses.append(model(tokens, labels=tokens).loss.item())
    theory = math.log(50257) + 768 * 0.02**2 / 2
    assert sum(losses) / 3 == pytest.approx(theory, abs=0.1)


def test_every_standard_deviation_agrees_with_transformers_own(loaded, own) -> None:
    # The sampling error of a standard deviation is std / sqrt(2 n) for each of the two models; five sigma.
    model, _ = loaded
    theirs = dict(own.named_parameters())
    for name, ours in model.named_parameters():
        expected = theirs[name].std(correction=0).item()
        allowed = 5 * expected * math.sqrt(2 / (2 * ours.numel()))
        assert ours.std(correction=0).item() == pytest.approx(expected, abs=allowed), name
        assert ours.mean().item() == pytest.approx(
            theirs[name].mean().item(), abs=5 * expected * math.sqrt(2 / ours.numel())
        ), name


def test_the_llama_plan_has_the_names_and_shapes_of_transformers() -> None:
    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    with torch.device("meta"):
        theirs = {name: tuple(value.shape) for name, value in LlamaForCausalLM(config).state_dict().items()}
    plan = initcfg.make_plan(CONFIGS / "llama3-8b.yaml")
    assert {parameter.name: parameter.shape for parameter in plan} == theirs
