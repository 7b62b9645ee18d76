"""How parameters probably begin, by their names: rules to propose, and words for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from initcfg.dtypes import DTYPES
from initcfg.globs import GlobSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.scaffold.grouping import Group

__all__ = ["LOOKED_UP", "MATRICES", "RULES", "Guess", "Proposal", "guess", "guess_layout"]


class Proposal(NamedTuple):
    """A rule that a draft may have.

    Args:
        match: its pattern.
        ndim: the number of axes that it asks for, or None.
        initializer: a name; ``base`` is the document's own.
        comment: what it is for.
    """

    match: str
    ndim: int | None
    initializer: str
    comment: str


@dataclass(frozen=True, slots=True)
class Guess:
    """How one group of parameters is to begin.

    Args:
        rule: the place of the rule in `RULES` that decides, or None.
        initializer: what stands beside the shape; None where the rule decides.
        layout: what stands beside the shape, or None.
    """

    rule: int | None = None
    initializer: str | None = None
    layout: str | None = None


# The first that matches wins.
RULES = (
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
        "Vectors of these names are the scales of norms. Where a norm multiplies by 1 + weight, write zeros.",
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
#: The rules for embeddings, and the one for matrices.
LOOKED_UP = (2, 3)
MATRICES = 4


@cache
def _globs() -> GlobSet:
    return GlobSet((rule.match, rule.ndim) for rule in RULES)


def guess(group: Group) -> Guess:
    """The rule for a group of parameters, or an initializer of its own where no rule suits it."""
    shape, dtype = group.entry.shape, group.entry.dtype
    if dtype is not None and DTYPES[dtype].kind != "float":
        return Guess(initializer="zeros")
    at = _globs().first(group.example, len(shape))
    is_random = at is None or RULES[at].initializer == "base"
    if not shape or (at is None and len(shape) == 1):
        # One number, or a vector of no known kind; random values are the least probable.
        return Guess(initializer="zeros") if is_random else Guess(at)
    return Guess(initializer="base") if at is None else Guess(at)


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
