"""A plan held against a live model, before anything of the model is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, SpecError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan import Plan, PlannedParameter

__all__ = ["match_problems", "require_match"]


def require_match(plan: Plan, manifest: Manifest, model: str) -> None:
    """Nothing, if a model and a plan have the same parameters, of the same shapes and dtypes.

    A parameter that the plan skips may be in the model, of any form. Of the names that are tied to each other
    the model needs to have one. An entry of the manifest without a dtype takes any.

    Args:
        plan: what is to be made.
        manifest: what the model has.
        model: what messages call it, such as ``the module GPT2LMHeadModel``.

    Raises:
        SpecError: every problem, in the plan's order (codes ``not-in-manifest``, ``not-in-spec``,
            ``shape-mismatch``, ``dtype-mismatch``).

    Example:
        >>> import initcfg
        >>> from initcfg.manifest import Manifest
        >>> plan = initcfg.make_plan(
        ...     {"initcfg": 1, "params": {"fc.bias": {"shape": [4], "initializer": "zeros"}}}
        ... )
        >>> require_match(plan, Manifest({"fc.bias": (4,)}), "the module MLP")
        >>> require_match(plan, Manifest({"fc.bias": (5,)}), "the module MLP")
        Traceback (most recent call last):
        ...
        initcfg.errors.SpecError: error[shape-mismatch]: 'fc.bias' has shape (4,) in the plan and (5,) in the
        module MLP
          help: give the shape that the model has
    """
    problems = tuple(match_problems(plan, manifest, model))
    if problems:
        raise SpecError(*problems)


def match_problems(plan: Plan, manifest: Manifest, model: str) -> Iterator[Diagnostic]:
    """What `require_match` raises, one by one, for a caller that has problems of its own to tell beside."""
    held = {_array(plan[name]) for name in manifest.entries if name in plan}
    for parameter in plan:
        entry = manifest.entries.get(parameter.name)
        if entry is not None:
            yield from _form(parameter, entry, model)
        elif _array(parameter) not in held:
            hint = did_you_mean(parameter.name, manifest.entries) or "remove it from the spec, or skip it"
            message = f"the plan makes {parameter.name!r}, and {model} has no such parameter"
            yield Diagnostic(Code.NOT_IN_MANIFEST, message, parameter.where, hint)
    skipped = {each.name for each in plan.skipped}
    for name, entry in manifest.entries.items():
        if name not in plan and name not in skipped:
            near = did_you_mean(name, (parameter.name for parameter in plan))
            hint = near or "describe it in the spec, or leave it out on purpose with a rule that skips it"
            message = f"{model} has a parameter {name!r}, which the plan does not make"
            yield Diagnostic(Code.NOT_IN_SPEC, message, entry.where, hint)


def _array(parameter: PlannedParameter) -> str:
    """The one name of all that share an array."""
    return parameter.tied_to or parameter.name


def _form(parameter: PlannedParameter, entry: ManifestEntry, model: str) -> Iterator[Diagnostic]:
    name, where = parameter.name, parameter.where
    if parameter.shape != entry.shape:
        message = f"{name!r} has shape {parameter.shape} in the plan and {entry.shape} in {model}"
        hint = "give the shape that the model has"
        if len(entry.shape) > 1 and parameter.shape == entry.shape[::-1]:
            hint = "the axes are the other way round: the spec may have been written for another framework"
        yield Diagnostic(Code.SHAPE_MISMATCH, message, where, hint)
    if entry.dtype is not None and parameter.dtype.name != entry.dtype:
        message = f"{name!r} is {parameter.dtype} in the plan and {entry.dtype} in {model}"
        hint = f"say dtype: {entry.dtype} in the spec, or convert the model to {parameter.dtype} before"
        yield Diagnostic(Code.DTYPE_MISMATCH, message, where, hint)
