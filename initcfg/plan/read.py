"""A plan file becomes a plan again: the same fingerprint, the same bits. Nothing in it is taken on trust."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import ValidationError

from initcfg import initializers
from initcfg.dtypes import as_dtype
from initcfg.errors import (
    MAX_TOLD,
    Code,
    Diagnostic,
    InitializerError,
    Location,
    SpecError,
    more_problems,
    stopped,
)
from initcfg.initializers import is_built_in, parts_of, stream_of
from initcfg.initializers.base import nested_in
from initcfg.initializers.values import shown
from initcfg.layout import Fans, Layout
from initcfg.names import did_you_mean
from initcfg.plan.document import FORMAT, PlanDocument
from initcfg.plan.following import Follower, follow
from initcfg.plan.parameters import Resolved, SkippedParameter, Wanted, name_problem, planned_parameter
from initcfg.plan.plan import EDITED_HINT, Plan, law_data
from initcfg.plan.problems import OF_FILES
from initcfg.plan.scope import MAX_PARAMETERS
from initcfg.process import LOADING, gc_paused
from initcfg.spec import load
from initcfg.spec.files import Root
from initcfg.stream import STREAM_VERSION, Stream, parameter_streams
from initcfg.text.inputs import confined_to, decoded, read_content
from initcfg.text.json_values import JsonError, check_cost, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.errors import Path
    from initcfg.initializers import Initializer
    from initcfg.initializers.derived import Derived
    from initcfg.plan.document import ParameterDocument, PlaceDocument
    from initcfg.plan.parameters import PlannedParameter
    from initcfg.spec import Spec

_NO_STREAM = Stream(bytes(16))
_FILE_HINT = (
    "the files that a plan names are found from the folder where it was made: go there, or plan again"
)


def restore(
    documents: Sequence[ParameterDocument], seed: int, file: str | None
) -> tuple[PlannedParameter, ...]:
    """The parameters that the entries of a plan document describe, in its order; they are not trusted."""
    restorer = _Restorer(seed, file)
    made: dict[str, PlannedParameter] = {}
    faulty: set[str | None] = set()
    problems: list[Diagnostic] = []
    # Tied ones come last, because their targets may stand behind them.
    for at, document in sorted(enumerate(documents), key=lambda entry: entry[1].tied_to is not None):
        if len(problems) >= MAX_TOLD or document.tied_to in faulty:
            continue
        try:
            made[_new_name(document, made)] = restorer.parameter(document, made)
        except InitializerError as error:
            faulty.add(document.name)
            problems += (each for each in restorer.placed(error, at) if not _is_reported(each, problems))
    for follower, found in follow(list(_followers(documents, made)), made):
        problems += restorer.placed(InitializerError(found), cast("int", follower.path[1]))
    if problems:
        raise SpecError(
            *stopped(sorted(problems, key=lambda each: each.where.path if each.where else ()), "the plan")
        )
    return tuple(made[document.name] for document in documents)


def _is_reported(problem: Diagnostic, problems: Sequence[Diagnostic]) -> bool:
    """Whether it is with a file of which the same has been said."""
    return problem.code in OF_FILES and problem.message in (each.message for each in problems)


def _followers(
    documents: Sequence[ParameterDocument], made: Mapping[str, PlannedParameter]
) -> Iterator[Follower]:
    """The initializers that follow another parameter."""
    for at, document in enumerate(documents):
        parameter = made.get(document.name)
        if parameter is not None and parameter.distribution is None and parameter.tied_to is None:
            for part in nested_in(parameter.initializer):
                if hasattr(part, "follow"):
                    yield Follower(document.name, cast("Derived", part), ("parameters", at))


def _new_name(document: ParameterDocument, made: dict[str, PlannedParameter]) -> str:
    if document.name in made:
        message = f"two parameters have the full name {document.name!r}"
        raise InitializerError.of(Code.DUPLICATE_PARAMETER, message, hint=EDITED_HINT)
    problem = name_problem(document.name)
    if problem is not None:
        raise InitializerError.of(*problem, hint="rename the parameter in the spec")
    return document.name


class _Restorer:
    """Makes parameters, and what many of them share only once."""

    def __init__(self, seed: int, file: str | None) -> None:
        self.streams = parameter_streams(seed)
        self.file = file
        self.shared: dict[object, Resolved] = {}

    def placed(self, error: InitializerError, at: int) -> Iterator[Diagnostic]:
        path: Path = ("parameters", at)
        for problem in error.diagnostics:
            hint = problem.hint or (_FILE_HINT if problem.code in OF_FILES else EDITED_HINT)
            yield replace(problem, where=Location(self.file, path=path), hint=hint)

    def parameter(self, document: ParameterDocument, made: dict[str, PlannedParameter]) -> PlannedParameter:
        restored = self.free(document) if document.tied_to is None else _tied(document, made)
        if (document.stream, document.stream_name) != (restored.stream.digest.hex(), restored.stream_name):
            raise _edited(document, "its stream is not that of the plan's seed and its stream_name")
        return restored

    def free(self, document: ParameterDocument) -> PlannedParameter:
        key = _sharing_key(document)
        resolved = self.shared.get(key)
        if resolved is None:
            resolved = _resolved(document)
            if _is_shareable(resolved.initializer):
                self.shared[key] = resolved
        wanted = Wanted(document.name, resolved.shape, _place(document.where), document.stream_name)
        return planned_parameter(resolved, wanted, self.streams, document.rule, document.fans_of)


def _sharing_key(document: ParameterDocument) -> object:
    """Equal for entries that say the same but for their names and streams."""
    initializer = document.initializer
    # By reprs, because 0, 0.0 and False are equal and fill with different types.
    return (
        *document.shape,
        document.dtype,
        document.layout,
        document.fan_in,
        document.fan_out,
        document.fans_of is None,
        document.nbytes,
        initializer.class_name,
        initializer.registered_name,
        repr(initializer.config),
        repr(document.distribution and document.distribution.__dict__),
    )


def _resolved(document: ParameterDocument) -> Resolved:
    """What an entry says, as its initializer gives it; an InitializerError where it contradicts itself."""
    shape, dtype = tuple(document.shape), as_dtype(document.dtype)
    layout = None if document.layout is None else Layout(document.layout)
    fans = None
    if document.fan_in is not None and document.fan_out is not None:
        fans = Fans(document.fan_in, document.fan_out)
    elif document.fan_in is not document.fan_out:
        raise _edited(document, "it has only one of fan_in and fan_out")
    if document.fans_of is not None:
        if layout is None or fans is None:
            raise _edited(document, "it has fans of another parameter, and no layout or fans")
        layout = layout.lent(fans)
    written: dict[str, Any] = {"class_name": document.initializer.class_name}
    if document.initializer.registered_name is not None:
        written["registered_name"] = document.initializer.registered_name
    initializer = initializers.deserialize(written | {"config": document.initializer.config})
    initializers.check(initializer, shape, dtype, layout)
    distribution = initializers.resolve(initializer, shape, layout, dtype)
    found = document.distribution and document.distribution.__dict__
    if repr(law_data(distribution)) != repr(found):
        raise _edited(document, "its distribution is not what its initializer gives for its shape")
    if document.nbytes != math.prod(shape) * dtype.itemsize:
        raise _edited(document, "its nbytes are not those of its shape and dtype")
    stream = stream_of(initializer, shape, _NO_STREAM)
    own = None if stream is _NO_STREAM else stream
    return Resolved(shape, dtype, layout, fans, initializer, distribution, own)


def _is_shareable(initializer: Initializer) -> bool:
    """Whether two parameters may hold one instance: somebody's own class may count its calls."""
    return is_built_in(type(initializer)) and all(map(_is_shareable, parts_of(initializer)))


