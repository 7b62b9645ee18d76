"""From a checked plan document back to planned parameters; whatever does not agree with itself is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from initcfg import initializers
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError, did_you_mean
from initcfg.initializers import Combined, is_built_in, stream_of
from initcfg.layout import Fans, Layout
from initcfg.plan.data import EDITED_HINT, law_data
from initcfg.plan.names import name_problem
from initcfg.plan.parameters import SkippedParameter, planned_parameter
from initcfg.plan.resolve import Form, Law
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.errors import PathStep
    from initcfg.initializers import Initializer
    from initcfg.plan.document import ParameterDocument, PlaceDocument, SkippedDocument
    from initcfg.plan.parameters import PlannedParameter

_MAX_PROBLEMS = 100
_NO_STREAM = Stream(bytes(16))


def restore(
    documents: Sequence[ParameterDocument], seed: int, file: str | None
) -> tuple[PlannedParameter, ...]:
    """The parameters that a plan document describes, in its order.

    Args:
        documents: the entries, of the right types; what they say is not trusted.
        seed: the plan's.
        file: the document's name, for messages.

    Raises:
        SpecError: with the problems of the entries, a hundred at most.
    """
    restorer = _Restorer(seed, file)
    made: dict[str, PlannedParameter] = {}
    faulty: set[str | None] = set()
    problems: list[Diagnostic] = []
    for at, document in _targets_first(documents):
        if len(problems) >= _MAX_PROBLEMS or document.tied_to in faulty:
            continue
        try:
            made[_new_name(document, made)] = restorer.parameter(document, made)
        except InitializerError as error:
            faulty.add(document.name)
            problems += restorer.placed(error, at)
    if problems:
        raise SpecError(*sorted(problems, key=lambda problem: problem.where.path if problem.where else ()))
    return tuple(made[document.name] for document in documents)


def _targets_first(documents: Sequence[ParameterDocument]) -> list[tuple[int, ParameterDocument]]:
    """The entries with their positions; tied ones come last, because their targets may stand behind them."""
    return sorted(enumerate(documents), key=lambda entry: entry[1].tied_to is not None)


def restore_skipped(documents: Sequence[SkippedDocument]) -> tuple[SkippedParameter, ...]:
    """What the rules of the plan's spec leave out."""
    return tuple(SkippedParameter(each.name, each.rule, _place(each.where)) for each in documents)


def _new_name(document: ParameterDocument, made: dict[str, PlannedParameter]) -> str:
    if document.name in made:
        message = f"two parameters have the full name {document.name!r}"
        raise InitializerError(Diagnostic(Code.DUPLICATE_PARAMETER, message, hint=EDITED_HINT))
    problem = name_problem(document.name)
    if problem is not None:
        raise InitializerError(Diagnostic(*problem, hint="rename the parameter in the spec"))
    return document.name


class _Restorer:
    """Makes parameters, and what many of them share only once."""

    def __init__(self, seed: int, file: str | None) -> None:
        self.seed = seed
        self.file = file
        self.shared: dict[object, tuple[Form, Law]] = {}

    def placed(self, error: InitializerError, at: int) -> Iterator[Diagnostic]:
        path: tuple[PathStep, ...] = ("parameters", at)
        for problem in error.diagnostics:
            yield replace(problem, where=Location(self.file, path=path), hint=problem.hint or EDITED_HINT)

    def parameter(self, document: ParameterDocument, made: dict[str, PlannedParameter]) -> PlannedParameter:
        restored = self.free(document) if document.tied_to is None else _tied(document, made)
        if (document.stream, document.stream_name) != (restored.stream.digest.hex(), restored.stream_name):
            raise _edited(document, "its stream is not that of the plan's seed and its stream_name")
        return restored

    def free(self, document: ParameterDocument) -> PlannedParameter:
        form, law = self.form_and_law(document)
        return planned_parameter(
            form,
            law,
            name=document.name,
            stream=law.stream or Stream.of_parameter(self.seed, document.stream_name),
            stream_name=document.stream_name,
            where=_place(document.where),
            rule=document.rule,
        )

    def form_and_law(self, document: ParameterDocument) -> tuple[Form, Law]:
        key = _sharing_key(document)
        if key in self.shared:
            return self.shared[key]
        form = _form(document)
        law = _law(document, form)
        if document.nbytes != math.prod(form.shape) * form.dtype.itemsize:
            raise _edited(document, "its nbytes are not those of its shape and dtype")
        if _is_shareable(law.initializer):
            self.shared[key] = form, law
        return form, law


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
        document.nbytes,
        initializer.class_name,
        initializer.registered_name,
        repr(initializer.config),
        repr(document.distribution and document.distribution.__dict__),
    )


def _form(document: ParameterDocument) -> Form:
    layout = None if document.layout is None else Layout(document.layout)
    if document.fan_in is not None and document.fan_out is not None:
        fans = Fans(document.fan_in, document.fan_out)
    elif document.fan_in is document.fan_out:
        fans = None
    else:
        raise _edited(document, "it has only one of fan_in and fan_out")
    return Form(tuple(document.shape), as_dtype(document.dtype), layout, fans)


def _law(document: ParameterDocument, form: Form) -> Law:
    written: dict[str, Any] = {"class_name": document.initializer.class_name}
    if document.initializer.registered_name is not None:
        written["registered_name"] = document.initializer.registered_name
    initializer = initializers.deserialize(written | {"config": document.initializer.config})
    initializers.check(initializer, form.shape, form.dtype, form.layout)
    distribution = initializers.resolve(initializer, form.shape, form.layout)
    told = document.distribution and document.distribution.__dict__
    if repr(law_data(distribution)) != repr(told):
        raise _edited(document, "its distribution is not what its initializer gives for its shape")
    stream = stream_of(initializer, form.shape, _NO_STREAM)
    return Law(initializer, distribution, None if stream is _NO_STREAM else stream)


def _is_shareable(initializer: Initializer) -> bool:
    """Whether two parameters may hold one instance: somebody's own class may count its calls."""
    if isinstance(initializer, Combined):
        return all(map(_is_shareable, initializer.initializers))
    return is_built_in(type(initializer))


def _tied(document: ParameterDocument, made: dict[str, PlannedParameter]) -> PlannedParameter:
    target = made.get(str(document.tied_to))
    if target is None or target.tied_to is not None:
        what = "which is no parameter" if target is None else "which is tied itself"
        message = f"{document.name!r} is tied to {document.tied_to!r}, {what}"
        hint = did_you_mean(str(document.tied_to), made) if target is None else None
        raise InitializerError(Diagnostic(Code.TIED, message, hint=hint))
    told = (tuple(document.shape), document.dtype, document.nbytes)
    if told != (target.shape, target.dtype.name, target.nbytes):
        raise _edited(document, f"its shape, dtype or nbytes are not those of {document.tied_to!r}")
    where, rule = _place(document.where), document.rule
    return replace(target, name=document.name, tied_to=document.tied_to, rule=rule, where=where)


def _place(document: PlaceDocument | None) -> Location | None:
    return None if document is None else Location(document.file, document.line, document.column)


def _edited(document: ParameterDocument, what: str) -> InitializerError:
    message = f"the entry of {document.name!r} was edited: {what}"
    return InitializerError(Diagnostic(Code.EDITED_PLAN, message, hint=EDITED_HINT))
