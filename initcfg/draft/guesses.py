"""How each parameter probably begins: as its name tells, else the model's family.

What names and families tell is data, in ``families.yaml`` beside this module.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg.capture.layers import Index
from initcfg.dtypes import DTYPES
from initcfg.globs import GlobSet
from initcfg.text.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from initcfg.capture.layers import Group

#: An initializer as a spec writes it; None leaves the parameters out of the plan.
Law = str | dict[str, Any] | None
# How torch's recurrent cells, attention and parametrizations call their matrices.
_OF_TORCH = re.compile(r"weight_(ih|hh|hr|orig|v)(_|$)|in_proj_weight$|parametrizations$")
# Gemma 1 has the names of Llama, and a vocabulary of its own.
_GEMMA_VOCABULARY = 256_000


@dataclass(frozen=True, slots=True)
class Model:
    """The shapes of parameters by name, and the numbers of copies of layers by var."""

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
    """A rule that a draft may have; its law is as ``families.yaml`` writes it."""

    match: str
    ndim: int | None
    law: Law
    comment: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Rule:
        """A rule of the file."""
        return cls(row["match"], row.get("ndim"), row.get("initializer"), row["comment"])


class Family(NamedTuple):
    """Models that begin alike; the fields are explained in ``families.yaml``."""

    name: str
    signs: Sequence[str]
    base: Law
    embeddings: Law
    says: str
    rules: Sequence[Mapping[str, Any]] = ()
    without: str | None = None
    biases: Law = "zeros"


@cache
def _known() -> tuple[Any, tuple[Rule, ...], GlobSet]:
    """The file, and what a name says in models of any family, whatever the shape and the dtype."""
    text = Path(__file__).with_name("families.yaml").read_text(encoding="utf-8")
    tree: Any = read_yaml(text).tree
    rules = tuple(map(Rule.of, tree["known"]))
    return tree, rules, GlobSet((rule.match, rule.ndim) for rule in rules)


def family_of(model: Model) -> tuple[Family, str]:
    """The family that the names of a model tell, and the sentence that says why it is taken."""
    for family in (Family(**row) for row in _known()[0]["families"]):
        found = [model.first(sign) for sign in family.signs]
        if None not in found and (family.without is None or model.first(family.without) is None):
            return family, f"Taken for a model like {family.name}, because it has {found[0]!r}."
    unknown = Family("no other", (), "lecun_normal", normal(0.02), "By the number of inputs.")
    return unknown, "Taken for a model of no known family: no name tells one."


def _rules_for(family: Family, model: Model) -> tuple[list[Rule], list[Rule]]:
    """The rules that a draft may have, of which the first that matches wins: by names, and by their kind."""
    tree, known, _ = _known()
    together = (rule for each in tree["together"] if model.first(each["sign"]) for rule in each["rules"])
    own = (Rule.of(row) for row in family.rules)
    named = [*(rule._replace(comment=f"A guess. {rule.comment}") for rule in own), *map(Rule.of, together)]
    kinds = (Rule.of(row)._replace(comment=row["comment"].format(family=family)) for row in tree["kinds"])
    of_family = (rule._replace(law=getattr(family, str(rule.law), rule.law)) for rule in kinds)
    return [*named, *known], list(of_family)


# Laws.


def normal(stddev: float | str) -> Law:
    """A normal distribution about 0."""
    return {"random_normal": {"stddev": stddev}}


def within(bound: str) -> Law:
    """Evenly from -bound to bound."""
    return {"random_uniform": {"minval": f"-{bound}", "maxval": bound}}


def _law(written: Any, group: Group, model: Model) -> Any:
    """A law of the file for one group of parameters: its functions called, its texts filled in."""
    match written:
        case {"computed": name}:
            return _COMPUTED[name](group, model)
        case dict():
            return {key: _law(each, group, model) for key, each in written.items()}
        case str() if "{" in written:
            width = str(max(group.entry.shape[-1], 1))
            return written.replace("{depth}", _depth(group, model)).replace("{width}", width)
    return written


def _depth(group: Group, model: Model) -> str:
    """How many copies of a parameter there are, as an expression."""
    total = next((each.total for each in group.segments if isinstance(each, Index)), 1)
    return next((name for name, value in model.vars.items() if value == total), str(total))


def _beside(group: Group, model: Model, *leaves: str) -> tuple[int, ...]:
    """The shape of the first parameter of such a name in the same module; () where there is none."""
    names = (f"{group.example.rpartition('.')[0]}.{leaf}".lstrip(".") for leaf in leaves)
    return next((model.shapes[name] for name in names if name in model.shapes), ())


def _t5_queries(group: Group, model: Model) -> Law:
    biases = model.first(r"relative_attention_bias\.weight$")
    heads = model.shapes[biases][-1] if biases else 0
    size = group.entry.shape[0] // heads if heads else 64
    return normal(f"1 / sqrt({max(size, 1)} * fan_in)")


def _t5_positions(_: Group, model: Model) -> Law:
    embeddings = model.first(r"(^|\.)(shared|embed_tokens)\.weight$")
    width = model.shapes[embeddings][-1] if embeddings else 0
    return normal(f"1 / sqrt({width})" if width else 0.02)


def _torch_bias(group: Group, model: Model) -> Law:
    """As far from 0 as the weight beside it; zero beside a norm's scale."""
    # Weight normalization writes a weight as a direction and a magnitude.
    weight = _beside(group, model, "weight", "parametrizations.weight.original1", "weight_v")
    inputs = prod(weight[1:]) if len(weight) > 1 else 0
    return within(f"1 / sqrt({inputs})") if inputs else "zeros"