def _tied(document: ParameterDocument, made: dict[str, PlannedParameter]) -> PlannedParameter:
    target = made.get(str(document.tied_to))
    if target is None or target.tied_to is not None:
        what = "which is not a parameter" if target is None else "which is tied itself"
        message = f"{document.name!r} is tied to {document.tied_to!r}, {what}"
        hint = did_you_mean(str(document.tied_to), made) if target is None else None
        raise InitializerError.of(Code.TIED, message, hint=hint)
    found = (tuple(document.shape), document.dtype, document.nbytes)
    if found != (target.shape, target.dtype.name, target.nbytes):
        raise _edited(document, f"its shape, dtype or nbytes are not those of {document.tied_to!r}")
    where, rule = _place(document.where), document.rule
    return replace(target, name=document.name, tied_to=document.tied_to, rule=rule, where=where)


def _place(document: PlaceDocument | None) -> Location | None:
    return None if document is None else Location(document.file, document.line, document.column)


def _edited(document: ParameterDocument, what: str) -> InitializerError:
    message = f"the entry of {document.name!r} was edited: {what}"
    return InitializerError(Diagnostic(Code.EDITED_PLAN, message, hint=EDITED_HINT))


#: The largest plan file that is read: a million parameters take most of it.
MAX_PLAN_BYTES = 2**29
# What the values in a plan file may take for each byte of its text: a plan that initcfg wrote takes half.
_TIMES = 12


