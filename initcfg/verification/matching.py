"""Which tensor of a file is which parameter of a plan, and what the two disagree about before any value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, did_you_mean
from initcfg.formats.header import malformed
from initcfg.formats.metadata import PLAN_KEY, SELECT_KEY, TIED_KEY, tied_names
from initcfg.generate.selecting import owner, selected
from initcfg.globs import Glob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.formats.header import Header, StoredTensor
    from initcfg.formats.reading import WeightsFile
    from initcfg.plan import Plan, PlannedParameter

__all__ = ["Match", "match"]


@dataclass(frozen=True, slots=True)
class Match:
    """What can be compared, and what cannot.

    Args:
        pairs: tensors of one shape and dtype with the parameters whose values they should hold.
        problems: everything else that the file and the plan disagree about; the fingerprint first.
    """

    pairs: tuple[tuple[StoredTensor, PlannedParameter], ...]
    problems: tuple[Diagnostic, ...]


def match(file: WeightsFile, plan: Plan, select: str | None) -> Match:
    """Holds the names, shapes and dtypes of weights against those of a plan.

    Args:
        file: the weights; what is wrong with a tensor has the place of its shard.
        plan: what it should hold; where the file says that it holds a part only, that part.
        select: a glob; names that it does not match are left alone.

    Raises:
        FormatError: the metadata of the file is malformed.
        SpecError: the plan holds code, and cannot be held against anything (code ``not-serializable``).
        UnknownParameterError: the glob, or the file's own, matches nothing.
    """
    header = file.header
    written = {parameter.name for parameter in selected(plan, header.metadata.get(SELECT_KEY))}
    expected = [parameter for parameter in selected(plan, select) if parameter.name in written]
    problems = [*_fingerprint(header, plan), *_missing(file, plan, expected)]
    pairs = []
    for parameter in expected:
        tensor = header.tensors.get(parameter.name)
        if tensor is None:
            continue
        problem = _form(file, tensor, parameter)
        if problem is None:
            pairs.append((tensor, owner(plan, parameter)))
        else:
            problems.append(problem)
    return Match(tuple(pairs), (*problems, *_unexpected(file, plan, written, select)))


def _fingerprint(header: Header, plan: Plan) -> Iterator[Diagnostic]:
    theirs, ours = header.metadata.get(PLAN_KEY), plan.fingerprint
    if theirs is None:
        message = "the file carries no fingerprint of a plan: another program wrote it"
        yield Diagnostic(Code.FINGERPRINT, message, severity="note")
    elif theirs != ours:
        message = f"the file was made from another plan: it carries fingerprint {theirs}, the plan has {ours}"
        hint = "give the spec that it was made from; initcfg diff shows what differs between two"
        yield Diagnostic(Code.FINGERPRINT, message, hint=hint, severity="warning")


def _missing(file: WeightsFile, plan: Plan, expected: list[PlannedParameter]) -> Iterator[Diagnostic]:
    """The parameters without a tensor; of those that share an array one tensor is enough."""
    header, left_out = file.header, _left_out(file)
    held = {owner(plan, plan[name]).name for name in header.tensors if name in plan}
    for parameter in expected:
        if parameter.name in header.tensors:
            continue
        shared = left_out.get(parameter.name, parameter.tied_to)
        if shared != parameter.tied_to:
            tie = f"shares that of {parameter.tied_to!r}" if parameter.tied_to else "is not tied"
            message = f"in the file {parameter.name!r} shares the tensor of {shared!r}, in the plan it {tie}"
            yield Diagnostic(Code.MISSING_TENSOR, message, hint="change tied_to in the spec")
        elif owner(plan, parameter).name not in held:
            message = f"the parameter {parameter.name!r} is not in the file"
            hint = did_you_mean(parameter.name, header.tensors) or "the names of file and plan must be equal"
            yield Diagnostic(Code.MISSING_TENSOR, message, hint=hint)


def _left_out(file: WeightsFile) -> Mapping[str, str]:
    """The tied names that the file says were left out, with those whose tensors they share."""
    try:
        return tied_names(file.header.metadata)
    except ValueError as error:
        raise malformed(file.path, f"the metadata {TIED_KEY!r} of the file {error}") from None


def _form(file: WeightsFile, tensor: StoredTensor, parameter: PlannedParameter) -> Diagnostic | None:
    theirs, ours = (f"{each.shape} {each.dtype}" for each in (tensor, parameter))
    if theirs == ours:
        return None
    message = f"{parameter.name!r} is {theirs} in the file and {ours} in the plan"
    hint = "change shape or dtype in the spec, or the file"
    return Diagnostic(Code.TENSOR_FORM, message, file.place_of(tensor), hint)


def _unexpected(file: WeightsFile, plan: Plan, written: set[str], select: str | None) -> Iterator[Diagnostic]:
    glob = Glob("**" if select is None else select)
    skipped = {each.name: each.rule for each in plan.skipped}
    for name, tensor in file.header.tensors.items():
        if name in written or not glob.matches(name):
            continue
        where = file.place_of(tensor)
        if name in skipped:
            message = f"{name!r} was not compared: the rule {skipped[name]!r} leaves it out of the plan"
            yield Diagnostic(Code.UNEXPECTED_TENSOR, message, where, severity="note")
        elif name in plan:
            part = file.header.metadata[SELECT_KEY]
            message = f"{name!r} is in the file, which says that it holds only {part!r}"
            yield Diagnostic(Code.UNEXPECTED_TENSOR, message, where, "make the file again")
        else:
            hint = did_you_mean(name, (each.name for each in plan)) or "add the parameter to the spec"
            message = f"the file holds {name!r}, which is no parameter of the plan"
            yield Diagnostic(Code.UNEXPECTED_TENSOR, message, where, hint)
