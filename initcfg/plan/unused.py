"""Rules that win no parameter, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initcfg.plan.rules import Rules

Meeting = tuple[str, int, bool]

_WAY_OUT = "mend the pattern, or delete the rule; `initcfg plan` lists the names"
_NO_PARAMETERS = "name a manifest, or write layers or params; if only others extend this file, say base: true"


def unused_rules(
    rules: Rules, parameters: Iterable[Meeting], buffers: Sequence[str] = (), *, is_empty: bool = False
) -> Iterator[Diagnostic]:
    """A problem for each rule that wins nothing; only a note where the rule is inherited.

    Args:
        rules: after every parameter has been decided.
        parameters: of each the name, how many axes it has, and whether a rule was wanted for it.
        buffers: what may be a buffer that no rule reaches.
        is_empty: whether there are none.
    """
    unused = [at for at in range(len(rules.spec.rules)) if at not in rules.won]
    if not unused:
        return
    reasons = _reasons(rules, set(unused), parameters)
    usual = ("no parameter has a name that it matches", _WAY_OUT)
    if is_empty:
        usual = ("there are no parameters", _NO_PARAMETERS)
    for at in unused:
        rule = rules.spec.rules[at]
        why = reasons.get(at) or _of_buffers(rules, at, buffers)
        found, hint = why or (usual if is_empty else _of_captures(rules, at) or usual)
        message = f"the rule {rule.match!r} wins nothing: {found}"
        where = rules.spec.locate(("rules", at, "match"))
        inherited = rules.spec.is_inherited(("rules", at))
        yield Diagnostic(Code.UNUSED_RULE, message, where, hint, "note" if inherited else "error")


def _reasons(rules: Rules, unused: set[int], parameters: Iterable[Meeting]) -> dict[int, tuple[str, str]]:
    """Why each rule that matches something wins nothing; the first parameter that tells it best."""
    best: dict[int, tuple[int, str, str]] = {}
    seen: set[tuple[object, ...]] = set()
    waiting = set(unused)
    for name, ndim, wanted in parameters:
        matching = rules.globs.every(name)
        if not waiting:
            break
        if (matching, ndim, wanted) in seen:
            continue
        seen.add((matching, ndim, wanted))
        for at in waiting.intersection(matching):
            reason = _reason(rules, at, name, ndim, wanted=wanted)
            if at not in best or reason[0] < best[at][0]:
                best[at] = reason
            if reason[0] == 0:
                waiting.discard(at)
    return {at: (found, hint) for at, (_, found, hint) in best.items()}


def _of_buffers(rules: Rules, at: int, buffers: Sequence[str]) -> tuple[str, str] | None:
    """Why a rule that matches buffers alone does not win them."""
    glob = rules.globs.globs[at]
    name = None if glob.ends_in_a_name else next(filter(glob.matches, buffers), None)
    if name is None:
        return None
    hint = f"write the last name out: a rule reaches a buffer as '**.{name.rpartition('.')[2]}' does"
    return f"it matches buffers only, such as {name!r}, and its last segment has a wildcard", hint


def _of_captures(rules: Rules, at: int) -> tuple[str, str] | None:
    """Why a rule matches nothing whose braces hold a word, as those around alternatives do in a shell."""
    word = next((name for name in rules.globs.globs[at].captures if len(name) > 1), None)
    if word is None:
        return None
    hint = f"write {word} without braces for a segment of that name; one of several is {{{word},NAME}}"
    return f"no parameter has a name that it matches; {{{word}}} stands for a whole number", hint


def _reason(rules: Rules, at: int, name: str, ndim: int, *, wanted: bool) -> tuple[int, str, str]:
    """Why a rule does not win what it matches; of two reasons the one with the lower number is told."""
    rule = rules.spec.rules[at]
    if rule.ndim not in (None, ndim):
        hint = "change 'ndim', or delete the rule"
        return (
            2,
            f"it asks for ndim: {rule.ndim}, and what it matches has others, as {name!r} has {ndim}",
            hint,
        )
    first = rules.globs.first(name, ndim)
    if not wanted or first is None:
        hint = "remove the initializers that the parameters name, or delete the rule"
        return 1, f"what it matches says itself how it begins, as {name!r} does", hint
    pattern, place = rules.spec.rules[first].match, rules.spec.locate(("rules", first, "match"))
    hint = "put the rule before that one, or delete it"
    return 0, f"{pattern!r}, at {place}, comes before it and wins {name!r}", hint
