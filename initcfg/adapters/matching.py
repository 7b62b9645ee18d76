"""What adapters share: a plan held against a live model before it is touched; flat names as nested dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.names import NearestNames, differ_alike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan import Plan, PlannedParameter


_CONVERT = "give the model {dtype}"


def require_match(plan: Plan, manifest: Manifest, model: str, convert: str = _CONVERT) -> None:
    """Raises a SpecError unless a model and a plan have the same parameters, of the same shapes and dtypes.

    A parameter that the plan skips may be in the model, of any form. Of the names that are tied to each
    other the model has one, and only one: what has two names in it is two arrays, which training would
    part. An entry of the manifest without a dtype takes any. `model` is what messages call it,
    `convert` how it gets another ``{dtype}``. Every problem is reported, in the plan's order (codes
    ``not-in-manifest``, ``not-in-spec``, ``shape-mismatch``, ``dtype-mismatch``, ``tied``).
    """
    problems = (*match_problems(plan, manifest, model, convert), *_tie_problems(plan, manifest, model))
    if problems:
        raise SpecError(*problems)


def match_problems(
    plan: Plan, manifest: Manifest, model: str, convert: str, ways: Mapping[str, str] | None = None
) -> Iterator[Diagnostic]:
    """What differs, one by one, but for ties: for a caller that tells problems of its own beside.

    `ways` has the way out for names that the model lacks for a reason that the caller knows.
    """
    alike = differ_alike(manifest.entries, {parameter.name: None for parameter in plan})
    if alike is not None:
        way = "rename the parameters in the spec, or plan with manifest=manifest(...) of the model"
        message = f"the names of the parameters in {model} {alike}"
        yield Diagnostic(Code.NOT_IN_MANIFEST, message, hint=way)
        return
    ways = ways or {}
    held = {_array(plan[name]) for name in manifest.entries if name in plan}
    near, skipped = NearestNames(), {each.name for each in plan.skipped}
    unknown = dict.fromkeys(name for name in manifest.entries if name not in plan and name not in skipped)
    pairs = [(each, manifest.entries[each.name]) for each in plan if each.name in manifest.entries]
    recast = _recast(pairs, model, convert)
    if recast is not None:
        yield recast
    for parameter in plan:
        entry = manifest.entries.get(parameter.name)
        if entry is not None:
            yield from _shape_problem(parameter, entry, model)
            if recast is None:
                yield from _dtype_problem(parameter, entry, model, convert)
        elif _array(parameter) not in held:
            hint = ways.get(parameter.name) or near.hint(parameter.name, unknown)
            message = f"the plan makes {parameter.name!r}, and {model} has no such parameter"
            hint = hint or "remove it from the spec, or skip it"
            yield Diagnostic(Code.NOT_IN_MANIFEST, message, parameter.where, hint)
    absent = dict.fromkeys(each.name for each in plan if each.name not in manifest.entries)
    for name in unknown:
        way = "describe it in the spec, or leave it out on purpose with a rule that skips it"
        hint = near.hint(name, absent) or way
        message = f"{model} has a parameter {name!r}, which the plan does not make"
        yield Diagnostic(Code.NOT_IN_SPEC, message, manifest.entries[name].where, hint)


def _tie_problems(plan: Plan, manifest: Manifest, model: str) -> Iterator[Diagnostic]:
    """Names that are one array in the plan and several in the model."""
    first: dict[str, str] = {}
    for name in manifest.entries:
        if name not in plan:
            continue
        array = _array(plan[name])
        other = first.setdefault(array, name)
        if other != name:
            # One of the two says tied_to, whichever comes first in the model.
            tied = plan[name] if plan[name].tied_to else plan[other]
            message = f"{other!r} and {name!r} are tied in the plan, and two parameters in {model}"
            way = f"write stream: {array} in the place of tied_to, for equal values in two"
            hint = f"{way}, or let {model} have one of them"
            yield Diagnostic(Code.TIED, message, tied.where, hint)


def _array(parameter: PlannedParameter) -> str:
    """The one name of all that share an array."""
    return parameter.tied_to or parameter.name


def _shape_problem(parameter: PlannedParameter, entry: ManifestEntry, model: str) -> Iterator[Diagnostic]:
    if parameter.shape != entry.shape:
        message = f"{parameter.name!r} has shape {parameter.shape} in the plan and {entry.shape} in {model}"
        hint = "give the shape that the model has"
        if len(entry.shape) > 1 and parameter.shape == entry.shape[::-1]:
            hint = "the axes are the other way round: the spec may have been written for another framework"
        yield Diagnostic(Code.SHAPE_MISMATCH, message, parameter.where, hint)


def _dtype_problem(
    parameter: PlannedParameter, entry: ManifestEntry, model: str, convert: str
) -> Iterator[Diagnostic]:
    if entry.dtype is not None and parameter.dtype.name != entry.dtype:
        message = f"{parameter.name!r} is {parameter.dtype} in the plan and {entry.dtype} in {model}"
        hint = _conversion(parameter.dtype.name, convert)
        yield Diagnostic(Code.DTYPE_MISMATCH, message, parameter.where, hint)


def _recast(
    pairs: Sequence[tuple[PlannedParameter, ManifestEntry]], model: str, convert: str
) -> Diagnostic | None:
    """One problem for parameters of which all have another dtype in the model, and the same."""
    dtypes = {(parameter.dtype.name, entry.dtype) for parameter, entry in pairs}
    if len(pairs) < 2 or len(dtypes) > 1:
        return None
    ((ours, theirs),) = dtypes
    if theirs is None or ours == theirs:
        return None
    message = f"all {len(pairs):,} parameters are {ours} in the plan and {theirs} in {model}"
    return Diagnostic(Code.DTYPE_MISMATCH, message, hint=_conversion(ours, convert))


def _conversion(dtype: str, convert: str) -> str:
    way = convert.replace("{dtype}", dtype)
    return f"{way}, or drop 'dtype:' from the spec: what states none is as the model has it"


Value = TypeVar("Value")


def nest(values: Mapping[str, Value], separator: str = ".") -> dict[str, Any]:
    """Values by dotted names as dicts in dicts, in the same order; the values themselves are not looked at.

    Keys are always texts: ``layers.0.kernel`` becomes ``{"layers": {"0": {"kernel": ...}}}``.

    Args:
        values: by full names.
        separator: what names are split on, such as ``"/"``.

    Raises:
        SpecError: a name is a value and holds others too (code ``bad-name``); all such names are told.
        ValueError: the separator is empty.

    Example:
        >>> nest({"fc.kernel": 1, "fc.bias": 2, "scale": 3})
        {'fc': {'kernel': 1, 'bias': 2}, 'scale': 3}
    """
    paths = {tuple(name.split(separator)): value for name, value in values.items()}
    below = {path[:end]: path for path in paths for end in range(1, len(path))}
    hint = "rename one, or keep the flat names: a dict holds either a value or more names"
    clashes = [
        f"{separator.join(path)!r} is a parameter, and {separator.join(below[path])!r} would stand inside it"
        for path in paths
        if path in below
    ]
    if clashes:
        raise SpecError(*(Diagnostic(Code.BAD_NAME, message, hint=hint) for message in clashes))
    tree: dict[str, Any] = {}
    for path, value in paths.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = value
    return tree
