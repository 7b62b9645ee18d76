"""NumPy reads what is written, and nothing is written that it could not."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from initcfg.dtypes import DTYPES
from initcfg.errors import FormatError
from initcfg.formats import npz

NATIVE = [name for name, dtype in DTYPES.items() if dtype.numpy.isbuiltin == 1]


def test_numpy_loads_every_dtype_and_shape_without_pickles(tmp_path, info, arrays, chunks_of) -> None:
    shapes = [(), (0,), (1,), (5,), (3, 4), (2, 0, 2), (1,) * 32]
    tensors = [
        info(f"{name}.{number}", shape, name) for name in NATIVE for number, shape in enumerate(shapes)
    ]
    expected = arrays(tensors)
    path = tmp_path / "m.npz"
    size = npz.write(path, tensors, chunks_of(expected), {})
    assert size == path.stat().st_size
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded.files == list(expected)
        for name, array in expected.items():
            assert loaded[name].dtype == array.dtype
            assert loaded[name].shape == array.shape
            np.testing.assert_array_equal(loaded[name], array)


def test_a_member_has_the_bytes_of_numpys_own_writer(tmp_path, info, arrays, chunks_of) -> None:
    tensors = [info("w", (3, 4)), info("flag", (2,), "bool"), info("scalar", (), "float64")]
    expected = arrays(tensors)
    npz.write(tmp_path / "ours.npz", tensors, chunks_of(expected), {})
    np.savez(tmp_path / "numpy.npz", **expected)
    with zipfile.ZipFile(tmp_path / "ours.npz") as ours, zipfile.ZipFile(tmp_path / "numpy.npz") as numpys:
        assert ours.namelist() == numpys.namelist()
        for name in ours.namelist():
            assert ours.read(name) == numpys.read(name)


def test_the_archive_is_sound_stored_and_dated_1980(tmp_path, info, arrays, chunks_of) -> None:
    tensors = [info("a"), info("b")]
    npz.write(tmp_path / "m.npz", tensors, chunks_of(arrays(tensors)), {})
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        assert archive.testzip() is None
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_STORED
            assert member.external_attr >> 16 == 0o644
            assert member.create_system == 3


def test_the_same_tensors_give_the_same_file(tmp_path, info, arrays, chunks_of) -> None:
    tensors = [info("a"), info("b")]
    for name, size in [("one.npz", 1), ("two.npz", 100)]:
        npz.write(tmp_path / name, tensors, chunks_of(arrays(tensors), size), {"k": "v"})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_metadata_is_the_comment_of_the_archive(tmp_path, info, arrays, chunks_of) -> None:
    tensors = [info("a")]
    npz.write(tmp_path / "m.npz", tensors, chunks_of(arrays(tensors)), {"b": "é", "a": "1"})
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        assert json.loads(archive.comment) == {"a": "1", "b": "é"}


@pytest.mark.parametrize(
    "name", ["file", "self", "args", "allow_pickle", "a/b", "aux.weight", "é\u202e", "a b", "0"]
)
def test_odd_but_harmless_names_are_found_again(tmp_path, info, arrays, chunks_of, name) -> None:
    tensors = [info(name)]
    expected = arrays(tensors)
    npz.write(tmp_path / "m.npz", tensors, chunks_of(expected), {})
    with np.load(tmp_path / "m.npz") as loaded:
        np.testing.assert_array_equal(loaded[name], expected[name])


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/../b", "a/./b", "/abs", "a//b", "a/", "\\\\host\\x", "a\\b", "a\0b"),
        *("C:", "c:/x", "nul", "NUL", "a/con", "LPT1/x", "w.npy", "\ud800", "x" * 4097),
    ],
)
def test_hostile_names_are_refused_before_anything_is_written(tmp_path, info, chunks_of, name) -> None:
    with pytest.raises(FormatError) as caught:
        npz.write(tmp_path / "m.npz", [info("w"), info(name)], chunks_of({}), {})
    (problem,) = caught.value.diagnostics
    assert problem.message.startswith("an npz file cannot hold a tensor named")
    assert ".safetensors" in problem.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", sorted(set(DTYPES) - set(NATIVE)))
def test_dtypes_that_numpy_does_not_have_are_refused_with_the_way_out(
    tmp_path, info, chunks_of, dtype
) -> None:
    with pytest.raises(FormatError) as caught:
        npz.write(tmp_path / "m.npz", [info("w", dtype=dtype)], chunks_of({}), {})
    (problem,) = caught.value.diagnostics
    assert f"NumPy has no type '{dtype}'" in problem.message
    assert ".safetensors" in problem.hint
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_does_not_fit_the_comment_is_refused(tmp_path, info, chunks_of) -> None:
    with pytest.raises(FormatError, match="an npz file may have 65,535"):
        npz.write(tmp_path / "m.npz", [info("w")], chunks_of({}), {"k": "v" * 65_536})


def test_two_tensors_of_one_name_are_refused(tmp_path, info, chunks_of) -> None:
    with pytest.raises(FormatError, match="two tensors are named 'w'"):
        npz.write(tmp_path / "m.npz", [info("w"), info("w")], chunks_of({}), {})
