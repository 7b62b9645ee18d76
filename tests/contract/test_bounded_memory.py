"""Memory does not grow with the model: a limit on the address space is far below what is made.

``INITCFG_STREAM_GB`` is the size of the model that is streamed; the ordinary suite streams a smaller one,
under a smaller limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits are POSIX")

SCRIPT = Path(__file__).with_name("bounded.py")
GIGABYTES = os.environ.get("INITCFG_STREAM_GB")
LIMIT = 3_000_000_000


def made(how: str, limit: int, gigabytes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), how, str(limit), gigabytes]
    # BLAS takes address space for each of its threads, and is not needed here.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_plan_of_64_gigabytes_is_sliced_in_3() -> None:
    result = made("slices", LIMIT, "64")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 8 * 5 * 64 * 800 * 4


def test_a_plan_that_memory_does_not_hold_is_streamed() -> None:
    gigabytes, limit = (GIGABYTES, LIMIT) if GIGABYTES else ("1.2", LIMIT // 3)
    result = made("stream", limit, gigabytes)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 0.99 * float(gigabytes) * 1e9 > limit


def test_the_limit_is_one() -> None:
    """The planted fault: all of it at once."""
    result = made("whole", LIMIT // 3, "1.2")
    assert result.returncode != 0
    assert "MemoryError" in result.stderr
