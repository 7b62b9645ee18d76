"""Reading a document: a regular file of limited size below the root folder, or a mapping of Python."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, InitcfgError, Location, SpecError
from initcfg.errors import Path as Steps
from initcfg.process import cached_property, load
from initcfg.text.inputs import decoded, is_within, open_input
from initcfg.text.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.text.source import Source

#: The largest spec that is read. Whatever it holds is answered within about a second.
MAX_BYTES = 2**18
_FORMATS: dict[str, str] = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_READERS: dict[str, Callable[[str, str | None], Source]] = {
    "yaml": read_yaml,
    # Loaded for a document that is JSON, as few are.
    "json": lambda text, file: load("initcfg.text.json_source").read_json(text, file),
}


def read_file(path: str | os.PathLike[str]) -> Source:
    """Reads a document; the end of its name, ``.yaml``, ``.yml`` or ``.json``, says what it is."""
    file = os.fspath(path)
    with open_input(file, SpecError) as stream:
        # What is not there, or is a folder, needs no other name.
        written = _format_of(file)
        content = stream.read(MAX_BYTES + 1)
    return read_bytes(content, written, file)


@contextlib.contextmanager
def named_at(path: str, where: Location) -> Iterator[None]:
    """A block that reads the file at `path`, whose problems as a whole get the place that names it."""
    try:
        yield
    except InitcfgError as error:
        raise type(error)(*(_placed(each, path, where) for each in error.diagnostics)) from None


def _placed(problem: Diagnostic, path: str, where: Location) -> Diagnostic:
    if problem.where is not None and (problem.where.line is not None or problem.where.path):
        return problem
    return replace(problem, message=f"{path!r}: {problem.message}", where=where)


def read_text(text: str, format: str = "yaml", file: str | None = None) -> Source:  # noqa: A002
    """Reads a document, ``yaml`` or ``json``, that is at hand as text; a byte order mark is skipped."""
    if format not in _READERS:
        raise _refused(Code.INPUT, f"no format is named {format!r}", file, "the formats are yaml and json")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _too_large(file)
    return _READERS[format](text.removeprefix("\ufeff"), file)


def read_bytes(content: bytes, format: str = "yaml", file: str | None = None) -> Source:  # noqa: A002
    """Reads a document from its bytes."""
    is_cut = len(content) > MAX_BYTES
    text = decoded(content, file, is_cut=is_cut)
    if is_cut:
        raise _too_large(file)
    return read_text(text, format, file)


def _format_of(file: str) -> str:
    suffix = Path(file).suffix.lower()
    if suffix not in _FORMATS:
        message = f"the name ends in {suffix!r}, and so does no spec" if suffix else "the name has no ending"
        hint = "name the file .yaml, .yml or .json"
        if suffix in (*load("initcfg.formats").FORMATS, *load("initcfg.formats.index").TORCH_ENDINGS):
            hint = "initcfg inspect shows what weights hold, initcfg verify compares them with a spec"
        raise _refused(Code.INPUT, message, file, hint)
    return _FORMATS[suffix]


def _too_large(file: str | None) -> SpecError:
    hint = "describe what repeats by repeat: instead of one by one"
    return _refused(Code.TOO_LARGE, f"a spec has at most {MAX_BYTES // 1024} KiB of text", file, hint)


def _refused(code: Code, message: str, file: str | None, hint: str | None = None) -> SpecError:
    return SpecError(Diagnostic(code, message, Location(file), hint))


class Root:
    """The folder that no path may leave: the one given, else the current one if the document is under it.

    Else it is the document's own.
    """

    def __init__(self, file: str | None, given: str | os.PathLike[str] | None = None) -> None:
        self.file, self.given = file, given
        if given is not None and not os.path.isdir(given):  # noqa: PTH112
            message = f"the root {os.fspath(given)!r} is no folder"
            raise SpecError.of(Code.INPUT, message, hint="name a folder that is there")

    @cached_property
    def folder(self) -> str:
        """The folder, without symbolic links."""
        if self.given is not None:
            return os.path.realpath(self.given)
        current, own = os.path.realpath(os.curdir), os.path.realpath(self.folder_of(self.file))
        return current if is_within(own, current) else own

    def folder_of(self, file: str | None) -> str:
        """The folder that paths in a file start from; without a file the one given, else the current one."""
        if file is None and self.given is not None:
            return os.fspath(self.given)
        return os.path.dirname(file or "")  # noqa: PTH120 - "" stays ""

    def find(self, written: str, folder: str, where: Location) -> str:
        """The path that is `written` in a document in `folder`, at `where`.

        A SpecError where it leads out of the root (code ``outside-root``), or is no path (code ``input``).
        """
        if not written.strip() or not written.isprintable() or "://" in written:
            hint = "name a file beside this one, by its path; a spec reaches no network"
            raise SpecError(Diagnostic(Code.INPUT, f"{written!r} is no path", where, hint))
        path = os.path.join(folder, written)  # noqa: PTH118
        real = os.path.realpath(path)
        has_no_folder = self.file is None and self.given is None and not folder
        if has_no_folder and not os.path.isabs(written) and os.path.exists(real):  # noqa: PTH110, PTH117
            message = f"{written!r}, in a spec that has no file, is taken from the current folder: {real}"
            warnings.warn(f"{message}; root= names the folder that is meant", UserWarning, stacklevel=2)
        if not is_within(real, self.folder):
            message = f"{written!r} leads out of the root folder {self.folder!r}"
            hint = (
                "keep the file in that folder, or name a folder above both as the root: --root DIR, or root="
            )
            raise SpecError(Diagnostic(Code.OUTSIDE_ROOT, message, where, hint))
        # Shorter to read, where it means the same: behind a link to a folder, .. may lead elsewhere.
        plain = os.path.normpath(path)
        return plain if os.path.realpath(plain) == real else path


def moved(written: str, old: str, new: str) -> str:
    """A path relative to the folder `old`, written so that it means the same relative to `new`."""
    old, new = os.path.realpath(old), os.path.realpath(new)
    if old == new:
        return written
    return os.path.relpath(os.path.join(old, written), new).replace(os.sep, "/")  # noqa: PTH118


_LEAVES = (str, bytes, bytearray, memoryview)


def as_tree(document: object) -> object:
    """The document with dicts for mappings and lists for sequences; everything else as it is.

    Tuples stay tuples. A container that stands in two places, or inside itself, is converted once. A
    SpecError where one does not give a value, as those of OmegaConf do where a mandatory value is missing.

    Example:
        >>> from types import MappingProxyType
        >>> as_tree(MappingProxyType({"shape": (2, 3), "repeat": range(2)}))
        {'shape': (2, 3), 'repeat': [0, 1]}
    """
    return _converted(document, {}, ())


def _converted(value: object, known: dict[int, object], path: Steps) -> object:
    if isinstance(value, _LEAVES) or not isinstance(value, Mapping | Sequence):
        return value
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, Mapping):
        tree: dict[object, object] = {}
        known[id(value)] = tree
        for key in value:
            step = key if isinstance(key, str | int) else str(key)
            tree[key] = _converted(_item(value, key, (*path, step)), known, (*path, step))
        return tree
    items = [_item(value, at, (*path, at)) for at in range(len(value))]
    if isinstance(value, tuple):
        known[id(value)] = value
        return tuple(_converted(item, known, (*path, at)) for at, item in enumerate(items))
    made: list[object] = []
    known[id(value)] = made
    made.extend(_converted(item, known, (*path, at)) for at, item in enumerate(items))
    return made


def _item(container: Any, key: Any, path: Steps) -> object:
    try:
        return container[key]
    except Exception as error:
        message = f"{type(container).__name__} does not give this value: {str(error).partition(chr(10))[0]}"
        hint = "give a value, or mend the interpolation, before the document is read"
        raise SpecError(Diagnostic(Code.WRONG_TYPE, message, Location(path=path), hint)) from error
