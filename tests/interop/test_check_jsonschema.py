"""The real check-jsonschema: the published schema is good for other checkers than our own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
SPEC = SCHEMAS / "spec.v1.schema.json"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The program, with a report in JSON."""
    program = [sys.executable, "-m", "check_jsonschema", "--output-format", "json"]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_schemas_are_schemas() -> None:
    done = check("--check-metaschema", *SCHEMAS.glob("*.json"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_config_passes() -> None:
    assert CONFIGS
    done = check("--schemafile", SPEC, *CONFIGS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("seed: 7", "seed: -7", "$.seed"),
        ("layout: in_out", "layuot: in_out", "$"),
        ("shape: [hidden]", "shape: {hidden: 1}", "$.layers.dense_1.params.bias"),
    ],
)
def test_a_planted_fault_is_found_in_its_place(right: str, wrong: str, place: str, tmp_path: Path) -> None:
    text = (ROOT / "configs/mlp.yaml").read_text(encoding="utf-8")
    assert right in text
    faulty = tmp_path / "mlp.yaml"
    faulty.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    done = check("--schemafile", SPEC, faulty)
    assert done.returncode == 1
    assert any(error["path"].startswith(place) for error in json.loads(done.stdout)["errors"])
