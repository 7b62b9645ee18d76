"""The bits of the elementary functions are those of functions_v1.json, for ever."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from initcfg.engines import ENGINES, constants, functions, get_engine

HERE = Path(__file__).parent
MAKE = runpy.run_path(str(HERE / "make_functions.py"))
GOLDEN = json.loads((HERE / "functions_v1.json").read_text(encoding="utf-8"))


def changed(engine: str) -> list[str]:
    table = functions(get_engine(engine))
    rows = [row for row in GOLDEN["cases"] if MAKE["digest"](row, table) != row["sha256"]]
    return [f"{row['function']} {row['range']}" for row in rows]


@pytest.mark.parametrize("engine", ENGINES)
def test_bits_are_frozen(engine: str) -> None:
    assert changed(engine) == [], "the bits are frozen: mend the code; `make_functions.py` lists what differs"


def test_the_file_has_every_case() -> None:
    assert [{**row, "sha256": None} for row in GOLDEN["cases"]] == [
        {**row, "sha256": None} for row in MAKE["cases"]()
    ]
    assert GOLDEN["made"]["command"] == "python tests/golden/make_functions.py --write"


@pytest.mark.parametrize(
    ("name", "wrong", "functions"),
    [
        ("EXP64", (np.nextafter(1 / 6, 1), *constants.EXP64[1:]), {"exp", "expm1", "tanh", "pow"}),
        ("TWO_THIRDS_LOW", 0.0, {"log", "log2", "log1p"}),
        ("HALF_PI_PARTS", (*constants.HALF_PI_PARTS[:4], 0.0), {"sin", "cos", "tan"}),
        ("ATAN64", (np.nextafter(1 / 3, 1), *constants.ATAN64[1:]), {"atan"}),
    ],
)
def test_a_constant_that_is_hardly_wrong_would_be_found(
    name: str, wrong: object, functions: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, name, wrong)
    assert {row.partition(" ")[0] for row in changed("numpy")} >= functions
