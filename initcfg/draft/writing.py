"""A draft as a document, and as text with comments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initcfg.draft.guesses import MATRICES, NORMS, RULES
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.draft.guesses import Guess
    from initcfg.draft.layers import Place
    from initcfg.manifest import ManifestEntry

_SECTIONS = ("vars", "initializers", "params", "layers", "rules", "allow")
_BASE = {"random_normal": {"stddev": 0.02}}
_TOP = """\
A draft from the names and shapes of a model, which say neither how a parameter is meant to begin nor which
of its axes are inputs. What is said here about either was guessed: hold it against the model's own code.
"initcfg plan" shows what it comes to. A parameter that is another one as well gets tied_to: NAME."""
_INLINE = """\
The rules below say how parameters begin. Look first at those with an initializer or a layout beside their
shape: their name tells no rule how they begin, or base would be too small or too large for their shape."""

EXAMPLE = """\
# How the weights of a model begin. "initcfg validate" checks this file, "initcfg plan" shows what it comes
# to, "initcfg materialize" makes the weights, and "initcfg initializers" lists what there is to choose from.
initcfg: 1
name: example
seed: 0 # with a parameter's name it decides the parameter's values
dtype: float32
layout: out_in # a matrix is (out, in), as in PyTorch; in_out, as in Keras and JAX, is the other way round

# Numbers for expressions, which may stand wherever a number may.
vars: {vocab: 1000, d: 256, n_layer: 4}

# Initializers by names of this file.
initializers:
  residual: {random_normal: {stddev: 0.06 / sqrt(2 * n_layer)}}

# A parameter's full name is its layer's name, a dot and its own: embed.weight, h.0.norm.weight.
layers:
  embed:
    params:
      weight: {shape: [vocab, d], initializer: {random_normal: {stddev: 0.02}}}
  h.{i}:
    repeat: {i: n_layer} # i = 0, 1, 2, 3
    params:
      norm.weight: {shape: [d]}
      norm.bias: {shape: [d]}
      mlp.up.weight: {shape: [4 * d, d]}
      mlp.up.bias: {shape: [4 * d]}
      mlp.down.weight: {shape: [d, 4 * d]}
      mlp.down.bias: {shape: [d]}

