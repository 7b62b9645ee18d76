"""What is held against what: the plan that weights carry, and which tensor is which of its parameters."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.errors import Code, Diagnostic, FormatError, Location, SpecError, capped
from initcfg.formats.base import PLAN_KEY, SELECT_KEY, SPEC_KEY, TIED_KEY, StoredTensor, malformed, tied_names
from initcfg.globs import Glob
from initcfg.manifest import Manifest, ManifestEntry, buffers_among
from initcfg.names import Affix, NearestNames, differ_alike, few
from initcfg.plan import Plan, PlannedParameter, plan_reading
from initcfg.plan.plan import owner, selected
from initcfg.spec import read
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from initcfg.formats.reading import WeightsFile


@dataclass(frozen=True, slots=True)
class Match:
    """The tensors to compare with the parameters whose values they should hold, and what else disagrees."""

    pairs: tuple[tuple[StoredTensor, PlannedParameter], ...]
    problems: tuple[Diagnostic, ...]


def match(file: WeightsFile, plan: Plan, select: str | None, *, law: bool = False) -> Match:
    """Holds names, shapes and dtypes of weights against those of a plan, as far as the glob selects."""
    header = file.header
    expected = selected(plan, select)
    problems = [] if law else list(_fingerprint(file, plan))
    buffers = buffers_among(header.tensors) - {each.name for each in plan}
    # Buffers that the plan does not make say nothing of how its names are written in the file.
    theirs = {name: None for name in header.tensors if name not in buffers}
    alike = differ_alike(theirs, {each.name: None for each in plan})
    if alike is not None:
        # Of names that share an array the file has one.
        lost = tuple(name for name in alike.missing if plan[name].tied_to is None)
        alike = alike._replace(missing=lost)
        message = f"the names in {file.what} {alike}"
        return Match((), (*problems, Diagnostic(Code.MISSING_TENSOR, message, hint=_way_out(alike, file))))
    wrapped = _wrapped(file, {parameter.name for parameter in plan})
    if wrapped is not None:
        return Match((), (*problems, wrapped))
    problems += capped(_missing(file, plan, expected))
    held = [(header.tensors[each.name], each) for each in expected if each.name in header.tensors]
    recast = None if law else _recast(file, held)
    if recast is not None:
        return Match((), (*problems, recast, *capped(_unexpected(file, plan, select, buffers))))
    pairs, unlike = [], []
    for tensor, parameter in held:
        problem = _form(file, tensor, parameter, law=law)
        if problem is None:
            pairs.append((tensor, owner(plan, parameter)))
        else:
            unlike.append(problem)
    problems += capped(unlike)
    if law:
        problems += _other_dtypes(file, held)
    return Match(tuple(pairs), (*problems, *capped(_unexpected(file, plan, select, buffers))))


def _recast(file: WeightsFile, pairs: list[tuple[StoredTensor, PlannedParameter]]) -> Diagnostic | None:
    """One problem for tensors of which all have another dtype than the plan, and the same."""
    dtypes = {(tensor.dtype, parameter.dtype) for tensor, parameter in pairs}
    if len(pairs) < 2 or len(dtypes) > 1 or any(t.shape != p.shape for t, p in pairs):
        return None
    theirs, ours = dtypes.pop()
    if theirs == ours:
        return None
    message = f"all {len(pairs):,} tensors are {theirs} in {file.what} and {ours} in the plan"
    way = f"plan what the file holds, --set dtype={theirs}" if file.is_file else f"plan with dtype: {theirs}"
    hint = f"{way}, or convert {file.what}"
    return Diagnostic(Code.TENSOR_FORM, message, hint=hint)


def _wrapped(file: WeightsFile, ours: set[str]) -> Diagnostic | None:
    """One problem for names that are the plan's but for a segment within, as ``torch.compile`` adds one."""
    theirs = list(file.header.tensors)
    parts = next((name.split(".") for name in theirs if name not in ours), [])
    for at, segment in enumerate(parts):
        if ".".join((*parts[:at], *parts[at + 1 :])) not in ours:
            continue
        split = [name.split(".") for name in theirs]
        if len(theirs) != len(ours) or {".".join(p for p in s if p != segment) for s in split} != ours:
            continue
        letters = iter("ijklmnopqrstuvwxyz")
        place = [f"{{{next(letters, 'n')}}}" if part.isdecimal() else part for part in parts[:at]]
        source, target = ".".join((*place, segment)), ".".join(place)
        message = f"the names in {file.what} are the plan's, but that some have {segment!r} within"
        rename = _option(file, f"--rename '{source}={target}'", {source: target})
        hint = f"compare without it: {rename}, and so for each place that has it"
        return Diagnostic(Code.MISSING_TENSOR, message, hint=hint)
    return None


