"""Complex parameters from the spec to files and back: formats, slices, engines, laws, and what differs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy

import initcfg
from initcfg import distributions
from initcfg.errors import Code, SpecError
from initcfg.formats import base
from initcfg.plan.read import read_plan

if TYPE_CHECKING:
    from pathlib import Path

    from initcfg.plan import Plan

LAWS: dict[str, Any] = {
    "cut": "lecun_normal",
    "disk": "lecun_uniform",
    "normal": {"variance_scaling": {"distribution": "untruncated_normal"}},
    "square": {"random_uniform": {"minval": 0.0, "maxval": 0.1}},
    "one": "ones",
}


def planned(laws: dict[str, Any] = LAWS, shape: tuple[int, ...] = (96, 128)) -> Plan:
    params = {name: {"shape": list(shape), "initializer": law} for name, law in laws.items()}
    return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "dtype": "complex64", "params": params})


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_files_hold_the_same_bits_and_verify(tmp_path: Path, name: str) -> None:
    plan, path = planned(), tmp_path / name
    weights = initcfg.materialize(plan, engine="numpy")
    initcfg.save(plan, path)
    read = safetensors.numpy.load_file(path) if name.endswith("safetensors") else np.load(path)
    for each, made in weights.items():
        assert read[each].dtype == np.complex64
        assert read[each].tobytes() == made.tobytes()
    for law in (False, True):
        assert not initcfg.verify(path, plan, law=law).diagnostics


def test_the_header_is_that_of_the_reference_writer(tmp_path: Path) -> None:
    """Between float64 and float32, by the order of the format's own list."""
    params = {
        name: {"shape": [3], "dtype": name, "initializer": "ones"}
        for name in ("complex64", "float32", "float64", "int64", "uint32")
    }
    plan = initcfg.make_plan({"initcfg": 1, "params": params})
    initcfg.save(plan, tmp_path / "w.safetensors")

    def offsets(data: bytes) -> dict[str, list[int]]:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}

    theirs = safetensors.numpy.save(initcfg.materialize(plan))
    assert offsets((tmp_path / "w.safetensors").read_bytes()) == offsets(theirs)


def test_any_slice_is_made_alone() -> None:
    plan = planned()
    for name, whole in initcfg.materialize(plan).items():
        for index in (np.s_[3:7, 5::7], np.s_[-1], np.s_[::-3, 4], np.s_[...]):
            np.testing.assert_array_equal(initcfg.materialize(plan[name][index]), whole[index])


def test_a_scaled_law_is_the_law_of_the_scaled_draws() -> None:
    law = {"variance_scaling": {"distribution": "uniform"}}
    plan = planned({"w": law, "half": {"scaled": {"of": law, "factor": 0.5}}})
    whole, half = (plan[name].distribution for name in ("w", "half"))
    assert half == distributions.scaled(whole, 0.5)
    with pytest.raises(SpecError, match="Orthogonal makes no complex numbers"):
        planned({"w": {"scaled": {"of": "orthogonal", "factor": 0.5}}})


def test_an_angle_that_follows_from_the_modulus_is_found(tmp_path: Path) -> None:
    """Both have their own laws: only together do they not give a normal."""
    plan, path = planned({"w": {"random_normal": {"stddev": 0.1}}}), tmp_path / "w.safetensors"
    weights = initcfg.materialize(plan)["w"].reshape(-1)
    for values, count in ((weights, 0), (np.sort(abs(weights)) * np.exp(1j * np.sort(np.angle(weights))), 1)):
        safetensors.numpy.save_file({"w": values.astype(np.complex64).reshape(96, 128)}, path)
        found = initcfg.verify(path, plan, law=True).diagnostics
        assert [each.message[:9] for each in found if each.severity == "error"] == ["'w'[real]"] * count


def test_a_plan_file_says_the_laws_and_gives_them_back() -> None:
    plan = planned()
    document = json.loads(plan.to_json())
    again = read_plan(document)
    assert (again.fingerprint, list(again)) == (plan.fingerprint, list(plan))
    kinds = [each["distribution"]["kind"] for each in document["parameters"]]
    assert kinds == ["complex_normal", "disk", "complex_normal", "square", "fill"]


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("cut", "lecun_uniform"),
        ("cut", "he_normal"),
        ("cut", "zeros"),
        ("disk", {"variance_scaling": {"scale": 1.05, "distribution": "uniform"}}),
        ("square", {"random_uniform": {"minval": -0.1, "maxval": 0.1}}),
        ("normal", "lecun_normal"),
        ("one", {"constant": {"value": 1.001}}),
    ],
)
def test_another_law_is_found(tmp_path: Path, name: str, law: object) -> None:
    initcfg.save(planned({**LAWS, name: law}, (256, 512)), tmp_path / "w.npz")
    found = initcfg.verify(tmp_path / "w.npz", planned(shape=(256, 512)), law=True).diagnostics
    assert found
    assert {each.code for each in found} <= {Code.LAW, Code.VALUES}
    assert all(repr(name) in each.message for each in found)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: np.abs(w) * np.exp(1j * np.abs(np.angle(w))),  # the lower half plane mirrored
        lambda w: w.real + 0j,  # no imaginary part
        lambda w: w * np.where(np.arange(w.size).reshape(w.shape) % 50, 1, 2),  # one in fifty twice as large
    ],
    ids=["half", "real", "large"],
)
@pytest.mark.parametrize("name", ["cut", "disk", "normal"])
def test_what_is_turned_or_stretched_is_found(tmp_path: Path, name: str, spoil: object) -> None:
    plan = planned()
    weights = initcfg.materialize(plan)
    weights[name] = spoil(weights[name]).astype(np.complex64)  # type: ignore[operator]
    np.savez(tmp_path / "w.npz", **weights)  # type: ignore[arg-type]  # numpy takes names for its options
    found = initcfg.verify(tmp_path / "w.npz", plan, law=True).diagnostics
    assert {each.code for each in found} == {Code.LAW}


def test_true_weights_follow_their_laws_at_any_seed(tmp_path: Path) -> None:
    """Forty seeds of three laws, whose tests all together alarm at one in 25,000 choices of seeds."""
    plan = planned()
    for seed in range(40):
        params = {name: {"shape": [96, 128], "initializer": law} for name, law in LAWS.items()}
        spec = {"initcfg": 1, "seed": seed, "layout": "in_out", "dtype": "complex64", "params": params}
        initcfg.save(initcfg.make_plan(spec), tmp_path / f"{seed}.npz")
        assert not initcfg.verify(tmp_path / f"{seed}.npz", plan, law=True).diagnostics


def test_each_part_has_its_bytes_turned_on_a_big_endian_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.array([1 + 2j, -0.5 + 3j], np.complex64)
    monkeypatch.setattr(sys, "byteorder", "big")
    assert bytes(base.little_endian(values)) == values.astype(">c8").tobytes()
