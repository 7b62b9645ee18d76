"""The plugin of pytest, in runs of pytest of their own that find it by its entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import initcfg
from initcfg.testing import Checks

ROOT = Path(__file__).parents[2]
SPEC = """\
initcfg: 1
params:
  w: {shape: [64, 64], initializer: random_normal}
"""
TESTS = """\
import sys

LOADED = {name for name in sys.modules if name.partition(".")[0] in ("initcfg", "numpy", "torch")}

import numpy as np

def write(scale):
    np.savez("w.npz", w=np.random.default_rng(0).normal(0, scale, (64, 64)).astype("float32"))

def test_what_pytest_has_loaded():
    print("loaded", *sorted(LOADED))

def test_right(initcfg):
    write(0.05)
    initcfg.assert_law("w.npz", "w.yaml")

def test_other_setting(initcfg):
    write(0.05)
    initcfg.assert_law("w.npz", "w.yaml", settings={"dtype": "float32"})

def test_wrong(initcfg):
    write(0.06)
    initcfg.assert_law("w.npz", "w.yaml")
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints of the tests above, in an environment that has the plugin's entry point."""
    folder = tmp_path_factory.mktemp("run")
    about = folder / "site" / "initcfg-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: initcfg\nVersion: 0.1.0\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"{name} = {target}" for name, target in groups["pytest11"].items()]
    (about / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (folder / "w.yaml").write_text(SPEC)
    (folder / "test_w.py").write_text(TESTS)
    paths = os.pathsep.join([str(folder / "site"), str(ROOT)])
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    done = subprocess.run(
        [*command, "test_w.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_run_that_does_not_use_it_loads_three_modules_and_no_framework(printed: str) -> None:
    found = re.search(r"^loaded (.*)$", printed, re.MULTILINE)
    assert found, printed
    assert found[1].split() == ["initcfg", "initcfg.process", "initcfg.testing"]


def test_weights_of_another_law_fail_with_the_report_and_right_ones_pass(printed: str) -> None:
    assert re.search(r"^FAILED test_w.py::test_wrong", printed, re.MULTILINE), printed
    assert "1 failed, 3 passed" in printed
    assert "AssertionError: " in printed
    assert "'w'" in printed
    assert "assert_law" in printed
    assert "initcfg/testing.py" not in printed, "the traceback ends in the test"


def test_a_check_of_nothing_fails(tmp_path: Path) -> None:
    initcfg.save({"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "ones"}}}, tmp_path / "w.npz")
    skipped = {"initcfg": 1, "manifest": "w.npz", "rules": [{"match": "**", "skip": True}]}
    (tmp_path / "w.json").write_text(json.dumps(skipped))
    with pytest.raises(AssertionError, match="nothing was checked"):
        Checks().assert_law(tmp_path / "w.npz", tmp_path / "w.json")
    with pytest.raises(TypeError, match="a torch module or the path of a file, not int"):
        Checks().assert_law(3, tmp_path / "w.json")