def _way_out(alike: Affix, file: WeightsFile) -> str:
    """The option that makes the names those of the plan, where whole segments are the difference."""
    segments = alike.text.removesuffix(".")
    if not alike.is_prefix or segments == alike.text:
        return f"rename the parameters in the spec, or give {file.what} the names of the plan"
    if not alike.is_lacking:
        return f"compare without it: {_option(file, f'--strip-prefix {alike.text}', {segments: ''})}"
    if not alike.apart:
        return f"compare with it: {_option(file, f'--rename ={segments}', {'': segments})}"
    each = _option(file, f"--rename FIRST={segments}.FIRST", {"FIRST": f"{segments}.FIRST"})
    return f"compare with it where it is missing: {each}, for each first segment"


def _option(file: WeightsFile, option: str, rename: Mapping[str, str]) -> str:
    """A rename as the command line takes it, which reads files, and as Python does."""
    return f"{option} or, in Python, rename={rename}" if file.is_file else f"rename={rename}"


def _fingerprint(file: WeightsFile, plan: Plan) -> Iterator[Diagnostic]:
    theirs, ours = file.header.metadata.get(PLAN_KEY), plan.fingerprint
    if theirs is None:
        message = "the file carries no fingerprint of a plan: another program wrote it"
        yield Diagnostic(Code.FINGERPRINT, message, severity="note")
    elif theirs != ours:
        message = f"the file was made from another plan: it carries fingerprint {theirs}, the plan has {ours}"
        hint = "give the spec that it was made from; initcfg diff shows what differs between two"
        yield Diagnostic(Code.FINGERPRINT, message, hint=hint, severity="warning")


def _missing(file: WeightsFile, plan: Plan, expected: list[PlannedParameter]) -> Iterator[Diagnostic]:
    """The parameters without a tensor; of those that share an array one tensor is enough."""
    header, left_out, near = file.header, _left_out(file), NearestNames()
    # What the plan has too is no misspelling.
    strange = dict.fromkeys(name for name in header.tensors if name not in plan)
    held = {owner(plan, plan[name]).name for name in header.tensors if name in plan}
    for parameter in expected:
        if parameter.name in header.tensors:
            continue
        shared = left_out.get(parameter.name, parameter.tied_to)
        if shared != parameter.tied_to:
            tie = f"shares that of {parameter.tied_to!r}" if parameter.tied_to else "is not tied"
            message = (
                f"in {file.what} {parameter.name!r} shares the tensor of {shared!r}, in the plan it {tie}"
            )
            yield Diagnostic(Code.MISSING_TENSOR, message, hint="change tied_to in the spec")
        elif owner(plan, parameter).name not in held:
            message = f"the parameter {parameter.name!r} is not in {file.what}"
            part = header.metadata.get(SELECT_KEY)
            hint = (
                near.hint(parameter.name, strange)
                or f"the names in {file.what} and in the plan must be equal"
            )
            if part is not None:
                hint = (
                    f"the file says that it was made as a part, by {part!r}: select that to compare it alone"
                )
            yield Diagnostic(Code.MISSING_TENSOR, message, hint=hint)


def _left_out(file: WeightsFile) -> Mapping[str, str]:
    """The tied names that the file says were left out, with those whose tensors they share."""
    try:
        return tied_names(file.header.metadata)
    except ValueError as error:
        raise malformed(file.path, f"the metadata {TIED_KEY!r} of the file {error}") from None


def _other_dtypes(
    file: WeightsFile, held: list[tuple[StoredTensor, PlannedParameter]]
) -> Iterator[Diagnostic]:
    """A note for each pair of dtypes that differ: programs store models in fewer digits."""
    others = Counter((t.dtype.name, p.dtype.name) for t, p in held if t.dtype.name != p.dtype.name)
    for (theirs, ours), count in others.items():
        those = "1 tensor is" if count == 1 else f"{count:,} tensors are"
        message = f"{those} {theirs} in {file.what} and {ours} in the plan: laws are held against {theirs}"
        yield Diagnostic(Code.TENSOR_FORM, message, severity="note")


def _form(
    file: WeightsFile, tensor: StoredTensor, parameter: PlannedParameter, *, law: bool
) -> Diagnostic | None:
    theirs, ours = (f"{each.shape} {each.dtype}" for each in (tensor, parameter))
    both_floats = tensor.dtype.format is not None and parameter.dtype.format is not None
    if theirs == ours or (law and tensor.shape == parameter.shape and both_floats):
        return None
    message = f"{parameter.name!r} is {theirs} in {file.what} and {ours} in the plan"
    hint = f"change shape or dtype in the spec, or {file.what}"
    return Diagnostic(Code.TENSOR_FORM, message, file.place_of(tensor), hint)


