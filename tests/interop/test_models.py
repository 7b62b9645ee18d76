"""The configs of real models are those models to their real libraries: names, shapes, laws, and loading.

Laws are held against three models that the library initialises itself, at sizes that `--set` shrinks. What
three models agree on to the last bit is fixed, and is compared to the error of float32 arithmetic. Of the
rest the two-sample Kolmogorov-Smirnov test, the mean and the standard deviation are looked at; the seeds are
fixed, and for other ones a false alarm in the whole file would have a probability below 1e-3.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["KERAS_BACKEND"] = "torch"

import diffusers
import keras
import numpy as np
import pytest
import torch
import transformers
from scipy import stats

import initcfg
from initcfg.adapters import keras as keras_adapter
from initcfg.adapters.keras.weights import weights_of
from initcfg.initializers import Orthogonal

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIGS = Path(__file__).parents[2] / "configs"
# Of each of a few hundred tensors.
ALARM = 1e-6


@dataclass(frozen=True)
class Model:
    """A config, and the model that it is of.

    Args:
        file: the config, without its ending.
        name: the model's class, of transformers, or of diffusers.
        configuration: the class of its configuration; without one the options are the model's own.
        config: the configuration at full size, where it differs from the default.
        small: vars of the config, with what they are in the model's configuration: the value alone where that
            has the same name for it, else with the names there, dotted in the configuration of a part.
        others: what the small model's configuration needs besides.
        tolerance: of tables, relative to the largest value: upstream computes them in float32.
        faults: names where the config says what the paper says and the library something else.
    """

    file: str
    name: str
    configuration: str
    small: Mapping[str, int | list[int] | tuple[int | list[int], tuple[str, ...]]]
    config: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-6
    faults: tuple[str, ...] = ()

    def made(self, *, is_small: bool) -> Any:
        """The model, as its library initialises it."""
        options = _nested({**self.config, **self._renamed(), **self.others} if is_small else self.config)
        if not self.configuration:
            return getattr(diffusers, self.name)(**options)
        return getattr(transformers, self.name)(getattr(transformers, self.configuration)(**options))

    def plan(self, *, is_small: bool) -> initcfg.Plan:
        """The plan of the config."""
        settings: dict[str, Any] = {"dtype": "float32"}
        for name, value in self.small.items() if is_small else ():
            settings[f"vars.{name}"] = value[0] if isinstance(value, tuple) else value
        return initcfg.make_plan(CONFIGS / f"{self.file}.yaml", settings=settings)

    def _renamed(self) -> dict[str, Any]:
        renamed = {}
        for name, value in self.small.items():
            worth, keys = value if isinstance(value, tuple) else (value, (name,))
            renamed |= dict.fromkeys(keys, worth)
        return renamed


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a configuration, with those of its parts, which have dotted names, as dicts."""
    nested: dict[str, Any] = {}
    for name, value in options.items():
        part, _, key = name.rpartition(".")
        (nested.setdefault(part, {}) if part else nested)[key] = value
    return nested


# Sizes of transformers' causal models, which have these names in most of them.
CAUSAL = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}


