"""A plan has the same fingerprint in every release of its format version."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from initcfg.initializers import BUILTINS, NormOf, Parameter, Pretrained
from initcfg.initializers.registry import snake_case
from initcfg.plan import plan as plans

if TYPE_CHECKING:
    import pytest

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "fingerprints_v1.json").read_text("utf-8"))["plans"]

_spec = importlib.util.spec_from_file_location("make_fingerprints", HERE / "make_fingerprints.py")
assert _spec is not None
assert _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


def test_every_fingerprint_is_that_of_the_file() -> None:
    assert make.fingerprints() == GOLDEN, "mend the code; new plans are added by make_fingerprints.py --write"


def test_a_changed_fact_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted change: one more fact of each parameter is written into the text that is hashed."""
    facts = plans.deciding_facts
    monkeypatch.setattr(plans, "deciding_facts", lambda parameter: facts(parameter) | {"new": 1})
    found = make.fingerprints()
    same = {known for name, known in GOLDEN.items() if found[name] == known}
    assert len(same) <= 1, "all but that of plans without parameters"


def test_every_initializer_has_a_plan_in_the_file() -> None:
    laws = " ".join(name for name in GOLDEN if name.startswith("law "))
    # Those need more than one parameter, or a file: valid/derived.yaml, valid/pretrained.
    others = [each.__name__ for each in BUILTINS if each not in (NormOf, Parameter, Pretrained)]
    names = list(map(snake_case, others))
    missing = [name for name in names if f'"{name}"' not in laws]
    assert missing == [], "add them to INITIALIZERS of make_fingerprints.py, and run that with --write"


def test_plans_that_differ_have_different_fingerprints() -> None:
    laws = [each for name, each in GOLDEN.items() if name.startswith("dtype ")]
    assert len(set(laws)) == len(laws)
