"""What CONTRIBUTING.md says is so: an initializer is one class and one row, and each folder has its tests.

The page's example of an initializer is added to a copy of the package.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# Each has a test that is named after it, or none of its own.
WITHOUT_A_ROW = {"__init__", "__main__", "api", "frozen", "inputs", "manifest", "process"}
SPEC = {
    "initcfg": 1,
    "vars": {"d": 4},
    "params": {
        "w": {"shape": ["d", 2], "initializer": {"spread": {"center": 3, "width": "sqrt(d)"}}},
        "fused": {
            "shape": [4],
            "initializer": {"concatenate": {"axis": 0, "sizes": [2, 2], "initializers": ["spread", "zeros"]}},
        },
    },
}
USE = """
import json, sys
import initcfg
from initcfg.initializers import Spread, deserialize, serialize
from initcfg.spec.schema import json_schema

weights = initcfg.materialize(json.loads(sys.argv[1]))
print(json.dumps({
    "range": [weights["w"].min().item() >= 2, weights["w"].max().item() <= 4, weights["w"].std().item() > 0],
    "is read back": deserialize(serialize(Spread(1, seed=3))) == Spread(1, seed=3),
    "in the schema": "spread" in json.dumps(json_schema()),
}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the class of CONTRIBUTING.md in it."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "initcfg", folder / "initcfg", ignore=shutil.ignore_patterns("__pycache__"))
    example = re.search(r"^```python\n(@initializer\nclass Spread.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert example is not None
    with (folder / "initcfg/initializers/simple.py").open("a", encoding="utf-8") as module:
        module.write(f"\n\n{example[1]}")
    registry = folder / "initcfg/initializers/registry.py"
    row = '"RandomUniform", "TruncatedNormal"'
    text = registry.read_text(encoding="utf-8")
    assert row in text
    registry.write_text(text.replace(row, f'{row}, "Spread"'), encoding="utf-8")
    return folder


def run(package: Path, *line: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(package), "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *line], env=environment, cwd=package, capture_output=True, text=True, check=False
    )


def test_it_makes_weights_is_read_back_and_is_in_the_schema(package: Path) -> None:
    done = run(package, "-c", USE, json.dumps(SPEC))
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"range": [True] * 3, "is read back": True, "in the schema": True}


def test_its_page_is_its_docstring(package: Path) -> None:
    done = run(package, "-m", "initcfg", "initializers", "spread")
    assert done.stdout.startswith("Spread(center=0.0, width=0.1, seed=None)\n")
    assert "w ~ U(center - width / 2, center + width / 2)" in done.stdout


def test_its_arguments_are_checked(package: Path) -> None:
    wrong = {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": {"spread": {"widht": -1}}}}}
    (package / "wrong.json").write_text(json.dumps(wrong), encoding="utf-8")
    done = run(package, "-m", "initcfg", "validate", "wrong.json")
    assert done.returncode == 1
    assert "spread has no argument 'widht'" in done.stdout
    assert "did you mean 'width'?" in done.stdout


def test_every_folder_has_a_row_of_tests() -> None:
    rows = re.search(r"\| a change in \| run \|\n(.*?)\n\n", PAGE, re.DOTALL)
    assert rows is not None
    named = {
        each.strip("/")
        for row in rows[1].splitlines()
        for each in re.findall(r"`([a-z]+/?)`", row.split("|")[1])
    }
    parts = {
        path.stem
        for path in (ROOT / "initcfg").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - WITHOUT_A_ROW == named


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"tests/[\w/*]+(?:\.\w+)?", PAGE))
    assert len(named) > 30
    assert [each for each in sorted(named) if not list(ROOT.glob(each))] == []