def read_plan(
    source: str | os.PathLike[str] | Mapping[str, Any], *, root: str | os.PathLike[str] | None = None
) -> Plan:
    """The plan that ``initcfg plan -o`` or `Plan.to_json` wrote.

    It has the fingerprint of the plan that was written and makes the same bits. Custom initializers must be
    registered under the names that they had.

    Args:
        source: the path of the file, of 512 MiB at most, or its content as a mapping.
        root: the folder that files which initializers read may not be outside of. By default the current one
            if the plan is under it, else the plan's own.

    Raises:
        SpecError: it cannot be read, is no plan, is of another version, or was edited by hand (code
            ``edited-plan``).

    Example:
        >>> import initcfg
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "random_normal"}}}
        >>> plan = initcfg.make_plan(spec)
        >>> read_plan(plan.to_dict()).fingerprint == plan.fingerprint
        True
    """
    if isinstance(source, Mapping):
        return _restored(source, None, Root(None, root))
    if not isinstance(source, str | os.PathLike):
        message = f"a plan is read from a path or a mapping, got {shown(source)}"
        raise SpecError.of(Code.WRONG_TYPE, message, hint="give the path of a plan file")
    file = os.fspath(source)
    return read_plan_bytes(read_content(file, MAX_PLAN_BYTES, _too_large(file)), file, root=root)


def read_plan_bytes(
    content: bytes, file: str | None = None, *, root: str | os.PathLike[str] | None = None
) -> Plan:
    """As `read_plan`, for the UTF-8 bytes of a file that are at hand."""
    with gc_paused():
        return _restored(_parsed(content, file), file, Root(file, root))


