"""How each parameter probably begins: as its name tells, else its module's type, else the model's family."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from initcfg.draft.families import (
    TIME_STEPS,
    TORCH,
    Family,
    Law,
    Model,
    Rule,
    constant,
    formula,
    normal,
    scaled,
    torch_bias,
)
from initcfg.dtypes import DTYPES
from initcfg.globs import GlobSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.draft.layers import Group


class Guess(NamedTuple):
    """How one group of parameters is to begin.

    Args:
        rule: the place of the rule that it falls under, or None.
        law: how it begins, as a spec writes it.
    """

    rule: int | None
    law: Law


#: Begins the comment on a rule that only names speak for.
GUESSED = "A guess. "
_HE = scaled(2, "fan_in", "untruncated_normal")
# How torch's recurrent cells, attention and parametrizations call their matrices.
_OF_TORCH = re.compile(r"weight_(ih|hh|hr|orig|v)(_|$)|in_proj_weight$|parametrizations$")
_UNIT: Law = {"random_uniform": {"minval": 0, "maxval": 1}}
# Gemma 1 has the names of Llama, and a vocabulary of its own.
_GEMMA_VOCABULARY = 256_000


def _state_matrix(group: Group, _: Model) -> Law:
    """The logarithms of 1, 2, 3 ... along the last axis; gated delta nets draw what they take them of."""
    if "linear_attn" in group.segments:
        return formula("log(x)", of={"random_uniform": {"minval": "2**-20", "maxval": 16}})
    return "mamba_a_log"


def _magnitude(group: Group, model: Model) -> Law:
    """The norm of the direction beside it, over the axes along which the magnitude is one number."""
    head, _, leaf = group.example.rpartition(".")
    other = {"weight_g": "weight_v", "original0": "original1"}[leaf]
    shape = model.shapes.get(f"{head}.{other}".lstrip("."), ())
    if len(shape) != len(group.entry.shape):
        return "ones"
    axes = [at for at, size in enumerate(group.entry.shape) if size == 1]
    return {"norm_of": {"parameter": other, "axes": axes}}


def _sines(group: Group, _: Model) -> Law:
    """Whisper's table: the sines of all positions, then the cosines."""
    half = group.entry.shape[1] // 2
    waves = [formula(f"{wave}(index(0) * 10000 ** (-index(1) / (size(1) - 1)))") for wave in ("sin", "cos")]
    sizes = [half, group.entry.shape[1] - half]
    return {"concatenate": {"axis": 1, "sizes": sizes, "initializers": waves}}


def _norms(_: Group, model: Model) -> Law:
    """Zeros in models whose names tell that their norms multiply by 1 + weight."""
    # Gemma 3n has such names as well, and multiplies by the weight itself.
    if model.first(r"altup|laurel"):
        return "ones"
    if model.first(
        r"pre_feedforward_layernorm\.weight$|linear_attn\.in_proj_qkvz?\.weight$|temporal_pre_norm\.weight$"
    ):
        return "zeros"
    embeddings = model.first(r"embed_tokens\.weight$")
    is_gemma = embeddings and model.shapes[embeddings][0] == _GEMMA_VOCABULARY
    return "zeros" if is_gemma and model.first(r"post_attention_layernorm\.weight$") else "ones"


