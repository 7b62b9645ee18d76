"""The header of a safetensors file: read strictly, never more than there is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from initcfg.errors import FormatError
from initcfg.formats.header import natural_key, read_header

if TYPE_CHECKING:
    from pathlib import Path


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


@settings(max_examples=300)
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
