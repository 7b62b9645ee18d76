"""The draft: guesses written down, planned, looked at by the checks, and mended where those complain."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from initcfg.checks import check_plan
from initcfg.checks.laws import large_receptive_field, unusual_variance
from initcfg.checks.survey import survey
from initcfg.draft.guesses import (
    LOOKED_UP,
    MATRICES,
    RULES,
    expert_layout,
    guess,
    guess_layout,
    guess_norms,
    is_known,
)
from initcfg.draft.layers import Places, grouped
from initcfg.draft.writing import EXAMPLE, Draft, Row, written
from initcfg.errors import Code, Diagnostic, SpecError, capped
from initcfg.manifest import Manifest
from initcfg.plan import plan_of
from initcfg.plan.parameters import name_problem
from initcfg.spec import load
from initcfg.spec.files import MAX_BYTES
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from initcfg.checks.survey import Complaint, Piece
    from initcfg.draft.guesses import Guess

# A parameter takes a line, such as "  a: {shape: []}".
_LEAST_BYTES = 17
_SCALED = "lecun_normal"
_EXPERTS = ("gate_up_proj", "down_proj")
_WHY_EMBEDDINGS = "an embedding is looked up, not summed over"
_WHY_OTHERS = "not looked at yet: this draft was guessed from names and shapes"


def new_spec(manifest: Manifest | None = None, name: str | None = None) -> str:
    """A commented spec to begin with, as YAML; it validates without errors and without warnings.

    Args:
        manifest: the parameters that the spec is to have, exactly; None for a small example. Of what it marks
            as buffers only those are drafted whose names say how they begin, such as ``running_var``; the
            others stay as the model has them. A row that the model keeps at zero is drafted as such. Numbered
            copies of a layer become one layer with a repeat. Initializers and the layout are guessed from
            names and shapes, and the comments say so.
        name: what the model is called.

    Raises:
        SpecError: the manifest has a name that no spec can have, or so many parameters that are unlike one
            another that the spec would be larger than one may be.

    Example:
        >>> from initcfg.manifest import Manifest
        >>> text = new_spec(Manifest({f"h.{i}.fc.weight": (768, 768) for i in range(12)}))
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
              fc.weight: {shape: [768, 768]}
    """
    if manifest is None:
        return EXAMPLE if name is None else EXAMPLE.replace("name: example\n", _named(name))
    entries = {
        key: entry
        for key, entry in manifest.entries.items()
        if not entry.buffer or is_known(key, len(entry.shape))
    }
    manifest = Manifest(entries, manifest.file)
    _check_names(manifest)
    groups = grouped(manifest)
    # What is too large already is neither written nor planned first.
    _check_size(len(groups) * _LEAST_BYTES)
    places = Places()
    rows = tuple(Row(places.of(group), group.entry, guess(group)) for group in groups)
    dtypes = Counter(entry.dtype or "float32" for entry in manifest.entries.values())
    dtype = dtypes.most_common(1)[0][0] if dtypes else "float32"
    draft = Draft(
        name, dtype, *guess_layout(groups), places.vars, places.repeats, rows, norms=guess_norms(groups)
    )
    _check_size(len(written(draft)))
    text = written(_mended(draft))
    _check_size(len(text.encode()))
    return text


def _named(name: str) -> str:
    return write_yaml({"name": name})


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


def _mended(draft: Draft) -> Draft:
    """The draft without what the checks complain of, and with reasons for what is left."""
    draft = _with_reasons(_with_scaled_matrices(_with_letters(_with_experts(draft))))
    spec = load(draft.tree())
    left = dict.fromkeys(str(each.code) for each in check_plan(plan_of(spec), spec.allow, spec))
    return replace(draft, allow=(*draft.allow, *({"code": code, "reason": _WHY_OTHERS} for code in left)))


def _with_experts(draft: Draft) -> Draft:
    """Stacked experts read alike: which axis is which shows in both of their matrices together."""
    shapes = {row.place.path: row.entry.shape for row in draft.rows}
    layouts: dict[int, str] = {}
    for at, row in enumerate(draft.rows):
        *layer, key = row.place.path
        module, _, leaf = key.rpartition(".")
        if leaf in _EXPERTS:
            pair = [shapes.get((*layer, f"{module}.{each}"), ()) for each in _EXPERTS]
            found = expert_layout(*pair)
            if found is not None:
                layouts[at] = found
    rows = (
        replace(row, guess=replace(row.guess, layout=layouts[at])) if at in layouts else row
        for at, row in enumerate(draft.rows)
    )
    return replace(draft, rows=tuple(rows))


def _with_letters(draft: Draft) -> Draft:
    """Stacks of matrices said to be such: under a named layout they would be convolutions."""
    odd = _complained(draft, large_receptive_field)
    inner = "OI" if draft.layout == "out_in" else "IO"
    return _changed(
        draft, odd, lambda row: replace(row.guess, layout="B" * (len(row.entry.shape) - 2) + inner)
    )


def _with_scaled_matrices(draft: Draft) -> Draft:
    """Matrices that are too narrow or too wide for one standard deviation scaled by their fan_in."""
    matrices = {at for at, row in enumerate(draft.rows) if row.guess.rule == MATRICES}
    odd = {at for at in _complained(draft, unusual_variance) if draft.rows[at].guess.rule not in LOOKED_UP}
    if 2 * len(odd & matrices) > len(matrices):
        draft = replace(draft, matrices=_SCALED)
        odd -= matrices
    return _changed(draft, odd, lambda row: replace(row.guess, rule=None, initializer=_SCALED))


def _with_reasons(draft: Draft) -> Draft:
    """What is unusual about embeddings is usual."""
    rules = {draft.rows[at].guess.rule for at in _complained(draft, unusual_variance)}
    return replace(
        draft,
        allow=tuple(
            {"code": str(Code.UNUSUAL_VARIANCE), "match": RULES[at].match, "reason": _WHY_EMBEDDINGS}
            for at in LOOKED_UP
            if at in rules
        ),
    )


def _changed(draft: Draft, rows: Collection[int], change: Callable[[Row], Guess]) -> Draft:
    return replace(
        draft,
        rows=tuple(
            replace(row, guess=change(row)) if at in rows else row for at, row in enumerate(draft.rows)
        ),
    )


def _complained(draft: Draft, judge: Callable[[Piece], Complaint | None]) -> set[int]:
    """The rows of which a check complains."""
    rows = {row.place.path: at for at, row in enumerate(draft.rows)}
    return {
        rows[member.where.path]  # type: ignore[index]
        for group in survey(plan_of(load(draft.tree())), None).groups
        if any(judge(piece) for piece in group.pieces)
        for member in group.members
        if member.where is not None
    }
