"""Loading a spec: a path, a text or a mapping in, a checked `Spec` out, with every problem told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.initializers.values import shown
from initcfg.spec.diagnose import diagnostics_of
from initcfg.spec.document import read_bytes, read_file, read_text
from initcfg.spec.models import Spec
from initcfg.spec.salvage import Reading, without_faulty_entries

if TYPE_CHECKING:
    from initcfg.spec.source import Source

__all__ = ["load", "loads", "read", "reads"]

_VERSION_HINT = "begin the document with initcfg: 1, the version of this format"


def load(document: str | os.PathLike[str] | Mapping[str, Any]) -> Spec:
    """The spec that a file or a mapping holds.

    Args:
        document: a path that ends in ``.yaml``, ``.yml`` or ``.json``, or a mapping of the same content.

    Raises:
        SpecError: the file cannot be read or is no spec; every problem is in `diagnostics`, with its place.

    Example:
        >>> load({"initcfg": 1, "params": {"cls_token": {"shape": [768], "initializer": "zeros"}}}).seed
        0
    """
    return _whole(read(document))


def loads(text: str, format: str = "yaml", file: str | None = None) -> Spec:  # noqa: A002
    """The spec that a text holds.

    Args:
        text: the document.
        format: ``yaml`` or ``json``.
        file: a name for diagnostics.

    Raises:
        SpecError: the text is no spec; every problem is in `diagnostics`, with its place.
    """
    return _whole(reads(text, format, file))


def reads(text: str | bytes, format: str = "yaml", file: str | None = None) -> Reading:  # noqa: A002
    """As `read`, for a document that is at hand as text, or as the bytes of a file.

    Raises:
        SpecError: the text is no YAML or JSON.
    """
    source = read_bytes(text, format, file) if isinstance(text, bytes) else read_text(text, format, file)
    return _reading(source.tree, source)


def read(document: str | os.PathLike[str] | Mapping[str, Any]) -> Reading:
    """As much as can be read of the spec that a file or a mapping holds, and what is wrong with the rest.

    Raises:
        SpecError: the file cannot be read, or its text is no YAML or JSON.
    """
    if isinstance(document, Mapping):
        return _reading(document, None)
    if not isinstance(document, str | os.PathLike):
        message = f"expected a path or a mapping, got {shown(document)}"
        raise SpecError(
            Diagnostic(Code.WRONG_TYPE, message, hint="give a path, or a mapping with initcfg: 1")
        )
    source = read_file(document)
    return _reading(source.tree, source)


def _whole(reading: Reading) -> Spec:
    if reading.spec is None or reading.problems:
        raise SpecError(*reading.problems)
    return reading.spec


def _reading(tree: object, source: Source | None) -> Reading:
    problems = list(source.problems) if source else []
    if not isinstance(tree, Mapping):
        what = "the document is empty" if tree is None else f"expected a mapping, got {shown(tree)}"
        where = source.locate(()) if source else Location()
        return Reading(None, _in_order([*problems, Diagnostic(Code.WRONG_TYPE, what, where, _VERSION_HINT)]))
    if "initcfg" not in tree:
        where = source.locate(()) if source else Location()
        problems.append(Diagnostic(Code.MISSING_KEY, "the key 'initcfg' is missing", where, _VERSION_HINT))
    spec, faults = _validated(tree, source)
    left_out: frozenset[tuple[str, ...]] = frozenset()
    if faults and faults[-1].severity == "note":  # too many to leave each of them out
        return Reading(None, _in_order([*problems, *faults]))
    if problems or faults:
        rest, left_out = without_faulty_entries(tree, [*problems, *faults])
        spec, _ = _validated(rest, source)
    return Reading(spec, _in_order([*problems, *faults]), left_out)


def _validated(tree: Mapping[Any, Any], source: Source | None) -> tuple[Spec | None, tuple[Diagnostic, ...]]:
    try:
        spec = Spec.model_validate(dict(tree))
    except ValidationError as error:
        return None, diagnostics_of(error, Spec, source)
    spec._source = source
    return spec, ()


def _in_order(problems: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The problems in the order of their places; where two meet, the first found counts."""
    kept: dict[object, Diagnostic] = {}
    for problem in problems:
        where = problem.where or Location()
        place = (where.line, where.column) if where.line else (where.path, problem.code, problem.message)
        kept.setdefault((place, problem.severity), problem)
    return tuple(sorted(kept.values(), key=_position))


def _position(problem: Diagnostic) -> tuple[int, int]:
    where = problem.where or Location()
    return where.line or 0, where.column or 0
