"""Live models to specs: strictly valid, of the same law for every parameter, and as a person writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

import initcfg
from initcfg.adapters.torch import capture, manifest
from initcfg.errors import SpecError
from initcfg.spec import loads
from tests.interop.capture_sweep import transformers_row

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {"vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
MODELS = {
    "GPT2LMHeadModel": {"vocab_size": 97, "n_positions": 32, "n_embd": 48, "n_layer": 3, "n_head": 4},
    "LlamaForCausalLM": {**SMALL, "num_key_value_heads": 2, "intermediate_size": 80},
    "BertForMaskedLM": {**SMALL, "intermediate_size": 80, "max_position_embeddings": 40},
}


def small(name: str) -> Callable[[], torch.nn.Module]:
    kind = getattr(transformers, name)
    return lambda: kind(kind.config_class(**MODELS[name]))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_transformers_becomes_a_spec(name: str) -> None:
    build = small(name)
    captured = capture(build)
    assert not captured.unsaid
    assert loads(captured.text) == captured.spec
    assert initcfg.find_warnings(captured.spec) == ()
    plan = initcfg.make_plan(captured.spec, manifest=manifest(build()))
    tied = [each for each in plan if each.tied_to]
    assert len(tied) + len(manifest(build()).entries) >= len(list(plan))
    assert len(captured.text.splitlines()) < 90


def test_gpt2_says_what_its_numbers_come_from() -> None:
    text = capture(small("GPT2LMHeadModel")).text
    assert "repeat: {i: n_layer}" in text
    assert "attn.c_attn.weight: {shape: [n_embd, 3 * n_embd]}" in text
    assert "{random_normal: {stddev: initializer_range / sqrt(2 * n_layer)}}" in text


def test_numbers_of_nested_configs_and_of_lists_have_names() -> None:
    layers = {"num_hidden_layers": 2, "intermediate_size": 96, "num_attention_heads": 4}
    config = transformers.CLIPConfig(
        text_config={**layers, "vocab_size": 97, "hidden_size": 32, "max_position_embeddings": 20},
        vision_config={**layers, "hidden_size": 64, "image_size": 32, "patch_size": 8},
        projection_dim=48,
    )
    text = capture(lambda: transformers.CLIPModel(config)).text
    assert "weight: {shape: [projection_dim, vision_hidden_size]}" in text
    assert 'shape: ["(vision_image_size // vision_patch_size)**2 + 1", vision_hidden_size]' in text
    assert "stddev: text_initializer_factor / sqrt(2 * text_hidden_size * text_num_hidden_layers)" in text
    sizes = {"embedding_size": 16, "hidden_sizes": [32, 48], "depths": [2, 3]}
    text = capture(lambda: transformers.ResNetModel(transformers.ResNetConfig(**sizes))).text
    assert "hidden_sizes: [32, 48]" in text
    assert "repeat: {s: 2, i: depths(s)}" in text
    assert "layer.0.normalization.weight: {shape: [hidden_sizes(s) // 4]}" in text


def test_a_module_without_a_config() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    captured = capture(lambda: torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Linear(32, 4)))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert "{kaiming_uniform: {a: sqrt(5)}}" in captured.text
    assert "fans_of: weight" in captured.text
    assert initcfg.find_warnings(captured.spec) == ()


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="not int"):
        capture(lambda: 7)


@pytest.mark.parametrize("kind", [torch.nn.ReLU, lambda: torch.nn.Sequential(torch.nn.Identity())])
def test_what_holds_nothing_that_is_saved_is_refused(kind: Callable[[], torch.nn.Module]) -> None:
    with pytest.raises(SpecError, match="has no parameter, and no buffer that is saved"):
        capture(kind)


class HalfWritten(torch.nn.Module):
    built = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).built += 1
        self.scale = torch.nn.Parameter(torch.empty(3))
        self.bias = torch.nn.Parameter(torch.zeros(3))


def test_what_an_audit_finds_is_there_when_it_is_asked_for() -> None:
    captured = capture(HalfWritten)
    before = HalfWritten.built
    (found,) = captured.audit.diagnostics
    assert "'scale' is never written" in found.message
    assert captured.audit is captured.audit
    assert HalfWritten.built == before + 1
    assert not capture(lambda: torch.nn.Linear(4, 4)).audit


def test_what_is_skipped_has_its_own_reason() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.empty(3))
            self.base = torch.nn.Parameter(torch.linalg.qr(torch.randn(3, 3))[0])

    text = capture(Odd).text
    assert (
        "linalg_qr() of random values, test_capture_specs.py:"
        in text.partition("{match: base, skip: true}")[0]
    )
    assert text.endswith('# Left out: it is never written, or in part\n  - {match: "**", skip: true}\n')


def copied(model: torch.nn.Module) -> None:
    model.layer.weight.data.copy_(model.kept)


def shared(model: torch.nn.Module) -> None:
    model.layer.weight.data = model.kept


def measured(model: torch.nn.Module) -> None:
    model.layer.weight = torch.nn.Parameter(model.kept.norm(dim=1, keepdim=True))


def drawn_by_numpy(model: torch.nn.Module) -> None:
    torch.nn.init.normal_(model.layer.weight, std=float(np.random.rand()))


def normed(model: torch.nn.Module) -> None:
    drawn_by_numpy(model)
    torch.nn.utils.parametrizations.weight_norm(model.layer)


def copied_of_it(model: torch.nn.Module) -> None:
    drawn_by_numpy(model)
    model.copy = torch.nn.Parameter(model.layer.weight.detach().clone())


NOT_OF_THE_SPEC: dict[str, tuple[Callable[[Any], None], set[str]]] = {
    "a copy of an unsaved buffer": (copied, set()),
    "an unsaved buffer itself": (shared, set()),
    "the norm of an unsaved buffer": (measured, {"layer.weight"}),
    "the norm of what has no law": (normed, {f"layer.parametrizations.weight.original{at}" for at in (0, 1)}),
    "a copy of what has no law": (copied_of_it, {"layer.weight", "copy"}),
}


@pytest.mark.parametrize("way", NOT_OF_THE_SPEC)
def test_a_parameter_may_follow_what_the_spec_leaves_out(way: str) -> None:
    write, unsaid = NOT_OF_THE_SPEC[way]

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.randn(8, 4), persistent=False)
            self.layer = torch.nn.Linear(4, 8)
            write(self)

    captured = capture(Model)
    assert set(captured.unsaid) == unsaid
    left = Model().state_dict().keys() - unsaid
    assert {each.name for each in initcfg.make_plan(captured.spec)} == left


# Of many kinds, each of which is soon recorded. `capture_sweep` runs all classes, and compares values too.
SAMPLE = """
    ASTForAudioClassification AriaTextForCausalLM BertModel BigBirdPegasusForCausalLM
    Blip2QFormerModel CLIPForImageClassification CanineForMultipleChoice Cohere2ForCausalLM
    CohereForCausalLM DebertaV2ForMaskedLM DeepseekVLForConditionalGeneration DistilBertForMaskedLM
    EmbeddingGemma2TextModel Ernie4_5_MoeForCausalLM Exaone4ForCausalLM FalconH1ForCausalLM
    FlexOlmoForCausalLM FuyuForCausalLM GPT2Model GPTNeoXForCausalLM
    Gemma4UnifiedForConditionalGeneration Glm4MoeLiteForCausalLM Glm5NextForConditionalGeneration
    GlmImageTextModel GotOcr2ForConditionalGeneration GraniteForCausalLM GraniteSpeech5ForCTC
    HYV3ForCausalLM HiggsAudioV2ForConditionalGeneration Idefics3ForConditionalGeneration
    Inkling2LoopForCausalLM InternVLForConditionalGeneration KimiLinearForCausalLM
    LEDForConditionalGeneration LayoutLMv3ForQuestionAnswering Lfm3VlVisionModel
    LlamaForQuestionAnswering LongformerForMaskedLM MLCDVisionModel MarkupLMForQuestionAnswering
    MgpstrForSceneTextRecognition MiniCPMOcrVisionModel MiniMaxM3VLForCausalLM
    MistralLarge4TextModel MuseGlimmerForConditionalGeneration MusicFlamingoForConditionalGeneration
    Nemotron3_5AsrForRNNT NystromformerForMaskedLM Ovis2ForConditionalGeneration
    PaliGemmaForConditionalGeneration PegasusXForConditionalGeneration PhimoeForCausalLM
    PocketTTSForConditionalGeneration QianfanOCRForConditionalGeneration Qwen2VLTextModel
    Qwen3ASRForConditionalGeneration Qwen3VLMoeForConditionalGeneration Qwen3_5MoeTextModel
    ResNetModel WhisperModel
"""


@pytest.mark.parametrize("name", SAMPLE.split())
def test_a_sample_of_classes_has_exact_laws_that_a_strict_spec_gives_again(name: str) -> None:
    row = transformers_row(name, most=0)
    assert "error" not in row, row
    assert row["small"]["unsaid"] == {}
    assert row["small"]["warnings"] == []
    assert row["small"]["other"] == []
