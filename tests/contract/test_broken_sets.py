"""Shards killed or failing at any moment: the folder is old, new or nothing, and the next run completes it.

Without an index a folder is nothing to any program; with one, all that it names is whole and of one plan.
``INITCFG_KILLS`` is how many runs are killed at random times; the ordinary suite kills a few. `killing.py`
and `failing.py` do it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from initcfg.formats.index import CLAIM_NAME, INDEX_NAME

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

KILLS = os.environ.get("INITCFG_KILLS", "12")
STAGED = ".initcfg-staged"
HERE = Path(__file__).parent


def runs(script: str, *arguments: object) -> tuple[dict, list[dict]]:
    """What complete runs leave, and what was found after each that was broken off."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    whole, *found = map(json.loads, result.stdout.splitlines())
    return whole, found


def state(whole: dict, after: dict[str, str]) -> str:
    """Old, new, nothing (some whole files of one plan, without an index), or torn."""
    files = {name: digest for name, digest in after.items() if not name.startswith(".initcfg-")}
    for name in ("old", "new"):
        if files == whole[name]:
            return name
        if INDEX_NAME not in files and files.items() <= whole[name].items():
            return "nothing"
    return "torn"


def is_litter(name: str) -> bool:
    """A temporary file, here or where a set is staged. A set that is staged is a claim with its shards."""
    last = name.rpartition("/")[2]
    return last.startswith(".initcfg-") and last not in {CLAIM_NAME, STAGED}


def counted(whole: dict, found: list[dict]) -> Counter[str]:
    counts = Counter(state(whole, one["after"]) for one in found)
    counts["litter"] = sum(any(map(is_litter, one["after"])) for one in found)
    counts["wrong next"] = sum(one["next"] != whole["new"] for one in found)
    return counts


@pytest.mark.parametrize("work", ["shards", "resumed"])
def test_a_run_killed_at_any_time_is_never_torn_and_the_next_completes_it(tmp_path, work) -> None:
    whole, found = runs("killing.py", "times", work, tmp_path, KILLS, 5)
    counts = counted(whole, found)
    print(work, dict(counts))
    assert counts["torn"] == counts["wrong next"] == 0
    # Else the kills came too early or too late to show anything.
    assert counts["nothing"] > 0


def test_a_run_killed_before_any_call_of_the_system_is_never_torn(tmp_path) -> None:
    whole, found = runs("killing.py", "calls", "two_shards", tmp_path)
    counts = counted(whole, found)
    assert counts["torn"] == counts["wrong next"] == 0
    # The old set goes when the new one is whole: there are few moments without either.
    assert counts["old"] > counts["nothing"] > 0
    assert counts["new"] > 0


def faults(whole: dict, found: list[dict]) -> list[dict]:
    """The runs that did not tell one error, or left litter or a torn set.

    The set is published when what was staged is removed: a folder that cannot be goes with the next run.
    """
    return [
        one
        for one in found
        if not (one["raised"] is None and one.get("call") == "open" and is_left_staged(whole, one["after"]))
        if one["raised"] != "OutputError"
        or len(one["problems"]) != 1
        or any(map(is_litter, one["after"]))
        or state(whole, one["after"]) == "torn"
        or (CLAIM_NAME in one["after"] and INDEX_NAME in one["after"])
    ]


def is_left_staged(whole: dict, after: dict[str, str]) -> bool:
    """Whether all is new but that the empty folder could not be removed in which it was made."""
    left = [name for name in after if name.startswith(STAGED)]
    return (
        bool(left)
        and not any(name.endswith(".safetensors") for name in left)
        and state(whole, after) == "new"
    )


@pytest.mark.parametrize("work", ["shards", "resumed"])
def test_any_call_that_fails_is_one_error_and_leaves_only_whole_files(tmp_path, work) -> None:
    whole, found = runs("failing.py", "calls", work, tmp_path / "out", 1 << 17)
    assert len(found) > 20
    assert faults(whole, found) == []
    for one in found:
        shards = {name for name in one["after"] if name.endswith(".safetensors")}
        # A claim protects what is finished, and stands over nothing else.
        assert shards or CLAIM_NAME not in one["after"]
        if work == "resumed":
            assert shards >= {name for name in whole["old"] if name.endswith(".safetensors")}


def test_a_limit_on_the_size_of_files_is_one_error_wherever_it_is_met(tmp_path) -> None:
    whole, found = runs("failing.py", "limits", "shards", tmp_path / "out", 40)
    assert len(found) == 40
    assert faults(whole, found) == []
    assert all("file too large" in one["problems"][0][0] for one in found)


def test_an_index_before_the_last_shard_is_found(tmp_path) -> None:
    """The planted fault."""
    whole, found = runs("killing.py", "times", "early_index", tmp_path, 6, 5)
    assert counted(whole, found)["torn"] > 0
