"""What commands are given: files, options, what ``[tool.initcfg]`` says, and the plan that they come to."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import click

from initcfg.errors import Code, Diagnostic, InitcfgError, printable
from initcfg.names import counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydantic import ValidationError

    from initcfg.manifest import Manifest
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.spec import Reading

Function = TypeVar("Function", bound="Callable[..., object]")


def expanded(files: Iterable[str]) -> tuple[str, ...]:
    """The files in the order given, each once, and in the place of a pattern its matches, sorted."""
    once: dict[str, str] = {}
    for file in files:
        is_pattern = not set("*?[").isdisjoint(file) and not os.path.lexists(file)
        for match in _matches(file) if is_pattern else [file]:
            # Path.absolute keeps "..".
            once.setdefault(match if match == "-" else os.path.abspath(match), match)  # noqa: PTH100
    return tuple(once.values())


def not_standard_input(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A callback for weights and manifests, whose kind only a name tells, and which are read at any place."""
    if value == "-":
        raise click.BadParameter("standard input is not read here; name a file")
    return value


def not_standard_output(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A callback for the names of files and folders to write, which would otherwise be called ``-``."""
    if value == "-":
        name = parameter.opts[0]
        message = f"{name} does not write to standard output; name a file, or ./- for one that is called so"
        raise click.BadParameter(message)
    return value


def output_option(metavar: str, help: str) -> Callable[[Function], Function]:  # noqa: A002
    """Give a command ``-o``, the file to write, as its argument ``path``."""
    return click.option(
        "-o",
        "--output",
        "path",
        metavar=metavar,
        type=click.Path(dir_okay=False),
        callback=not_standard_output,
        help=help,
    )


#: Gives a command ``--force``, for a file that `initcfg.cli.output.check_replaceable` refuses to replace.
force_option = click.option("--force", is_flag=True, help="Replace a file that initcfg did not write.")
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="How many threads to use.  [default: as many as there are cores]",
)


def with_renames(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--rename`` and ``--strip-prefix`` as one argument, ``renames``."""

    @click.option(
        "--rename",
        metavar="WEIGHTS_NAME=PLAN_NAME",
        multiple=True,
        help="Replace the first segments of names in WEIGHTS; {i} stands for a number. May be repeated.",
    )
    @click.option("--strip-prefix", metavar="PREFIX", help="Remove PREFIX from the names in WEIGHTS.")
    @functools.wraps(function)
    def command(rename: tuple[str, ...], strip_prefix: str | None, **arguments: object) -> int:
        from initcfg.formats.reading import Renames

        stripped = () if strip_prefix is None else (f"{strip_prefix.removesuffix('.')}=",)
        try:
            renames = Renames.of((*rename, *stripped))
        except InitcfgError as error:
            problem = error.diagnostics[0]
            raise click.UsageError(f"{problem.message}; {problem.hint}") from error
        return function(renames=renames, **arguments)

    return command


def _matches(pattern: str) -> list[str]:
    import glob

    # Path.glob knows no absolute patterns, and takes "./" away.
    found = [file for file in sorted(glob.glob(pattern, recursive=True)) if not os.path.isdir(file)]  # noqa: PTH112, PTH207
    if not found:
        raise click.UsageError(f"no file matches the pattern {pattern!r}")
    return found


class SpecOptions(NamedTuple):
    """What a command line says beside a spec."""

    settings: tuple[str, ...] = ()  # as vars.d=1024
    root: str | None = None
    plugins: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The options as they are written on a command line."""
        pairs = [("--set", each) for each in self.settings] + [("--plugin", each) for each in self.plugins]
        pairs += [] if self.root is None else [("--root", self.root)]
        return [word for pair in pairs for word in pair]


def with_spec_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--set``, ``--root`` and ``--plugin`` as one argument, ``options``."""

    @click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Override seed, dtype, vars.NAME or initializers.NAME of the spec. May be repeated.",
    )
    @click.option(
        "--root",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Paths in a spec must stay in this folder.  [default: the current one or the spec's]",
    )
    @click.option(
        "--plugin",
        "plugins",
        metavar="NAME",
        multiple=True,
        help="Load an installed plugin, so that specs can use its initializers. May be repeated.",
    )
    @functools.wraps(function)
    def command(
        settings: tuple[str, ...], root: str | None, plugins: tuple[str, ...], **arguments: object
    ) -> int:
        return function(options=SpecOptions(settings, root, plugins), **arguments)

    return command


def plan_from(
    file: str,
    options: SpecOptions | None = None,
    *,
    tell: Callable[[str], None] | None = None,
    manifest: Manifest | None = None,
) -> Plan:
    """The plan in `file`, or of the spec in it, held against `manifest`; `tell` learns of its warnings."""
    from initcfg.plan import Plan, plan_reading

    source = source_from(file, options, manifest)
    if tell is None:
        with planning_progress():
            return source if isinstance(source, Plan) else plan_reading(source)
    plan, found = checked_plan(source)
    warnings = sum(each.severity == "warning" for each in found)
    if warnings:
        import shlex

        again = shlex.join(["initcfg", "validate", file, *(options or SpecOptions()).arguments()])
        them = "it" if warnings == 1 else "them"
        tell(printable(f"{counted(warnings, 'warning')}; to see {them}: {again}"))
    return plan


def checked_plan(source: Plan | Reading) -> tuple[Plan, tuple[Diagnostic, ...]]:
    """The plan that `source_from` has given or that its spec comes to, with its warnings and notes."""
    from initcfg.checks import check_plan
    from initcfg.plan import Plan, plan_reading

    with planning_progress():
        plan, spec = (source, None) if isinstance(source, Plan) else (plan_reading(source), source.spec)
    return plan, check_plan(plan, spec.allow if spec else (), spec)


def source_from(
    file: str, options: SpecOptions | None = None, manifest: Manifest | None = None
) -> Plan | Reading:
    """The plan in `file`, known by what it holds, or what reading the spec in it has given."""
    from initcfg.plan.plan import is_plan
    from initcfg.spec import read, reads
    from initcfg.spec.files import MAX_BYTES, Root

    options = options or SpecOptions()
    if options.plugins:
        from initcfg.initializers.registry import load_plugins

        load_plugins(options.plugins)
    beginning = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else _beginning(file, MAX_BYTES)
    root = options.root
    if root is None:
        root = find_project().root_for(Root(None if file == "-" else file).folder)
    if is_plan(beginning):
        from initcfg.plan.read import MAX_PLAN_BYTES, read_plan, read_plan_bytes

        if options.settings:
            hint = "--set changes specs; give it with the spec and plan that again"
            raise click.UsageError(f"{file!r} is a plan, and {hint}")
        if file != "-":
            return read_plan(file, root=root)
        # One byte more than a plan may have tells that it is too large.
        rest = sys.stdin.buffer.read(MAX_PLAN_BYTES + 1 - len(beginning))
        return read_plan_bytes(beginning + rest, "<stdin>", root=root)
    if file != "-":
        return read(file, root=root, settings=options.settings, manifest=manifest)
    reading = reads(beginning, file="<stdin>", root=root, settings=options.settings)
    return reading if manifest is None else reading._replace(manifest=manifest)


_SILENT_SECONDS = 1.0


@contextlib.contextmanager
def planning_progress() -> Iterator[None]:
    """A line on a terminal, while planning takes longer than a second."""
    if not sys.stderr.isatty():
        yield
        return
    from initcfg.plan.scope import watching

    started, is_shown = time.monotonic(), False

    def tell(steps: int) -> None:
        nonlocal is_shown
        if time.monotonic() - started > _SILENT_SECONDS:
            is_shown = True
            sys.stderr.write(f"\rplanning: {steps:,} steps")
            sys.stderr.flush()

    try:
        with watching(tell):
            yield
    finally:
        if is_shown:
            sys.stderr.write("\r\x1b[K")


def _beginning(file: str, size: int) -> bytes:
    """The first bytes of a regular file; none where reading it as a spec will tell that it cannot be read."""
    from initcfg.errors import SpecError
    from initcfg.text.inputs import open_input

    try:
        with open_input(file, SpecError) as stream:
            return stream.read(size)
    except (SpecError, OSError):
        return b""


def selection(plan: Plan, select: str | None) -> list[PlannedParameter]:
    """The parameters that ``--select`` takes; a pattern that is malformed or takes none is a usage error."""
    from initcfg.plan.plan import selected

    try:
        return selected(plan, select)
    except InitcfgError as error:
        problem = error.diagnostics[0]
        raise click.UsageError(f"--select: {problem.message}; {problem.hint}") from error


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
    """Whether a pattern matches a name in a file's path, or with a slash in it the path from `folder`."""
    path = PurePath(os.path.relpath(file or os.curdir, folder))
    wholes = [path.as_posix(), *(each.as_posix() for each in path.parents)]
    return any(
        fnmatchcase(name, pattern.removesuffix("/"))
        for pattern in patterns
        for name in (wholes if "/" in pattern.removesuffix("/") else path.parts)
    )


# A line of a file that may have the table: "[tool.initcfg]", or another way to the same key.
_TABLE = rb"""(?m)^\s*\[?\s*["']?tool["']?\s*(?:[]=]|\.\s*["']?initcfg)|^\s*\[?[^#=]*\\[uU]"""


def _read(path: Path) -> Project:
    shown = printable(os.path.relpath(path))
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise click.UsageError(f"{shown} has more than {_MAX_BYTES} bytes")
        table = _table(data)
    except (OSError, ValueError, RecursionError) as error:
        raise click.UsageError(f"{shown} cannot be read: {printable(str(error))}") from None
    folder = str(path.parent)
    return Project(folder=folder) if table == {} else _checked(table, folder, shown)


@functools.lru_cache(maxsize=1)  # every file of a command asks for it
def _table(data: bytes) -> Any:
    """What a pyproject.toml has under ``tool.initcfg``; one that cannot name it is not read further."""
    if not re.search(_TABLE, data):
        return {}
    import tomllib

    tools = tomllib.loads(data.decode()).get("tool", {})
    return tools.get("initcfg", {}) if isinstance(tools, dict) else {}


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
