"""The table ``[tool.initcfg]`` of a pyproject.toml: what a project says once for every command line."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import click

from initcfg.errors import Code, printable
from initcfg.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

_FILE = "pyproject.toml"
_MAX_BYTES = 2**20


def as_code(name: str) -> str:
    """A diagnostic code by its name; a ValueError where there is no such code."""
    known = [str(code) for code in Code]
    if name not in known:
        hint = did_you_mean(name, known) or "initcfg explain lists them all"
        raise ValueError(f"no code is named {name!r}; {hint}")
    return name


class Project(NamedTuple):
    """The table, checked, and the folder of its pyproject.toml."""

    exclude: Sequence[str] = ()  # patterns of files that `initcfg validate` leaves out
    ignore: Sequence[str] = ()  # codes of warnings that it does not tell
    root: str | None = None  # the folder that the paths in a spec may not leave
    folder: str = ""

    def root_for(self, default: str) -> str | None:
        """The table's root where it lies in `default`, the root without it; None where that stays."""
        if self.root is None:
            return None
        root = os.path.realpath(os.path.join(self.folder, self.root))  # noqa: PTH118 - realpath takes text
        return root if Path(root).is_relative_to(default) else None


def find_project() -> Project:
    """The table in the nearest pyproject.toml, from the current folder upwards; an empty one without it."""
    current = Path.cwd()
    path = next((each / _FILE for each in (current, *current.parents) if (each / _FILE).is_file()), None)
    return Project() if path is None else _read(path)


def is_excluded(file: str, patterns: Sequence[str], folder: str) -> bool:
    """Whether a pattern matches a file or a folder that it is in.

    A pattern with a slash is held against the path from `folder`, its ``*`` matching slashes too; one without
    against each name in that path.
    """
    path = PurePath(os.path.relpath(file or os.curdir, folder))
    wholes = [path.as_posix(), *(each.as_posix() for each in path.parents)]
    return any(
        fnmatchcase(name, pattern.removesuffix("/"))
        for pattern in patterns
        for name in (wholes if "/" in pattern.removesuffix("/") else path.parts)
    )


def _read(path: Path) -> Project:
    import tomllib  # only a project with the file needs it

    shown = printable(os.path.relpath(path))
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise click.UsageError(f"{shown} has more than {_MAX_BYTES} bytes")
        document = tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise click.UsageError(f"{shown} cannot be read: {printable(str(error))}") from None
    tools = document.get("tool", {})
    table = tools.get("initcfg", {}) if isinstance(tools, dict) else {}
    folder = str(path.parent)
    return Project(folder=folder) if table == {} else _checked(table, folder, shown)


def _checked(table: Any, folder: str, shown: str) -> Project:
    from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

    class Table(BaseModel):  # here, since few projects have one
        model_config = ConfigDict(extra="forbid", strict=True)

        exclude: list[str] = []
        ignore: list[Annotated[str, AfterValidator(as_code)]] = []
        root: str | None = None

    try:
        found = Table.model_validate(table)
    except ValidationError as error:
        raise click.UsageError("\n".join(_problem_lines(shown, error, list(Table.model_fields)))) from None
    if found.root is not None:
        _check_root(found.root, Path(folder).resolve(), shown)
    return Project(found.exclude, found.ignore, found.root, folder)


def _problem_lines(shown: str, error: ValidationError, known: list[str]) -> list[str]:
    """A line for each problem of the table: its place, what is wrong and the way out."""
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(map(str, ("tool", "initcfg", *problem["loc"])))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = did_you_mean(str(problem["loc"][-1]), known)
            message = f"unknown key; {near or 'the table takes ' + ', '.join(known)}"
        lines.append(printable(f"{shown}: {place}: {message}"))
    return lines


def _check_root(given: str, folder: Path, shown: str) -> None:
    """A table may narrow the root and never widen it, so its root is a folder in its own."""
    root = (folder / given).resolve()
    if not root.is_dir() or not root.is_relative_to(folder):
        wrong = "leads out of the project" if root.is_dir() else "is no folder"
        hint = f"name a folder beside {_FILE}, or give --root on the command line"
        raise click.UsageError(printable(f"{shown}: tool.initcfg.root: {given!r} {wrong}; {hint}"))