MODELS = [
    Model(
        "mamba-130m",
        "MambaForCausalLM",
        "MambaConfig",
        {
            "vocab": (500, ("vocab_size",)),
            "d": (64, ("hidden_size",)),
            "n_layer": (3, ("num_hidden_layers",)),
        },
        others={"time_step_rank": 4, "intermediate_size": 128},
    ),
    Model(
        "rwkv4-169m",
        "RwkvForCausalLM",
        "RwkvConfig",
        {
            "vocab": (300, ("vocab_size",)),
            "d": (96, ("hidden_size", "attention_hidden_size")),
            "n_layer": (4, ("num_hidden_layers",)),
            "ff": (384, ("intermediate_size",)),
        },
        config={"hidden_size": 768, "num_hidden_layers": 12},
        faults=("attention.time_first",),
    ),
    Model(
        "xlstm-7b",
        "xLSTMForCausalLM",
        "xLSTMConfig",
        {
            "vocab": (300, ("vocab_size",)),
            "d": (128, ("hidden_size",)),
            "n_layer": (4, ("num_hidden_layers",)),
        },
        faults=("ogate_preact.weight", "proj_up_gate.weight"),
    ),
    Model(
        "recurrentgemma-2b",
        "RecurrentGemmaForCausalLM",
        "RecurrentGemmaConfig",
        {
            "vocab": (300, ("vocab_size",)),
            "d": (80, ("hidden_size",)),
            "width": (80, ("lru_width",)),
            "n_layer": (5, ("num_hidden_layers",)),
        },
        others={"intermediate_size": 240},
    ),
    Model(
        "whisper-tiny",
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {
            "vocab": (500, ("vocab_size",)),
            "d": (96, ("d_model",)),
            "pad": (300, ("pad_token_id",)),
            "n_encoder": (2, ("encoder_layers",)),
            "n_decoder": (2, ("decoder_layers",)),
            "ff": (256, ("encoder_ffn_dim", "decoder_ffn_dim")),
        },
        others={"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
        tolerance=2e-4,
    ),
    Model(
        "vit-mae-base",
        "ViTMAEForPreTraining",
        "ViTMAEConfig",
        {
            "d": (48, ("hidden_size",)),
            "ff": (96, ("intermediate_size",)),
            "n_layer": (2, ("num_hidden_layers",)),
            "decoder_d": (32, ("decoder_hidden_size",)),
            "decoder_ff": (64, ("decoder_intermediate_size",)),
            "n_decoder": (2, ("decoder_num_hidden_layers",)),
            "image": (32, ("image_size",)),
            "stride": (8, ("patch_size",)),
        },
        others={"num_attention_heads": 4, "decoder_num_attention_heads": 4},
        faults=("cls_token", "mask_token", "position_embeddings", "decoder_pos_embed"),
    ),
    Model(
        "swin-tiny",
        "SwinForImageClassification",
        "SwinConfig",
        {"d": (24, ("embed_dim",)), "window": (4, ("window_size",)), "labels": (5, ("num_labels",))},
        faults=("relative_position_bias_table",),
    ),
    Model(
        "wav2vec2-base",
        "Wav2Vec2ForPreTraining",
        "Wav2Vec2Config",
        {
            "d": (96, ("hidden_size",)),
            "ff": (160, ("intermediate_size",)),
            "n_layer": (2, ("num_hidden_layers",)),
            "n_conv": (3, ("num_feat_extract_layers",)),
            "conv_dim": ([24, 32, 48], ("conv_dim",)),
            "conv_kernel": ([10, 3, 2], ("conv_kernel",)),
            "position_kernel": (16, ("num_conv_pos_embeddings",)),
            "position_groups": (8, ("num_conv_pos_embedding_groups",)),
            "codes": (20, ("num_codevectors_per_group",)),
            "code_dim": (64, ("codevector_dim",)),
            "projected": (40, ("proj_codevector_dim",)),
        },
        others={"conv_stride": [5, 2, 2]},
        faults=("weight.original0", "weight.original1"),
    ),
    Model(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Config",
        {
            "vocab": (300, ("vocab_size",)),
            "d": (64, ("n_embd",)),
            "n_layer": 2,
            "n_ctx": (40, ("n_positions",)),
        },
        others={"n_head": 4},
    ),
    Model(
        "llama3-8b",
        "LlamaForCausalLM",
        "LlamaConfig",
        {
            "vocab": (300, ("vocab_size",)),
            "d": (64, ("hidden_size",)),
            "d_ff": (96, ("intermediate_size",)),
            "n_layer": (2, ("num_hidden_layers",)),
            "n_head": (4, ("num_attention_heads",)),
            "n_kv": (2, ("num_key_value_heads",)),
        },
        config={"vocab_size": 128256, "intermediate_size": 14336, "num_key_value_heads": 8},
    ),
    Model(
        "bert-base",
        "BertForPreTraining",
        "BertConfig",
        {**CAUSAL, "intermediate_size": 96, "max_position_embeddings": 40, "pad_token_id": 3},
        others={"num_attention_heads": 4},
    ),
    Model(
        "mixtral-8x7b",
        "MixtralForCausalLM",
        "MixtralConfig",
        {**CAUSAL, **HEADS, "intermediate_size": 96, "num_local_experts": 3},
    ),
    Model(
        "qwen3-30b-a3b",
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        {
            **CAUSAL,
            **HEADS,
            "head_dim": 24,
            "moe_intermediate_size": 32,
            "num_experts": (3, ("num_local_experts",)),
        },
        config={"num_hidden_layers": 48, "head_dim": 128},
    ),
    Model(
        "deepseek-v3",
        "DeepseekV3ForCausalLM",
        "DeepseekV3Config",
        {
            **CAUSAL,
            "num_hidden_layers": 3,
            "intermediate_size": 96,
            "first_k_dense_replace": 1,
            "num_attention_heads": 4,
            "q_lora_rank": 24,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 12,
            "n_routed_experts": 8,
            "n_shared_experts": 2,
            "moe_intermediate_size": 32,
        },
        config={"initializer_range": 0.006},
        others={"n_group": 2, "topk_group": 1, "num_key_value_heads": 4},
    ),
    Model(
        "t5-base",
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": 300,
            "d_model": 64,
            "d_kv": 12,
            "d_ff": 96,
            "num_layers": 2,
            "num_decoder_layers": 3,
            "num_heads": 4,
            "relative_attention_num_buckets": 64,
        },
        config={"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
    ),
    Model(
        "gemma-7b",
        "GemmaForCausalLM",
        "GemmaConfig",
        {**CAUSAL, **HEADS, "intermediate_size": 96, "head_dim": 24},
    ),
    Model(
        "gpt-neox-20b",
        "GPTNeoXForCausalLM",
        "GPTNeoXConfig",
        {**CAUSAL, "num_hidden_layers": 3, "intermediate_size": 96},
        others={"num_attention_heads": 4},
        faults=(
            "embed_in.weight",
            "_value.weight",
            "dense.weight",
            "_4h.weight",
            "to_h.weight",
            "lm_head.weight",
        ),
    ),
    Model(
        "falcon-7b",
        "FalconForCausalLM",
        "FalconConfig",
        {**CAUSAL, "num_attention_heads": 4, "ffn_hidden_size": 96},
    ),
    Model(
        "opt-125m",
        "OPTForCausalLM",
        "OPTConfig",
        {
            **CAUSAL,
            "hidden_size": (64, ("hidden_size", "word_embed_proj_dim")),
            "ffn_dim": 96,
            "max_position_embeddings": 40,
        },
        config={"init_std": 0.006},
        others={"num_attention_heads": 4},
        faults=("out_proj.weight", "fc2.weight"),
    ),
    Model(
        "vit-base",
        "ViTForImageClassification",
        "ViTConfig",
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "intermediate_size": 96,
            "image_size": 32,
            "patch_size": 8,
            "num_labels": 5,
        },
        config={"num_labels": 1000},
        others={"num_attention_heads": 4},
    ),
    Model(
        "gpt-oss-20b",
        "GptOssForCausalLM",
        "GptOssConfig",
        {**CAUSAL, **HEADS, "head_dim": 24, "num_local_experts": 3, "intermediate_size": 96},
        config={"num_hidden_layers": 24, "num_local_experts": 32},
    ),
    Model(
        "convnext-tiny",
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"patch_size": 2, "hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 2, 1], "num_labels": 5},
        config={"num_labels": 1000},
    ),
    Model(
        "resnet-50",
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 16, "hidden_sizes": [32, 48, 64, 80], "depths": [1, 2, 1, 1], "num_labels": 5},
        config={"num_labels": 1000},
    ),
    Model(
        "clip-vit-base-patch32",
        "CLIPModel",
        "CLIPConfig",
        {
            "vocab_size": (300, ("text_config.vocab_size",)),
            "max_position_embeddings": (20, ("text_config.max_position_embeddings",)),
            "text_hidden_size": (64, ("text_config.hidden_size",)),
            "text_intermediate_size": (96, ("text_config.intermediate_size",)),
            "image_size": (32, ("vision_config.image_size",)),
            "patch_size": (8, ("vision_config.patch_size",)),
            "vision_hidden_size": (80, ("vision_config.hidden_size",)),
            "vision_intermediate_size": (120, ("vision_config.intermediate_size",)),
            "num_hidden_layers": (2, ("text_config.num_hidden_layers", "vision_config.num_hidden_layers")),
            "projection_dim": 48,
        },
        others={"text_config.num_attention_heads": 4, "vision_config.num_attention_heads": 4},
        faults=("q_proj.weight", "k_proj.weight", "v_proj.weight", "out_proj.weight"),
    ),
    Model(
        "mamba2-130m",
        "Mamba2ForCausalLM",
        "Mamba2Config",
        {
            "vocab_size": 300,
            "hidden_size": 64,
            "num_hidden_layers": 3,
            "head_dim": 4,
            "state_size": 16,
            "n_groups": 2,
        },
        config={
            "vocab_size": 50288,
            "hidden_size": 768,
            "num_hidden_layers": 24,
            "num_heads": 24,
            "n_groups": 1,
            "tie_word_embeddings": True,
        },
        others={"num_heads": 32},
        faults=("mixer.A_log",),
    ),
    Model(
        "bart-large",
        "BartForConditionalGeneration",
        "BartConfig",
        {
            "vocab_size": 300,
            "max_position_embeddings": 40,
            "d_model": 64,
            "encoder_layers": 2,
            "encoder_ffn_dim": 96,
            "decoder_layers": 3,
            "decoder_ffn_dim": 80,
        },
        others={"encoder_attention_heads": 4, "decoder_attention_heads": 4},
    ),
    Model(
        "qwen3-next-80b-a3b",
        "Qwen3NextForCausalLM",
        "Qwen3NextConfig",
        {
            **CAUSAL,
            **HEADS,
            "num_hidden_layers": 6,
            "head_dim": 24,
            "linear_num_key_heads": 4,
            "linear_key_head_dim": 12,
            "linear_num_value_heads": 8,
            "linear_value_head_dim": 16,
            "num_experts": 3,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 40,
        },
        others={"num_experts_per_tok": 2},
    ),
    Model(
        "detr-resnet-50",
        "DetrForObjectDetection",
        "DetrConfig",
        {
            "embedding_size": (16, ("backbone_config.embedding_size",)),
            "hidden_sizes": ([32, 48, 64, 80], ("backbone_config.hidden_sizes",)),
            "depths": ([1, 2, 1, 1], ("backbone_config.depths",)),
            "d_model": 64,
            "num_queries": 12,
            "encoder_layers": 2,
            "encoder_ffn_dim": 96,
            "decoder_layers": 2,
            "decoder_ffn_dim": 80,
            "num_labels": 5,
        },
        config={
            "use_timm_backbone": False,
            "backbone": None,
            "backbone_config.model_type": "resnet",
            "backbone_config.out_features": ["stage4"],
            "num_labels": 91,
        },
    ),
    Model(
        "sam-vit-base",
        "SamModel",
        "SamConfig",
        {
            "hidden_size": (48, ("vision_config.hidden_size",)),
            "mlp_dim": (96, ("vision_config.mlp_dim",)),
            "num_hidden_layers": (3, ("vision_config.num_hidden_layers",)),
            "num_attention_heads": (4, ("vision_config.num_attention_heads",)),
            "image_size": (128, ("vision_config.image_size", "prompt_encoder_config.image_size")),
            "window_size": (3, ("vision_config.window_size",)),
            "output_channels": (
                64,
                (
                    "vision_config.output_channels",
                    "prompt_encoder_config.hidden_size",
                    "mask_decoder_config.hidden_size",
                    "mask_decoder_config.iou_head_hidden_dim",
                ),
            ),
            "decoder_mlp_dim": (96, ("mask_decoder_config.mlp_dim",)),
        },
        config={"vision_config.initializer_range": 0.02},
        others={"vision_config.global_attn_indexes": [2], "vision_config.num_pos_feats": 32},
        faults=("positional_embedding",),
    ),
    Model(
        "ddpm-cifar10",
        "UNet2DModel",
        "",
        {
            "block_out_channels": [32, 64, 64, 64],
            "down": ([32, 32, 64, 64], ()),
            "up": ([64, 64, 64, 64], ()),
            "beside": ([64, 64, 32, 32], ()),
            "layers_per_block": 1,
        },
        config={
            "block_out_channels": [128, 256, 256, 256],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
            "attention_head_dim": None,
        },
    ),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.file)


