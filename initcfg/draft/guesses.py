"""How parameters probably begin, by their names: rules to propose, and words for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg.dtypes import DTYPES
from initcfg.globs import GlobSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.draft.layers import Group


class Proposal(NamedTuple):
    """A rule that a draft may have.

    Args:
        match: its pattern.
        ndim: the number of axes that it asks for, or None.
        initializer: as a spec writes it; ``base`` is the document's own, and None leaves the parameters out.
        comment: what it is for.
    """

    match: str
    ndim: int | None
    initializer: str | dict[str, Any] | None
    comment: str


@dataclass(frozen=True, slots=True)
class Guess:
    """How one group of parameters is to begin.

    Args:
        rule: the place of the rule in `RULES` that decides, or None.
        initializer: what stands beside the shape, as a spec writes it; None where the rule decides.
        layout: what stands beside the shape, or None.
    """

    rule: int | None = None
    initializer: str | dict[str, Any] | None = None
    layout: str | None = None


# What a name says whatever the shape and the dtype.
_KNOWN = (
    Proposal(
        "**.{running_var,moving_variance}",
        None,
        "ones",
        "Variances that batch norms keep: those of a model that has seen no data are 1.",
    ),
    Proposal(
        "**.{running_mean,moving_mean,num_batches_tracked}",
        None,
        "zeros",
        "Means that batch norms keep, and their count.",
    ),
    Proposal(
        "**.{position_ids,token_type_ids,relative_position_index,inv_freq}",
        None,
        None,
        "Tables that the model's own code makes: left out of the plan.",
    ),
    Proposal("**.lambda1", 1, "ones", "A guess: LayerScale of DINOv2 and 3; layerscale_value of the config."),
    Proposal(
        "**.lambda_[12]",
        1,
        {"constant": {"value": 0.1}},
        "A guess: LayerScale of BEiT and InternVL; layer_scale_init_value of the config.",
    ),
    Proposal(
        "**.layer_scale_parameter",
        1,
        {"constant": {"value": 1e-6}},
        "A guess: LayerScale of ConvNeXt; layer_scale_init_value of the config.",
    ),
    Proposal(
        "**.layer_scale_[12]",
        None,
        {"constant": {"value": 1e-5}},
        "A guess: LayerScale of PoolFormer and SwiftFormer; layer_scale_init_value of the config.",
    ),
    Proposal(
        "**.dt_bias",
        1,
        "ones",
        "A guess: 1 in transformers; the authors of Mamba 2 draw time steps from 0.001 to 0.1.",
    ),
    Proposal(
        "**.dt_proj.bias",
        1,
        {"constant": {"value": "log(exp(0.01) - 1)"}},
        "A guess: Mamba draws time steps from 0.001 to 0.1, evenly in the logarithm; all begin at 0.01 here.",
    ),
    Proposal(
        "**.mask_token",
        None,
        "zeros",
        "A guess: what stands for a masked patch is 0 in ViT, Swin and DINOv2, random in MAE.",
    ),
    Proposal("**.linear_attn.norm.weight", 1, "ones", "Norms of gated linear attention: no 1 + weight."),
    Proposal(
        "**.{rel_pos_*,relative_position_bias_table}",
        None,
        "zeros",
        "Relative positions: BEiT, SAM and Swin begin at 0 in transformers, Swin's authors with 0.02.",
    ),
    Proposal("**.D", 1, "ones", "What a state space passes on, as in Mamba."),
    Proposal(
        "**.logit_scale", 0, {"constant": {"value": 2.6592}}, "CLIP's, log(1 / 0.07). SigLIP begins with 0."
    ),
    Proposal("**.logit_scale", 3, {"constant": {"value": "log(10)"}}, "Swin 2's, one a head."),
)

# The first that matches wins.
RULES = (
    *_KNOWN,
    Proposal(
        "**.{bias,*_bias,bias_*,b,beta}",
        None,
        "zeros",
        "Biases. Some models ask for others, such as 1 for the forget gate of an LSTM.",
    ),
    Proposal(
        "**.{weight,gamma,scale,g}",
        1,
        "ones",
        "Scales of norms: ones, or zeros where they multiply as 1 + weight, as\n"
        "those of Gemma 1 do, which has the names of Llama.",
    ),
    Proposal(
        "**.{*[Ee]mbed*,*_emb,wte,wpe,shared}.weight",
        2,
        "base",
        "Embeddings. 0.02 is what BERT and GPT-2 use; T5 and others begin with larger numbers.",
    ),
    Proposal("**.{*[Ee]mbed*,*_token,*_tokens}", None, "base", "Embeddings and tokens that are parameters."),
    Proposal(
        "**.{weight,*_weight,weight_*,kernel,*_kernel}",
        None,
        "base",
        "All other matrices. Many models make smaller what a block adds to its residual stream.",
    ),
)
#: The rule for the scales of norms, those for embeddings, and the one for matrices.
NORMS = len(_KNOWN) + 1
LOOKED_UP = (len(_KNOWN) + 2, len(_KNOWN) + 3)
MATRICES = len(_KNOWN) + 4
# One of these has norms that multiply by 1 + weight: Gemma 2 and 3, Qwen3-Next.
_ONE_PLUS = ("pre_feedforward_layernorm.weight", "linear_attn.in_proj_qkvz.weight")
# Gemma 3n has such norms as well, and multiplies by the weight itself: these are names of its own.
_PLAIN = ("altup", "laurel")
# A_log is written down part by part.
_MOST_STATES = 256


@cache
def _globs() -> GlobSet:
    return GlobSet((rule.match, rule.ndim) for rule in RULES)


def guess(group: Group) -> Guess:
    """The rule for a group of parameters, or an initializer of its own where no rule suits it."""
    shape, dtype = group.entry.shape, group.entry.dtype
    at = _globs().first(group.example, len(shape))
    if at is not None and at < len(_KNOWN):
        return Guess(at)
    if group.segments[-1] == "A_log" and len(shape) in (1, 2) and 0 < shape[-1] <= _MOST_STATES:
        return Guess(initializer=_state_matrix(shape))
    if dtype is not None and DTYPES[dtype].kind != "float":
        return Guess(initializer="zeros")
    is_random = at is None or RULES[at].initializer == "base"
    if not shape or (at is None and len(shape) == 1):
        # One number, or a vector of no known kind; random values are the least probable.
        return Guess(initializer="zeros") if is_random else Guess(at)
    return Guess(initializer="base") if at is None else Guess(at)


def _state_matrix(shape: tuple[int, ...]) -> dict[str, Any]:
    """Mamba's A_log: the logarithms of 1, 2, 3 ... along the last axis."""
    states = shape[-1]
    if len(shape) == 1:
        return {"constant": {"value": [f"log({state})" for state in range(1, states + 1)]}}
    parts = [{"constant": {"value": f"log({state})"}} for state in range(1, states + 1)]
    return {"concatenate": {"axis": 1, "sizes": [1] * states, "initializers": parts}}


