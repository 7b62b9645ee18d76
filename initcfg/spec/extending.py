"""``extends``: the files that a spec is laid over, read one after the other and merged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import PydanticCustomError

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.initializers.values import shown
from initcfg.inputs import confined_to
from initcfg.spec.document import MAX_BYTES, read_file
from initcfg.spec.folders import moved
from initcfg.spec.leaves import format_version
from initcfg.spec.overlay import Document, lay_over

if TYPE_CHECKING:
    from initcfg.errors import Location
    from initcfg.spec.folders import Root

#: All the files together are answered in a few seconds, whatever they hold.
_MAX_FILES = 16
_MAX_TOTAL = 4 * MAX_BYTES
_VERSION_HINT = "begin the document with initcfg: 1, the version of this format"


def header_problems(document: Document) -> list[Diagnostic]:
    """What makes a document no spec at all: it is no mapping, or does not say its version."""
    tree, where = document.tree, document.places.locate(())
    if not isinstance(tree, Mapping):
        what = "the document is empty" if tree is None else f"expected a mapping, got {shown(tree)}"
        return [Diagnostic(Code.WRONG_TYPE, what, where, _VERSION_HINT)]
    if "initcfg" not in tree:
        return [Diagnostic(Code.MISSING_KEY, "the key 'initcfg' is missing", where, _VERSION_HINT)]
    return []


def extended(document: Document, file: str | None, root: Root) -> Document:
    """The document over all that it extends; what keeps that from being read is among its problems.

    Args:
        document: whose tree is a mapping.
        file: its name, or None for one that is not in a file.
        root: no path leaves it.
    """
    return _Chain(root, (_identity(file),), 0).over_parents(document, file)


def _identity(file: str | None) -> str:
    return os.path.realpath(file) if file else ""


class _Chain(NamedTuple):
    """The files that led to a document, and how much text they hold together."""

    root: Root
    files: tuple[str, ...]
    size: int

    def over_parents(self, document: Document, file: str | None) -> Document:
        written = document.tree.get("extends")
        if not isinstance(written, str):
            return document
        try:
            return lay_over(
                document,
                self.parent(written, self.root.folder_of(file), document.places.locate(("extends",))),
            )
        except SpecError as error:
            return document._replace(problems=(*document.problems, *error.diagnostics), is_whole=False)

    def parent(self, written: str, folder: str, where: Location) -> Document:
        """What a document in `folder` extends.

        Raises:
            SpecError: it cannot be read, or is no spec.
        """
        path = self.root.find(written, folder, where)
        if _identity(path) in self.files:
            message = f"{path!r} is extended in a circle"
            hint = "a file extends another one, and none that extends it"
            raise SpecError(Diagnostic(Code.EXTENDS_CYCLE, message, where, hint))
        with confined_to(self.root.folder):
            source = _placed(path, where)
        size = self.size + len(source.text)
        if len(self.files) >= _MAX_FILES or size > _MAX_TOTAL:
            message = f"a spec extends at most {_MAX_FILES - 1} files, of {_MAX_TOTAL // 1024} KiB together"
            raise SpecError(Diagnostic(Code.TOO_LARGE, message, where, "lay fewer files over each other"))
        document = Document(source.tree, source, source.problems)
        problems = (*document.problems, *header_problems(document))
        if not isinstance(document.tree, Mapping):
            raise SpecError(*problems)
        tree = _with_moved_manifest(document.tree, self.root.folder_of(path), folder)
        tree.pop("base", None)
        document = document._replace(tree=tree, problems=(*problems, *_version_problems(document)))
        return _Chain(self.root, (*self.files, _identity(path)), size).over_parents(document, path)


def _placed(path: str, where: Location) -> Any:
    """The file's source; that it cannot be read is told at the place that names it.

    Raises:
        SpecError: it cannot be read, or its text is no document.
    """
    try:
        return read_file(path)
    except SpecError as error:
        found = (
            replace(each, message=f"{path!r}: {each.message}", where=where) if _is_bare(each) else each
            for each in error.diagnostics
        )
        raise SpecError(*found) from None


def _is_bare(problem: Diagnostic) -> bool:
    """Whether a problem is about a file and no place in it."""
    return problem.where is None or problem.where.line is None


def _version_problems(document: Document) -> list[Diagnostic]:
    """The version of a file is its own, so it is looked at before the one above replaces it."""
    try:
        format_version(document.tree.get("initcfg", 1))
    except PydanticCustomError as error:
        facts = error.context or {}
        where = document.places.locate(("initcfg",))
        return [Diagnostic(Code(error.type), facts["message"], where, facts["hint"])]
    return []


def _with_moved_manifest(tree: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The tree of a file in the folder `old`, its ``manifest`` as one in `new` would write it."""
    manifest = tree.get("manifest")
    return {**tree, "manifest": moved(manifest, old, new)} if isinstance(manifest, str) else {**tree}
