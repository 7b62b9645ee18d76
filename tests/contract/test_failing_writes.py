"""A write that fails is one clear error; what stood there before is intact, and nothing is left beside it.

`failing.py` makes the failures: calls of the operating system that fail one after the other, a limit on the
size of files, a small disk.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits are POSIX")

SCRIPT = Path(__file__).with_name("failing.py")
OF_SPACE = ("no space left on device", "disk quota exceeded", "file too large")
IN_PLACE = "is written, but its folder could not be synced"


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def runs(line: list[str]) -> tuple[dict, list[dict]]:
    """What complete runs leave, and what came of each failure."""
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    whole, *found = map(json.loads, result.stdout.splitlines())
    return whole, found


def is_in_place(one: dict) -> bool:
    """Whether it failed when the new file had its name already."""
    return any(IN_PLACE in message for message, _ in one["problems"])


def faults(whole: dict, found: list[dict]) -> list[dict]:
    """The runs that broke the promise."""
    return [one for one in found if not keeps(whole, one)]


def keeps(whole: dict, one: dict) -> bool:
    return (
        one["raised"] == "OutputError"
        and len(one["problems"]) == 1
        and all(one["problems"][0])
        and one["after"] == (whole["new"] if is_in_place(one) else whole["old"])
    )


def tells_space(whole: dict, message: str) -> bool:
    """Whether an error of space says how much is needed and how much there is, and no other does."""
    told = re.search(r"; it takes ([\d,]+) bytes, [\d,]+ are free( on the disk)?$", message)
    if not any(words in message for words in OF_SPACE):
        return told is None
    # A quota or a limit may be met however much is free. What an npz takes is known to a few hundred bytes.
    if told is None or bool(told[2]) == (OF_SPACE[0] in message):
        return False
    return 0 <= int(told[1].replace(",", "")) - whole["size"] < 4096


@pytest.mark.parametrize(("work", "piece", "least"), [("safetensors", 2048, 500), ("npz", 1 << 15, 30)])
def test_any_call_that_fails_is_one_error_and_changes_nothing(tmp_path, work, piece, least) -> None:
    whole, found = runs(command("calls", work, tmp_path / "out", piece))
    assert len(found) >= least
    assert faults(whole, found) == []
    for one in found:
        ((message, _),) = one["problems"]
        assert one["code"] in message.lower()
        assert is_in_place(one) or tells_space(whole, message), message
    calls = Counter(one["call"] for one in found)
    assert calls["open"] == calls["fsync"] == 2
    assert calls["replace"] == 1
    # The last of all is the sync of the folder, when the new file is whole and in its place.
    assert [is_in_place(one) for one in found] == [False] * (len(found) - 1) + [True]


def test_the_command_line_tells_each_failure_and_ends_with_2(tmp_path) -> None:
    whole, found = runs(command("calls", "command", tmp_path / "out", 1 << 17))
    assert len(found) >= 12
    for one in found:
        assert one["raised"] is None
        assert one["returned"]["exit"] == 2
        said = one["returned"]["said"]
        assert said.count("error[output]") == said.count("help:") == 1
        assert one["code"] in said.lower()
        assert one["after"] == (whole["new"] if IN_PLACE in said else whole["old"])


@pytest.mark.parametrize("work", ["safetensors", "npz"])
def test_a_limit_on_the_size_of_files_is_one_error_wherever_it_is_met(tmp_path, work) -> None:
    whole, found = runs(command("limits", work, tmp_path / "out", 40))
    assert len(found) == 40
    assert faults(whole, found) == []
    for one in found:
        ((message, hint),) = one["problems"]
        assert "file too large" in message
        assert "ulimit -f" in hint
        assert tells_space(whole, message)


@pytest.mark.parametrize("work", ["safetensors", "npz"])
def test_a_full_disk_is_one_error_whenever_it_is_noticed(tmp_path, work) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    whole, found = runs(on_small_disk(disk, command("full", work, disk)))
    assert len(found) == 3
    assert faults(whole, found) == []
    for one in found:
        ((message, hint),) = one["problems"]
        assert "no space left on device" in message
        assert hint == "free some space, or write to another file system"
        assert tells_space(whole, message)
        # Threads may write a little more while the first of them fails.
        assert one["blindfolds"] == 2 or message.endswith(f"{one['free']:,} are free")


def on_small_disk(disk: Path, line: list[str]) -> list[str]:
    """The command line in a namespace of its own, where `disk` is a file system in memory."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare to make a small disk with")
    mount = 'mount -t tmpfs -o size=1600k tmpfs "$0" && exec "$@"'
    start = [unshare, "--map-root-user", "--mount", "sh", "-c", mount, str(disk)]
    if subprocess.run([*start, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the system does not let us make a small disk")
    return [*start, *line]


@pytest.mark.parametrize("work", ["in_place", "without_sweep"])
def test_a_writer_that_loses_the_old_file_or_leaves_litter_is_found(tmp_path, work) -> None:
    """The planted faults: a writer without a temporary file, and one that does not remove it."""
    whole, found = runs(command("limits", work, tmp_path / "out", 3))
    assert len(faults(whole, found)) == 3
