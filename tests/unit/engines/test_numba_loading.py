"""Loading numba: not for a small model; and what happens where it is broken, or cannot write its cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initcfg

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., str]

PACKAGE = Path(initcfg.__file__).parent
HEAD = """
import sys, warnings
import numpy as np
from initcfg.distributions import Normal, Uniform
from initcfg.engines import get_engine, reference
from initcfg.errors import InitializerError
from initcfg.stream import Stream

def drawn(fill, law=Normal(0.0, 1.0)):
    out = np.empty(7, np.float32)
    fill(out, law, Stream.of_parameter(0, "h.0"), 5)
    return out.tobytes()

expected = drawn(reference.fill)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """``run(code, *folders, **environment)``: what a new process prints; `folders` come first on its path."""

    def run(code: str, *folders: Path, **environment: str) -> str:
        path = os.pathsep.join(map(str, [*folders, PACKAGE.parent]))
        command = [sys.executable, "-W", "always", "-c", HEAD + code]
        variables = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        done = subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


CHOSEN = """
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(2):
        assert drawn(get_engine(numel=2**40)) == expected
for warning in said:
    print(warning.category.__name__, warning.message)
try:
    drawn(get_engine("numba"))
except InitializerError as error:
    print(error)
"""


def test_a_small_model_does_not_load_numba(run: Run) -> None:
    spec = {"initcfg": 1, "params": {"w": {"shape": [100, 10], "initializer": "random_normal"}}}
    code = f"import initcfg\ninitcfg.materialize(initcfg.make_plan({spec!r}))\nprint('numba' in sys.modules)"
    assert run(code) == "False\n"
    # The question has another answer for many elements.
    assert run("drawn(get_engine(numel=2**40))\nprint('numba' in sys.modules)") == "True\n"


def test_a_numba_that_cannot_be_imported_is_named_once_and_numpy_goes_on(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "site" / "numba" / "__init__.py"
    broken.parent.mkdir(parents=True)
    broken.write_text('raise ImportError("Numba needs NumPy 1.9 or less")', encoding="utf-8")
    warning, error = run(CHOSEN, tmp_path / "site").splitlines()[:2]
    assert warning.startswith("RuntimeWarning numba cannot be imported: ImportError: Numba needs NumPy 1.9")
    assert "going on with the engine 'numpy'" in warning
    assert "numba cannot be imported" in error


def test_a_numba_that_was_told_to_compile_nothing_is_not_blamed(run: Run) -> None:
    warning, error = run(CHOSEN, NUMBA_DISABLE_JIT="1").splitlines()[:2]
    assert warning.startswith("RuntimeWarning numba compiles nothing, because NUMBA_DISABLE_JIT is set")
    assert "going on with the engine 'numpy'" in warning
    assert "unset NUMBA_DISABLE_JIT" in warning
    assert "release" not in warning
    assert "NUMBA_DISABLE_JIT is set" in error


def test_a_numba_that_cannot_compile_is_named_once_and_numpy_goes_on(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "site" / "initcfg"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    # As a release of numba would that does not have an option.
    with (copy / "engines" / "compiled" / "loops.py").open("a", encoding="utf-8") as loops:
        loops.write('\nOPTIONS = {**OPTIONS, "no_such_option": True}\n')
    warning, error = run(CHOSEN, tmp_path / "site").splitlines()[:2]
    assert warning.startswith("RuntimeWarning numba ")
    assert "another release of numba" in warning
    assert "could not compile the kernel 'normal'" in warning
    assert "going on with the engine 'numpy'" in warning
    assert "could not compile" in error


def test_where_nothing_can_be_kept_on_disk_it_says_so_once_and_compiles(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "site" / "initcfg"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    # Files where numba wants folders: that stops even the superuser, whom permissions do not.
    (copy / "engines" / "compiled" / "__pycache__").touch()
    nowhere = tmp_path / "file"
    nowhere.touch()
    homes = dict.fromkeys(["HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"], str(nowhere))
    # A second kernel says nothing more.
    code = (
        "warnings.simplefilter('error')\n"
        "law = Uniform(-1, 1)\n"
        "assert drawn(get_engine('numba'), law) == drawn(reference.fill, law)"
    )
    (warning,) = run(CHOSEN + code, tmp_path / "site", **homes, NUMBA_CACHE_DIR=str(nowhere)).splitlines()
    assert warning.startswith("RuntimeWarning what numba compiles cannot be kept on disk")
    assert "NUMBA_CACHE_DIR" in warning


def test_what_is_damaged_on_disk_is_compiled_anew_and_told(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "site" / "initcfg"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    made = drawn(get_engine('numba'), Uniform(-1, 1)).hex()\n"
        "print(made, *(each.message for each in said))"
    )
    first = run(code, tmp_path / "site")
    kept = list(copy.rglob("*.nbi"))
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:10])
    again = run(code, tmp_path / "site")
    assert again.split()[0] == first.strip()
    assert "empty it if what is there is damaged" in again


def test_what_was_compiled_for_other_sources_is_not_used(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "site" / "initcfg"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    code = "print(drawn(get_engine('numba'), Uniform(-1, 1)).hex())"
    first = run(code, tmp_path / "site")
    singles = copy / "engines" / "compiled" / "singles.py"
    source = singles.read_text(encoding="utf-8")
    singles.write_text(source.replace("* 2.0**-24", "* 2.0**-25"), encoding="utf-8")
    assert run(code, tmp_path / "site") != first
