"""Which sharding each parameter gets: one for all, by globs over names, or by a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jax.sharding import Sharding

from initcfg.errors import Code, Diagnostic, SpecError, did_you_mean
from initcfg.globs import GlobSet

if TYPE_CHECKING:
    from initcfg.plan import Plan, PlannedParameter

__all__ = ["Shardings", "sharding_of"]

Shardings: TypeAlias = "Sharding | Mapping[str, Any] | Callable[[PlannedParameter], Sharding | None] | None"
"""What `to_jax` takes; a mapping holds shardings, None, and mappings again."""


def sharding_of(plan: Plan, shardings: Shardings) -> Callable[[PlannedParameter], Sharding | None]:
    """The function from a parameter of the plan to its sharding.

    Raises:
        SpecError: a mapping has a pattern that wins no parameter of the plan (code ``unused-rule``), none
            for some parameter (code ``missing-key``), or a malformed one (code ``pattern``).
        TypeError: it is nothing of this kind.
    """
    if shardings is None or isinstance(shardings, Sharding):
        return lambda _: shardings
    if isinstance(shardings, Mapping):
        chosen = _by_glob(plan, dict(_flat(shardings)))
        return lambda parameter: chosen[parameter.name]
    if callable(shardings):
        return shardings
    raise TypeError(
        "shardings are a jax.sharding.Sharding, a mapping from globs over names to shardings, or a function "
        f"from a planned parameter to its sharding, not {shardings!r}"
    )


def _flat(shardings: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Sharding | None]]:
    """Patterns in their order; a mapping inside a mapping continues the name, as in nested parameters."""
    for key, value in shardings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _by_glob(plan: Plan, shardings: Mapping[str, Sharding | None]) -> dict[str, Sharding | None]:
    """By parameter; the first pattern that matches wins."""
    patterns = list(shardings)
    globs = GlobSet((pattern, None) for pattern in patterns)
    won = {parameter.name: globs.first(parameter.name, 0) for parameter in plan}
    winners = set(won.values())
    problems = [_unused(pattern, plan) for at, pattern in enumerate(patterns) if at not in winners]
    problems += [_without(plan[name]) for name, at in won.items() if at is None]
    if problems:
        raise SpecError(*problems)
    return {name: shardings[patterns[at]] for name, at in won.items() if at is not None}


def _unused(pattern: str, plan: Plan) -> Diagnostic:
    near = did_you_mean(pattern, (parameter.name for parameter in plan))
    return Diagnostic(
        Code.UNUSED_RULE,
        f"the sharding pattern {pattern!r} wins no parameter",
        hint=near or "mend it, put it before the one that shadows it, or delete it",
    )


def _without(parameter: PlannedParameter) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_KEY,
        f"no sharding pattern matches {parameter.name!r}",
        where=parameter.where,
        hint="end the mapping with '**' and the sharding of the rest: NamedSharding(mesh, PartitionSpec())",
    )