def is_known(name: str, ndim: int) -> bool:
    """Whether a name says by itself how a parameter or a buffer begins.

    Example:
        >>> is_known("bn.running_var", 1), is_known("embeddings.position_ids", 2)
        (True, False)
    """
    at = _globs().first(name, ndim)
    return at is not None and at < len(_KNOWN) and RULES[at].initializer is not None


def guess_norms(groups: Iterable[Group]) -> str:
    """How the scales of norms begin: zeros in models whose names tell that they multiply by 1 + weight."""
    names = [group.example for group in groups]
    if any(each in name for name in names for each in _PLAIN):
        return "ones"
    return "zeros" if any(name.endswith(_ONE_PLUS) for name in names) else "ones"


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


def guess_layout(groups: Iterable[Group]) -> tuple[str, str]:
    """The layout of most parameters, and why."""
    leaves = Counter(group.segments[-1] for group in groups if len(group.entry.shape) > 1)
    if leaves["weight"] > leaves["kernel"]:
        return "out_in", (
            'Guessed: names end in ".weight", as PyTorch\'s do, whose linear layers keep (out, in). Not all\n'
            "models do: GPT-2 keeps (in, out) under that name."
        )
    if leaves["kernel"]:
        return (
            "in_out",
            'Guessed: names end in ".kernel", as those of Keras and Flax do, which keep (in, out).',
        )
    return "in_out", "Guessed, with nothing to go by: in_out is what Keras and JAX keep, out_in PyTorch."