def _parsed(content: bytes, file: str | None) -> Mapping[str, Any]:
    if len(content) > MAX_PLAN_BYTES:
        raise SpecError(_too_large(file))
    try:
        check_cost(content, _TIMES)
        text = decoded(content, file)
        del content  # as large as the text
        tree = parse_json(text, _TIMES)
    except JsonError as error:
        if error.code is not Code.SYNTAX:
            raise _refused(error.code, error.message, file) from None
        at = error.at or 0
        where = Location(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        hint = "the file may have been cut short; write the plan again: initcfg plan SPEC -o PLAN"
        raise SpecError(Diagnostic(Code.SYNTAX, f"not JSON: {error.message}", where, hint)) from None
    if not isinstance(tree, dict):
        raise _refused(Code.WRONG_TYPE, f"expected a plan, a JSON object, got {shown(tree)}", file)
    return tree


def _restored(tree: Mapping[str, Any], file: str | None, root: Root) -> Plan:
    _check_versions(tree, file)
    document = _validated(tree, file)
    del tree  # of a file it is nobody else's, and as large as the document
    if len(document.parameters) > MAX_PARAMETERS:
        message = f"a plan holds at most {MAX_PARAMETERS:,} parameters, this one {len(document.parameters):,}"
        raise _refused(Code.TOO_LARGE, message, file)
    try:
        with confined_to(root.folder):
            parameters = restore(document.parameters, document.seed, file)
    except RecursionError:
        raise _refused(Code.TOO_DEEP, "nested too deep for an initializer", file) from None
    skipped = tuple(SkippedParameter(each.name, each.rule, _place(each.where)) for each in document.skipped)
    spec = None if document.spec is None else _spec(document.spec, file)
    plan = Plan(document.name, document.seed, parameters, document.stream_version, skipped, spec=spec)
    found = (document.fingerprint, document.numel, document.nbytes)
    if found != (plan.fingerprint, plan.numel, plan.nbytes):
        raise _fingerprint_differs(plan, file)
    return plan


def _fingerprint_differs(plan: Plan, file: str | None) -> SpecError:
    """The plan was edited, or a weights file that it takes values from holds others by now."""
    found = f"its parameters have the fingerprint {plan.fingerprint}"
    stored = (part for each in plan for part in nested_in(each.initializer) if hasattr(part, "digest"))
    names = sorted({str(part.get_config()["file"]) for part in stored})
    if not names:
        return _refused(Code.EDITED_PLAN, f"the plan was edited: {found}", file)
    others = " or another file" if len(names) > 1 else ""
    message = f"the plan was edited, or {names[0]!r}{others} holds other values since: {found}"
    hint = "put the old file back, or write the plan again: initcfg plan SPEC -o PLAN"
    return _refused(Code.EDITED_PLAN, message, file, hint)


def _spec(tree: Mapping[str, Any], file: str | None) -> Spec:
    """The spec that a plan file carries: whole in itself, so it extends nothing."""
    try:
        if "extends" not in tree:
            return load(tree)
        message = "it extends a file"
    except SpecError as error:
        message = error.diagnostics[0].message
    raise _refused(
        Code.EDITED_PLAN, f"the spec that the plan carries was edited: {message}", file, key="spec"
    )


def _check_versions(tree: Mapping[str, Any], file: str | None) -> None:
    """Refuses what another program or another release wrote, before it is read as this one's."""
    if tree.get("format") != FORMAT:
        message = f"this is no plan: its format is {shown(tree.get('format'))}, not {FORMAT!r}"
        hint = "write one with initcfg plan SPEC -o PLAN"
        raise _refused(Code.WRONG_TYPE, message, file, hint, "format")
    for key, known in (("version", 1), ("stream_version", STREAM_VERSION)):
        found = tree.get(key)
        if type(found) is not int or found != known:
            message = f"the {key} of the plan is {shown(found)}, and this release reads {known}"
            hint = "read it with the release of initcfg that wrote it, or plan its spec again"
            raise _refused(Code.FORMAT_VERSION, message, file, hint, key)


def _validated(tree: Mapping[str, Any], file: str | None) -> PlanDocument:
    try:
        with LOADING:
            return PlanDocument.model_validate(dict(tree))
    except ValidationError as error:
        found = list(islice(_diagnostics_of(error, file), MAX_TOLD))
        raise SpecError(*found, *more_problems(error.error_count() - len(found), found)) from None


_CODES = {"missing": Code.MISSING_KEY, "extra_forbidden": Code.UNKNOWN_KEY}


def _diagnostics_of(error: ValidationError, file: str | None) -> Iterator[Diagnostic]:
    """What pydantic found, with its places; the words are pydantic's for kinds and bounds."""
    for detail in error.errors(include_url=False):
        path = tuple(step for step in detail["loc"] if step not in _LAW_TAGS)
        code = _CODES.get(detail["type"], Code.WRONG_TYPE)
        if code is Code.WRONG_TYPE:
            message = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {shown(detail['input'])}"
        else:
            message = f"{'the key' if code is Code.MISSING_KEY else 'unknown key'} {shown(path[-1])}"
            message += " is missing" if code is Code.MISSING_KEY else ""
        yield Diagnostic(code, message, Location(file, path=path), EDITED_HINT)


_LAW_TAGS = {"fill", "uniform", "normal", "truncated_normal"}


def _too_large(file: str | None) -> Diagnostic:
    message = f"a plan file has at most {MAX_PLAN_BYTES // 2**20} MiB"
    return Diagnostic(Code.TOO_LARGE, message, Location(file), "plan the parts of the model one by one")


def _refused(
    code: Code, message: str, file: str | None, hint: str | None = None, key: str | None = None
) -> SpecError:
    where = Location(file, path=() if key is None else (key,))
    return SpecError(Diagnostic(code, message, where, hint or EDITED_HINT))
