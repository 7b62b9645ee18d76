"""What a start costs, counted: seconds depend on the machine, modules and classes do not.

The budgets are what `initcfg validate` of a small model needs now, and a little more. A change that breaks
one either loads what it does not need, or raises the budget and says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = 64
CLASSES = 175
# What validating a spec has no use for.
IDLE = [
    *("numpy", "ml_dtypes", "rich", "asyncio", "multiprocessing", "concurrent.futures", "tomllib"),
    *("initcfg.spec.schema", "initcfg.generate", "initcfg.sharding", "initcfg.adapters"),
    *("initcfg.plan.read", "initcfg.formats", "initcfg.text.json_source", "initcfg.text.yaml_writer"),
    *("initcfg.initializers.structured", "initcfg.initializers.scaling"),
]
COUNT = """
import gc, json, sys
from initcfg.cli import main
try:
    main(sys.argv[1:])
except SystemExit as exit:
    assert not exit.code, exit.code
assert gc.get_freeze_count(), "the end looks for cycles among all that was made"
gc.unfreeze()
classes = {f"{each.__module__}.{each.__qualname__}" for each in gc.get_objects() if isinstance(each, type)}
ours = sorted(each for each in classes if each.startswith("initcfg"))
print()
print(json.dumps([sorted(sys.modules), ours]))
"""


def started(command: str, file: str) -> tuple[list[str], list[str]]:
    """The modules that a command has loaded, and the classes of ours that exist then."""
    arguments = [sys.executable, "-c", COUNT, command, str(ROOT / "configs" / file)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    modules, classes = json.loads(done.stdout.splitlines()[-1])
    return modules, classes


def test_a_validation_stays_within_its_budget() -> None:
    modules, classes = started("validate", "gpt2.yaml")
    ours = [name for name in modules if name.split(".")[0] == "initcfg"]
    assert len(ours) <= MODULES, ours
    assert len(classes) <= CLASSES, classes
    assert [name for name in IDLE if name in modules] == []


def test_a_family_of_initializers_is_loaded_where_a_spec_names_one_of_them() -> None:
    modules, _ = started("validate", "mlp.yaml")
    assert "initcfg.initializers.scaling" in modules
    assert "initcfg.initializers.combined" not in modules


def test_a_plan_is_shown_without_what_makes_weights() -> None:
    modules, _ = started("plan", "gpt2.yaml")
    assert [name for name in ("numpy", "ml_dtypes", "rich", "initcfg.generate") if name in modules] == []
