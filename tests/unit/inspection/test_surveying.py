"""Weights gone through: the same description for any number of threads, in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import initcfg
from initcfg.errors import FormatError, SpecError, UnknownParameterError
from initcfg.inspection import inspect

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Small and large tensors, among them empty ones."""
    made = np.random.Generator(np.random.PCG64(1))
    small = {f"small.{at}": made.normal(size=at).astype("float32") for at in range(30)}
    return {"big": made.normal(2.0, 3.0, (7, 60_001)), **small, "flags": made.random(9) < 0.5}


def test_values_are_those_of_numpy_whatever_the_threads(arrays: dict[str, Any], tmp_path: Path) -> None:
    save_file(arrays, tmp_path / "w.safetensors")
    found = inspect(tmp_path / "w.safetensors", threads=3)
    assert found == inspect(tmp_path, threads=1)
    assert found.values.keys() == arrays.keys() == {tensor.name for tensor in found.tensors}
    for name, array in arrays.items():
        moments = found.values[name]
        assert moments.count == array.size
        if array.size:
            assert moments.mean == pytest.approx(array.mean(dtype="float64"), rel=1e-12, abs=1e-15)
            assert moments.std == pytest.approx(array.astype("float64").std(), rel=1e-12, abs=1e-15)
            assert (moments.low, moments.high) == (array.min(), array.max())
            assert moments.zeros == array.size - np.count_nonzero(array)


def test_only_what_is_asked_for_is_read(arrays: dict[str, Any], tmp_path: Path) -> None:
    save_file(arrays, tmp_path / "w.safetensors")
    found = inspect(tmp_path, select="small.1?", values=False)
    assert sorted(tensor.name for tensor in found.tensors) == [f"small.{at}" for at in range(10, 20)]
    assert found.values == {}
    assert inspect(tmp_path, select="big").values.keys() == {"big"}
    with pytest.raises(UnknownParameterError, match=r"did you mean 'flags'\?"):
        inspect(tmp_path, select="flag")
    with pytest.raises(SpecError):
        inspect(tmp_path, select="{")


def test_our_own_weights_tell_their_plan(tmp_path: Path) -> None:
    written = initcfg.save(
        {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "ones"}}}, tmp_path / "w.npz"
    )
    assert inspect(written.path).fingerprint == written.fingerprint
    save_file({"w": np.zeros(2)}, tmp_path / "w.safetensors")
    assert inspect(tmp_path / "w.safetensors").fingerprint is None


def test_memory_is_bounded_by_chunks(tmp_path: Path) -> None:
    save_file({"w": np.zeros(8_000_000, "float32")}, tmp_path / "w.safetensors")
    tracemalloc.start()
    try:
        assert inspect(tmp_path, threads=2).values["w"].zeros == 8_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_progress_is_told_in_bytes_up_to_all_of_them(arrays: dict[str, Any], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    save_file(arrays, tmp_path / "w.safetensors")
    inspect(tmp_path, progress=lambda done, total: told.append((done, total)))
    total = sum(array.nbytes for array in arrays.values())
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="has no weights"):
        inspect(tmp_path)
