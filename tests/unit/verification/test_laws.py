"""Weights held against laws: true ones of any program pass, and each fault is found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import initcfg

if TYPE_CHECKING:
    from pathlib import Path

    from initcfg.verification import Verification

NORMAL = {"random_normal": {"stddev": 0.02}}
SPEC: dict[str, Any] = {
    "initcfg": 1,
    "layout": "out_in",
    "params": {
        "normal": {"shape": [300, 400], "initializer": NORMAL},
        "uniform": {"shape": [300, 400], "initializer": "glorot_uniform"},
        "gained": {"shape": [300, 400], "initializer": {"xavier_normal": {"gain": 2}}},
        "truncated": {"shape": [300, 400], "initializer": "he_normal"},
        "zeros": {"shape": [300], "initializer": "zeros"},
        "tenth": {"shape": [300], "initializer": {"constant": {"value": 0.1}}},
        "eye": {"shape": [30, 40], "initializer": "identity"},
        "orthogonal": {"shape": [30, 40], "initializer": {"orthogonal": {"gain": 2}}},
        "stack": {"shape": [4, 40, 30], "layout": "BIO", "initializer": "orthogonal"},
        "mirror": {"shape": [40, 30], "initializer": "looks_linear"},
        "delta": {"shape": [12, 8, 3, 3], "initializer": "delta_orthogonal"},
        "even": {"shape": [12, 8, 2, 4], "initializer": "delta_orthogonal"},
        "query": {"shape": [40, 40], "initializer": {"mimetic": {"side": "query", "heads": 4}}},
        "output": {"shape": [40, 30], "initializer": {"mimetic": {"side": "output"}}},
        "aware": {"shape": [12, 8, 3, 3], "initializer": "convolution_aware"},
        "isometry": {"shape": [12, 8, 3, 3], "initializer": "convolutional_orthogonal"},
        "dirac": {"shape": [12, 8, 3, 3], "initializer": "dirac"},
        "sparse": {"shape": [300, 400], "initializer": {"sparse": {"sparsity": 0.3}}},
        "logs": {"shape": [30, 16], "initializer": {"formula": {"value": "log(index(-1) + 1)"}}},
        "waves": {
            "shape": [3000, 16],
            "initializer": {"formula": {"value": "sin(index(0) / 10000 ** (index(1) / size(1)))"}},
        },
        "of_draws": {
            "shape": [5000],
            "initializer": {
                "formula": {"of": {"random_uniform": {"minval": 0.01, "maxval": 16}}, "value": "log(x)"}
            },
        },
        "lognormal": {
            "shape": [50, 50],
            "initializer": {"formula": {"of": "random_normal", "value": "exp(x)"}},
        },
        "dt": {"shape": [5000], "initializer": "mamba_dt_bias"},
        "fused": {
            "shape": [300, 400],
            "initializer": {
                "concatenate": {
                    "axis": 1,
                    "sizes": [100, 300],
                    "initializers": [
                        NORMAL,
                        {"patch": {"base": "he_normal", "patches": [{"at": [0], "initializer": "zeros"}]}},
                    ],
                }
            },
        },
        "repeated": {
            "shape": [64, 40],
            "initializer": {"repeat_of": {"of": "he_normal", "axis": 0, "times": 4}},
        },
        "norms": {
            "shape": [300, 1],
            "initializer": {"norm_of": {"parameter": "normal", "axes": [1]}},
        },
        "twice": {
            "shape": [300, 400],
            "initializer": {"formula": {"of": {"parameter": "uniform"}, "value": "2 * x"}},
        },
        "one": {"shape": [], "initializer": "random_normal"},
    },
}


def held(path: Path, weights: dict[str, Any], spec: dict[str, Any] = SPEC, **options: Any) -> Verification:
    save_file(weights, path)
    return initcfg.verify(path, spec, law=True, **options)


@pytest.fixture(scope="module")
def true() -> dict[str, np.ndarray[Any, Any]]:
    """Weights of another seed: other bits, the same laws."""
    return initcfg.materialize(SPEC | {"seed": 1})


BY_PLACE = ["2 * x + index(-1)", "x + index(0)", "x * (index(-1) + 1)", "x * index()"]


@pytest.mark.parametrize("shape", [[64, 300], [5, 7, 90], [3000, 400], [100_000]])
@pytest.mark.parametrize("value", BY_PLACE)
def test_draws_whose_law_differs_from_place_to_place_follow_it(
    value: str, shape: list[int], tmp_path: Path
) -> None:
    for dtype in ("float32", "bfloat16"):
        parameter = {"shape": shape, "initializer": {"formula": {"of": "random_normal", "value": value}}}
        spec = {"initcfg": 1, "dtype": dtype, "params": {"w": parameter}}
        initcfg.save(spec, tmp_path / "w.safetensors")
        initcfg.verify(tmp_path / "w.safetensors", spec, law=True).require_equal()


@pytest.mark.parametrize("value", BY_PLACE)
def test_another_law_of_one_place_in_twenty_is_found(value: str, tmp_path: Path) -> None:
    parameter = {"shape": [64, 300], "initializer": {"formula": {"of": "random_normal", "value": value}}}
    spec = {"initcfg": 1, "params": {"w": parameter}}
    weights = initcfg.materialize(spec)
    weights["w"][:, ::20] += 3 * weights["w"].std()
    assert held(tmp_path / "w.safetensors", weights, spec).diagnostics


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("seed", range(3))
def test_true_weights_of_any_dtype_follow_their_laws(dtype: str, seed: int, tmp_path: Path) -> None:
    spec = SPEC | {"seed": seed, "dtype": dtype}
    path = tmp_path / "w.safetensors"
    initcfg.save(spec, path)
    found = initcfg.verify(path, SPEC, law=True)
    found.require_equal()
    assert found.law is not None
    assert not found.law.unchecked
    assert {row.name for row in found.law.rows} == set(SPEC["params"])


FAULTS = {
    "std": lambda w: w | {"normal": w["normal"] * np.float32(1.05)},
    "mean": lambda w: w | {"normal": w["normal"] + np.float32(0.001)},
    "swapped": lambda w: w | {"normal": w["uniform"], "uniform": w["normal"]},
    "outlier": lambda w: w | {"normal": changed(w["normal"], (5, 6), 0.3)},
    "cut": lambda w: w | {"normal": np.where(abs(w["normal"]) > 0.07, 0, w["normal"]).astype("float32")},
    "bound": lambda w: w | {"uniform": changed(w["uniform"], (5, 6), 0.1)},
    "shape": lambda w: w | {"normal": (np.sign(w["normal"]) * 0.02).astype("float32")},
    "nan": lambda w: w | {"normal": changed(w["normal"], (5, 6), math.nan)},
    "part": lambda w: w | {"fused": changed(w["fused"], np.s_[:, :100], 0.01)},
    "padding": lambda w: w | {"fused": changed(w["fused"], (0, 200), 0.01)},
    "constant": lambda w: w | {"tenth": changed(w["tenth"], 7, 0.2)},
    "table": lambda w: w | {"logs": changed(w["logs"], (3, 4), 1.0)},
    "gain": lambda w: w | {"orthogonal": w["orthogonal"] * np.float32(1.01)},
    "frame": lambda w: w | {"stack": changed(w["stack"], np.s_[2, :, 3], 0.0)},
    "quarter": lambda w: w | {"mirror": changed(w["mirror"], (0, 0), 0.1)},
    "centre": lambda w: w | {"delta": changed(w["delta"], (0, 0, 0, 0), 0.1)},
    "isometry": lambda w: w | {"isometry": w["isometry"] * np.float32(1.01)},
    "repeat": lambda w: w | {"repeated": changed(w["repeated"], (1, 2), 0.1)},
    "norm": lambda w: w | {"norms": w["norms"] * np.float32(1.001)},
    "sibling": lambda w: w | {"twice": w["twice"] * np.float32(1.001)},
    "sparsity": lambda w: w | {"sparse": np.where(w["sparse"] == 0, 0.01, w["sparse"]).astype("float32")},
    "formula": lambda w: w | {"of_draws": np.exp(w["of_draws"])},
}


def changed(array: np.ndarray[Any, Any], at: Any, value: float) -> np.ndarray[Any, Any]:
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, true: dict[str, Any], tmp_path: Path) -> None:
    found = held(tmp_path / "w.safetensors", FAULTS[fault](true))
    errors = [each for each in found.diagnostics if each.severity == "error"]
    assert errors
    assert {str(each.code) for each in errors} <= {"law", "values"}


def test_two_equal_tensors_are_found(tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "initcfg": 1,
        "params": {name: {"shape": [64], "initializer": NORMAL} for name in "ab"},
    }
    drawn = np.random.default_rng(0).normal(0, 0.02, 64).astype("float32")
    found = held(tmp_path / "w.safetensors", {"a": drawn, "b": drawn}, spec)
    assert [str(each.code) for each in found.diagnostics] == ["equal-copies"]
    spec["params"]["b"] = {"shape": [64], "initializer": NORMAL, "stream": "a"}
    assert held(tmp_path / "w.safetensors", {"a": drawn, "b": drawn}, spec).is_equal


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_numpy_draws_pass_at_any_size(dtype: str, tmp_path: Path) -> None:
    sizes = [1, 2, 3, 10, 100, 10_000, 200_000]
    spec = {
        "initcfg": 1,
        "params": {
            f"{law}.{size}": {"shape": [size], "initializer": {law: {}}}
            for law in ("random_normal", "random_uniform")
            for size in sizes
        },
    }
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        weights = {}
        for size in sizes:
            weights[f"random_normal.{size}"] = rng.normal(0, 0.05, size).astype(kind)
            weights[f"random_uniform.{size}"] = rng.uniform(-0.05, 0.05, size).astype(kind)
        save_file(weights, tmp_path / "w.safetensors")
        initcfg.verify(tmp_path / "w.safetensors", spec, law=True).require_equal()


def test_a_probability_must_be_one(tmp_path: Path) -> None:
    spec = {"initcfg": 1, "params": {"a": {"shape": [2], "initializer": "zeros"}}}
    initcfg.save(spec, tmp_path / "w.safetensors")
    assert initcfg.verify(tmp_path / "w.safetensors", spec, law=0.01).law.false_alarms == 0.01
    with pytest.raises(ValueError, match="probability"):
        initcfg.verify(tmp_path / "w.safetensors", spec, law=2.0)
