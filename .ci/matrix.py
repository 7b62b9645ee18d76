"""Runs the tests under every Python that pyproject.toml names, and once with the oldest requirements.

``python .ci/matrix.py`` takes the interpreters that it finds (PATH, pyenv, uv) and names those that it
misses. What follows the options goes to pytest: ``python .ci/matrix.py --only oldest -- tests/unit``.

It exits with 0 where everything passed, 1 where something failed, and 3 where all that ran has passed but an
interpreter is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FAILED, MISSING = 1, 3


class Run(NamedTuple):
    """One environment: what it is called, its Python, and what pip may install at most."""

    name: str
    python: str
    constraints: tuple[str, ...] = ()


def pythons(project: dict[str, Any]) -> list[str]:
    """Returns the minor versions of Python that the classifiers name, lowest first.

    Example:
        >>> pythons({"classifiers": ["Programming Language :: Python :: 3.11"]})
        ['3.11']
    """
    named = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", c) for c in project["classifiers"])
    return sorted((match[1] for match in named if match), key=lambda version: int(version[2:]))


def oldest(requirements: list[str]) -> tuple[str, ...]:
    """Returns constraints that pin each requirement to the least version that it allows.

    Raises:
        ValueError: a requirement states no least version, so nobody knows what it promises.

    Example:
        >>> oldest(["numpy>=2.0", "keras[x]>=3.15,<3.16"])
        ('numpy==2.0', 'keras==3.15')
    """
    return tuple(_pinned(requirement) for requirement in requirements)


def _pinned(requirement: str) -> str:
    found = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?\s*>=\s*([\w.]+)(?:,.*)?", requirement)
    if found is None:
        raise ValueError(
            f"pyproject.toml: write {requirement!r} with the least version that works, as NAME>=VERSION"
        )
    return f"{found[1]}=={found[2]}"


def runs(pyproject: dict[str, Any]) -> list[Run]:
    """Returns what is to be run, the oldest pins first because they fail first."""
    versions = pythons(pyproject["project"])
    declared = [
        *pyproject["build-system"]["requires"],
        *pyproject["project"]["dependencies"],
        *pyproject["dependency-groups"]["test"],
    ]
    return [Run("oldest", versions[0], oldest(declared)), *(Run(version, version) for version in versions)]


def find_python(version: str) -> str | None:
    """Returns an interpreter of a minor version that can make environments, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [
        sys.executable,
        shutil.which(f"python{version}"),
        *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)),
        _found_by_uv(version),
    ]
    # A shim of pyenv is there also where no version behind it is chosen; Debian's Python may lack ensurepip.
    asking = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    return next((path for path in candidates if path and _output(path, "-c", asking) == version), None)


def _found_by_uv(version: str) -> str | None:
    uv = shutil.which("uv")
    return _output(uv, "python", "find", "--no-python-downloads", version) if uv else None


def _output(*command: str) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def passes(run: Run, interpreter: str, arguments: list[str]) -> bool:
    """Makes the environment, installs initcfg as a developer does, and runs pytest there."""
    folder = ROOT / ".venv-matrix" / run.name
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    with tempfile.TemporaryDirectory() as scratch:
        constraints = Path(scratch, "constraints.txt")
        constraints.write_text("\n".join(run.constraints), encoding="utf-8")
        commands = [
            [interpreter, "-m", "venv", "--clear", str(folder)],
            [python, "-m", "pip", "install", "-q", "--upgrade", "pip>=25.3"],
            [
                *(python, "-m", "pip", "install", "-q", "-e", ".", "--group", "test"),
                *("--constraint", str(constraints), "--build-constraint", str(constraints)),
            ],
            [python, "-m", "pytest", "-q", *arguments],
        ]
        return all(subprocess.run(command, cwd=ROOT, check=False).returncode == 0 for command in commands)


def main() -> int:
    """Runs what the command line asks for and prints a line for each."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {run.name: run for run in runs(pyproject)}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=wanted, help="run this one; may be repeated")
    parser.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="for pytest, after --")
    options = parser.parse_args()
    outcomes = {}
    for run in [wanted[name] for name in options.only or wanted]:
        interpreter = find_python(run.python)
        if interpreter is None:
            outcomes[run.name] = f"missing: no Python {run.python} was found"
            continue
        print(f"\n-- {run.name}: {interpreter} {' '.join(run.constraints)}", flush=True)
        start = time.monotonic()
        passed = passes(run, interpreter, options.pytest)
        outcomes[run.name] = f"{'passed' if passed else 'FAILED'} in {time.monotonic() - start:.0f} s"
    print(*(f"{name:8}{outcome}" for name, outcome in outcomes.items()), sep="\n")
    return exit_status(list(outcomes.values()))


def exit_status(outcomes: list[str]) -> int:
    """Returns what the process exits with, the worst of the outcomes.

    Example:
        >>> exit_status(["passed in 9 s", "missing: no Python 3.14 was found"])
        3
    """
    if any(outcome.startswith("FAILED") for outcome in outcomes):
        return FAILED
    return MISSING if any(outcome.startswith("missing") for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
