"""Files kept open for reading: few at a time, the same as before, none left open."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from initcfg.errors import FormatError
from initcfg.formats.handles import Handles

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Forty files, each of its own number."""
    paths = [tmp_path / f"{at}.bin" for at in range(40)]
    for at, path in enumerate(paths):
        path.write_bytes(bytes([at]))
    return paths


def open_files(folder: Path) -> int:
    """How many files of a folder this process has open."""
    return sum(link.exists() and link.readlink().parent == folder for link in DESCRIPTORS.iterdir())


on_linux = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="counts descriptors in /proc")


@on_linux
def test_few_files_stay_open_and_in_the_end_none(files: list[Path]) -> None:
    with Handles(3) as handles:
        for path in files * 2:
            with handles.using(path) as file:
                assert os.pread(file.fileno(), 1, 0) == path.read_bytes()
            assert open_files(path.parent) <= 3
    assert open_files(files[0].parent) == 0


@on_linux
def test_a_file_in_use_stays_open_and_one_used_twice_is_opened_once(files: list[Path]) -> None:
    with Handles(1) as handles:
        with handles.using(files[0]) as first, handles.using(files[1]) as second:
            with handles.using(files[0]) as again:
                assert again is first
            assert os.pread(first.fileno(), 1, 0) + os.pread(second.fileno(), 1, 0) == b"\0\1"
            assert open_files(files[0].parent) == 2
        assert open_files(files[0].parent) == 1


def test_threads_share_them(files: list[Path]) -> None:
    order = random.Random(1).choices(files, k=3000)

    def read(path: Path) -> bytes:
        with handles.using(path) as file:
            return os.pread(file.fileno(), 1, 0)

    with Handles(2) as handles, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, order)) == [bytes([files.index(path)]) for path in order]


def test_a_file_that_was_replaced_meanwhile_is_refused(files: list[Path]) -> None:
    with Handles(1) as handles:
        for path in files[:2]:
            with handles.using(path):
                pass
        files[2].replace(files[0])
        with (
            pytest.raises(FormatError, match="changed or replaced while it was read"),
            handles.using(files[0]),
        ):
            pass


@on_linux
def test_a_failure_in_the_block_leaves_nothing_open(files: list[Path]) -> None:
    with pytest.raises(ZeroDivisionError), Handles(2) as handles, handles.using(files[0]):
        raise ZeroDivisionError
    assert open_files(files[0].parent) == 0