def _unexpected(
    file: WeightsFile, plan: Plan, select: str | None, named: Collection[str]
) -> Iterator[Diagnostic]:
    glob = Glob("**" if select is None else select)
    skipped, near = {each.name: each.rule for each in plan.skipped}, NearestNames()
    absent = dict.fromkeys(each.name for each in plan if each.name not in file.header.tensors)
    buffers: list[str] = []
    for name, tensor in file.header.tensors.items():
        if name in plan or not glob.matches(name):
            continue
        where = file.place_of(tensor)
        if skipped.get(name, "") is None or (name in named and name not in skipped):
            buffers.append(name)
        elif name in skipped:
            message = f"{name!r} was not compared: the rule {skipped[name]!r} leaves it out of the plan"
            yield Diagnostic(Code.UNEXPECTED_TENSOR, message, where, severity="note")
        else:
            hint = near.hint(name, absent) or "add the parameter to the spec"
            message = f"{file.what} holds {name!r}, which is not a parameter of the plan"
            yield Diagnostic(Code.UNEXPECTED_TENSOR, message, where, hint)
    if buffers:
        those = "1 buffer was" if len(buffers) == 1 else f"{len(buffers):,} buffers were"
        message = f"{those} not compared, such as {buffers[0]!r}: the plan does not make them"
        hint = "a rule that ends in the name of a buffer makes it"
        yield Diagnostic(Code.UNEXPECTED_TENSOR, message, hint=hint, severity="note")
    yield from _stale_norms(file, buffers)


# Power iterations come near the largest singular value from below: a new layer of torch has made fifteen.
_ITERATIONS, _NEAR, _MAX_MATRIX = 20, 0.75, 2**24


def _stale_norms(file: WeightsFile, buffers: Collection[str]) -> Iterator[Diagnostic]:
    """A warning for vectors of spectral norm that are none of the weight beside them."""
    held, stale = file.header.tensors, []
    for name in buffers:
        before = name.removesuffix("_u")
        matrix = held.get(f"{before}_orig") or held.get(f"{before.removesuffix('0.')}original")
        other = held.get(f"{before}_v")
        if name == before or matrix is None or other is None or matrix.numel > _MAX_MATRIX:
            continue
        u, v, w = (file.read(each, 0, each.numel).astype("f4") for each in (held[name], other, matrix))
        axis = next((axis for axis, size in enumerate(matrix.shape) if size == u.size), None)
        if axis is None or not matrix.numel or matrix.numel // u.size != v.size:
            continue
        rows = np.moveaxis(w.reshape(matrix.shape), axis, 0).reshape(u.size, -1)
        with np.errstate(all="ignore"):
            told, found = abs(u @ rows @ v), 0.0
            for _ in range(_ITERATIONS):
                left = rows @ v
                found = float(np.linalg.norm(left))
                v = rows.T @ left
                v /= np.linalg.norm(v) or 1
        if told < _NEAR * found:
            stale.append(name)
    if stale:
        message = f"{few(stale)}: vectors of spectral norm that are none of the weight beside them"
        hint = "the forward pass divides by a wrong norm: call the module in train mode some twenty times"
        yield Diagnostic(Code.UNEXPECTED_TENSOR, message, hint=hint, severity="warning")


def carried_plan(file: WeightsFile) -> Plan:
    """The plan of the spec in the metadata of weights, whose names and shapes stand for a manifest."""
    tree = _tree(file)
    # The manifest was another file, and where the spec describes its parameters it was a check only.
    tree.pop("manifest", None)
    held = None
    if not tree.get("layers") and not tree.get("params"):
        part = file.header.metadata.get(SELECT_KEY)
        if part is not None:
            message = (
                f"the weights are a part, made by {part!r}, and the spec that they carry names no parameter"
            )
            hint = "give the spec with its manifest, and select that part"
            raise FormatError(Diagnostic(Code.FORMAT, message, Location(os.fspath(file.path)), hint))
        tensors = file.header.tensors
        held = Manifest({name: ManifestEntry(each.shape, each.dtype.name) for name, each in tensors.items()})
    try:
        return _planned(tree, held)
    except SpecError as error:
        raise _refused(file, f"has no plan: {error.diagnostics[0].message}") from None


def _planned(tree: dict[str, Any], manifest: Manifest | None) -> Plan:
    """The plan of a carried spec without rules that fit no tensor: they skip what only a model has."""
    try:
        return plan_reading(read(tree, manifest=manifest))
    except SpecError as error:
        paths = [each.where.path if each.where else () for each in error.diagnostics]
        if manifest is None or any(each.code is not Code.UNUSED_RULE for each in error.diagnostics):
            raise
        rules = [rule for at, rule in enumerate(tree["rules"]) if ("rules", at) not in {p[:2] for p in paths}]
        if len(rules) == len(tree["rules"]):
            raise
    return plan_reading(read(tree | {"rules": rules}, manifest=manifest))


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
