"""The files that a spec names: found beside it, and never outside the root folder."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cached_property

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.inputs import is_within


@dataclass(frozen=True)
class Root:
    """The folder that no path may leave.

    It is the one given, else the current one if the document is under it, else the document's own.

    Args:
        file: the document's name, or None.
        given: a folder, or None.

    Raises:
        SpecError: `given` is no folder (code ``input``).
    """

    file: str | None
    given: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.given is not None and not os.path.isdir(self.given):  # noqa: PTH112
            message = f"the root {os.fspath(self.given)!r} is no folder"
            raise SpecError(Diagnostic(Code.INPUT, message, hint="name a folder that is there"))

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
        """The path that a document in `folder` means.

        Args:
            written: as the document has it, relative to `folder`.
            folder: that of the document, as the user named it.
            where: the place of `written`.

        Raises:
            SpecError: it leads out of the root (code ``outside-root``), or is no path (code ``input``).
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