# What a name says whatever the shape and the dtype.
_KNOWN = (
    Rule(
        "**.{running_var,moving_variance}",
        None,
        "ones",
        "Variances that batch norms keep: those of a model that has seen no data are 1.",
    ),
    Rule(
        "**.{running_mean,moving_mean,num_batches_tracked}",
        None,
        "zeros",
        "Means that batch norms keep, and their count.",
    ),
    Rule(
        "**.{position_ids,token_type_ids,relative_position_index,inv_freq}",
        None,
        None,
        "Tables that the model's own code makes: left out of the plan.",
    ),
    Rule("**.lambda1", 1, "ones", "A guess: LayerScale of DINOv2 and 3; layerscale_value of the config."),
    Rule(
        "**.lambda_[12]",
        1,
        constant(0.1),
        "A guess: LayerScale of BEiT and InternVL; layer_scale_init_value of the config.",
    ),
    Rule(
        "**.layer_scale_parameter",
        1,
        constant(1e-6),
        "A guess: LayerScale of ConvNeXt; layer_scale_init_value of the config.",
    ),
    Rule(
        "**.layer_scale_[12]",
        None,
        constant(1e-5),
        "A guess: LayerScale of PoolFormer and SwiftFormer; layer_scale_init_value of the config.",
    ),
    Rule(
        "**.dt_bias",
        1,
        "ones",
        "A guess: 1 in transformers; the authors of Mamba 2 draw time steps from 0.001 to 0.1.",
    ),
    Rule(
        "**.dt_proj.bias",
        1,
        TIME_STEPS,
        "A guess: Mamba draws time steps from 0.001 to 0.1, evenly in the logarithm; Jamba has 0.",
    ),
    Rule(
        "**.mask_token",
        None,
        "zeros",
        "A guess: what stands for a masked patch is 0 in ViT, Swin and DINOv2, random in MAE.",
    ),
    Rule("**.linear_attn.norm.weight", 1, "ones", "Norms of gated linear attention: no 1 + weight."),
    Rule(
        "**.{rel_pos_*,relative_position_bias_table}",
        None,
        "zeros",
        "Relative positions: BEiT, SAM and Swin begin at 0 in transformers, Swin's authors with 0.02.",
    ),
    Rule(
        "**.A_log",
        None,
        _state_matrix,
        "State matrices of Mamba: log(1), log(2) ...; Qwen3-Next draws them up to 16.",
    ),
    Rule(
        "**.{weight_g,original0}",
        None,
        _magnitude,
        "Magnitudes of weight normalization: the norms of the directions beside them.",
    ),
    Rule(
        "**.{weight_v,original1}",
        None,
        TORCH,
        "A guess: directions of weight normalization, as torch begins weights; their lengths do not matter.",
    ),
    Rule(
        "**.rg_lru.recurrent_param",
        1,
        formula(
            "log(expm1(-0.5 * log(x)))", of={"random_uniform": {"minval": "0.9 ** 2", "maxval": "0.999 ** 2"}}
        ),
        "Decays of RG-LRU, whose squares are spread evenly from 0.9**2 to 0.999**2.",
    ),
    Rule("**.grn.{weight,bias}", None, "zeros", "Response norms of ConvNeXt V2."),
    Rule("**.sinks", 1, normal(0.02), "What attention may go to instead, one a head, as in GPT-OSS."),
    Rule("**.D", 1, "ones", "What a state space passes on, as in Mamba."),
    Rule("**.logit_scale", 0, constant(2.6592), "CLIP's, log(1 / 0.07). SigLIP begins with 0."),
    Rule("**.logit_scale", 3, constant("log(10)"), "Swin 2's, one a head."),
)

# What a name says beside another one.
_TOGETHER = (
    (
        r"\.lambda_1$|relative_position_bias_table$",
        (Rule("**.cls_token", None, "zeros", "A guess: BEiT's class token is 0, where ViT's is random."),),
    ),
    (
        r"distillation_token$|detection_tokens$",
        (
            Rule(
                "**.{cls_token,distillation_token,detection_tokens,position_embeddings}",
                None,
                "zeros",
                "A guess: DeiT, YOLOS and AST begin tokens and positions at 0 in transformers.",
            ),
        ),
    ),
    (
        r"(^|\.)encoder\.conv1\.weight$",
        (
            Rule(
                "**.encoder.embed_positions.weight",
                2,
                _sines,
                "Sines and cosines of positions, as Whisper's.",
            ),
        ),
    ),
    (
        r"(^|\.)layers\.[0-9]+\.(block\.[0-9]+\.)?conv\.(weight_v|parametrizations\.weight\.original1)$",
        (
            Rule("**.conv.bias", 1, torch_bias, "EnCodec's convolutions, as torch begins them."),
            Rule(
                "**.lstm.weight_{ih,hh}_l*", 2, "glorot_uniform", "EnCodec's LSTM, as transformers begins it."
            ),
        ),
    ),
    (
        r"masked_spec_embed$|feature_extractor\.conv_layers\.",
        (
            Rule(
                "**.masked_spec_embed",
                1,
                _UNIT,
                "What stands for masked sound in wav2vec 2, evenly from 0 to 1.",
            ),
            Rule(
                "**.{conv_layers.*.conv,conv_module.*}.weight",
                3,
                _HE,
                "wav2vec 2's convolutions (He et al.).",
            ),
            Rule(
                "**.feature_projection.projection.weight",
                2,
                TORCH,
                "wav2vec 2's, as torch begins linear layers.",
            ),
            Rule(
                "**.feature_projection.projection.bias", 1, torch_bias, "wav2vec 2's, as torch begins them."
            ),
        ),
    ),
)


