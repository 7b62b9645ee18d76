"""Writes fingerprints_v1.json: the fingerprints of plans, which later releases give the same.

    python tests/golden/make_fingerprints.py            report what differs from the file
    python tests/golden/make_fingerprints.py --write    add the plans that the file does not have

A fingerprint that is in the file is never written anew: weights out there carry it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import initcfg
from initcfg.dtypes import DTYPES

CASES = Path(__file__).parents[1] / "cases" / "valid"
FILE = Path(__file__).with_name("fingerprints_v1.json")

# Each initializer by its defaults and by other arguments.
INITIALIZERS: list[Any] = [
    "zeros",
    "ones",
    {"constant": {"value": -4.6}},
    {"constant": {"value": [0.5, 1.0, 2.0, 3.0, 4.0, 5.0]}},
    "random_normal",
    {"random_normal": {"mean": 0.5, "stddev": 0.02}},
    {"random_normal": {"seed": 7}},
    "random_uniform",
    {"random_uniform": {"minval": -1, "maxval": 2.0}},
    "truncated_normal",
    {"truncated_normal": {"mean": 0.5, "stddev": 0.02}},
    "variance_scaling",
    {"variance_scaling": {"scale": 2, "mode": "fan_avg", "distribution": "uniform"}},
    {"variance_scaling": {"mode": "fan_out", "distribution": "untruncated_normal"}},
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    {"variance_scaling": {"mode": "fan_geo_avg"}},
    "xavier_uniform",
    {"xavier_uniform": {"gain": 2}},
    "xavier_normal",
    {"xavier_normal": {"gain": 0.5, "seed": 3}},
    "kaiming_uniform",
    {"kaiming_uniform": {"a": 2, "mode": "fan_out"}},
    "kaiming_normal",
    {"kaiming_normal": {"nonlinearity": "tanh"}},
    "trunc_normal",
    {"trunc_normal": {"mean": 0.5, "std": 0.02, "a": 0.4, "b": 0.6}},
    {"small_init": {"dim": 512}},
    {"wang_init": {"dim": 512, "layers": 6}},
    {"depth_scaled_normal": {"layers": 6, "stddev": 0.01}},
    {"mitchell": {"dim": 512}},
    {"mitchell": {"dim": 512, "layer": 3}},
    {"mup": {"stddev": 0.02, "width_mult": 4}},
    {"mup": {"stddev": 0.02, "width_mult": 4, "kind": "readout"}},
    {"switch_normal": {"scale": 0.5}},
    {"deep_norm": {"layers": 6}},
    {"deep_norm": {"layers": 6, "stack": "encoder", "decoder_layers": 12}},
    {"sub_ln": {"layers": 6, "stack": "decoder"}},
    {"t_fixup": {"layers": 6, "stack": "encoder"}},
    {"t_fixup_embedding": {"dim": 512, "layers": 6}},
    {"fixup": {"branches": 16, "branch_layers": 3}},
    "siren_first",
    {"siren": {"omega": 20, "seed": 3}},
    "lora_a",
    {"focal_bias": {"prior": 0.1}},
    "mamba_a_log",
    {"mamba_dt_bias": {"dt_min": 0.01}},
    {"lru_nu_log": {"r_min": 0.5, "r_max": 0.9}},
    {"lru_theta_log": {"max_phase": 0.5}},
    {"rwkv_time_decay": {"layer": 3, "layers": 12}},
    {"chrono": {"max_steps": 784, "gate": "input"}},
    "identity",
    {"identity": {"gain": 0.5}},
    "orthogonal",
    {"orthogonal": {"gain": 2, "seed": 3}},
    {"sparse": {"sparsity": 0.3}},
    {"sparse": {"sparsity": 0.5, "std": 0.02}},
    "dirac",
    {"dirac": {"groups": 2}},
    {"delta_orthogonal": {}},
    {"delta_orthogonal": {"gain": 2, "seed": 3}},
    {"hadamard_identity": {}},
    {"looks_linear": {}},
    {"looks_linear": {"gain": 2, "seed": 3}},
    {"mimetic": {"side": "value"}},
    {"mimetic": {"side": "query", "heads": 2, "alpha": 0.5, "beta": 1, "seed": 3}},
    {"convolution_aware": {}},
    {"convolution_aware": {"eps_std": 0.1, "seed": 3}},
    {"convolutional_orthogonal": {}},
    {"convolutional_orthogonal": {"gain": 2, "seed": 3}},
    {"concatenate": {"axis": 0, "sizes": [2, 2], "initializers": ["zeros", "he_normal"]}},
    {"concatenate": {"axis": 1, "sizes": [1, 5], "initializers": ["orthogonal", "ones"]}},
    {"formula": {"value": "log(index(-1) + 1)"}},
    {"formula": {"value": "x / sqrt(fan_in) + index()", "of": "random_uniform"}},
    {"scaled": {"of": "orthogonal", "factor": 1.31}},
    {"patch": {"base": "he_normal", "patches": [{"at": [-1], "initializer": "zeros"}]}},
    {"patch": {"base": "zeros", "patches": [{"at": [":", "1:3"], "initializer": "orthogonal"}]}},
    {"repeat_of": {"of": "he_normal", "axis": 0, "times": 2}},
]
SPECTRAL: list[Any] = [
    "stft",
    {"stft": {"side": "imag", "window": "hamming", "scaling": None, "periodic": True}},
    {"stft": {"window": [0.5, 1, 2, 1]}},
]


def specs() -> dict[str, Any]:
    """What is planned, by name: documents, each initializer, each dtype, names, seeds and streams."""
    found: dict[str, Any] = {}
    for path in sorted(CASES.iterdir()):
        spec = min(path.glob("spec.*")) if path.is_dir() else path
        found[f"valid/{path.name}"] = spec
    for law in [*INITIALIZERS, *SPECTRAL]:
        # Kernels are for no more inputs than outputs.
        text, shape = json.dumps(law), [4, 1, 3] if law in SPECTRAL else [4, 6]
        is_in_out = law in SPECTRAL or "l_orth" in text or "delta" in text
        layout = "in_out" if is_in_out else "out_in"
        found[f"law {text}"] = {"w": {"shape": shape, "layout": layout, "initializer": law}}
    for dtype in DTYPES:
        found[f"dtype {dtype}"] = {"w": {"shape": [3], "dtype": dtype, "initializer": "ones"}}
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        found[f"random {dtype}"] = {"w": {"shape": [3], "dtype": dtype, "initializer": "random_normal"}}
    one = {"shape": [2, 3], "initializer": "random_normal"}
    found["two"] = {"a": one, "b.c": one}
    found["scalar"] = {"w": {"shape": [], "initializer": "ones"}}
    found["empty"] = {"w": {"shape": [0, 2], "initializer": "zeros"}}
    found["a name that is not ASCII"] = {"größe": one}
    return found


def fingerprint(spec: Any, seed: int = 1) -> str:
    """The fingerprint of a document, or of parameters."""
    if isinstance(spec, dict):
        spec = {"initcfg": 1, "seed": seed, "params": spec}
    return initcfg.make_plan(spec).fingerprint


def fingerprints() -> dict[str, str]:
    """Those of all plans."""
    found = {name: fingerprint(spec) for name, spec in specs().items()}
    found |= {f"seed {seed}": fingerprint(specs()["two"], seed) for seed in (0, 2**64 - 1)}
    return found


def main() -> int:
    """Adds to the file, or says which plans differ from it."""
    known: dict[str, str] = json.loads(FILE.read_text("utf-8"))["plans"] if FILE.exists() else {}
    found = fingerprints()
    if "--write" in sys.argv[1:]:
        content = {"command": "python tests/golden/make_fingerprints.py --write", "plans": found | known}
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    changed = sorted(name for name in known if known[name] != found.get(name))
    sys.stdout.writelines(f"differs: {name}\n" for name in changed)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
