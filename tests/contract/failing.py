"""Lets writes fail, each in its turn; a script for a test.

``python failing.py calls WORK FOLDER PIECE``: each call of the system fails, one a run, until a run needs no
more of them; a call takes no more than PIECE bytes.
``python failing.py limits WORK FOLDER STEPS``: the size of a file is limited, to ever more of what it takes.
``python failing.py full WORK FOLDER``: FOLDER is a disk with room for one set of files and not for two; it is
seen to be full before the work, when space is taken for the file, and when that cannot be and it is written.

WORK is one of works.py. Prints a JSON line a run: what failed, which exception was `raised` with which
`problems`, what the work `returned`, what the folder held `after`. The first line holds what complete runs
leave, `old`, which was there before each run, and `new`, and the `size` of the largest file.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from system_calls import WRITING, Intercepted
from works import NEW, OLD, WORKS, snapshot

from initcfg.errors import InitcfgError
from initcfg.formats import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODES = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)


class Bench:
    """A folder that holds the old files before each run.

    Args:
        work: writes to a folder.
        folder: that folder.
        kept: an empty folder, for the old files to be kept in.
    """

    def __init__(self, work: Callable[[Path, int], object], folder: Path, kept: Path) -> None:
        self.folder = folder
        self._work = work
        self._kept = kept
        work(self._kept, NEW)
        self.new = snapshot(self._kept)
        self.size = max(path.stat().st_size for path in self._kept.iterdir())
        work(self._kept, OLD)
        self.old = snapshot(self._kept)
        self._held: dict[str, str] | None = None

    def reset(self) -> None:
        if self._held == self.old:
            return
        for name in self._held or ():
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.copytree(self._kept, self.folder, dirs_exist_ok=True)

    def run(self, **told: object) -> dict[str, object]:
        """One run, and what came of it."""
        raised, problems, returned = None, [], None
        try:
            returned = self._work(self.folder, NEW)
        except InitcfgError as error:
            raised = type(error).__name__
            problems = [[problem.message, problem.hint] for problem in error.diagnostics]
        self._held = snapshot(self.folder)
        return {**told, "raised": raised, "problems": problems, "returned": returned, "after": self._held}


class Failure:
    """The call number `at` fails with `code`."""

    def __init__(self, at: int, code: int) -> None:
        self.call: str | None = None
        self.code = code
        self._at = at

    def meet(self, number: int, name: str) -> None:
        if number == self._at:
            self.call = name
            raise OSError(self.code, os.strerror(self.code))


def at_calls(bench: Bench, piece: int) -> Iterator[dict[str, object]]:
    for at in itertools.count(1):
        failure = Failure(at, CODES[at % len(CODES)])
        bench.reset()
        with Intercepted(failure.meet, WRITING, piece):
            result = bench.run(code=os.strerror(failure.code).lower())
        if failure.call is None:
            return
        yield {"call": failure.call, **result}


def at_limits(bench: Bench, steps: int) -> Iterator[dict[str, object]]:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for step in range(steps):
        limit = bench.size * step // steps
        bench.reset()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        result = bench.run(limit=limit)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        yield result


def on_full_disk(bench: Bench, _: int) -> Iterator[dict[str, object]]:
    def unable(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    blindfolds = ((atomic, "_check_space", lambda *_: None), (atomic, "_fallocate", unable))
    for count in range(len(blindfolds) + 1):
        bench.reset()
        with contextlib.ExitStack() as stack:
            for blindfold in blindfolds[:count]:
                stack.enter_context(replaced(*blindfold))
            result = bench.run(blindfolds=count)
        yield {**result, "free": shutil.disk_usage(bench.folder).free}


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    real = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, real)


def main(how: str, work: str, folder: str, count: str = "0") -> None:
    runs = {"calls": at_calls, "limits": at_limits, "full": on_full_disk}
    with tempfile.TemporaryDirectory() as around:
        kept = Path(around, "kept")
        kept.mkdir()
        bench = Bench(WORKS[work], Path(folder), kept)
        print(json.dumps({"old": bench.old, "new": bench.new, "size": bench.size}))
        for result in runs[how](bench, int(count)):
            print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
