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
from initcfg.formats.header import read_header

if TYPE_CHECKING:
    from pathlib import Path


def file(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: Any = (2,), dtype: Any = "F32", offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has 0 bytes"),
        (b"1234567", "it has 7 bytes"),
        (file({}, length=2**63), "should have 9,223,372,036,854,775,808 bytes"),
        (file({}, length=3), "should have 3 bytes"),
        (file({}, length=0), "not a JSON object"),
        (file(b"[]"), "not a JSON object"),
        (file(b" {}"), "not a JSON object"),
        (file(b'{"a": '), "not JSON"),
        (file(b'{"a": "\xff"}'), "not JSON"),
        (file(b'{"a":' * 50_000), "nested too deep"),
        (file(b'{"a": NaN}'), "NaN is no JSON"),
        (file(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
        (file(b'{"a": {}, "a": {}}'), "the key 'a' stands twice"),
        (file({"__metadata__": []}), "not an object of texts"),
        (file({"__metadata__": {"a": 1}}), "not an object of texts"),
        (file({"a": 1}), "the entry of tensor 'a'"),
        (file({"a": entry() | {"more": 1}}, b"12345678"), "the entry of tensor 'a'"),
        (file({"a": entry(dtype="F31")}, b"12345678"), "has the dtype 'F31', which is not known"),
        (file({"a": entry(dtype=["F32"])}, b"12345678"), "which is not known"),
        (file({"a": entry(shape=2)}, b"12345678"), "the shape of tensor 'a'"),
        (file({"a": entry(shape=[2.0])}, b"12345678"), "the shape of tensor 'a'"),
        (file({"a": entry(shape=[-2])}, b"12345678"), "the shape of tensor 'a'"),
        (file({"a": entry(shape=[True])}, b"12345678"), "the shape of tensor 'a'"),
        (file({"a": entry(shape=[2**63])}, b"12345678"), "the shape of tensor 'a'"),
        (file({"a": entry(offsets=[0])}, b"12345678"), "the data_offsets of tensor 'a'"),
        (file({"a": entry(offsets=[8, 0])}, b"12345678"), "takes -8 bytes"),
        (file({"a": entry(shape=[3])}, b"12345678"), "takes 8 bytes, its shape and dtype say 12"),
        (file({"a": entry(shape=[2**62, 2**62])}, b"12345678"), "its shape and dtype say"),
        (file({"a": entry()}, b"1234567"), "ends 1 bytes behind"),
        (file({"a": entry()}, b"123456789"), "bytes that belong to none"),
        (file({"a": entry(offsets=[1, 9])}, b"123456789"), "bytes that belong to none"),
        (file({"a": entry(), "b": entry(offsets=[4, 12])}, b"123456789012"), "overlap"),
        (file({"a": entry(), "b": entry()}, b"12345678"), "overlap"),
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
