"""The draft: guesses written as a document with comments, and what the checks say of it excused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initcfg.checks import check_plan
from initcfg.checks.laws import large_receptive_field, unusual_variance
from initcfg.checks.survey import survey
from initcfg.draft.guesses import (
    Guesses,
    Law,
    Model,
    Rule,
    expert_layout,
    family_of,
    guess_layout,
    is_known,
)
from initcfg.draft.layers import Places, grouped
from initcfg.errors import Code, Diagnostic, SpecError, capped
from initcfg.manifest import Manifest
from initcfg.plan import plan_of
from initcfg.plan.parameters import name_problem
from initcfg.plan.scope import EvalBudget
from initcfg.spec import load
from initcfg.spec.files import MAX_BYTES
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from initcfg.checks.survey import Complaint, Piece
    from initcfg.draft.guesses import Family
    from initcfg.draft.layers import Group, Place
    from initcfg.manifest import ManifestEntry

# A parameter takes a line, such as "  a: {shape: []}".
_LEAST_BYTES = 17
_SECTIONS = ("vars", "initializers", "params", "layers", "rules", "allow")
_WHY_VARIANCE = "what models like {} begin with, whatever their width"
_WHY_OTHERS = "not looked at yet: much of this draft was guessed"
_TOP = """\
A draft from the names and shapes of a model, which say neither how a parameter is meant to begin nor which
of its axes are inputs. What is said here about either was guessed; where the model's own code is at hand,
"initcfg capture" writes what it does. "initcfg plan" shows the distributions. A parameter that shares the
array of another needs tied_to: NAME."""
_INLINE = """\
The rules below say how parameters begin. Beside a shape stands what differs from them, and what no rule
speaks of."""


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter of the draft, or one a repeat; `rule` is the place of the rule that it falls under."""

    place: Place
    entry: ManifestEntry
    rule: int | None
    law: Law
    layout: str | None = None  # beside the shape


@dataclass(frozen=True, slots=True)
class Draft:
    """What a draft says; `base` is the law that it calls so."""

    name: str | None
    dtype: str
    layout: str
    comments: Mapping[str, str]  # above keys of the document
    places: Places
    rows: tuple[Row, ...]
    rules: tuple[Rule, ...]  # each with the law that most of its rows have
    base: Law
    allow: tuple[dict[str, str], ...] = ()

    def tree(self) -> dict[str, Any]:
        """The document; what is empty is left out."""
        head = {"initcfg": 1, "name": self.name, "seed": 0, "dtype": self.dtype, "layout": self.layout}
        params = self.places.lay_out((row.place, self._parameter(row)) for row in self.rows)
        rules = [self.rule(at) for at in self.used]
        sections: dict[str, Any] = {
            "vars": dict(self.places.vars),
            "initializers": {"base": self.base} if "'base'" in repr((params, rules)) else {},
            **params,
            "rules": rules,
            "allow": list(self.allow),
        }
        return {key: value for key, value in (head | sections).items() if value not in (None, {}, [])}

    @property
    def used(self) -> list[int]:
        """The rules that decide something."""
        deciding = {row.rule for row in self.rows if not self.is_inline(row)}
        return [at for at in range(len(self.rules)) if at in deciding]

    def is_inline(self, row: Row) -> bool:
        """Whether how a row begins stands beside its shape: a row at zero, for one, is said there."""
        return row.rule is None or row.entry.zero_row is not None or self.rules[row.rule].law != row.law

    def rule(self, at: int) -> dict[str, Any]:
        """A rule as the document has it."""
        rule = self.rules[at]
        ndim = {} if rule.ndim is None else {"ndim": rule.ndim}
        begin = {"skip": True} if rule.law is None else {"initializer": self._called(rule.law)}
        return {"match": rule.match} | ndim | begin

    def _called(self, law: Any) -> Any:
        return "base" if law == self.base and isinstance(law, dict) else law

    def _parameter(self, row: Row) -> dict[str, Any]:
        dtype = row.entry.dtype or "float32"
        said = {
            "initializer": self._beside(row) if self.is_inline(row) else None,
            "layout": row.layout,
            "dtype": None if dtype == self.dtype else dtype,
        }
        return {"shape": list(row.entry.shape)} | {
            key: value for key, value in said.items() if value is not None
        }

    def _beside(self, row: Row) -> Any:
        """What stands beside the shape: the law, around the row that the model keeps at zero."""
        at, law = row.entry.zero_row, self._called(row.law)
        if at is None:
            return law
        return {"patch": {"base": law, "patches": [{"at": [at], "initializer": "zeros"}]}}