def rules_for(family: Family, model: Model) -> tuple[Rule, ...]:
    """The rules that a draft may have: the first that matches wins, and the last five are `GENERIC`."""
    together = (rules for sign, rules in _TOGETHER if model.first(sign) is not None)
    return (
        *(rule._replace(comment=f"{GUESSED}{rule.comment}") for rule in family.rules),
        *itertools.chain.from_iterable(together),
        *_KNOWN,
        Rule(
            "**.{bias,*_bias,bias_*,*_biases,b,beta}",
            None,
            family.biases,
            "Biases. Some models ask for others, such as 1 for the forget gate of an LSTM.",
        ),
        Rule(
            "**.{weight,gamma,scale,g}",
            1,
            _norms,
            f"{GUESSED}Scales of norms: ones, or zeros where they multiply as 1 + weight, as\n"
            "those of Gemma do; Gemma 1 has the names of Llama.",
        ),
        Rule(
            "**.{*[Ee]mbed*,*_emb,wte,wpe,shared}.{weight,embedding,embeddings}",
            2,
            family.embeddings,
            f"Embeddings: a guess, as {family.name} begins them.",
        ),
        Rule(
            "**.{*[Ee]mbed*,*_token,*_tokens}",
            None,
            family.embeddings,
            f"Embeddings and tokens that are parameters: a guess, as {family.name} begins them.",
        ),
        Rule(
            "**.{weight,*_weight,weight_*,kernel,*_kernel,*_proj}",
            None,
            family.base,
            f"All other matrices: a guess. {family.says}\n"
            "Many models make smaller what a block adds to its residual stream.",
        ),
    )


#: How many rules at the end speak of biases, norms, embeddings and matrices, whatever they are called.
GENERIC = 5


class Guesses:
    """How the parameters of one model begin."""

    def __init__(self, family: Family, model: Model) -> None:
        self.rules = rules_for(family, model)
        self._family, self._model = family, model
        self._named = len(self.rules) - GENERIC
        self._globs = GlobSet((rule.match, rule.ndim) for rule in self.rules)

    def of(self, group: Group) -> Guess:
        """The rule for a group of parameters and its law there, or one of its own where none suits it."""
        shape, dtype, typed = group.entry.shape, group.entry.dtype, group.entry.initializer
        at = self._globs.first(group.example, len(shape))
        if at is not None and at < self._named:
            return Guess(at, self._law(at, group))
        if dtype is not None and DTYPES[dtype].kind != "float":
            return Guess(None, "zeros")
        if typed is not None:
            return Guess(at, typed)
        if at is None:
            # One number, or a vector of no known kind; random values are the least probable.
            return Guess(None, self._family.base if len(shape) > 1 else "zeros")
        if not shape and at >= self._named + 2:
            return Guess(None, "zeros")
        return Guess(at, self._law(at, group))

    def _law(self, at: int, group: Group) -> Law:
        law = self.rules[at].law
        return law(group, self._model) if callable(law) else law


@cache
def _known() -> GlobSet:
    return GlobSet((rule.match, rule.ndim) for rule in _KNOWN)


def is_known(name: str, ndim: int) -> bool:
    """Whether a name says by itself how a parameter or a buffer begins.

    Example:
        >>> is_known("bn.running_var", 1), is_known("embeddings.position_ids", 2)
        (True, False)
    """
    at = _known().first(name, ndim)
    return at is not None and _KNOWN[at].law is not None


def expert_layout(gate_up: tuple[int, ...], down: tuple[int, ...]) -> str | None:
    """The layout of stacked experts, by the shapes of both of their matrices; None where they do not tell.

    Example:
        >>> expert_layout((8, 64, 192), (8, 96, 64)), expert_layout((8, 192, 64), (8, 64, 96))
        ('BIO', 'BOI')
    """
    if len(gate_up) != 3 or len(down) != 3:
        return None
    (_, first, second), (_, third, fourth) = gate_up, down
    if first == fourth and second != third and second in (third, 2 * third):
        return "BIO"
    if second == third and first in (fourth, 2 * fourth):
        return "BOI"
    return "BIO" if first == fourth and second == 2 * third else None


def guess_layout(groups: Sequence[Group]) -> tuple[str, str]:
    """The layout of most parameters, and why."""
    if any(_is_conv1d(group) for group in groups):
        return "in_out", 'Told by the shape of "c_attn.weight": GPT-2 keeps (in, out).'
    leaves = Counter(group.segments[-1] for group in groups if len(group.entry.shape) > 1)
    if leaves["weight"] > leaves["kernel"]:
        return "out_in", (
            'Guessed: names end in ".weight", as PyTorch\'s do, whose linear layers keep (out, in). Not all\n'
            "models do."
        )
    if not leaves["kernel"] and any(
        _OF_TORCH.match(str(each)) for group in groups for each in group.segments
    ):
        return "out_in", "Guessed: names are PyTorch's, whose linear layers keep (out, in)."
    if leaves["kernel"]:
        return (
            "in_out",
            'Guessed: names end in ".kernel", as those of Keras and Flax do, which keep (in, out).',
        )
    return "in_out", "Guessed, with nothing to go by: in_out is what Keras and JAX keep, out_in PyTorch."


def _is_conv1d(group: Group) -> bool:
    """Whether a group is queries, keys and values side by side, three times as many outputs as inputs."""
    shape = group.entry.shape
    return group.segments[-2:] == ("c_attn", "weight") and len(shape) == 2 and shape[1] == 3 * shape[0]
