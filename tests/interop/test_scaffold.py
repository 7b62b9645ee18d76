"""Drafts for models of the real transformers: short, without warnings, and of exactly their parameters."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from initcfg.adapters.torch import manifest
from initcfg.checks import check_plan
from initcfg.plan import plan_of
from initcfg.scaffold import new_spec
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
