"""Weights files as a source: elements by place, in safetensors and npz."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import initcfg
from initcfg.errors import FormatError
from initcfg.formats.npz_header import read_npz_header
from initcfg.formats.reading import WeightsFile, read_weights_header

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS: dict[str, Any] = {
    "a.w": np.arange(12, dtype="float32").reshape(3, 4),
    "b": np.array(7, "int64"),
    "empty": np.zeros((0, 3), "float16"),
    "flag": np.array([True, False]),
}


def write(path: Path, arrays: dict[str, Any] = ARRAYS) -> Path:
    save_file(arrays, path) if path.suffix == ".safetensors" else np.savez(path, **arrays)
    return path


@pytest.fixture(params=[".safetensors", ".npz"])
def weights(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / f"w{request.param}")


def test_any_stretch_of_elements_is_what_was_saved(weights: Path) -> None:
    with WeightsFile(weights) as file:
        assert file.header.tensors.keys() == ARRAYS.keys()
        for name, tensor in file.header.tensors.items():
            whole = ARRAYS[name].ravel()
            assert tensor.shape == ARRAYS[name].shape
            for start in range(whole.size + 1):
                for stop in range(start, whole.size + 1):
                    np.testing.assert_array_equal(file.read(tensor, start, stop), whole[start:stop])


def test_threads_read_side_by_side(weights: Path) -> None:
    with WeightsFile(weights) as file, ThreadPoolExecutor(4) as pool:
        tensor = file.header.tensors["a.w"]
        read = list(pool.map(lambda at: float(file.read(tensor, at, at + 1)[0]), list(range(12)) * 20))
    assert read == list(range(12)) * 20


def test_our_own_files_tell_their_metadata(tmp_path: Path) -> None:
    spec = {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "ones"}}}
    for suffix in (".safetensors", ".npz"):
        written = initcfg.save(spec, tmp_path / f"w{suffix}", metadata={"note": "é"})
        header = read_weights_header(written.path)
        assert header.metadata["initcfg.plan"] == written.fingerprint
        assert header.metadata["note"] == "é"


def test_a_file_that_shrinks_while_it_is_read_is_an_error(weights: Path) -> None:
    with WeightsFile(weights) as file:
        weights.write_bytes(weights.read_bytes()[:20])
        with pytest.raises(FormatError, match="it ends too early"):
            file.read(file.header.tensors["a.w"], 0, 12)


def test_a_file_of_no_known_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"")
    with pytest.raises(FormatError, match="names no weights format"):
        read_weights_header(tmp_path / "w.bin")


def member(path: Path, content: bytes, name: str = "w.npy", **settings: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content, **settings)
    return path


def npy(array: Any, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **settings)
    return buffer.getvalue()


def test_an_array_in_a_later_version_of_the_format_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, ARRAYS["a.w"], version=(2, 0))
    assert read_npz_header(member(tmp_path / "w.npz", buffer.getvalue())).tensors["w"].shape == (3, 4)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (npy(ARRAYS["a.w"]), {"compress_type": zipfile.ZIP_DEFLATED}, "is compressed"),
        (npy(ARRAYS["a.w"]), {"name": "w.txt"}, "is no .npy file"),
        (npy(ARRAYS["a.w"].T), {}, "Fortran order"),
        (npy(ARRAYS["a.w"].astype(">f4")), {}, "big endian"),
        (npy(np.array([{}], object)), {}, "holds objects"),
        (npy(np.array(["text"])), {}, "no dtype is named"),
        (npy(np.array([1j])), {}, "no dtype is named"),
        (npy(ARRAYS["a.w"])[:-1], {}, "does not have the bytes"),
        (npy(ARRAYS["a.w"]) + b"1", {}, "does not have the bytes"),
        (npy(ARRAYS["a.w"]).replace(b"(3, 4)", b"(3,-4)"), {}, "not read"),
        (b"", {}, "no whole npz file"),
        (b"\x93NUMPY\x09\x00", {}, "version"),
        (b"\x93NUMPY\x01\x00\xff\xff{", {}, "no whole npz file"),
        (b"\x93NUMPY\x01\x00\x04\x00os()", {}, "no whole npz file"),
    ],
)
def test_what_cannot_be_read_by_place_is_refused(
    content: bytes, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=message):
        read_npz_header(member(tmp_path / "w.npz", content, **settings))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        for _ in range(2):
            archive.writestr("w.npy", npy(ARRAYS["b"]))
    with pytest.raises(FormatError, match="have one name"):
        read_npz_header(tmp_path / "w.npz")


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.npz", {"a": np.zeros(3), "b": np.ones(3)})
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = struct.pack("<I", 0)  # the second entry points at the first member
    path.write_bytes(content)
    with pytest.raises(FormatError, match="overlap"):
        read_npz_header(path)


@pytest.mark.parametrize("comment", [b"", b"no json", b"[]", json.dumps({"a": 1}).encode(), b"\xff"])
def test_a_comment_that_is_no_metadata_is_none(comment: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "w.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    assert read_npz_header(path).metadata == {}


@settings(max_examples=300)
@given(st.data())
def test_damage_to_an_npz_file_is_an_error_or_leaves_places_inside_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    sound = write(path).read_bytes()
    at = data.draw(st.integers(0, len(sound)))
    path.write_bytes(
        sound[:at] + data.draw(st.binary(max_size=4)) + sound[at + data.draw(st.integers(0, 4)) :]
    )
    try:
        header = read_npz_header(path)
    except FormatError:
        return
    for tensor in header.tensors.values():
        assert 0 <= tensor.begin <= tensor.begin + tensor.nbytes <= header.nbytes
