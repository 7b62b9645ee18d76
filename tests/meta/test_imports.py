"""What is not imported: a spec is checked without loading what only making weights needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Each of them takes longer to load than a spec takes to plan.
HEAVY = {"jax", "ml_dtypes", "numpy", "rich", "torch"}
# Of what is ours, a spec that is valid needs none of these; and only messages and reports need the others.
BESIDE = {
    "initcfg.adapters",
    "initcfg.api",
    "initcfg.diff",
    "initcfg.draft",
    "initcfg.explanations",
    "initcfg.formats",
    "initcfg.generate",
    "initcfg.manifest",
    "initcfg.plan.document",
    "initcfg.sharding",
    "initcfg.stores",
    "initcfg.verification",
    "asyncio",
    "concurrent.futures",
    "difflib",
    "multiprocessing",
    "traceback",
    "xml.etree.ElementTree",
}
PLANNING = [
    "dtypes",
    "layout",
    "stream",
    "exact",
    "distributions",
    "engines",
    "engines.recipe",
    "initializers",
    "spec",
    "plan",
]
VALIDATE = (
    "from initcfg.cli import main\nassert main(['validate', 'configs/gpt2.yaml'], standalone_mode=False) == 0"
)


def loaded_by(code: str, *, unwanted: set[str]) -> set[str]:
    """Which of the packages a fresh interpreter has loaded after running the code."""
    told = f"{code}\nimport sys\nprint(*({unwanted!r} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


def test_the_package_itself_loads_nothing() -> None:
    assert loaded_by("import initcfg", unwanted={*HEAVY, "pydantic", "yaml", "click"}) == set()


@pytest.mark.parametrize("module", PLANNING)
def test_what_planning_needs_is_imported_without_arrays(module: str) -> None:
    assert loaded_by(f"import initcfg.{module}", unwanted=HEAVY) == set()


def test_a_spec_is_validated_without_loading_what_makes_weights() -> None:
    assert loaded_by(VALIDATE, unwanted=HEAVY | BESIDE) == set()


@pytest.mark.parametrize(
    "planted",
    ["import numpy", "from initcfg.initializers import arrays", "import initcfg.engines.reference"],
)
def test_a_planted_import_is_noticed(planted: str) -> None:
    assert loaded_by(planted, unwanted=HEAVY) == {"numpy"}


def test_a_planted_import_beside_the_way_is_noticed() -> None:
    assert loaded_by(f"{VALIDATE}\nimport difflib, initcfg.manifest", unwanted=BESIDE) == {
        "difflib",
        "initcfg.manifest",
    }
