"""The same bits on any processor: a child process without numpy's vector code draws what its parent draws.

numpy picks its loops by what the processor has. The child reports that the features really were off, and that
functions which the engines may not use do change, so that the proof is known to be able to fail.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy._core import _multiarray_umath as umath  # type: ignore[attr-defined]

GOLDEN = Path(__file__).parents[1] / "golden"
# Those that numpy has code for and this processor offers, in numpy's own names, which differ by version.
FEATURES = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
NONE_HERE = (
    f"numpy {np.__version__} has no processor-specific code for this machine, so nothing is proved here"
)

CHILD = """
import hashlib, json, runpy, sys
import numpy as np
from numpy._core import _multiarray_umath as umath

made = [runpy.run_path(path) for path in sys.argv[1:]]
x = np.linspace(0.01, 9, 4099)
banned = [f(x.astype(t)).tobytes() for f in (np.log, np.exp, np.sin, np.cos) for t in ("f4", "f8")]
json.dump({
    "on": [name for name, on in umath.__cpu_features__.items() if on],
    "digests": [golden["digest"](row) for golden in made for row in golden["cases"]()],
    "banned": hashlib.sha256(b"".join(banned)).hexdigest(),
}, sys.stdout)
"""


def child(disabled: list[str]) -> dict[str, Any]:
    """What a process without these features reports."""
    switches = {"NPY_DISABLE_CPU_FEATURES": " ".join(disabled), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = {**os.environ, **switches}
    makers = [str(GOLDEN / name) for name in ("make.py", "make_functions.py")]
    command = [sys.executable, "-c", CHILD, *makers]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def subsets() -> list[list[str]]:
    """All features off; and, cheaper to miss, only the newest ones off."""
    halves = {len(FEATURES) // 2, len(FEATURES) - 1} - {0}
    return [FEATURES, *(FEATURES[start:] for start in sorted(halves))]


@pytest.fixture(scope="module")
def everything_on() -> dict[str, Any]:
    return child([])


@pytest.mark.skipif(not FEATURES, reason=NONE_HERE)
@pytest.mark.parametrize("disabled", subsets(), ids=" ".join)
def test_bits_do_not_depend_on_the_processor(disabled: list[str], everything_on: dict[str, Any]) -> None:
    assert set(disabled) <= set(everything_on["on"]), "the features were not there to be switched off"
    without = child(disabled)
    assert not set(disabled) & set(without["on"]), "the features were not really off"
    files = [json.loads((GOLDEN / f"{name}_v1.json").read_text()) for name in ("stream", "functions")]
    expected = [row["sha256"] for file in files for row in file["cases"]]
    assert without["digests"] == everything_on["digests"] == expected


@pytest.mark.skipif(not FEATURES or platform.machine() != "x86_64", reason=NONE_HERE)
def test_functions_that_engines_may_not_use_do_depend_on_it(everything_on: dict[str, Any]) -> None:
    assert child(FEATURES)["banned"] != everything_on["banned"]
