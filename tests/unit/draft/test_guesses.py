"""What a name says about how a parameter begins, and what it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from initcfg import materialize
from initcfg.distributions import Fill, moments
from initcfg.draft import new_spec
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import plan_of
from initcfg.spec import loads


def drafted(**entries):
    """The plan of a draft; names have ``__`` for a dot."""
    manifest = Manifest({name.replace("__", "."): entry for name, entry in entries.items()})
    return plan_of(loads(new_spec(manifest)))


_RWKV = {"time_decay": (8,), "time_first": (8,), "time_mix_key": (1, 1, 8), "key.weight": (8, 8)}


@pytest.mark.parametrize(
    ("name", "entry", "value"),
    [
        ("bn.running_var", (8,), 1),
        ("bn.running_mean", (8,), 0),
        ("bn.num_batches_tracked", ManifestEntry((), "int64"), 0),
        ("batch_normalization.moving_variance", (8,), 1),
        ("batch_normalization.moving_mean", (8,), 0),
        ("layers.0.mixer.D", (16,), 1),
        ("logit_scale", (), 2.6592),
        ("attn.logit_scale", (4, 1, 1), math.log(10)),
        ("attn.rel_pos_h", (27, 64), 0),
        ("attn.relative_position_bias_table", (169, 4), 0),
        ("layer.0.layer_scale1.lambda1", (8,), 1),
        ("layer.0.lambda_2", (8,), 0.1),
        ("layers.0.layer_scale_parameter", (8,), 1e-6),
        ("block.0.layer_scale_1", (8,), 1e-5),
        ("mixer.dt_bias", (8,), 1),
        ("embeddings.mask_token", (1, 1, 64), 0),
        ("norm.weight", (8,), 1),
        ("norm.bias", (8,), 0),
        ("norm.weight", ManifestEntry((8,), "complex64"), 1),
    ],
)
def test_a_name_that_is_known(name, entry, value) -> None:
    plan = plan_of(loads(new_spec(Manifest({name: entry, "fc.weight": (64, 64)}))))
    assert plan[name].distribution == Fill(value)


@pytest.mark.parametrize(
    ("family", "shapes", "spread"),
    [
        (
            "T5",
            {
                "shared.weight": (300, 64),
                "encoder.block.0.layer.0.SelfAttention.q.weight": (128, 64),
                "encoder.block.0.layer.0.SelfAttention.o.weight": (64, 128),
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 8),
                "encoder.block.0.layer.1.DenseReluDense.wi.weight": (96, 64),
            },
            [1, (64 * 16) ** -0.5, 128**-0.5, 1 / 8, 1 / 8],
        ),
        (
            "CLIP",
            {
                "logit_scale": (),
                "vision_model.pre_layrnorm.weight": (64,),
                "vision_model.embeddings.class_embedding": (64,),
                "vision_model.encoder.layers.0.self_attn.q_proj.weight": (64, 64),
                "vision_model.encoder.layers.1.self_attn.q_proj.weight": (64, 64),
                "vision_model.encoder.layers.0.mlp.fc1.weight": (96, 64),
            },
            [0, 0, 1 / 8, 1 / 16, 1 / 16, 128**-0.5],
        ),
        (
            "Mamba",
            {
                "embeddings.weight": (300, 64),
                "layers.0.mixer.A_log": (96, 16),
                "layers.0.mixer.conv1d.weight": (96, 1, 4),
                "layers.0.mixer.dt_proj.weight": (96, 4),
                "layers.0.mixer.dt_proj.bias": (96,),
                "layers.0.mixer.out_proj.weight": (64, 96),
            },
            [0.1, None, 12**-0.5, 12**-0.5, None, 288**-0.5],
        ),
        (
            "GPT-2",
            {"wte.weight": (300, 64)}
            | {
                f"h.{i}.attn.{key}.weight": (64, size)
                for i in (0, 1)
                for key, size in (("c_attn", 192), ("c_proj", 64))
            },
            [0.02, 0.02, 0.01, 0.02, 0.01],
        ),
        (
            "ResNet",
            {
                "conv1.weight": (64, 3, 7, 7),
                "layer1.0.downsample.0.weight": (64, 32, 1, 1),
                "layer1.0.downsample.1.weight": (64,),
                "fc.weight": (10, 64),
                "fc.bias": (10,),
            },
            [(2 / (64 * 49)) ** 0.5, (2 / 64) ** 0.5, 0, 192**-0.5, 192**-0.5],
        ),
        (
            "BERT, ViT and Llama",
            {"embed_tokens.weight": (300, 64), "layers.0.self_attn.q_proj.weight": (64, 64)},
            [0.02, 0.02],
        ),
        ("those that torch.nn begins", {"0.weight": (32, 64), "0.bias": (32,)}, [192**-0.5, 192**-0.5]),
        (
            "those that torch.nn begins",
            {"lstm.weight_ih_l0": (64, 8), "lstm.weight_hh_l0": (64, 16), "fc.weight": (4, 4)},
            [48**-0.5, 48**-0.5, 12**-0.5],
        ),
        ("those of Keras", {"dense.kernel": (64, 32), "dense.bias": (32,)}, [(2 / 96) ** 0.5, 0]),
        ("those of Flax", {"Dense_0.kernel": (64, 32), "Dense_0.bias": (32,)}, [1 / 8, 0]),
        ("no known family", {"w": (64, 64)}, [1 / 8]),
    ],
)
def test_a_family_is_told_by_names_and_gives_its_laws(family, shapes, spread) -> None:
    text = new_spec(Manifest(shapes))
    assert f"# Taken for a model {'of' if family == 'no known family' else 'like'} {family}" in text
    for parameter, std in zip(plan_of(loads(text)), spread, strict=True):
        assert std is None or moments(parameter.distribution).std == pytest.approx(std, rel=0.01), (
            parameter.name
        )


def test_gemma_1_is_told_by_its_vocabulary_only() -> None:
    names = {"embed_tokens.weight": (256_000, 8)} | {
        f"layers.0.{name}.weight": (8,) for name in ("input_layernorm", "post_attention_layernorm")
    }
    text = new_spec(Manifest(names))
    assert "as\n  # those of Gemma do; Gemma 1 has the names of Llama." in text
    assert [each.distribution for each in plan_of(loads(text))][1:] == [Fill(0), Fill(0)]


def test_a_log_of_delta_nets_is_drawn_up_to_16() -> None:
    (parameter,) = drafted(layers__0__linear_attn__A_log=(4096,))
    values = np.exp(materialize(parameter))
    assert 0 < values.min() < 0.1
    assert 15.9 < values.max() <= 16
    assert values.mean() == pytest.approx(8, rel=0.03)


def test_the_bias_of_time_steps_is_mambas_own() -> None:
    (parameter,) = drafted(mixer__dt_proj__bias=(4096,))
    steps = np.log1p(np.exp(materialize(parameter).astype(float)))
    assert 0.00099 < steps.min() < 0.00102
    assert 0.098 < steps.max() < 0.1001
    assert np.log(steps).mean() == pytest.approx(np.log(0.01), rel=0.01)


def test_the_magnitude_of_weight_normalization_is_the_norm_of_the_direction_beside_it() -> None:
    plan = drafted(
        conv__parametrizations__weight__original0=(1, 1, 3),
        conv__parametrizations__weight__original1=(4, 2, 3),
        old__weight_g=(4, 1, 1),
        old__weight_v=(4, 2, 3),
        lone__weight_g=(4, 1, 1),
    )
    values = {each.name: materialize(each) for each in plan}
    for magnitude, direction, axes in (
        ("conv.parametrizations.weight.original0", "conv.parametrizations.weight.original1", (0, 1)),
        ("old.weight_g", "old.weight_v", (1, 2)),
    ):
        norms = np.sqrt((values[direction].astype(float) ** 2).sum(axes, keepdims=True))
        np.testing.assert_allclose(values[magnitude], norms, rtol=1e-6)
    assert (values["lone.weight_g"] == 1).all()


def test_rwkv_forgets_at_uneven_speeds_in_every_layer() -> None:
    names = {f"blocks.{i}.attention.{key}": shape for i in range(3) for key, shape in _RWKV.items()}
    plan = plan_of(loads(new_spec(Manifest(names | {"embeddings.weight": (300, 64)}))))
    ramp = np.arange(8) / 7
    for i in range(3):
        decay = -5 + 8 * ramp ** (0.7 + 1.3 * i / 2)
        np.testing.assert_allclose(materialize(plan[f"blocks.{i}.attention.time_decay"]), decay, rtol=1e-5)
        mixed = (np.arange(8) / 8) ** (1 - i / 3)
        found = materialize(plan[f"blocks.{i}.attention.time_mix_key"])
        np.testing.assert_allclose(found.ravel(), mixed, rtol=1e-5)


def test_the_positions_of_whispers_encoder_are_sines_and_cosines() -> None:
    plan = plan_of(
        loads(
            new_spec(
                Manifest({"encoder.conv1.weight": (8, 80, 3), "encoder.embed_positions.weight": (50, 8)})
            )
        )
    )
    angles = np.arange(50)[:, None] * 10000 ** (-np.arange(4) / 3)
    wanted = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    found = materialize(plan["encoder.embed_positions.weight"])
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_conv1d_of_gpt2_is_in_out() -> None:
    assert loads(new_spec(Manifest({"h.0.attn.c_attn.weight": (64, 192)}))).layout == "in_out"
    assert loads(new_spec(Manifest({"h.0.attn.c_attn.weight": (192, 64)}))).layout == "out_in"


@pytest.mark.parametrize("name", ["position_ids", "relative_position_index", "inv_freq"])
def test_tables_that_code_makes_are_left_out_on_purpose(name) -> None:
    manifest = Manifest({f"m.{name}": ManifestEntry((1, 512), "int64"), "fc.weight": (64, 64)})
    text = new_spec(manifest)
    assert [each.name for each in plan_of(loads(text)).skipped] == [f"m.{name}"]
    assert "left out of the plan" in text


@pytest.mark.parametrize("shape", [(16, 4), (16,)])
def test_the_state_matrix_of_mamba_is_the_logarithm_of_a_count(shape) -> None:
    (parameter,) = drafted(mixer__A_log=shape)
    wanted = np.broadcast_to(np.log(np.arange(1, shape[-1] + 1)), shape)
    np.testing.assert_allclose(materialize(parameter), wanted, rtol=1e-6)


def test_the_norms_of_gemma_are_zeros_and_those_of_others_ones() -> None:
    gemma = {f"layers.0.{name}.weight": (8,) for name in ("input_layernorm", "pre_feedforward_layernorm")}
    plan = plan_of(loads(new_spec(Manifest(gemma))))
    assert {parameter.distribution for parameter in plan} == {Fill(0)}
    gemma_3n = gemma | {"layers.0.laurel.post_laurel_norm.weight": (8,)}
    plan = plan_of(loads(new_spec(Manifest(gemma_3n))))
    assert {parameter.distribution for parameter in plan} == {Fill(1)}
    plan = plan_of(loads(new_spec(Manifest({"layers.0.input_layernorm.weight": (8,)}))))
    assert {parameter.distribution for parameter in plan} == {Fill(1)}


def test_of_qwen3_next_only_the_gated_norm_multiplies_by_the_weight_itself() -> None:
    plan = drafted(
        layers__0__linear_attn__in_proj_qkvz__weight=(64, 64),
        layers__0__linear_attn__norm__weight=(8,),
        layers__0__input_layernorm__weight=(8,),
    )
    assert plan["layers.0.linear_attn.norm.weight"].distribution == Fill(1)
    assert plan["layers.0.input_layernorm.weight"].distribution == Fill(0)


@pytest.mark.parametrize("name", ["a.lambda1", "a.lambda_1", "a.dt_bias", "a.dt_proj.bias", "a.mask_token"])
def test_what_a_name_cannot_tell_is_marked_as_a_guess(name) -> None:
    assert "# A guess: " in new_spec(Manifest({name: (8,), "fc.weight": (64, 64)}))


def test_what_a_familys_name_and_a_norms_name_tell_is_marked_as_a_guess() -> None:
    gpt2 = {"h.0.attn.c_attn.weight": (8, 24), "h.0.mlp.c_proj.weight": (32, 8), "wte.weight": (64, 8)}
    text = new_spec(Manifest(gpt2 | {"h.0.ln_1.weight": (8,)}))
    comments = [line.strip() for line in text[text.index("rules:") :].splitlines() if "#" in line]
    assert "# A guess. What a block adds to its residual stream, by the depth." in comments
    assert any(comment.startswith("# A guess. Scales of norms: ones") for comment in comments)


def test_the_head_of_a_draft_names_the_command_that_does_not_guess() -> None:
    assert '# "initcfg capture" writes what it does.' in new_spec(Manifest({"a.w": (8,)}))


@pytest.mark.parametrize(
    ("gate_up", "down", "layout"),
    [
        ((8, 64, 192), (8, 96, 64), "BIO"),  # Llama 4, GPT-OSS: (experts, in, out)
        ((8, 192, 64), (8, 64, 96), "BOI"),  # Mixtral in transformers 5: (experts, out, in)
    ],
)
def test_both_matrices_of_stacked_experts_are_read_alike(gate_up, down, layout) -> None:
    names = {"mlp.experts.gate_up_proj": gate_up, "mlp.experts.down_proj": down, "fc.weight": (64, 64)}
    plan = plan_of(loads(new_spec(Manifest(names))))
    assert plan["mlp.experts.gate_up_proj"].layout == plan["mlp.experts.down_proj"].layout
    assert str(plan["mlp.experts.down_proj"].layout) == layout
    assert plan["mlp.experts.gate_up_proj"].fans.fan_in == 64
    assert plan["mlp.experts.down_proj"].fans.fan_in == 96


def test_a_live_buffer_is_drafted_where_its_name_says_how_it_begins() -> None:
    plan = drafted(
        bn__running_var=ManifestEntry((4,), "float32", buffer=True),
        attn__mask=ManifestEntry((4, 4), "float32", buffer=True),
        fc__weight=(4, 4),
    )
    assert {parameter.name for parameter in plan} == {"bn.running_var", "fc.weight"}


@pytest.mark.parametrize(
    "name", ["cell.weight_ih", "rnn.weight_hh_l0", "a.in_proj_weight", "fc.parametrizations.weight.original1"]
)
def test_names_of_torch_that_do_not_end_in_weight_tell_its_layout(name) -> None:
    assert "\nlayout: out_in\n" in new_spec(Manifest({name: (12, 3)}))
    assert "\nlayout: in_out\n" in new_spec(Manifest({name: (12, 3), "fc.kernel": (3, 4)}))