@each_model
def test_names_and_shapes_are_those_of_the_full_model(model: Model) -> None:
    with torch.device("meta"):
        theirs = {name: tuple(value.shape) for name, value in model.made(is_small=False).state_dict().items()}
    assert {parameter.name: parameter.shape for parameter in model.plan(is_small=False)} == theirs


@each_model
def test_laws_are_those_of_the_library(model: Model) -> None:
    torch.manual_seed(0)
    drawn = [model.made(is_small=True).state_dict() for _ in range(3)]
    plan = model.plan(is_small=True)
    weights = initcfg.materialize(plan)
    assert set(weights) == set(drawn[0])
    wrong = []
    for name, values in weights.items():
        theirs = [state[name].double().numpy() for state in drawn]
        ours = values.astype(np.float64)
        if all(np.array_equal(theirs[0], other) for other in theirs[1:]):
            fault = _fixed(ours, theirs[0], model.tolerance)
        elif isinstance(plan[name].initializer, Orthogonal):
            fault = _lengths(ours, theirs[0])
        else:
            fault = _law(ours, np.stack(theirs))
        if bool(fault) != name.endswith(model.faults or ("no name",)):
            wrong.append(f"{name}: {fault or 'as in the library'}")
    assert not wrong, "\n".join(wrong)