def new_spec(manifest: Manifest | Mapping[str, Sequence[int]] | None = None, name: str | None = None) -> str:
    """A commented spec to begin with, as YAML; it validates without errors and without warnings.

    Args:
        manifest: the parameters that the spec is to have, exactly; shapes by names will do. None for a small
            example. Of what it marks as buffers only those are drafted whose names say how they begin, such
            as ``running_var``; the others stay as the model has them. A row that the model keeps at zero is
            drafted as such. Numbered copies of a layer become one layer with a repeat. How parameters begin
            is taken from their names, and the comments say what is a guess. Where the model's code is at
            hand, the ``capture`` of its framework's adapter reads what that code does.
        name: what the model is called.

    Raises:
        SpecError: the manifest has a name that no spec can have, or so many parameters that are unlike one
            another that the spec would be larger than one may be.

    Example:
        >>> text = new_spec({f"h.{i}.attn.q_proj.weight": (768, 768) for i in range(12)})
        >>> print(text[text.index("vars") : text.index("rules")].rstrip())
        vars: {n_h: 12}
        <BLANKLINE>
        initializers:
          base: {random_normal: {stddev: 0.02}}
        <BLANKLINE>
        layers:
          h.{i}:
            repeat: {i: n_h}
            params:
              attn.q_proj.weight: {shape: [768, 768]}
    """
    if manifest is None:
        text = Path(__file__).with_name("example.yaml").read_text(encoding="utf-8")
        return text if name is None else text.replace("name: example\n", write_yaml({"name": name}))
    manifest = manifest if isinstance(manifest, Manifest) else Manifest(manifest)
    entries = {
        key: entry
        for key, entry in manifest.entries.items()
        if not entry.buffer or is_known(key, len(entry.shape))
    }
    manifest = Manifest(entries, manifest.file)
    _check_names(manifest)
    groups = grouped(manifest.entries)
    # What is too large already is neither written nor planned first.
    _check_size(len(groups) * _LEAST_BYTES)
    draft, family = _guessed(groups, name)
    _check_size(len(written(draft)))
    text = written(_excused(_with_letters(_with_experts(draft)), family))
    _check_size(len(text.encode()))
    return text


def _guessed(groups: Sequence[Group], name: str | None) -> tuple[Draft, Family]:
    """Every parameter with its place and how it begins, nothing looked at yet."""
    places = Places()
    placed = [places.of(group) for group in groups]
    model = Model({group.example: group.entry.shape for group in groups})
    family, why = family_of(model)
    guesses = Guesses(family, model)
    rows = tuple(
        Row(place, group.entry, *guesses.of(group)) for place, group in zip(placed, groups, strict=True)
    )
    rules = tuple(_decided(at, rule, rows) for at, rule in enumerate(guesses.rules))
    dtypes = Counter(row.entry.dtype or "float32" for row in rows)
    dtype = dtypes.most_common(1)[0][0] if dtypes else "float32"
    layout, why_layout = guess_layout(groups)
    comments = {"initcfg": f"{_TOP}\n{why}", "layout": why_layout}
    base = rules[-1].law if any(row.rule == len(rules) - 1 for row in rows) else family.base
    return Draft(name, dtype, layout, comments, places, rows, rules, base), family


def _decided(at: int, rule: Rule, rows: Sequence[Row]) -> Rule:
    """A rule with the law that most of its rows have."""
    laws = {repr(row.law): row.law for row in rows if row.rule == at and row.entry.zero_row is None}
    under = Counter(repr(row.law) for row in rows if row.rule == at and row.entry.zero_row is None)
    return rule._replace(law=laws[under.most_common(1)[0][0]] if under else "zeros")


