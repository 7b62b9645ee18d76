"""Space is taken first, then bytes go to their places."""

from __future__ import annotations

import errno
import os
import sys
import threading

import pytest

from initcfg.errors import OutputError
from initcfg.formats import places
from initcfg.formats.atomic import placing
from initcfg.formats.places import PlacedFile, reserve


@pytest.fixture
def descriptor(tmp_path):
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


@pytest.fixture(params=["pwrite", "seek and write"])
def placed(request, monkeypatch, tmp_path, descriptor) -> PlacedFile:
    if request.param == "seek and write":
        monkeypatch.delattr(os, "pwrite")
    return PlacedFile(descriptor, tmp_path / "file", 1 << 33)


def refused(code: int):
    def allocate(descriptor, nbytes):
        os.pwrite(descriptor, b"some", 0)
        raise OSError(code, os.strerror(code))

    return allocate


def test_bytes_go_to_their_places_in_any_order(placed, descriptor) -> None:
    for place in (6, 0, 3):
        placed.write(memoryview(b"abcdefghi")[place : place + 3], place)
    assert os.pread(descriptor, 100, 0) == b"abcdefghi"
    assert placed.written == 9


def test_places_beyond_32_bits_are_places_too(placed, descriptor) -> None:
    placed.write(memoryview(b"far"), 2**32 + 5)
    assert os.pread(descriptor, 100, 2**32 + 4) == b"\0far"
    assert os.fstat(descriptor).st_blocks * 512 < 1 << 20


def test_threads_do_not_get_into_each_others_places(placed, descriptor) -> None:
    def work(number: int) -> None:
        for place in range(number, 400, 8):
            placed.write(memoryview(bytes([number + 1]) * 100), place * 100)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.pread(descriptor, 40_000, 0) == b"".join(bytes([n + 1]) * 100 for n in range(8)) * 50
    assert placed.written == 40_000


def test_short_writes_are_completed(descriptor, tmp_path, monkeypatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda number, data, offset: real(number, data[:7], offset))
    PlacedFile(descriptor, tmp_path / "file", 0).write(memoryview(bytes(range(256))), 9)
    assert os.pread(descriptor, 300, 9) == bytes(range(256))


def test_a_reserved_file_has_its_length_and_its_space(descriptor) -> None:
    reserve(descriptor, 1 << 20)
    status = os.fstat(descriptor)
    assert status.st_size == 1 << 20
    assert sys.platform != "linux" or status.st_blocks * 512 >= 1 << 20


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_reserve_gives_a_file_of_that_length(descriptor, monkeypatch, code) -> None:
    monkeypatch.setattr(places, "_allocate", refused(code))
    reserve(descriptor, 1 << 20)
    assert os.fstat(descriptor).st_size == 1 << 20


def test_posix_fallocate_serves_where_linux_is_not(descriptor, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd")
    reserve(descriptor, 1 << 20)
    assert os.fstat(descriptor).st_size == 1 << 20
    monkeypatch.delattr(os, "posix_fallocate")
    reserve(descriptor, 1 << 21)
    assert os.fstat(descriptor).st_size == 1 << 21


def test_nothing_is_reserved_for_an_empty_file(descriptor) -> None:
    reserve(descriptor, 0)
    assert os.fstat(descriptor).st_size == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_lack_of_space_is_found_before_the_work_and_gives_back_what_it_took(
    descriptor, monkeypatch, tmp_path, code
) -> None:
    monkeypatch.setattr(places, "_allocate", refused(code))
    with pytest.raises(OSError, match=os.strerror(code)):
        reserve(descriptor, 1 << 20)
    assert os.fstat(descriptor).st_size == 0
    with pytest.raises(OutputError) as caught, placing(tmp_path / "target", 4711):
        pytest.fail("the block was entered")
    assert f"{os.strerror(code).lower()}; it takes 4,711 bytes, " in caught.value.diagnostics[0].message
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_larger_than_any_can_be_is_refused_by_the_system(descriptor) -> None:
    with pytest.raises(OSError, match="too large") as caught:
        reserve(descriptor, 2**63 - 1)
    assert caught.value.errno == errno.EFBIG


def test_a_file_with_a_gap_is_a_fault_that_leaves_nothing(tmp_path) -> None:
    with pytest.raises(AssertionError, match="3 of 4 bytes were written"), placing(tmp_path / "f", 4) as file:
        file.write(memoryview(b"abc"), 1)
    assert list(tmp_path.iterdir()) == []
