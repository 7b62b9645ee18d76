"""Families of models: the names that tell them, and how their parameters begin."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg.draft.layers import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.draft.layers import Group

#: An initializer as a spec writes it; None leaves the parameters out of the plan.
Law = str | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Model:
    """What a law is computed from.

    Args:
        shapes: those of the parameters, of copies those of the first, by names.
        vars: the numbers of copies by the names that the draft gives them.
    """

    shapes: Mapping[str, tuple[int, ...]]
    vars: Mapping[str, int]
    _found: dict[str, str | None] = field(default_factory=dict)

    def first(self, sign: str) -> str | None:
        """The first name in which a pattern is found; looked for once."""
        if sign not in self._found:
            search = re.compile(sign).search
            self._found[sign] = next((name for name in self.shapes if search(name)), None)
        return self._found[sign]


class Rule(NamedTuple):
    """A rule that a draft may have.

    Args:
        match: its pattern.
        ndim: the number of axes that it asks for, or None.
        law: how what it matches begins; a function where that depends on the parameter.
        comment: what it is for.
    """

    match: str
    ndim: int | None
    law: Law | Callable[[Group, Model], Law]
    comment: str


@dataclass(frozen=True, slots=True)
class Family:
    """Models that begin alike.

    Args:
        name: what such a model is called, as in "models like T5".
        signs: patterns that must each be found in some name.
        base: how matrices begin.
        embeddings: how embeddings and tokens begin.
        says: how it begins, for the comment on the matrices.
        rules: for what begins otherwise; they come before the rules of every draft.
        without: a pattern that no name may hold.
        biases: how biases begin.
    """

    name: str
    signs: tuple[str, ...]
    base: Law
    embeddings: Law
    says: str
    rules: tuple[Rule, ...] = ()
    without: str | None = None
    biases: Law | Callable[[Group, Model], Law] = "zeros"


def constant(value: float | str | list[str]) -> Law:
    """One value, or an array of them."""
    return {"constant": {"value": value}}


def normal(stddev: float | str) -> Law:
    """A normal distribution about 0."""
    return {"random_normal": {"stddev": stddev}}


def formula(value: str, of: Law = None) -> Law:
    """An expression over the elements, or over draws `x` of another law."""
    return {"formula": {"value": value} | ({} if of is None else {"of": of})}


def within(bound: str) -> Law:
    """Evenly from -bound to bound."""
    return {"random_uniform": {"minval": f"-{bound}", "maxval": bound}}


def scaled(scale: str | int, mode: str, distribution: str) -> Law:
    """What variance_scaling makes."""
    return {"variance_scaling": {"scale": scale, "mode": mode, "distribution": distribution}}


#: torch's own linear and convolutional layers: evenly from -1 / sqrt(fan_in) to 1 / sqrt(fan_in).
TORCH = scaled("1 / 3", "fan_in", "uniform")
_BY_INPUTS = normal("1 / sqrt(fan_in)")
TIME_STEPS: Law = "mamba_dt_bias"


def _depth(group: Group, model: Model) -> str:
    """How many copies of a parameter there are, as an expression."""
    total = next((each.total for each in group.segments if isinstance(each, Index)), 1)
    return next((name for name, value in model.vars.items() if value == total), str(total))


def _residual(group: Group, model: Model) -> Law:
    return normal(f"0.02 / sqrt(2 * {_depth(group, model)})")


def _cut_residual(group: Group, model: Model) -> Law:
    return {"truncated_normal": {"stddev": f"0.02 / sqrt(2 * {_depth(group, model)})"}}


def _by_width(group: Group, _: Model) -> Law:
    return normal(f"1 / sqrt({max(group.entry.shape[-1], 1)})")


def _t5_queries(group: Group, model: Model) -> Law:
    biases = model.first(r"relative_attention_bias\.weight$")
    heads = model.shapes[biases][-1] if biases else 0
    size = group.entry.shape[0] // heads if heads else 64
    return normal(f"1 / sqrt({max(size, 1)} * fan_in)")


def _t5_positions(_: Group, model: Model) -> Law:
    embeddings = model.first(r"(^|\.)(shared|embed_tokens)\.weight$")
    width = model.shapes[embeddings][-1] if embeddings else 0
    return normal(f"1 / sqrt({width})" if width else 0.02)


def _clip_inputs(group: Group, model: Model) -> Law:
    return normal(f"1 / sqrt(2 * {_depth(group, model)} * fan_in)")


def _clip_outputs(group: Group, model: Model) -> Law:
    return normal(f"1 / sqrt(2 * {_depth(group, model)} * fan_out)")


# What a bias stands beside; weight normalization writes a weight as a direction and a magnitude.
_WEIGHTS = ("weight", "parametrizations.weight.original1", "weight_v")


def torch_bias(group: Group, model: Model) -> Law:
    """As far from 0 as the weight beside it; zero beside a norm's scale."""
    head = group.example.rpartition(".")[0]
    names = (f"{head}.{each}".lstrip(".") for each in _WEIGHTS)
    weight = next((model.shapes[name] for name in names if name in model.shapes), ())
    inputs = prod(weight[1:]) if len(weight) > 1 else 0
    return within(f"1 / sqrt({inputs})") if inputs else "zeros"