def _fixed(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], tolerance: float) -> str:
    # A constant has no arithmetic behind it.
    allowed = 0 if np.ptp(theirs) == 0 else tolerance * np.abs(theirs).max()
    off = np.abs(ours - theirs).max()
    return "" if off <= allowed else f"fixed values are off by {off}"


def _lengths(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> str:
    off = np.abs(np.linalg.svd(ours)[1] - np.linalg.svd(theirs)[1]).max()
    return "" if off <= 1e-5 * np.abs(theirs).sum() else f"singular values are off by {off}"


def _law(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> str:
    """What speaks against one law, of parts that are fixed in all draws and of the rest."""
    is_fixed = np.ptp(theirs, axis=0) == 0
    if not np.array_equal(ours[is_fixed], theirs[0][is_fixed]):
        return "a fixed part differs"
    if is_fixed.all():
        return ""
    mine, other = ours[~is_fixed].ravel(), theirs[:, ~is_fixed].ravel()
    chance = stats.ks_2samp(mine, other).pvalue
    if chance < ALARM:
        return f"Kolmogorov-Smirnov: {chance:.1e}"
    both = np.sqrt(1 / mine.size + 1 / other.size)
    spread = other.std()
    if abs(mine.mean() - other.mean()) > 5 * spread * both:
        return f"the mean is {mine.mean()}, not {other.mean()}"
    # The standard error of a standard deviation follows from the fourth moment.
    kurtosis = float(stats.kurtosis(other)) + 2
    if abs(mine.std() - spread) > 5 * spread * np.sqrt(kurtosis) / 2 * both:
        return f"the std is {mine.std()}, not {spread}"
    return ""


@each_model
def test_a_file_is_loaded_without_a_missing_or_an_unexpected_key(model: Model, tmp_path: Path) -> None:
    made = model.made(is_small=True)
    made.save_pretrained(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.unlink()
    initcfg.save(model.plan(is_small=True), file)
    loaded, info = type(made).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert set(loaded.state_dict()) == set(made.state_dict())


# The application of Keras that each of these configs is of.
APPLICATIONS = {
    "densenet121": "DenseNet121",
    "mobilenet-v2": "MobileNetV2",
    "resnet50-v2": "ResNet50V2",
    "vgg16": "VGG16",
}


def application(file: str) -> Any:
    return getattr(keras.applications, APPLICATIONS[file])(weights=None)


@pytest.mark.parametrize("file", APPLICATIONS)
def test_an_application_of_keras_holds_the_laws_of_its_config(file: str) -> None:
    with keras.device("meta"):
        held = initcfg.make_plan(keras_adapter.capture(application(file)).spec)
    plan = initcfg.make_plan(CONFIGS / f"{file}.yaml")
    assert {each.name: (each.shape, each.dtype, each.distribution) for each in plan} == {
        each.name: (each.shape, each.dtype, each.distribution) for each in held
    }


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_an_application_of_keras_draws_the_laws_of_its_config_and_takes_its_weights() -> None:
    keras.utils.set_random_seed(0)
    models = [application("mobilenet-v2") for _ in range(3)]
    drawn = [{name: np.asarray(each) for name, each in weights_of(model).items()} for model in models]
    plan = initcfg.make_plan(CONFIGS / "mobilenet-v2.yaml")
    weights = initcfg.materialize(plan)
    found = {name: _law(weights[name], np.stack([each[name] for each in drawn])) for name in weights}
    assert not any(found.values()), found
    keras_adapter.initialize(models[0], plan)
    taken = {name: np.asarray(each) for name, each in weights_of(models[0]).items()}
    assert set(taken) == set(weights)
    assert all(np.array_equal(taken[name], weights[name]) for name in weights)


def test_the_positions_of_the_masked_autoencoder_are_those_of_the_papers_code() -> None:
    plan = next(model for model in MODELS if model.file == "vit-mae-base").plan(is_small=True)
    for name, width in (("vit.embeddings.position_embeddings", 48), ("decoder.decoder_pos_embed", 32)):
        # util/pos_embed.py of facebookresearch/mae, in which the columns come first.
        columns, rows = np.meshgrid(np.arange(4.0), np.arange(4.0))
        omega = 10000 ** -(np.arange(width // 4) / (width / 4))
        angles = [np.outer(grid.reshape(-1), omega) for grid in (columns, rows)]
        table = np.concatenate([part for each in angles for part in (np.sin(each), np.cos(each))], axis=1)
        expected = np.concatenate([np.zeros((1, width)), table])[None]
        np.testing.assert_allclose(initcfg.materialize(plan[name]), expected, atol=1e-7)


def test_a_wrong_law_is_found() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=(3, 100, 100))
    assert not _law(rng.normal(size=(100, 100)), theirs)
    assert "std" in _law(rng.normal(size=(100, 100)) * 1.06, theirs)
    assert "Kolmogorov" in _law(rng.uniform(-np.sqrt(3), np.sqrt(3), size=(100, 100)), theirs)
    assert "fixed" in _fixed(np.arange(4.0), np.arange(4.0) + 1e-3, 1e-6)
