"""Drafts for models of the real transformers: short, without warnings, and of exactly their parameters."""

from __future__ import annotations

import re

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from initcfg import make_plan, materialize
from initcfg.adapters.torch import initialize_, manifest
from initcfg.checks import check_plan
from initcfg.draft import new_spec
from initcfg.plan import plan_of
from initcfg.spec import loads

MODELS = (
    "GPT2LMHeadModel",
    "LlamaForCausalLM",
    "BertForMaskedLM",
    "ViTForImageClassification",
    "T5ForConditionalGeneration",
)


@pytest.mark.parametrize("name", MODELS)
def test_the_draft_for_a_default_config_covers_the_model_in_under_80_lines(name: str) -> None:
    cls: type[PreTrainedModel] = getattr(transformers, name)
    with torch.device("meta"):
        model = cls(cls.config_class())
    text = new_spec(manifest(model), name)
    assert len(text.splitlines()) < 80
    spec = loads(text)
    plan = plan_of(spec)
    assert {each.name: (each.shape, each.dtype.name) for each in plan} == {
        key: (tuple(value.shape), "float32") for key, value in model.named_parameters()
    }
    assert check_plan(plan, spec.allow, spec) == ()


def test_a_batch_norm_net_that_begins_from_its_draft_is_sane_in_eval() -> None:
    """Drafted running variances of 0 gave outputs with a standard deviation of 325."""
    torch.manual_seed(0)
    layers = [
        layer
        for width in (8, 16, 16)
        for layer in (torch.nn.LazyConv2d(width, 3, padding=1), torch.nn.BatchNorm2d(width), torch.nn.ReLU())
    ]
    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.LazyLinear(10))
    images = torch.randn(16, 3, 8, 8)
    net(images)
    net = net.eval()
    spec = loads(new_spec(manifest(net)))
    initialize_(net, make_plan(spec, manifest=manifest(net)))
    assert torch.equal(net[1].running_var, torch.ones(8))
    assert 0.001 < net(images).std() < 10


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 64}),
        ("Gemma2ForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 64, "head_dim": 8}),
        ("CLIPModel", {}),
        ("SwinModel", {"embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "image_size": 32}),
        ("BeitModel", {"hidden_size": 24, "num_hidden_layers": 2, "use_relative_position_bias": True}),
    ],
)
def test_what_a_name_tells_is_what_the_library_does(name: str, config: dict[str, object]) -> None:
    cls: type[PreTrainedModel] = getattr(transformers, name)
    model = cls(cls.config_class(**config))
    plan = plan_of(loads(new_spec(manifest(model))))
    known = re.compile(r"(^|\.)(D|A_log|logit_scale|.*norm\.weight|relative_position_bias_table|rel_pos_\w)$")
    weights = {key: value for key, value in model.state_dict().items() if known.search(key)}
    assert weights
    for key, value in weights.items():
        torch.testing.assert_close(torch.from_numpy(materialize(plan[key])), value, msg=key)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize(
    ("name", "config", "wrong"),
    [
        ("Dinov2Model", SMALL, 0),
        # cls_token: 0 here, 0.02 in ViT, and the draft says 0.02 of both.
        ("BeitModel", SMALL | {"intermediate_size": 64}, 1),
        ("ConvNextModel", {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}, 0),
        ("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 64}, 0),
        # Its names are those of Llama: two norms a layer and the last. The draft's comment says so.
        ("GemmaModel", SMALL | {"vocab_size": 64, "head_dim": 8, "intermediate_size": 64}, 5),
    ],
)
def test_so_many_constants_of_the_library_are_drafted_otherwise(
    name: str, config: dict[str, object], wrong: int
) -> None:
    cls: type[PreTrainedModel] = getattr(transformers, name)
    model = cls(cls.config_class(**config))
    plan = plan_of(loads(new_spec(manifest(model))))
    constants = {
        key: each for key, each in model.named_parameters() if bool((each == each.flatten()[0]).all())
    }
    assert len(constants) > 4
    drafted = {key: torch.from_numpy(materialize(plan[key])) for key in constants}
    assert sum(not torch.allclose(drafted[key], each) for key, each in constants.items()) == wrong