def _recurrent(group: Group, model: Model) -> Law:
    """As torch's LSTM, GRU and RNN: all that is in them by the number of hidden units."""
    leaf = group.example.rpartition(".")[2]
    shape = _beside(group, model, re.sub(r"^(weight|bias)_(ih|hh)", "weight_hh", leaf)) or group.entry.shape
    return within(f"1 / sqrt({max(shape[-1], 1)})")


def _state_matrix(group: Group, _: Model) -> Law:
    """The logarithms of 1, 2, 3 ... along the last axis; gated delta nets draw what they take them of."""
    if "linear_attn" in group.segments:
        drawn = {"random_uniform": {"minval": "2**-20", "maxval": 16}}
        return {"formula": {"value": "log(x)", "of": drawn}}
    return "mamba_a_log"


def _magnitude(group: Group, model: Model) -> Law:
    """The norm of the direction beside it, over the axes along which the magnitude is one number."""
    other = {"weight_g": "weight_v", "original0": "original1"}[group.example.rpartition(".")[2]]
    if len(_beside(group, model, other)) != len(group.entry.shape):
        return "ones"
    axes = [at for at, size in enumerate(group.entry.shape) if size == 1]
    return {"norm_of": {"parameter": other, "axes": axes}}


def _sines(group: Group, _: Model) -> Law:
    """Whisper's table: the sines of all positions, then the cosines."""
    half = group.entry.shape[1] // 2
    angle = "index(0) * 10000 ** (-index(1) / (size(1) - 1))"
    waves = [{"formula": {"value": f"{wave}({angle})"}} for wave in ("sin", "cos")]
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


_COMPUTED = {
    "magnitude": _magnitude,
    "norms": _norms,
    "recurrent": _recurrent,
    "sines": _sines,
    "state_matrix": _state_matrix,
    "t5_positions": _t5_positions,
    "t5_queries": _t5_queries,
    "torch_bias": _torch_bias,
}


# Guesses.


class Guess(NamedTuple):
    """How a group of parameters is to begin, and the place of the rule that it falls under, or None."""

    rule: int | None
    law: Law


class Guesses:
    """How the parameters of one model begin."""

    def __init__(self, family: Family, model: Model) -> None:
        named, kinds = _rules_for(family, model)
        self.rules = (*named, *kinds)
        self._first_kind = len(named)  # those before go by names, not by kinds
        self._family, self._model = family, model
        self._globs = GlobSet((rule.match, rule.ndim) for rule in self.rules)

    def of(self, group: Group) -> Guess:
        """The rule for a group of parameters and its law there, or one of its own where none suits it."""
        shape, dtype = group.entry.shape, group.entry.dtype
        at = self._globs.first(group.example, len(shape))
        if at is None or at >= self._first_kind:
            kind = "float" if dtype is None else DTYPES[dtype].kind
            is_fixed = at is not None and _law(self.rules[at].law, group, self._model) in ("zeros", "ones")
            if kind != "float" and not (kind == "complex" and is_fixed):
                return Guess(None, "lecun_normal" if kind == "complex" and len(shape) > 1 else "zeros")
            if at is None:
                # One number, or a vector of no known kind; random values are the least probable.
                return Guess(None, self._family.base if len(shape) > 1 else "zeros")
            if not shape and at >= self._first_kind + 2:
                return Guess(None, "zeros")
        return Guess(at, _law(self.rules[at].law, group, self._model))


def is_known(name: str, ndim: int) -> bool:
    """Whether a name says by itself how a parameter or a buffer begins: ``bn.running_var``."""
    _, rules, globs = _known()
    at = globs.first(name, ndim)
    return at is not None and rules[at].law is not None


def guess_layout(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str]:
    """The layout of most parameters, and why."""
    if any(name.endswith("c_attn.weight") and _is_conv1d(shape) for name, shape in shapes.items()):
        return "in_out", 'Told by the shape of "c_attn.weight": GPT-2 keeps (in, out).'
    leaves = Counter(name.rpartition(".")[2] for name, shape in shapes.items() if len(shape) > 1)
    if leaves["weight"] > leaves["kernel"]:
        return "out_in", (
            'Guessed: names end in ".weight", as PyTorch\'s do, whose linear layers keep (out, in). Not all\n'
            "models do."
        )
    if not leaves["kernel"] and any(_OF_TORCH.match(each) for name in shapes for each in name.split(".")):
        return "out_in", "Guessed: names are PyTorch's, whose linear layers keep (out, in)."
    if leaves["kernel"]:
        return (
            "in_out",
            'Guessed: names end in ".kernel", as those of Keras and Flax do, which keep (in, out).',
        )
    return "in_out", "Guessed, with nothing to go by: in_out is what Keras and JAX keep, out_in PyTorch."


def _is_conv1d(shape: tuple[int, ...]) -> bool:
    """Whether a matrix is queries, keys and values side by side, three times as many outputs as inputs."""
    return len(shape) == 2 and shape[1] == 3 * shape[0]