def _check_names(manifest: Manifest) -> None:
    """Refuses names that a spec cannot have, before anything is made of them."""
    problems = []
    for name, entry in manifest.entries.items():
        found = name_problem(name)
        if found is None and "." not in name and ("{" in name or "}" in name):
            found = Code.BAD_NAME, f"the name {name!r} has braces, and no layer to be written in"
        if found is not None:
            hint = "rename the parameter, or leave it out of the manifest"
            problems.append(Diagnostic(*found, entry.where, hint))
    if problems:
        raise SpecError(*capped(problems))


def _check_size(size: int) -> None:
    """Refuses a draft that would be larger than what is read."""
    if size > MAX_BYTES:
        message = f"this draft takes {size:,} bytes or more, and a spec has at most {MAX_BYTES:,}"
        hint = "write a spec that names the manifest, manifest: FILE, and rules in the place of layers"
        raise SpecError(Diagnostic(Code.TOO_LARGE, message, hint=hint))


def _with_experts(draft: Draft) -> Draft:
    """Stacked experts read alike: which axis is which shows in both of their matrices together."""
    shapes = {".".join(row.place.path): row.entry.shape for row in draft.rows}
    rows = (replace(row, layout=expert_layout(".".join(row.place.path), shapes)) for row in draft.rows)
    return replace(draft, rows=tuple(rows))


def _with_letters(draft: Draft) -> Draft:
    """Stacks of matrices said to be such: under a named layout they would be convolutions."""
    odd = _complained(draft, large_receptive_field)
    inner = "OI" if draft.layout == "out_in" else "IO"
    rows = (
        replace(row, layout="B" * (len(row.entry.shape) - 2) + inner) if at in odd else row
        for at, row in enumerate(draft.rows)
    )
    return replace(draft, rows=tuple(rows))


def _excused(draft: Draft, family: Family) -> Draft:
    """The draft with a reason for everything that the checks complain of."""
    odd = {draft.rows[at].rule for at in _complained(draft, unusual_variance)}
    reason = _WHY_VARIANCE.format(family.name)
    allow: list[dict[str, str]] = [
        {"code": str(Code.UNUSUAL_VARIANCE), "match": draft.rules[at].match, "reason": reason}
        for at in sorted(at for at in odd if at is not None)
    ]
    spec = load(replace(draft, allow=tuple(allow)).tree())
    left = dict.fromkeys(str(each.code) for each in check_plan(plan_of(spec), spec.allow, spec))
    return replace(draft, allow=(*allow, *({"code": code, "reason": _WHY_OTHERS} for code in left)))


def _complained(draft: Draft, judge: Callable[[Piece], Complaint | None]) -> set[int]:
    """The rows of which a check complains."""
    rows = {row.place.path: at for at, row in enumerate(draft.rows)}
    return {
        rows[member.where.path]  # type: ignore[index]
        for group in survey(plan_of(load(draft.tree())), None, EvalBudget()).groups
        if any(judge(piece) for piece in group.pieces)
        for member in group.members
        if member.where is not None
    }


def written(draft: Draft) -> str:
    """The draft as YAML with its comments."""
    tree = draft.tree()
    inline = any(row.layout or draft.is_inline(row) for row in draft.rows)
    first = {"params" if "params" in tree else "layers": _INLINE} if inline else {}
    rules = [(draft.rule(at), draft.rules[at].comment) for at in draft.used]
    return "".join(commented(tree, {**first, **draft.comments}, rules))


def commented(
    tree: dict[str, Any], comments: Mapping[str, str], rules: Iterable[tuple[dict[str, Any], str]]
) -> Iterator[str]:
    """A document as YAML, with comments above some of its keys and above its rules."""
    for key, value in tree.items():
        if key in _SECTIONS:
            yield "\n"
        yield _comment(comments.get(key, ""))
        if key != "rules":
            yield write_yaml({key: value})
            continue
        yield "rules:\n"
        for rule, comment in rules:
            yield _comment(comment, "  ")
            yield write_yaml({"rules": [rule]}).removeprefix("rules:\n")


def _comment(text: str, indent: str = "") -> str:
    return "".join(f"{indent}# {line}\n" for line in text.splitlines())
