"""The library reads what is written, and writes the same."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from safetensors.numpy import save as reference_save

from initcfg.dtypes import DTYPES
from initcfg.errors import FormatError
from initcfg.formats import safetensors
from initcfg.formats.base import natural_key
from initcfg.formats.safetensors import read_header

if TYPE_CHECKING:
    from pathlib import Path

# Written by hand from https://github.com/huggingface/safetensors#format.
GOLDEN = (
    b"\xf8\x00\x00\x00\x00\x00\x00\x00"
    b'{"__metadata__":{"a":"\xc3\xa9","format":"pt"},'
    b'"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},'
    b'"e":{"dtype":"F16","shape":[0,3],"data_offsets":[16,16]},'
    b'"s":{"dtype":"I8","shape":[],"data_offsets":[16,17]}}'
).ljust(0x100) + (
    b"\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40"  # 0, 1, 2, 3
    b"\x02"
)


def header_of(data: bytes) -> dict[str, dict[str, object]]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])


def test_bytes_are_golden(tmp_path, info, arrays, chunks_of) -> None:
    tensors = [info("w", (2, 2)), info("e", (0, 3), "float16"), info("s", (), "int8")]
    path = tmp_path / "m.safetensors"
    size = safetensors.write(path, tensors, chunks_of(arrays(tensors)), {"a": "é"})
    assert path.read_bytes() == GOLDEN
    assert size == len(GOLDEN)


def test_the_library_loads_every_dtype_and_shape(tmp_path, info, arrays, chunks_of) -> None:
    shapes = [(), (0,), (1,), (5,), (3, 4), (2, 0, 2), (2, 1, 3)]
    # Its numpy loader knows no float8; the header is compared for those in the next test.
    names = [name for name in DTYPES if not name.startswith("float8")]
    tensors = [info(f"{name}.{number}", shape, name) for name in names for number, shape in enumerate(shapes)]
    expected = arrays(tensors)
    path = tmp_path / "m.safetensors"
    safetensors.write(path, tensors, chunks_of(expected), {"k": "v"})
    loaded = load_file(path)
    assert set(loaded) == set(expected)
    for name, array in expected.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt", "k": "v"}


def test_order_and_bytes_are_those_of_the_reference_writer(tmp_path, info, arrays, chunks_of) -> None:
    names = ["b", "a", "Z", "é", "a.10", "a.2", "\U0001f600", "\ufb01"]
    tensors = [info(f"{name}{dtype}", (3,), dtype) for dtype in DTYPES for name in names]
    expected = arrays(tensors)
    path = tmp_path / "m.safetensors"
    safetensors.write(path, tensors, chunks_of(expected), {})
    ours, reference = path.read_bytes(), reference_save(expected, {"format": "pt"})
    assert list(header_of(ours).items()) == list(header_of(reference).items())
    nbytes = sum(tensor.nbytes for tensor in tensors)
    assert ours[-nbytes:] == reference[-nbytes:]


def test_data_starts_at_a_multiple_of_64_whatever_the_header(info) -> None:
    for length in range(130):
        layout = safetensors.layout([info("n" * (length + 1))])
        assert len(layout.header) % 64 == 0
        assert layout.nbytes == len(layout.header) + 24


def test_the_same_tensors_give_the_same_file_in_any_order(tmp_path, info, arrays, chunks_of) -> None:
    tensors = [info("a"), info("b", dtype="float16"), info("c")]
    expected = arrays(tensors)
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    safetensors.write(paths[0], tensors, chunks_of(expected, 1), {"x": "1", "y": "2"})
    safetensors.write(paths[1], tensors[::-1], chunks_of(expected, 1000), {"y": "2", "x": "1"})
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_no_tensors_make_a_file_too(tmp_path, chunks_of) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.write(path, [], chunks_of({}), {})
    assert load_file(path) == {}


def test_the_format_entry_can_be_chosen(info) -> None:
    header = safetensors.layout([info("w")], {"format": "flax"}).header
    assert header_of(header)["__metadata__"] == {"format": "flax"}


@pytest.mark.parametrize(
    ("names", "metadata", "fragment"),
    [
        (["__metadata__"], {}, "a tensor named '__metadata__'"),
        (["w", "w"], {}, "two tensors are named 'w'"),
        (["\ud800"], {}, "holds '\\ud800', which is not a character"),
        (["w"], {"k": "\udfff"}, "which is not a character"),
        (["w"], {"k": 1}, "holds texts only, not 'k': 1"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(info, names, metadata, fragment) -> None:
    with pytest.raises(FormatError) as caught:
        safetensors.layout([info(name) for name in names], metadata)
    assert fragment in caught.value.diagnostics[0].message
    assert caught.value.diagnostics[0].hint


def test_what_the_format_cannot_hold_is_refused_before_anything_is_written(tmp_path, info, chunks_of) -> None:
    with pytest.raises(FormatError):
        safetensors.write(tmp_path / "m.safetensors", [info("__metadata__")], chunks_of({}), {})
    assert list(tmp_path.iterdir()) == []


def test_a_header_over_the_limit_is_refused(info, monkeypatch) -> None:
    monkeypatch.setattr(safetensors, "MAX_HEADER_BYTES", 120)
    safetensors.layout([info("w")])
    with pytest.raises(FormatError, match="a safetensors file may have 120"):
        safetensors.layout([info("w" * 60)])


@pytest.mark.parametrize("name", ["", ".", "../../x", "/abs", "a\0b", "C:\\x", "nul", "x" * 5000, "\u202e"])
def test_hostile_names_are_only_names(tmp_path, info, arrays, chunks_of, name) -> None:
    tensors = [info(name)]
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    safetensors.write(folder / "m.safetensors", tensors, chunks_of(arrays(tensors)), {})
    assert [path.name for path in tmp_path.rglob("*")] == ["deep", "out", "m.safetensors"]
    assert list(load_file(folder / "m.safetensors")) == [name]


@pytest.mark.parametrize("elements", [0, 5, 7])
def test_elements_that_do_not_fit_the_shapes_are_a_fault_that_leaves_nothing(
    tmp_path, info, chunks_of, elements
) -> None:
    wrong = chunks_of({"w": np.zeros(elements, np.float32)})
    with pytest.raises(AssertionError, match="bytes were written"):
        safetensors.write(tmp_path / "m.safetensors", [info("w")], wrong, {})
    assert list(tmp_path.iterdir()) == []


def file(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: Any = (2,), dtype: Any = "F32", offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "names",
    [
        ["h.0", "h.1", "h.2", "h.10", "h.11"],
        ["h", "h.1", "h.1.w", "h.2", "h.w"],
        ["2", "10", "a"],
        ["h.01", "h.1", "h.02"],
        ["h.9", f"h.1{5000 * '0'}", "h.\u0663"],  # more digits than int() takes, and a digit that is no ASCII
    ],
)
def test_names_sort_by_the_numbers_in_them(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names


def test_a_file_of_the_reference_writer_is_read(tmp_path: Path) -> None:
    arrays = {"b.w": np.ones((3, 2), "float16"), "a": np.zeros((0, 4), "int8"), "c": np.array(2.5)}
    save_file(arrays, tmp_path / "w.safetensors", {"key": "text"})
    header = read_header(tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    assert header.metadata == {"key": "text"}
    assert header.nbytes == len(content)
    assert header.tensors.keys() == arrays.keys()
    for name, tensor in header.tensors.items():
        assert (tensor.shape, tensor.dtype.name) == (arrays[name].shape, arrays[name].dtype.name)
        assert content[tensor.begin : tensor.begin + tensor.nbytes] == arrays[name].tobytes()


# tests/contract/test_malformed_weights.py has a file for every fault.
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1234567", "it has 7 bytes"),
        (file({"a": entry()}, b"1234567"), "ends 1 bytes behind"),
        (file({"a": entry()}, b"123456789"), "bytes that belong to none"),
    ],
)
def test_a_malformed_file_is_an_error_that_says_what_is_wrong(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_header(path)
    (problem,) = caught.value.diagnostics
    assert message in problem.message
    assert problem.code == "format"
    assert problem.hint
    assert problem.where is not None
    assert problem.where.file == str(path)


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "nothing"):
        with pytest.raises(FormatError, match="cannot read the file"):
            read_header(tmp_path / name)


SOUND = file(
    {"b": entry(), "a": entry([2, 1], "F16", [8, 12]), "e": entry([0], "I8", [12, 12])}, b"123456789012"
)


@settings(max_examples=3 * settings().max_examples)
@given(st.integers(0, len(SOUND)), st.binary(max_size=2), st.integers(0, 3))
def test_nothing_is_read_that_the_reference_reader_refuses(
    tmp_path_factory: pytest.TempPathFactory, at: int, data: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.safetensors"
    path.write_bytes(SOUND[:at] + data + SOUND[at + cut :])
    try:
        header = read_header(path)
    except FormatError:
        return
    try:
        with safe_open(path, "numpy") as opened:
            assert set(opened.keys()) == header.tensors.keys()
    except SafetensorError as error:
        pytest.fail(f"the reference reader refuses this: {error}")