# For the parameters that name no initializer themselves; the first rule that matches wins.
rules:
  - {match: "**.norm.weight", initializer: ones}
  - {match: "**.bias", initializer: zeros}
  - {match: "**.down.weight", initializer: residual}
  - {match: "**.weight", initializer: lecun_normal}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter of the draft, or one a repeat.

    Args:
        place: where it stands.
        entry: its shape and dtype.
        guess: how it begins.
    """

    place: Place
    entry: ManifestEntry
    guess: Guess

    @property
    def rule(self) -> int | None:
        """The rule that wins it; none wins what has a row at zero, which says all of it beside its shape."""
        return self.guess.rule if self.entry.zero_row is None else None

    @property
    def initializer(self) -> str | dict[str, Any] | None:
        """What stands beside the shape, or around the row at zero there; None where the rule decides."""
        if self.rule is None and self.guess.rule is not None:
            return RULES[self.guess.rule].initializer
        return self.guess.initializer


@dataclass(frozen=True, slots=True)
class Draft:
    """What a draft says.

    Args:
        name: the model's name, or None.
        dtype: of the parameters that say none.
        layout: the document's.
        why_layout: the comment beside it.
        vars: the numbers of copies.
        repeats: the repeat of each layer that has one.
        rows: the parameters.
        matrices: the initializer of the rule for matrices.
        norms: the initializer of the rule for the scales of norms.
        allow: the document's.
    """

    name: str | None
    dtype: str
    layout: str
    why_layout: str
    vars: Mapping[str, int]
    repeats: Mapping[str, dict[str, Any]]
    rows: tuple[Row, ...]
    matrices: str = "base"
    norms: str = "ones"
    allow: tuple[dict[str, str], ...] = ()

    def tree(self) -> dict[str, Any]:
        """The document; what is empty is left out."""
        head = {"initcfg": 1, "name": self.name, "seed": 0, "dtype": self.dtype, "layout": self.layout}
        rules = [self.rule(at) for at in self.used]
        named = [rule.get("initializer") for rule in rules] + [row.initializer for row in self.rows]
        sections: dict[str, Any] = {
            "vars": dict(self.vars),
            "initializers": {"base": _BASE} if "base" in named else {},
            **self._parameters(),
            "rules": rules,
            "allow": list(self.allow),
        }
        return {key: value for key, value in (head | sections).items() if value not in (None, {}, [])}

    @property
    def used(self) -> tuple[int, ...]:
        """The rules that win something."""
        return tuple(at for at in range(len(RULES)) if any(row.rule == at for row in self.rows))

    def rule(self, at: int) -> dict[str, Any]:
        """A rule as the document has it."""
        made = RULES[at]
        ndim = {} if made.ndim is None else {"ndim": made.ndim}
        initializer = {MATRICES: self.matrices, NORMS: self.norms}.get(at, made.initializer)
        begin = {"skip": True} if initializer is None else {"initializer": initializer}
        return {"match": made.match} | ndim | begin

    def _parameters(self) -> dict[str, Any]:
        params: dict[str, Any] = {}
        layers: dict[str, Any] = {}
        for row in self.rows:
            here = params
            if row.place.layer is not None:
                repeat = self.repeats.get(row.place.layer)
                new = ({"repeat": repeat} if repeat else {}) | {"params": {}}
                here = layers.setdefault(row.place.layer, new)["params"]
            here[row.place.key] = self._parameter(row)
        return {"params": params, "layers": layers}

    def _parameter(self, row: Row) -> dict[str, Any]:
        dtype = row.entry.dtype or "float32"
        said = {
            "initializer": _with_zero_row(row),
            "layout": row.guess.layout,
            "dtype": None if dtype == self.dtype else dtype,
        }
        return {"shape": list(row.entry.shape)} | {
            key: value for key, value in said.items() if value is not None
        }


def _with_zero_row(row: Row) -> str | dict[str, Any] | None:
    """What stands beside the shape: the guess, around the row that the model keeps at zero."""
    at, draw = row.entry.zero_row, row.initializer
    if at is None or draw is None:
        return draw
    parts = [(at, draw), (1, "zeros"), (row.entry.shape[0] - at - 1, draw)]
    kept = [part for part in parts if part[0]]
    sizes, initializers = [size for size, _ in kept], [each for _, each in kept]
    return {"concatenate": {"axis": 0, "sizes": sizes, "initializers": initializers}}


def written(draft: Draft) -> str:
    """The draft as YAML with its comments."""
    return "".join(_lines(draft, draft.tree()))


def _lines(draft: Draft, tree: dict[str, Any]) -> Iterator[str]:
    yield _comment(_TOP)
    first = "params" if "params" in tree else "layers"
    for key, value in tree.items():
        if key == "layout":
            yield _comment(draft.why_layout)
        if key in _SECTIONS:
            yield "\n"
        if key == "rules":
            yield from _rules(draft)
            continue
        if key == first and _has_inline(draft):
            yield _comment(_INLINE)
        yield write_yaml({key: value})


def _has_inline(draft: Draft) -> bool:
    return any(row.initializer or row.guess.layout for row in draft.rows)


def _rules(draft: Draft) -> Iterator[str]:
    yield "rules:\n"
    for at in draft.used:
        yield _comment(RULES[at].comment, "  ")
        yield write_yaml({"rules": [draft.rule(at)]}).removeprefix("rules:\n")


def _comment(text: str, indent: str = "") -> str:
    return "".join(f"{indent}# {line}\n" for line in text.splitlines())
