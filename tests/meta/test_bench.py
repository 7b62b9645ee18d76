"""The benchmark runs: figures for this project and for the peers at hand, the missing ones named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_task_has_figures_of_this_project_and_missing_peers_are_named(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = run("peers.py", "elementwise", "--rounds", 2, "--elements", 4096, "--json", path)
    assert done.returncode == 0, done.stderr
    tables = json.loads(path.read_text("utf-8"))["tables"]
    assert [table["task"] for table in tables][:2] == ["uniform", "normal"]
    for table in tables:
        names = [row["name"] for row in table["rows"]]
        assert {"initcfg native, 2 threads", "initcfg numpy, 1 thread", "ndarray.fill"} <= set(names)
        assert table["task"] in done.stdout
        best = [row["times_the_best_initcfg"]["median"] for row in table["rows"]]
        assert 1 in best, "one of this project is the measure of the others"
    for peer in ("torch", "jax", "Keras"):
        assert peer in done.stdout + done.stderr, f"{peer} is neither measured nor named"


@pytest.mark.parametrize("script", ["peers.py", "scale.py"])
def test_an_unknown_suite_is_refused_with_the_ones_there_are(script: str) -> None:
    done = run(script, "elementwisse")
    assert done.returncode == 2
    assert "no suite is called elementwisse; there are" in done.stderr