def _recurrent(group: Group, model: Model) -> Law:
    """As torch's LSTM, GRU and RNN: all that is in them by the number of hidden units."""
    head, _, leaf = group.example.rpartition(".")
    layer = re.sub(r"^(weight|bias)_(ih|hh)", "weight_hh", leaf)
    shape = model.shapes.get(f"{head}.{layer}".lstrip("."), group.entry.shape)
    return within(f"1 / sqrt({max(shape[-1], 1)})")


def _uneven(value: str) -> Callable[[Group, Model], Law]:
    """RWKV's, for which `i` is the layer, `n` stands for how many there are and `d` for the width."""

    def law(group: Group, model: Model) -> Law:
        numbers = {"n": _depth(group, model), "d": str(group.entry.shape[-1])}
        return formula(re.sub(r"\b[nd]\b", lambda name: numbers[name[0]], value))

    return law


def _mixed(match: str, power: str, more: str = "") -> Rule:
    law = _uneven(f"(index(2) / d) ** ({power}){more}")
    return Rule(f"**.{{i}}.{match}", 3, law, "How much of the token before RWKV takes.")


_SPREAD: Law = {"orthogonal": {"gain": "sqrt(max(1, fan_out / fan_in))"}}
_RWKV_EMBEDDINGS: Law = {"orthogonal": {"gain": "1e-4 * sqrt(max(fan_in, fan_out))"}}


def _gate(group: Group, _: Model) -> Law:
    return normal(f"sqrt(0.01 / {group.entry.shape[-1]})")


def _last(group: Group, model: Model) -> Law:
    return normal(f"sqrt(2 / ({_depth(group, model)} * fan_in))")


_NORMAL = normal(0.02)

