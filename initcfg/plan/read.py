"""A plan file becomes a plan again: the same fingerprint, the same bits. Nothing in it is taken on trust."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.initializers.values import shown
from initcfg.inputs import open_input
from initcfg.plan.data import EDITED_HINT
from initcfg.plan.expand import MAX_PARAMETERS
from initcfg.plan.plan import Plan
from initcfg.plan.restore import restore, restore_skipped
from initcfg.process import gc_paused
from initcfg.spec import load
from initcfg.stream import STREAM_VERSION
from initcfg.text.json_values import JsonError, check_cost, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

    from initcfg.plan.document import PlanDocument
    from initcfg.spec import Spec

#: The largest plan file that is read: a million parameters take about half of it.
MAX_PLAN_BYTES = 2**30
_MAX_PROBLEMS = 100
_FORMAT = "initcfg.plan"
_VERSION = 1
_SAYS_SO = re.compile(rb'"format"\s*:\s*"initcfg\.plan"')
_BOM = b"\xef\xbb\xbf"


def is_plan(beginning: bytes) -> bool:
    """Whether the first bytes of a file say that it is a plan, by what they hold and not by its name.

    Example:
        >>> is_plan(b'{"format": "initcfg.plan", "version": 1'), is_plan(b'{"initcfg": 1}')
        (True, False)
    """
    return beginning.removeprefix(_BOM).lstrip().startswith(b"{") and bool(_SAYS_SO.search(beginning))


def read_plan(source: str | os.PathLike[str] | Mapping[str, Any]) -> Plan:
    """The plan that ``initcfg plan -o`` or `Plan.to_json` wrote.

    It has the fingerprint of the plan that was written and makes the same bits. Custom initializers must be
    registered under the names that they had.

    Args:
        source: the path of the file, of 1 GiB at most, or its content as a mapping.

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
        return _restored(source, None)
    if not isinstance(source, str | os.PathLike):
        message = f"a plan is read from a path or a mapping, got {shown(source)}"
        raise SpecError(Diagnostic(Code.WRONG_TYPE, message, hint="give the path of a plan file"))
    with open_input(source, SpecError) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_PLAN_BYTES:
            raise _too_large(os.fspath(source))
        return read_plan_bytes(b"".join(iter(lambda: file.read(size + 1), b"")), os.fspath(source))


def read_plan_bytes(content: bytes, file: str | None = None) -> Plan:
    """As `read_plan`, for the bytes of a file that are at hand.

    Args:
        content: UTF-8 text.
        file: a name for diagnostics.

    Raises:
        SpecError: as `read_plan`.
    """
    with gc_paused():
        return _restored(_parsed(content, file), file)


def _parsed(content: bytes, file: str | None) -> Mapping[str, Any]:
    if len(content) > MAX_PLAN_BYTES:
        raise _too_large(file)
    try:
        check_cost(content)
        text = content.decode("utf-8-sig")
        tree = parse_json(text)
    except UnicodeDecodeError as error:
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise _refused(Code.ENCODING, message, file, "save the file as UTF-8") from None
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


def _restored(tree: Mapping[str, Any], file: str | None) -> Plan:
    _check_versions(tree, file)
    document = _validated(tree, file)
    if len(document.parameters) > MAX_PARAMETERS:
        message = f"a plan holds at most {MAX_PARAMETERS:,} parameters, this one {len(document.parameters):,}"
        raise _refused(Code.TOO_LARGE, message, file)
    try:
        parameters = restore(document.parameters, document.seed, file)
    except RecursionError:
        raise _refused(Code.TOO_DEEP, "nested too deep for an initializer", file) from None
    skipped = restore_skipped(document.skipped)
    spec = None if document.spec is None else _spec(document.spec, file)
    plan = Plan(document.name, document.seed, parameters, document.stream_version, skipped, spec=spec)
    told = (document.fingerprint, document.numel, document.nbytes)
    if told != (plan.fingerprint, plan.numel, plan.nbytes):
        message = f"the plan was edited: its parameters have the fingerprint {plan.fingerprint}"
        raise _refused(Code.EDITED_PLAN, message, file)
    return plan


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
    if tree.get("format") != _FORMAT:
        message = f"this is no plan: its format is {shown(tree.get('format'))}, not {_FORMAT!r}"
        hint = "write one with initcfg plan SPEC -o PLAN"
        raise _refused(Code.WRONG_TYPE, message, file, hint, "format")
    for key, known in (("version", _VERSION), ("stream_version", STREAM_VERSION)):
        found = tree.get(key)
        if type(found) is not int or found != known:
            message = f"the {key} of the plan is {shown(found)}, and this release reads {known}"
            hint = "read it with the release of initcfg that wrote it, or plan its spec again"
            raise _refused(Code.FORMAT_VERSION, message, file, hint, key)


def _validated(tree: Mapping[str, Any], file: str | None) -> PlanDocument:
    from pydantic import ValidationError  # noqa: PLC0415  planning needs none of the models

    from initcfg.plan.document import PlanDocument  # noqa: PLC0415

    try:
        return PlanDocument.model_validate(dict(tree))
    except ValidationError as error:
        raise SpecError(*_told(error, file)) from None


_CODES = {"missing": Code.MISSING_KEY, "extra_forbidden": Code.UNKNOWN_KEY}


def _told(error: ValidationError, file: str | None) -> Iterator[Diagnostic]:
    """What pydantic found, with its places; the words are pydantic's for kinds and bounds."""
    for detail in error.errors(include_url=False)[:_MAX_PROBLEMS]:
        path = tuple(step for step in detail["loc"] if step not in _LAW_TAGS)
        code = _CODES.get(detail["type"], Code.WRONG_TYPE)
        if code is Code.WRONG_TYPE:
            message = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {shown(detail['input'])}"
        else:
            message = f"{'the key' if code is Code.MISSING_KEY else 'unknown key'} {shown(path[-1])}"
            message += " is missing" if code is Code.MISSING_KEY else ""
        yield Diagnostic(code, message, Location(file, path=path), EDITED_HINT)


_LAW_TAGS = {"fill", "uniform", "normal", "truncated_normal"}


def _too_large(file: str | None) -> SpecError:
    message = f"a plan file has at most {MAX_PLAN_BYTES // 2**30} GiB"
    return _refused(Code.TOO_LARGE, message, file, "plan the parts of the model one by one")


def _refused(
    code: Code, message: str, file: str | None, hint: str | None = None, key: str | None = None
) -> SpecError:
    where = Location(file, path=() if key is None else (key,))
    return SpecError(Diagnostic(code, message, where, hint or EDITED_HINT))
