"""Every model class of transformers' auto mappings, with a small config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers
from transformers.models.auto import configuration_auto, modeling_auto

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEPTHS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"),
    *("num_encoder_layers", "num_decoder_layers", "encoder_num_layers", "decoder_num_layers", "depth"),
    *("mask_feature_size_layers", "num_encoder_blocks_per_layer", "num_hidden_layers_encoder"),
)
_WIDTHS = (
    *("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "intermediate_size", "ffn_dim", "n_inner"),
    *("d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "num_attention_heads", "n_head", "n_heads", "num_heads"),
    *("encoder_attention_heads", "decoder_attention_heads", "num_key_value_heads", "moe_intermediate_size"),
    *("projection_dim", "hidden_dim", "embedding_size", "d_kv", "kv_lora_rank", "q_lora_rank"),
)
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def classes() -> dict[str, str]:
    """The model types by the names of the model classes."""
    mappings = [
        each
        for name, each in vars(modeling_auto).items()
        if name.startswith("MODEL_") and name.endswith("_MAPPING_NAMES")
    ]
    found: dict[str, str] = {}
    for kind, names in (pair for mapping in mappings for pair in mapping.items()):
        for name in [names] if isinstance(names, str) else names:
            found.setdefault(name, kind)
    return dict(sorted(found.items()))


def config_of(kind: str) -> Any:
    """The default config of a model type."""
    return getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[kind])()


def configs(kind: str) -> Iterator[Any]:
    """Configs of a model type, the smallest first; which of them a model bears has to be tried."""
    for factor in (16, 8, 1):
        try:
            config = config_of(kind)
            _shrink(config, factor)
        except Exception:
            continue  # its default needs a package or a sub-config; the next may not
        yield config
    yield config_of(kind)


def _shrink(config: Any, factor: int) -> None:
    """Two layers, a small vocabulary and few experts; the widths divided by `factor`."""
    settings = vars(config)
    for key in [*_DEPTHS, *_WIDTHS, *_EXPERTS, "vocab_size"]:
        value = settings.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            setattr(config, key, _smaller(key, value, settings, factor))
    layers = settings.get("num_hidden_layers", 2)
    for key in ("layer_types", "mlp_layer_types", "layers_block_type", "block_types"):
        if isinstance(settings.get(key), list) and isinstance(layers, int):
            setattr(config, key, settings[key][-layers:])
    for key in ("pad_token_id", "padding_idx"):
        value = settings.get(key)
        if isinstance(value, int) and value >= settings.get("vocab_size", value + 1):
            setattr(config, key, 0)
    for value in list(settings.values()):
        if isinstance(value, transformers.PretrainedConfig):
            _shrink(value, factor)


def _smaller(key: str, value: int, settings: Mapping[str, Any], factor: int) -> int:
    if key in _DEPTHS:
        return min(value, 2)
    if key in _EXPERTS:
        return min(value, max(4, settings.get("num_experts_per_tok") or 0, settings.get("top_k") or 0))
    if key == "vocab_size":
        return min(value, 512)
    return value // factor if value % factor == 0 and value > factor else value