# The first whose signs are all there.
FAMILIES = (
    Family(
        "T5",
        (r"(SelfAttention|DenseReluDense)\.",),
        _BY_INPUTS,
        normal(1),
        "T5 draws by the number of inputs, and its embeddings are 50 times as large as those of others.",
        (
            Rule(
                "**.{SelfAttention,EncDecAttention,LocalSelfAttention,TransientGlobalSelfAttention}.q.weight",
                2,
                _t5_queries,
                "Queries, which T5 does not divide by the root of their length later.",
            ),
            Rule("**.*relative_attention_bias.weight", 2, _t5_positions, "Biases of distances, as T5's."),
            Rule("**.{shared,embed_tokens}.weight", 2, normal(1), "Embeddings, which T5 begins with 1."),
            Rule(
                "**.{k,v,o,wi,wi_0,wi_1,wo,classifier}.weight",
                2,
                _BY_INPUTS,
                "T5's, by the number of inputs.",
            ),
        ),
    ),
    Family(
        "CLIP",
        (r"(^|\.)pre_layrnorm\.|text_model\..*\.self_attn\.q_proj", r"class_embedding$|text_projection\."),
        _NORMAL,
        _NORMAL,
        "0.02, where CLIP draws by no width.",
        (
            Rule("**.self_attn.{q,k,v}_proj.weight", 2, _clip_inputs, "CLIP's, by width and depth."),
            Rule("**.mlp.fc2.weight", 2, _clip_outputs, "CLIP's, by the width that it writes to, and depth."),
            Rule(
                "**.{self_attn.out_proj,text_projection,visual_projection}.weight",
                2,
                _BY_INPUTS,
                "CLIP's, by width.",
            ),
            Rule("**.mlp.fc1.weight", 2, normal("1 / sqrt(2 * fan_in)"), "CLIP's, by width."),
            Rule("**.class_embedding", 1, normal("1 / sqrt(numel)"), "CLIP's, by width."),
        ),
    ),
    Family(
        "SigLIP",
        (r"\.head\.probe$|logit_bias$", r"self_attn\.q_proj"),
        "glorot_uniform",
        normal("1 / sqrt(fan_in)"),
        "glorot_uniform is what SigLIP took over from Flax.",
        (
            Rule("**.*_embedding.weight", 2, _by_width, "Embeddings of SigLIP, by width."),
            Rule(
                "**.patch_embedding.weight", 4, "lecun_normal", "Patches of SigLIP, by the number of inputs."
            ),
            Rule("**.{probe,in_proj_weight}", None, "glorot_uniform", "The query that sums an image up."),
            Rule("**.mlp.fc[12].bias", 1, normal(1e-6), "Biases of SigLIP: small, and not 0."),
            Rule("**.{logit_scale,logit_bias}", None, "zeros", "SigLIP's, as transformers begins them."),
            Rule(
                "**.{q_proj,k_proj,v_proj,out_proj,fc1,fc2}.weight",
                2,
                "glorot_uniform",
                "As Flax begins them.",
            ),
        ),
    ),
    Family(
        "ModernBERT",
        (r"attn\.Wqkv\.weight$", r"mlp\.Wi\.weight$"),
        {"truncated_normal": {"stddev": 0.02}},
        {"truncated_normal": {"stddev": 0.02}},
        "0.02 at every width, cut at two standard deviations.",
        (Rule("**.Wo.weight", 2, _cut_residual, "What a block adds to its residual stream, by the depth."),),
    ),
    Family(
        "Mamba",
        (r"mixer\.A_log$",),
        normal(0.1),
        normal(0.1),
        "0.1 is Mamba's initializer_range in transformers; its authors keep torch's own laws.",
        (
            Rule("**.conv1d.weight", 3, TORCH, "Depthwise convolutions, as torch begins them."),
            Rule(
                "**.out_proj.weight",
                2,
                TORCH,
                "As torch begins linear layers. Some divide it by the root of depth.",
            ),
            Rule(
                "**.dt_proj.weight", 2, within("1 / sqrt(fan_in)"), "Mamba's, by the rank of its time steps."
            ),
            Rule(
                "**.{dt_proj.bias,dt_bias}",
                1,
                TIME_STEPS,
                "Mamba draws time steps from 0.001 to 0.1, evenly in the logarithm.",
            ),
        ),
        without=r"attn|attention|[qkv]_proj|experts",
    ),
    Family(
        "RWKV-4",
        (r"attention\.time_decay$", r"attention\.time_mix_key$"),
        _SPREAD,
        _RWKV_EMBEDDINGS,
        "Orthogonal, as in RWKV's code.",
        (
            Rule(
                "**.{i}.attention.time_decay",
                1,
                _uneven("-5 + 8 * (index(0) / max(d - 1, 1)) ** (0.7 + 1.3 * i / max(n - 1, 1))"),
                "Decays of RWKV, more unequal the deeper a layer is.",
            ),
            Rule(
                "**.attention.time_first",
                1,
                formula("log(0.3) + 0.5 * ((index(0) + 1) % 3 - 1)"),
                "RWKV's bonus of the current token; transformers makes all of it 1.",
            ),
            _mixed("attention.time_mix_value", "1 - i / n", " + 0.3 * i / max(n - 1, 1)"),
            _mixed("attention.time_mix_receptance", "0.5 * (1 - i / n)"),
            _mixed("{attention,feed_forward}.time_mix_{key,receptance}", "1 - i / n"),
            Rule("**.{key,value,receptance,output}.weight", 2, _SPREAD, "Orthogonal, as RWKV's."),
            Rule("**.embeddings.weight", 2, _RWKV_EMBEDDINGS, "Embeddings of RWKV: very small."),
            Rule(
                "**.head.weight",
                2,
                {"orthogonal": {"gain": "0.5 * sqrt(max(1, fan_out / fan_in))"}},
                "RWKV's.",
            ),
        ),
    ),
    Family(
        "RecurrentGemma",
        (r"rg_lru\.recurrent_param$",),
        normal(0.05),
        normal(0.05),
        "The root of w_init_variance_scale / conv1d_width of its config.",
        (
            Rule(
                "**.temporal_block.{linear_x,linear_y,q_proj,k_proj,v_proj}.weight",
                2,
                _BY_INPUTS,
                "RecurrentGemma's, by the number of inputs.",
            ),
            Rule(
                "**.temporal_block.{linear_out,o_proj}.weight",
                2,
                _last,
                "By the number of inputs, and depth.",
            ),
            Rule(
                "**.{conv_1d,gate_proj,up_proj,down_proj,embed_tokens}.weight",
                None,
                normal(0.05),
                "sqrt(w_init_variance_scale / conv1d_width) of its config.",
            ),
            Rule("**.{input,recurrent}_gate_weight", 3, _gate, "Gates of RG-LRU, by the width of a block."),
        ),
    ),
    Family(
        "GPT-2",
        (r"attn\.c_attn\.weight$", r"(^|\.)wte\.weight$"),
        _NORMAL,
        _NORMAL,
        "0.02 at every width, as GPT-2 and BERT draw.",
        (Rule("**.c_proj.weight", 2, _residual, "What a block adds to its residual stream, by the depth."),),
    ),
    Family(
        "ResNet",
        (r"(shortcut|downsample)\.", r"(running_var|bn\d?\.|norm\d?\.|normalization\.|downsample\.1\.)"),
        TORCH,
        _NORMAL,
        "As torch begins linear layers.",
        (
            Rule(
                "**.{weight,kernel}",
                4,
                scaled(2, "fan_out", "untruncated_normal"),
                "Convolutions before a ReLU, as in ResNet (He et al., by fan_out).",
            ),
        ),
        without=r"attn|attention\.[a-z]|[qkv]_proj|mlp\.",
        biases=torch_bias,
    ),
    Family(
        "torch.nn.Transformer",
        (r"self_attn\.in_proj_weight$", r"linear1\.weight$"),
        TORCH,
        normal(1),
        "As torch begins linear layers.",
        (
            Rule("**.in_proj_weight", 2, "glorot_uniform", "Queries, keys and values, as torch begins them."),
            Rule("**.{in_proj_bias,out_proj.bias}", 1, "zeros", "Biases of attention, as torch begins them."),
        ),
        biases=torch_bias,
    ),
    Family(
        "BERT, ViT and Llama",
        (
            r"attn|attention|Attention|embeddings\.|embed_tokens|embedder\.|(^|\.)w[tp]e\.|[qkv]_proj|"
            r"encoder\.layer|decoder\.layer|dwconv|patch_embed|convolution\.weight|gate_(up_)?proj",
        ),
        _NORMAL,
        _NORMAL,
        "0.02 at every width, as GPT-2, BERT and nearly all of their kind draw.",
        without=r"\.kernel$",
    ),
    Family(
        "those of Flax",
        (r"\.kernel$", r"(^|\.)[A-Z]\w*_\d+\.|\.(scale|embedding)$"),
        "lecun_normal",
        scaled(1, "fan_in", "normal"),
        "lecun_normal is Flax's own.",
    ),
    Family(
        "those of Keras",
        (r"(^|\.)kernel$",),
        "glorot_uniform",
        {"random_uniform": {"minval": -0.05, "maxval": 0.05}},
        "glorot_uniform is Keras's own.",
    ),
    Family(
        "those that torch.nn begins",
        (r"(^|\.)weight$",),
        TORCH,
        normal(1),
        "As torch begins linear and convolutional layers.",
        (
            Rule("**.{weight,bias}_{ih,hh}_l*", None, _recurrent, "LSTM, GRU and RNN, as torch begins them."),
            Rule("**.in_proj_weight", 2, "glorot_uniform", "Queries, keys and values, as torch begins them."),
        ),
        biases=torch_bias,
    ),
)
UNKNOWN = Family("no other", (), "lecun_normal", _NORMAL, "By the number of inputs.")


def family_of(model: Model) -> tuple[Family, str]:
    """The family that the names of a model tell, and the sentence that says why it is taken."""
    for family in FAMILIES:
        found = [model.first(sign) for sign in family.signs]
        if None not in found and (family.without is None or model.first(family.without) is None):
            return family, f"Taken for a model like {family.name}, because it has {found[0]!r}."
    return UNKNOWN, "Taken for a model of no known family: no name tells one."
