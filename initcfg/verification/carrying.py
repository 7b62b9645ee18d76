"""Weights held against the spec that they carry: it proves that they are whole, not their origin."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, FormatError, Location, SpecError
from initcfg.formats.metadata import PLAN_KEY, SPEC_KEY
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import plan_reading
from initcfg.spec import read
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.formats.reading import WeightsFile
    from initcfg.plan import Plan


def carried_plan(file: WeightsFile) -> Plan:
    """The plan of the spec in the metadata of weights.

    A spec that has rules only was planned for the names and shapes of a model; those of the weights take
    their place, and the fingerprint tells whether they are the same.

    Raises:
        FormatError: the weights carry no spec, or it is none that could have been put there.
    """
    tree = _tree(file)
    # The manifest was another file, and where the spec describes its parameters it was a check only.
    tree.pop("manifest", None)
    held = None
    if not tree.get("layers") and not tree.get("params"):
        tensors = file.header.tensors
        held = Manifest({name: ManifestEntry(each.shape, each.dtype.name) for name, each in tensors.items()})
    try:
        return plan_reading(read(tree, manifest=held))
    except SpecError as error:
        raise _refused(file, f"has no plan: {error.diagnostics[0].message}") from None


def alone(problems: Iterable[Diagnostic], *, own: bool) -> Iterator[Diagnostic]:
    """What was found; where weights are held against their own spec, another fingerprint is an error."""
    if own:
        message = (
            "held against the spec that the weights carry: that proves that they are whole, not their origin"
        )
        yield Diagnostic(Code.FINGERPRINT, message, hint="give the spec that you trust", severity="note")
    for problem in problems:
        if own and problem.code is Code.FINGERPRINT:
            message = "the fingerprint that the weights carry is not that of the spec that they carry"
            hint = "give the spec that they were made from, and its manifest if it has one"
            yield dataclasses.replace(problem, message=message, hint=hint, severity="error")
        else:
            yield problem


def _tree(file: WeightsFile) -> dict[str, Any]:
    text = file.header.metadata.get(SPEC_KEY)
    if text is None:
        plan = file.header.metadata.get(PLAN_KEY)
        made = f"were made from the plan with fingerprint {plan}" if plan else "name no plan"
        message = f"the weights carry no spec; they {made}"
        hint = (
            "give the spec or the plan to compare with; a spec is left out where it has more than 64 KiB, "
            "holds code, or --no-spec says so"
        )
        raise FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(file.path)), hint))
    try:
        tree = parse_json(text)
    except ValueError:
        tree = None
    if not isinstance(tree, dict):
        raise _refused(file, "is not a JSON object")
    if "extends" in tree:
        raise _refused(file, "extends a file, and could not be planned alone")
    return tree


def _refused(file: WeightsFile, what: str) -> FormatError:
    message = f"the spec that the weights carry {what}"
    hint = "the metadata was edited, or another release wrote it: give the spec to compare with"
    return FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(file.path)), hint))
