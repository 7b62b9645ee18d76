"""A killed run leaves what was there before or the complete new file, and the next run leaves no trace of it.

``INITCFG_KILLS`` is how many runs are killed at random times, of each kind of file; the ordinary suite kills
a few. `killing.py` does it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

KILLS = os.environ.get("INITCFG_KILLS", "20")
SCRIPT = Path(__file__).with_name("killing.py")
LITTER = ".initcfg-"


def rounds(folder: Path, how: str, work: str, *arguments: str) -> tuple[dict, list[dict]]:
    """What complete runs leave, and what was found after each kill."""
    command = [sys.executable, str(SCRIPT), how, work, str(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    whole, *found = map(json.loads, result.stdout.splitlines())
    return whole, found


def split(found: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """What a folder holds, without litter, and the litter."""
    kept = {name: digest for name, digest in found.items() if not name.startswith(LITTER)}
    return kept, sorted(found.keys() - kept.keys())


def state(whole: dict, one: dict) -> str:
    """What a kill left: old, new or nothing; or torn."""
    kept, _ = split(one["after"])
    named = {"old": whole["old"], "new": whole["new"], "nothing": {}}
    name = next((name for name, files in named.items() if kept == files), "torn")
    # Nothing is what was there before only if nothing was, and old the same.
    return "torn" if name == ("nothing" if one["began"] else "old") else name


def counted(whole: dict, found: list[dict]) -> Counter[str]:
    counts = Counter(state(whole, one) for one in found)
    counts["litter"] = sum(bool(split(one["after"])[1]) for one in found)
    counts["killed"] = sum(one["killed"] for one in found)
    return counts


@pytest.mark.parametrize("work", ["safetensors", "npz"])
def test_a_run_killed_at_any_time_leaves_old_or_new_and_the_next_is_right(tmp_path, work) -> None:
    whole, found = rounds(tmp_path, "times", work, KILLS, "5")
    counts = counted(whole, found)
    print(work, dict(counts))
    assert counts["torn"] == 0
    assert all(one["next"] == whole["new"] for one in found)
    assert counts["killed"] == int(KILLS)
    # Else the kills came too early or too late to show anything.
    assert counts["litter"] > 0


@pytest.mark.parametrize("work", ["safetensors", "npz"])
def test_a_run_killed_before_any_call_of_the_system_leaves_old_or_new_and_the_next_is_right(
    tmp_path, work
) -> None:
    whole, found = rounds(tmp_path, "calls", work)
    counts = counted(whole, found)
    assert counts["torn"] == 0
    assert all(one["next"] == whole["new"] for one in found)
    # The last run came to its end; the one before was killed when the file was in its place.
    assert [state(whole, one) for one in found] == ["old"] * (len(found) - 2) + ["new"] * 2
    assert counts["killed"] == len(found) - 1 >= 8
    assert counts["litter"] == len(found) - 4


def test_a_file_that_is_written_in_place_is_found_torn(tmp_path) -> None:
    """A planted fault."""
    counts = counted(*rounds(tmp_path, "calls", "in_place"))
    assert counts["torn"] > 5
    assert counts["litter"] == 0


def test_litter_that_no_run_sweeps_is_found(tmp_path) -> None:
    """A planted fault."""
    whole, found = rounds(tmp_path, "calls", "without_sweep")
    assert counted(whole, found)["torn"] == 0
    assert sum(one["next"] != whole["new"] for one in found) > 5
