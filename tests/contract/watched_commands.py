"""Runs command lines one after another in this process, under limits and under watch; a script for a test.

``python watched_commands.py JOBS``: JOBS is a JSON file with `folder`, where everything stands and nothing
may be written but below `out`, `warmup` and `commands` (lists of ``[name, arguments, stdin file or null]``),
and `seconds`, the limit of CPU time.
Prints a JSON line a command. Before each command the limit on CPU time is set anew, so that one that does not
come to an end kills the process, and the last line tells which was the last to end.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import initcfg
from initcfg.cli import main

MEMORY = 500 * 2**20
NEVER = ("exec", "compile", "import", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
         "os.fork", "pty.", "socket.", "ssl.", "urllib.", "http.", "ftplib.", "smtplib.", "pickle.",
         "marshal.load", "ctypes.", "code.", "os.kill", "os.putenv", "webbrowser.")  # fmt: skip
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
           "os.chmod", "os.chown", "os.utime", "shutil.", "tempfile.")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LIBRARIES = tuple({os.path.realpath(path) for path in (*sys.path[1:], *sysconfig.get_paths().values())})


class CaughtError(BaseException):
    """No handler of the program stops it."""


class Watch:
    """An audit hook; what it has seen stays in `seen`, whoever swallows the exception."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)
        self.package = str(Path(initcfg.__file__).parent)
        self.named: set[str] = set()
        self.seen: list[str] | None = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.seen is not None and (
            event.startswith(NEVER)
            or (event.startswith(CHANGES) and not self.is_below("out", args[0]))
            or (event == "open" and not self.may_open(*args))
        ):
            self.seen.append(f"{event} {args!r:.200}")
            raise CaughtError(self.seen[-1])

    def may_open(self, path: Any, _: object, flags: int) -> bool:
        if flags & WRITING:
            return self.is_below("out", path)
        return path in self.named or self.is_below("", path) or self.is_of_python(path)

    def is_below(self, folder: str, path: Any) -> bool:
        if isinstance(path, int):
            return True
        return Path(os.path.realpath(os.fsdecode(path))).is_relative_to(Path(self.folder, folder))

    def is_of_python(self, path: Any) -> bool:
        return os.path.realpath(os.fsdecode(path)).startswith((self.package, *LIBRARIES))


def run(watch: Watch, seconds: int, name: str, arguments: list[str], stdin: str | None) -> dict[str, object]:
    """Run one command line; what it did, said and took."""
    source = Path(stdin).read_bytes() if stdin else b""
    watch.named, watch.seen, began = set(arguments), [], time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(began) + seconds + 1, resource.RLIM_INFINITY))
    try:
        result = CliRunner().invoke(main, arguments, input=source, prog_name="initcfg")
    except CaughtError as caught:
        watch.seen = None
        return {"name": name, "exit": None, "seen": [str(caught)], "seconds": 0, "length": 0}
    seen, watch.seen = watch.seen, None
    raised = result.exception
    return {
        "name": name,
        "exit": result.exit_code,
        "raised": None if raised is None or isinstance(raised, SystemExit) else repr(raised)[:300],
        "seen": seen,
        "said": result.output[:600],
        "length": len(result.output),
        "complaint": [
            word for word in ("Traceback", "internal error", "enough memory") if word in result.output
        ],
        "seconds": round(time.process_time() - began, 3),
        "peak": peak(),
    }


def peak() -> int:
    """The most bytes that were resident; ru_maxrss would count the parent's."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def import_everything() -> None:
    """Import the whole package, so that no command does, and what it imports late."""
    importlib.import_module("glob")
    for module in pkgutil.walk_packages(initcfg.__path__, "initcfg."):
        if not module.name.startswith(("initcfg.adapters", "initcfg.__main__")):
            importlib.import_module(module.name)


def limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def work(jobs: dict[str, Any]) -> None:
    os.chdir(jobs["folder"])
    import_everything()
    for _, arguments, _ in jobs["warmup"]:
        CliRunner().invoke(main, arguments, prog_name="initcfg")
    limit_memory()
    watch = Watch(jobs["folder"])
    sys.addaudithook(watch)
    for job in jobs["commands"]:
        print(json.dumps(run(watch, jobs["seconds"], *job)), flush=True)


if __name__ == "__main__":
    work(json.loads(Path(sys.argv[1]).read_text("utf-8")))
